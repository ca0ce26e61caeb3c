//! The validation images: a tar or folder of 50,000 files with labels in another file, or class folders.

use super::ground_truth::GroundTruth;
use super::parts::{self, VAL_TAR};
use super::{Part, identifiers, train, validation_number};
use crate::containers::{Container, Place};
use crate::escape::printable;
use crate::image_folder::class_folders;
use crate::listing::{Found, Listing};
use crate::passed_over::Reason;
use crate::tar::Scan;
use crate::{Error, PassedOver, Result};
use std::collections::HashSet;
use std::path::Path;

/// Lists the validation images.
///
/// # Errors
/// They cannot be read, or `labels_needed` and there are none.
pub(super) fn list(part: &parts::Part, labels_needed: bool) -> Result<Part> {
    let path = part.path();
    let mut passed = PassedOver::default();
    let mut images = Vec::new();
    let (container, again) = match part {
        parts::Part::ClassFolders(_) | parts::Part::ClassTars(_) => return train::of_folders(path),
        parts::Part::Tar(_) => {
            let whole = if path.ends_with(VAL_TAR) { " (the whole file has 6,744,924,160 bytes)" } else { "" };
            let again = format!("; continue or repeat the download{whole}");
            let scan = Scan::of(path).map_err(|error| Error::Invalid(format!("{error}{again}")))?;
            passed.merge("", &scan.passed);
            for (name, place) in scan.images.iter() {
                if place.sparse {
                    passed.add(Reason::Sparse, name);
                } else {
                    images.push((name.to_string(), Place::in_tar(0, place.start, place.bytes)));
                }
            }
            (Container::tar(path), again)
        }
        parts::Part::Flat(_) => {
            let (_, found) = class_folders(path, &mut passed)?;
            images.extend(found.names().map(|name| (name.to_string(), Place { container: 0, bytes: 0, start: 0 })));
            (Container::folder(path), String::new())
        }
    };
    let mut notes = Vec::new();
    let truth = match GroundTruth::beside(path) {
        Ok(None) if labels_needed => return Err(no_labels(path)),
        Ok(truth) => truth,
        Err(error) if labels_needed => return Err(error),
        Err(error) => {
            notes.push(format!("without labels: {error}"));
            None
        }
    };
    let listed = Listed { path, truth: truth.as_ref(), is_folder: container.is_folder() };
    let (found, labels) = listed.labelled(images, &mut passed)?;
    if let Some(truth) = &truth {
        if found.len() < truth.count() {
            let counts = format!("{} of {} validation images", found.len(), truth.count());
            if !container.is_folder() {
                let from = truth.shown();
                return Err(Error::file(path, format!("holds only {counts} that have labels in {from}{again}")));
            }
            notes.push(format!("{counts} are there"));
        }
        notes.push(format!("validation labels from {}", truth.shown()));
    }
    let Listing { classes, images, labels, .. } = Listing::by_label(identifiers(), &found, &labels);
    let labelled = truth.is_some();
    Ok(Part { images, labels, labelled, classes, containers: vec![container], passed, notes, incomplete: None })
}

/// Files of the validation set.
struct Listed<'a> {
    path: &'a Path,
    truth: Option<&'a GroundTruth>,
    is_folder: bool,
}

impl Listed<'_> {
    /// Names the images as PyTorch unpacks them, in the folder of their class.
    fn labelled(&self, files: Vec<(String, Place)>, passed: &mut PassedOver) -> Result<(Found<Place>, Vec<u32>)> {
        let known = identifiers();
        let (mut found, mut labels, mut seen) = (Found::default(), Vec::new(), HashSet::new());
        for (file, place) in files {
            let Some(number) = validation_number(&file) else {
                passed.add(Reason::Unlabelled, file);
                continue;
            };
            if !seen.insert(number) {
                return Err(Error::file(self.path, format!("contains {} twice", printable(&file))));
            }
            let Some(truth) = self.truth else {
                found.push(&file, place);
                labels.push(0);
                continue;
            };
            let Some(label) = truth.label(number) else {
                let (from, count) = (truth.shown(), truth.count());
                let file = printable(&file);
                return Err(Error::file(
                    self.path,
                    format!("{file} has no label in {from}, which has {count}; use the whole file of the devkit"),
                ));
            };
            let class = format!("{}/", known[label as usize]);
            // A tar's own folders are dropped; in a folder they are part of the path.
            let name = if self.is_folder { file.as_str() } else { file.rsplit('/').next().unwrap_or(&file) };
            let start = if self.is_folder { class.len() as u64 } else { place.start };
            found.push(&format!("{class}{name}"), Place { start, ..place });
            labels.push(label);
        }
        if found.is_empty() {
            return Err(Error::file(self.path, "no validation images here, such as ILSVRC2012_val_00000001.JPEG"));
        }
        Ok((found, labels))
    }
}

/// Error for validation images without labels.
fn no_labels(path: &Path) -> Error {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Error::file(
        path,
        format!(
            "no labels for these validation images; put ILSVRC2012_devkit_t12.tar.gz, from the same page of image-net.org, into {}, \
             or Kaggle's LOC_val_solution.csv",
            crate::escape::path(folder)
        ),
    )
}
