//! Sorted list of a data set's images, shared by folders and tars.

use super::LAYOUT;
use super::passed_over::PassedOver;
use crate::escape::printable;
use crate::image::decode::endings;
use crate::{Error, Result};
use std::path::Path;

/// Requirements on the classes of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// At least two classes, each with images: enough for training.
    Trainable,
    /// Any number of classes. Class folders without images are ignored.
    WithImages,
    /// All class folders, including those without images.
    All,
}

/// Sorted list of a data set's images.
#[derive(Debug)]
pub(super) struct Listing<T> {
    pub(super) classes: Vec<String>,
    /// `class/file.jpg`, label, and location of the bytes.
    pub(super) images: Vec<(String, u32, T)>,
    /// Class folders without images.
    pub(super) empty: Vec<String>,
}

impl<T> Listing<T> {
    /// Images in this order, without classes.
    pub(super) fn unlabelled(found: Vec<(String, T)>) -> Self {
        let images = found.into_iter().map(|(name, place)| (name, 0, place)).collect();
        Listing { classes: Vec::new(), images, empty: Vec::new() }
    }

    /// Sorts the entries found at `path` by name. If all are in folders, these are the classes; otherwise there are none. The
    /// class is the folder at `depth`: 0 for the outermost, 1 within splits.
    pub(super) fn loose(path: &Path, depth: usize, mut found: Vec<(String, T)>, passed: &PassedOver) -> Result<Self> {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if found.is_empty() {
            return Err(Error::file(
                path,
                format!("no images here (*.{{{}}}){}", endings().collect::<Vec<_>>().join(", "), and_passed_over(passed)),
            ));
        }
        if found.iter().all(|(name, _)| name.split('/').count() > depth + 1) {
            let mut classes: Vec<String> = found.iter().map(|(name, _)| folder(name, depth).to_string()).collect();
            classes.sort();
            classes.dedup();
            return Ok(Self::labelled(classes, depth, found));
        }
        Ok(Self::unlabelled(found))
    }

    /// Sorts the entries found at `path` by name and assigns labels. `folders` are the class folders, including empty ones.
    pub(super) fn new(
        path: &Path,
        demand: Demand,
        folders: Vec<String>,
        mut found: Vec<(String, T)>,
        passed: &PassedOver,
    ) -> Result<Self> {
        let mut classes = folders;
        classes.sort();
        classes.dedup();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let problem = |text: String| Err(Error::file(path, text));
        if let Some((name, _)) = found.iter().find(|(name, _)| !name.contains('/')) {
            return problem(format!("{} is not in a class folder; {LAYOUT}", printable(name)));
        }
        if classes.is_empty() || (found.is_empty() && demand != Demand::Trainable) {
            return problem(format!("no images here; {LAYOUT}{}", and_passed_over(passed)));
        }
        if let (Demand::Trainable, [only]) = (demand, classes.as_slice()) {
            let mut inner: Vec<&str> = found.iter().map(|(name, _)| folder(name, 1)).collect();
            inner.dedup();
            // A wrapper folder around the classes was packed or given.
            let hint = match inner.as_slice() {
                [first, second, ..] if found.iter().all(|(name, _)| name.split('/').count() > 2) => {
                    let [first, second] = [first, second].map(|name| printable(name));
                    format!(
                        "; if {first}, {second} and so on are the classes, use that folder (or pack it: tar -cf set.tar -C FOLDER .)"
                    )
                }
                _ => String::new(),
            };
            return problem(format!("only one class, {}; {LAYOUT}{hint}", printable(only)));
        }
        if u32::try_from(found.len()).is_err() {
            return problem("more than 4 billion images".into());
        }
        let mut with_images: Vec<&str> = found.iter().map(|(name, _)| folder(name, 0)).collect();
        with_images.dedup();
        with_images.sort_unstable();
        let empty: Vec<String> =
            classes.iter().filter(|class| with_images.binary_search(&class.as_str()).is_err()).cloned().collect();
        match demand {
            Demand::Trainable => {
                if let Some(class) = empty.first() {
                    return problem(format!(
                        "class {} has no images (*.{{{}}}); remove its folder or fill it{}",
                        printable(class),
                        endings().collect::<Vec<_>>().join(", "),
                        and_passed_over(passed)
                    ));
                }
            }
            Demand::WithImages => classes.retain(|class| empty.binary_search(class).is_err()),
            Demand::All => {}
        }
        Ok(Listing { empty, ..Self::labelled(classes, 0, found) })
    }

    /// Labels images by their folders, all of which are among the sorted `classes`.
    fn labelled(classes: Vec<String>, depth: usize, found: Vec<(String, T)>) -> Self {
        let label = |name: &str| {
            let class = folder(name, depth);
            classes.binary_search_by(|known| known.as_str().cmp(class)).unwrap_or_default() as u32
        };
        let mut images: Vec<_> = found.into_iter().map(|(name, place)| (label(&name), name, place)).collect();
        // Sorted by label first, then by name: otherwise a/b.jpg and a-b/c.jpg would mix.
        images.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let images = images.into_iter().map(|(label, name, place)| (name, label, place)).collect();
        Listing { classes, images, empty: Vec::new() }
    }
}

/// The folder at this depth of a name.
fn folder(name: &str, depth: usize) -> &str {
    name.split('/').nth(depth).unwrap_or_default()
}

/// Suffix of an error that may be caused by skipped files.
fn and_passed_over(passed: &PassedOver) -> String {
    if passed.is_empty() { String::new() } else { format!("; skipped: {}", passed.words()) }
}
