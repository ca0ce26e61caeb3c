//! WebDataset shards: tars in which consecutive files `key.jpg` and `key.cls`, `key.json` or `key.txt` are one sample.
//!
//! Shards keep their order, and samples their order within a shard, as in WebDataset's reader without shuffling.

mod class_names;
mod gaps;
mod labels;
mod recognise;
mod samples;
#[cfg(test)]
mod tests;

use crate::containers::{Container, Containers};
use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::{Found as At, Location};
use crate::passed_over::Reason;
use crate::splits::is_split;
use crate::stored::Stored;
use crate::{Demand, Error, Opened, Result, Split, Splits, escape};
use class_names::ClassNames;
use labels::Labels;
use samples::Samples;
use std::path::{Path, PathBuf};

/// A shard, a folder of shards, or a pattern such as `train-{000000..000146}.tar`.
pub(crate) struct WebDataset;

impl Layout for WebDataset {
    fn name(&self) -> &'static str {
        "WebDataset shards"
    }

    fn recognises(&self, at: &Location) -> bool {
        matches!(at.found, At::Pattern(_)) || recognise::shards(at).is_some()
    }

    fn takes_classes(&self) -> bool {
        true
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        let shards = match &request.at.found {
            At::Pattern(shards) => shards.clone(),
            _ => recognise::shards(request.at).ok_or_else(|| Error::file(path, "no shards here"))?,
        };
        let names: Vec<Option<String>> = split_names(&shards);
        let splits = Splits::of_names(names.iter().flatten().map(String::as_str));
        let taken = request.split.and_then(|split: Split| Some(splits.as_ref()?.name_of(split).to_string()));
        let is_taken = |name: &Option<String>| taken.is_none() || name.as_ref() == taken.as_ref();
        let selected: Vec<PathBuf> =
            shards.iter().zip(&names).filter(|(_, name)| is_taken(name)).map(|(shard, _)| shard.clone()).collect();
        let mut notes = vec![counted(&selected)];
        // A pattern with numbers says itself which shards there are.
        if request.at.is_folder() || path.to_string_lossy().contains('*') {
            notes.extend(gaps::note(&selected));
        }
        let outside: Vec<&PathBuf> =
            shards.iter().zip(&names).filter(|(_, name)| taken.is_some() && name.is_none()).map(|(shard, _)| shard).collect();
        if let Some(first) = outside.first() {
            notes.push(format!("shards of no split, not used: {}, such as {}", outside.len(), escape::path(first)));
        }
        let at = match taken.as_ref().and_then(|_| common_folder(&selected)) {
            Some(folder) if folder.starts_with(path) => folder,
            _ => path.clone(),
        };
        let opened = read(request, &selected, &at, notes)?;
        Ok(Opened { splits, taken, root: path.clone(), ..opened })
    }
}

/// Lists the samples of shards.
fn read(request: &Request<'_>, shards: &[PathBuf], at: &Path, mut notes: Vec<String>) -> Result<Opened> {
    let folder = common_folder(shards).unwrap_or_default();
    let mut samples = Samples::default();
    for (shard, number) in shards.iter().zip(0..) {
        // 00000/key.jpg: keys may repeat in other shards.
        let prefix = shard.strip_prefix(&folder).unwrap_or(shard).with_extension("");
        let prefix = prefix.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        samples.scan(shard, number, &prefix)?;
    }
    let Samples { images, labels, texts, mut passed, unlabelled, .. } = samples;
    if images.is_empty() {
        return Err(Error::file(at, "no images in these shards"));
    }
    let containers = Containers::new(shards.iter().map(Container::tar).collect());
    if request.demand == Demand::LabelsOptional && unlabelled > 0 {
        if unlabelled < images.len() {
            notes.push(format!("{unlabelled} of {} images have no label, so that no labels are used", images.len()));
        }
        let source = Stored::new(Listing::unlabelled(images), containers);
        return Ok(Opened { passed_over: passed, notes, ..Opened::whole(at, source) });
    }
    if unlabelled == images.len() {
        return Err(Error::file(
            at,
            "no labels in these shards; expected a .cls, .txt, or .json with label, next to each image and of the same key",
        ));
    }
    let given = match request.classes {
        Some(path) => Some(ClassNames::of(path)?),
        None => ClassNames::beside(shards)?,
    };
    notes.extend(given.iter().filter(|_| request.classes.is_none()).map(ClassNames::note));
    let Labels { classes, of_text } = Labels::of(&texts, given.as_ref()).map_err(|problem| {
        let first = labels.iter().position(|&label| label == problem.text as u32).unwrap_or_default();
        Error::file(at, format!("{}: {}", escape::printable(images.name(first)), problem.why))
    })?;
    let (images, labels) = if unlabelled == 0 {
        (images, labels.iter().map(|&text| of_text[text as usize]).collect())
    } else {
        let (mut kept, mut kept_labels) = (Found::default(), Vec::new());
        for ((name, place), &text) in images.iter().zip(&labels) {
            match of_text.get(text as usize) {
                Some(&label) => {
                    kept.push(name, place);
                    kept_labels.push(label);
                }
                None => passed.add(Reason::Unlabelled, name),
            }
        }
        (kept, kept_labels)
    };
    let without = without_images(&classes, &labels);
    if request.demand == Demand::Trainable && classes.len() - without.len() < 2 {
        let only = classes.iter().find(|class| !without.contains(class)).map_or("", String::as_str);
        return Err(Error::file(at, format!("only one class, {}; at least two are needed", escape::printable(only))));
    }
    if !without.is_empty() {
        notes.push(format!("classes without images: {}", escape::first_names(&without, 4)));
    }
    let listing = Listing { classes, images, labels, empty: Vec::new() };
    Ok(Opened { passed_over: passed, notes, ..Opened::whole(at, Stored::new(listing, containers)) })
}

/// The classes without images. They stay: numbers in shards are labels of the whole set.
fn without_images(classes: &[String], labels: &[u32]) -> Vec<String> {
    let mut present = vec![false; classes.len()];
    labels.iter().for_each(|&label| present[label as usize] = true);
    classes.iter().zip(present).filter(|(_, present)| !present).map(|(class, _)| class.clone()).collect()
}

/// Name of the split of each shard: a word of its name, or else its folder's name.
fn split_names(shards: &[PathBuf]) -> Vec<Option<String>> {
    let several_folders = shards.iter().any(|shard| shard.parent() != shards[0].parent());
    let of = |shard: &PathBuf| {
        let stem = shard.file_stem()?.to_str()?;
        let word = stem.split(|c: char| !c.is_alphanumeric()).find(|word| is_split(word));
        let folder = || shard.parent()?.file_name()?.to_str().filter(|name| several_folders && is_split(name));
        word.or_else(folder).map(String::from)
    };
    shards.iter().map(of).collect()
}

/// The deepest folder that contains all shards.
fn common_folder(shards: &[PathBuf]) -> Option<PathBuf> {
    let mut common = shards.first()?.parent()?.to_path_buf();
    for shard in shards {
        while !shard.starts_with(&common) {
            common.pop();
        }
    }
    Some(common)
}

fn counted(shards: &[PathBuf]) -> String {
    match shards {
        [only] => format!("1 shard, {}", escape::path(only)),
        [first, .., last] => format!("{} shards, {} to {}", shards.len(), escape::path(first), escape::path(last)),
        [] => "no shards".into(),
    }
}
