//! Hashes of a run's images, to ensure that it resumes with the same ones.
//!
//! The hashes cover each class's name, the names of its images in order, the sizes of all files, and the bytes of some of them.
//! The location of the images, folder or .tar, does not matter. An image replaced by another one of the same name and size is
//! detected only if its bytes are hashed: all images in classes of up to eight and data sets of up to 64 classes, fewer in larger
//! ones, but at least one per class; files of more than half a MiB are not hashed.

use crate::data::Dataset;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Maximum number of hashed files per class.
const READ_OF_CLASS: usize = 8;
/// Maximum size of hashed files, so that a run starts at once: few larger files have the same size.
const LARGE: u64 = 1 << 19;
/// Maximum number of hashed files in a data set, unless it has more classes.
const READ: usize = 512;

/// Hashes of a run's images.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLists {
    /// Hashes of the training images, by class.
    pub train: BTreeMap<String, ClassImages>,
    /// Hashes of the validation images, by class.
    pub val: BTreeMap<String, ClassImages>,
}

/// Hashes of the images of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassImages {
    /// Number of images.
    pub images: usize,
    /// Hash of the image names in order.
    pub names: String,
    /// Hash of the file sizes, and of some files' bytes.
    pub contents: String,
}

impl ImageLists {
    /// Computes the hashes of a run's images.
    pub fn of(train: &dyn Dataset, val: &dyn Dataset) -> ImageLists {
        ImageLists { train: of_source(train), val: of_source(val) }
    }

    /// Describes the difference to `now` in one line; `None` if equal.
    pub fn difference(&self, now: &ImageLists) -> Option<String> {
        let sets = [("training", &self.train, &now.train), ("validation", &self.val, &now.val)];
        sets.into_iter().find_map(|(set, before, now)| Some(format!("different {set} images: {}", of_set(before, now)?)))
    }
}

fn of_source(source: &dyn Dataset) -> BTreeMap<String, ClassImages> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); source.classes().len()];
    (0..source.len()).for_each(|i| by_class[source.label(i) as usize].push(i));
    let read = (READ / by_class.len().max(1)).clamp(1, READ_OF_CLASS);
    let named = source.classes().iter().zip(&by_class).filter(|(_, images)| !images.is_empty());
    named.map(|(class, images)| (class.clone(), of_class(source, images, read))).collect()
}

/// Hashes images, reading `read` of the files, spread evenly.
fn of_class(source: &dyn Dataset, images: &[usize], read: usize) -> ClassImages {
    let (mut names, mut contents) = (Sha256::new(), Sha256::new());
    let mut next = 0;
    for (place, &i) in images.iter().enumerate() {
        names.update(source.name(i));
        names.update([0]);
        let size = source.file_size(i);
        contents.update(size.unwrap_or(u64::MAX).to_le_bytes());
        if place * read >= next * images.len() {
            next += 1;
            if size.is_some_and(|size| size > LARGE) {
                continue;
            }
            match source.file(i) {
                Ok(Some(bytes)) => contents.update(Sha256::digest(bytes)),
                // Pixels that are stored without a file format; a drawn image has no stored size.
                Ok(None) if size.is_some() => {
                    if let Ok(image) = source.image(i) {
                        contents.update(Sha256::digest(&image.rgb));
                    }
                }
                Ok(None) => {}
                Err(_) => contents.update(b"cannot be read"),
            }
        }
    }
    ClassImages { images: images.len(), names: hexadecimal(names), contents: hexadecimal(contents) }
}

/// The first 64 bits, which suffice against chance.
fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Describes the difference within a set.
fn of_set(before: &BTreeMap<String, ClassImages>, now: &BTreeMap<String, ClassImages>) -> Option<String> {
    if let Some((class, images)) = before.iter().find(|(class, _)| !now.contains_key(*class)) {
        return Some(format!("class {class} had {} and has none now", images.images));
    }
    if let Some((class, images)) = now.iter().find(|(class, _)| !before.contains_key(*class)) {
        return Some(format!("class {class} had none and has {} now", images.images));
    }
    let differ = |what: fn(&ClassImages, &ClassImages) -> bool| -> Vec<&str> {
        let both = before.iter().filter_map(|(class, before)| Some((class, before, now.get(class)?)));
        both.filter(|(_, before, now)| what(before, now)).map(|(class, ..)| class.as_str()).collect()
    };
    if let Some(class) = differ(|before, now| before.images != now.images).first() {
        return Some(format!("class {class} had {} and has {} now", before[*class].images, now[*class].images));
    }
    let classes = differ(|before, now| before.names != now.names);
    if !classes.is_empty() {
        return Some(format!("those of {} have different names", few(&classes)));
    }
    let classes = differ(|before, now| before.contents != now.contents);
    (!classes.is_empty()).then(|| format!("those of {} have the same names but different contents", few(&classes)))
}

/// The first classes of a list.
fn few(classes: &[&str]) -> String {
    const SHOWN: usize = 4;
    let more = classes.len().saturating_sub(SHOWN);
    let shown = classes[..classes.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more classes") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::open;
    use std::path::Path;

    fn fill(folder: &Path, files: &[(&str, &str)]) {
        for (name, bytes) in files {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    #[test]
    fn changed_images_are_reported_and_a_moved_folder_or_its_tar_is_equal() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let plain = [("cat/1.png", "one"), ("cat/2.png", "two"), ("dog/1.png", "six"), ("dog/2.png", "ten")];
        let lists = |name: &str, files: &[(&str, &str)]| {
            fill(&at(name), files);
            let source = open(&at(name)).unwrap();
            ImageLists::of(&*source, &*source)
        };
        let first = lists("first", &plain);
        assert_eq!(first.difference(&lists("moved", &plain)), None);
        let mut tar = ::tar::Builder::new(std::fs::File::create(at("set.tar")).unwrap());
        tar.append_dir_all(".", at("first")).unwrap();
        tar.finish().unwrap();
        assert_eq!(first.difference(&lists("set.tar", &[])), None);
        type Files<'a> = Vec<(&'a str, &'a str)>;
        let difference = |name: &str, change: &dyn Fn(&mut Files<'_>)| {
            let mut files = plain.to_vec();
            change(&mut files);
            first.difference(&lists(name, &files)).unwrap()
        };
        // Sizes are all equal, too.
        let swapped = difference("swapped", &|files| {
            files[0].1 = "six";
            files[1].1 = "ten";
            files[2].1 = "one";
            files[3].1 = "two";
        });
        assert_eq!(swapped, "different training images: those of cat, dog have the same names but different contents");
        assert!(difference("renamed", &|files| files[3].0 = "dog/3.png").contains("dog have different names"));
        assert!(
            difference("class", &|files| files[2..].iter_mut().for_each(|file| file.0 = "eel/1.png")).contains("class dog had 2")
        );
        assert!(difference("more", &|files| files.push(("cat/3.png", "more"))).contains("cat had 2 and has 3 now"));
        let source = open(&at("first")).unwrap();
        let val = ImageLists::of(&*source, &*open(&at("renamed")).unwrap());
        assert!(first.difference(&val).unwrap().starts_with("different validation images"));
    }

    #[test]
    fn sizes_are_compared_for_unhashed_files() {
        let parent = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..40).map(|i| format!("a/{i:02}.png")).chain(["b/1.png".into()]).collect();
        fill(parent.path(), &names.iter().map(|name| (name.as_str(), "same")).collect::<Vec<_>>());
        let lists = || {
            let source = open(parent.path()).unwrap();
            ImageLists::of(&*source, &*source)
        };
        let before = lists();
        std::fs::write(parent.path().join("a/33.png"), "longer").unwrap();
        assert!(before.difference(&lists()).unwrap().contains("those of a have"));
    }
}
