//! Data set in a .tar file of class folders, read in place.

mod member;
mod peek;
mod scan;

pub(crate) use member::{Members, Place};
pub(crate) use peek::first_files;
pub(crate) use scan::Scan;

use crate::escape::printable;
use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::Location;
use crate::passed_over::Reason;
use crate::sniff::Content;
use crate::stored::Stored;
use crate::{Demand, Error, Opened, Result, Split, Splits};
use scan::parts;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// `class/.../file.jpg` entries of a tar file (ustar, GNU or pax names, with or without a leading `./`). The file is scanned once
/// for the positions of its images; each image is then read from its position.
pub(crate) struct Tar;

impl Layout for Tar {
    fn name(&self) -> &'static str {
        "a .tar file"
    }

    fn recognises(&self, at: &Location) -> bool {
        match at.content() {
            Some(Content::Tar) => true,
            Some(Content::Other | Content::Unread(_)) => at.lower_name().ends_with(".tar"),
            _ => false,
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        of_scan(path, Scan::of(path)?, request.split, request.demand)
    }
}

/// A data set of class folders in a scanned tar.
pub(crate) fn of_scan(path: &Path, scan: Scan, split: Option<Split>, demand: Demand) -> Result<Opened> {
    match split {
        Some(split) => open(path, scan, split, demand),
        None => open_loose(path, scan),
    }
}

/// Lists the images of a tar, sorted by class and name.
fn open(path: &Path, scan: Scan, split: Split, demand: Demand) -> Result<Opened> {
    let Scan { file, mut images, mut folders, mut passed } = scan;
    let (root, splits) = splits(path, &images, &folders)?;
    let taken = splits.as_ref().map(|splits| splits.name_of(split).to_string());
    if let (Some(taken), Some(splits)) = (&taken, &splits) {
        let prefix = |split: &str| if root.is_empty() { format!("{split}/") } else { format!("{root}/{split}/") };
        let (taken, all) = (prefix(taken), splits.names.iter().map(|name| prefix(name)).collect::<Vec<_>>());
        let mut inside = Found::default();
        for (name, place) in images.iter() {
            match name.strip_prefix(&taken) {
                Some(name) => inside.push(name, place),
                None if all.iter().any(|split| name.starts_with(split)) => {}
                None => passed.add(Reason::OutsideSplit, name),
            }
        }
        images = inside;
        folders = folders.iter().filter_map(|name| Some(name.strip_prefix(&taken)?.to_string())).collect();
    }
    let mut classes: BTreeSet<&str> = images.names().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    classes.extend(folders.iter().filter(|name| !name.contains('/')).map(String::as_str));
    let classes = classes.into_iter().map(String::from).collect();
    let root = within_tar(path, &root);
    let at = taken.as_ref().map_or(root.clone(), |taken| root.join(taken));
    let mut listing = Listing::new(&at, demand, classes, images, &passed)?;
    let empty = std::mem::take(&mut listing.empty);
    let source = Stored::new(without_doubles(path, listing)?, Members { file });
    Ok(Opened { splits, taken, empty, passed_over: passed, root, ..Opened::whole(&at, source) })
}

/// Lists the images, with or without classes.
fn open_loose(path: &Path, scan: Scan) -> Result<Opened> {
    let Scan { file, images, folders, passed } = scan;
    let (root, splits) = splits(path, &images, &folders)?;
    let depth = usize::from(splits.is_some()) + parts(&root).len();
    let listing = Listing::loose(path, depth, images, &passed)?;
    let source = Stored::new(without_doubles(path, listing)?, Members { file });
    Ok(Opened { splits, passed_over: passed, ..Opened::whole(&within_tar(path, &root), source) })
}

/// The splits of a tar, if any, and the folder that contains them: none, its only folder, and so on.
fn splits(path: &Path, images: &Found<Place>, folders: &BTreeSet<String>) -> Result<(String, Option<Splits>)> {
    let of = |root: &str| -> Result<(Vec<String>, Option<Splits>)> {
        // Folders in the root, and whether they contain folders.
        let mut found: BTreeMap<&str, bool> = BTreeMap::new();
        let inner = |name: &'_ str| {
            if root.is_empty() { Some(0) } else { name.strip_prefix(root)?.starts_with('/').then_some(root.len() + 1) }
        };
        let of_folders = folders.iter().filter_map(|name| Some(&name[inner(name)?..]));
        for name in of_folders {
            let (first, nested) = name.split_once('/').map_or((name, false), |(first, _)| (first, true));
            *found.entry(first).or_default() |= nested;
        }
        for (first, rest) in images.names().filter_map(|name| name[inner(name)?..].split_once('/')) {
            *found.entry(first).or_default() |= rest.contains('/');
        }
        let names: Vec<String> = found.keys().map(|name| (*name).to_string()).collect();
        let splits = Splits::of(&names, &|name| found.get(name).copied().unwrap_or_default());
        Ok((names, splits.map_err(|reason| Error::file(within_tar(path, root), reason))?))
    };
    let (mut root, mut found) = (String::new(), of("")?);
    for _ in 0..LEVELS {
        let (names, None) = &found else { break };
        let [only] = names.as_slice() else { break };
        root = if root.is_empty() { only.clone() } else { format!("{root}/{only}") };
        found = of(&root)?;
    }
    Ok(if found.1.is_some() { (root, found.1) } else { (String::new(), None) })
}

/// A folder of the tar, for messages.
fn within_tar(path: &Path, folder: &str) -> PathBuf {
    if folder.is_empty() { path.to_path_buf() } else { path.join(folder) }
}

fn without_doubles<P: Copy>(path: &Path, listing: Listing<P>) -> Result<Listing<P>> {
    let images = &listing.images;
    match (1..images.len()).find(|&i| images.name(i - 1) == images.name(i)) {
        Some(i) => Err(Error::file(path, format!("contains {} twice", printable(images.name(i))))),
        None => Ok(listing),
    }
}

/// Levels of folders whose own entries are kept, and in which splits are searched.
const LEVELS: usize = 8;
