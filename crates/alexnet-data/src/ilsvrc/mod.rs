//! ILSVRC 2012 (ImageNet's 1,000 classes) as it is downloaded: the two tars with the devkit, Kaggle's CLS-LOC folders, and the flat
//! folder of validation images.
//!
//! Whatever the form, the classes are the 1,000 WordNet identifiers in sorted order, as in class folders of these names, and an
//! image is named `n01440764/n01440764_10026.JPEG`, also for validation: as PyTorch's `ImageNet` unpacks them, and in its order.

mod ground_truth;
mod parts;
#[cfg(test)]
mod tests;
mod train;
mod validation;

use crate::containers::{Container, Containers, Place};
use crate::escape;
use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::Location;
use crate::stored::Stored;
use crate::{Demand, Error, Opened, PassedOver, Result, Splits};
use alexnet_net::imagenet;
use parts::{Parts, TRAIN, VAL};
use std::path::PathBuf;

/// ILSVRC 2012 in one of its forms.
pub(crate) struct Ilsvrc;

impl Layout for Ilsvrc {
    fn name(&self) -> &'static str {
        "ILSVRC 2012 as downloaded"
    }

    fn recognises(&self, at: &Location) -> bool {
        Parts::of(at).is_some()
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        let Some(parts) = Parts::of(request.at) else { return Err(Error::file(path, "no longer ILSVRC 2012")) };
        let splits = if parts.train.is_some() && parts.val.is_some() { Splits::of_names([TRAIN, VAL]) } else { None };
        let taken = request.split.and_then(|split| Some(splits.as_ref()?.name_of(split).to_string()));
        let trains = parts.train.as_ref().filter(|_| taken.as_deref() != Some(VAL));
        let validates = parts.val.as_ref().filter(|_| taken.as_deref() != Some(TRAIN));
        let mut set = Set::default();
        let mut at = path.clone();
        let mut labelled = true;
        if let Some(train) = trains {
            set.add(train::list(train)?, if validates.is_some() { "train/" } else { "" });
            at.clone_from(train.path());
        }
        if let Some(val) = validates {
            let labels_needed = request.demand != Demand::LabelsOptional;
            let part = validation::list(val, labels_needed)?;
            labelled = part.labelled;
            set.add(part, if trains.is_some() { "val/" } else { "" });
            at.clone_from(val.path());
        }
        if trains.is_some() && validates.is_some() {
            at.clone_from(path);
        }
        set.opened(request, at, splits, taken, labelled).map(|opened| Opened { root: path.clone(), ..opened })
    }
}

/// Images of one split.
struct Part {
    /// Images with their labels, in the order of PyTorch's `ImageNet`: by label, then by name.
    images: Found<Place>,
    labels: Vec<u32>,
    /// Whether the labels are known.
    labelled: bool,
    /// Identifiers of the classes; the 1,000 except for a tar of other classes.
    classes: Vec<String>,
    /// What the places of the images refer to.
    containers: Vec<Container>,
    passed: PassedOver,
    notes: Vec<String>,
    /// What is wrong with it as a training set.
    incomplete: Option<String>,
}

/// The identifiers of the 1,000 classes.
fn identifiers() -> Vec<String> {
    imagenet::classes().map(|(id, _)| id.to_string()).collect()
}

/// Images of all selected splits.
#[derive(Default)]
struct Set {
    classes: Vec<String>,
    images: Found<Place>,
    labels: Vec<u32>,
    containers: Vec<Container>,
    passed: PassedOver,
    notes: Vec<String>,
    incomplete: Option<String>,
}

impl Set {
    /// Adds the images of a split, whose names get a prefix.
    fn add(&mut self, part: Part, prefix: &str) {
        let first = self.containers.len() as u32;
        self.containers.extend(part.containers);
        self.passed.merge(prefix, &part.passed);
        self.notes.extend(part.notes);
        self.incomplete = self.incomplete.take().or(part.incomplete);
        if self.classes.is_empty() {
            self.classes = part.classes;
        }
        if first == 0 && prefix.is_empty() {
            (self.images, self.labels) = (part.images, part.labels);
            return;
        }
        for (name, place) in part.images.iter() {
            let container = first + place.container;
            // The prefix is no part of a path.
            let start = place.start + if self.containers[container as usize].is_folder() { prefix.len() as u64 } else { 0 };
            self.images.push(&format!("{prefix}{name}"), Place { container, start, ..place });
        }
        self.labels.extend(part.labels);
    }

    fn opened(
        self,
        request: &Request<'_>,
        at: PathBuf,
        splits: Option<Splits>,
        taken: Option<String>,
        labelled: bool,
    ) -> Result<Opened> {
        if let (Some(why), Demand::Trainable) = (&self.incomplete, request.demand) {
            return Err(Error::file(&at, why.as_str()));
        }
        if self.images.is_empty() {
            return Err(Error::file(&at, "no images here; download it again"));
        }
        let mut notes = self.notes;
        notes.extend(self.incomplete);
        let listing = if labelled {
            Listing { classes: self.classes, images: self.images, labels: self.labels, empty: Vec::new() }
        } else {
            Listing::unlabelled(self.images)
        };
        let source = Stored::new(listing, Containers::new(self.containers));
        Ok(Opened { splits, taken, passed_over: self.passed, notes, ..Opened::whole(&at, source) })
    }
}

/// Some names, for messages.
fn a_few<S: AsRef<str>>(names: &[S]) -> String {
    const NAMED: usize = 4;
    let named: Vec<_> = names.iter().take(NAMED).map(|name| escape::printable(name.as_ref())).collect();
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Number of the validation image in a file name such as `ILSVRC2012_val_00000001.JPEG`, with or without the ending.
fn validation_number(name: &str) -> Option<u32> {
    let file = name.rsplit('/').next()?;
    let start = file.get(..VALIDATION_PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(VALIDATION_PREFIX))?;
    let stem = file[start.len()..].split('.').next()?;
    (stem.len() == 8 && stem.bytes().all(|byte| byte.is_ascii_digit())).then(|| stem.parse().ok())?
}

const VALIDATION_PREFIX: &str = "ILSVRC2012_val_";

/// Whether a name is a WordNet identifier and nothing else.
fn is_identifier(name: &str) -> bool {
    imagenet::wnid(name) == Some(name)
}
