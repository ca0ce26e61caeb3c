//! Data sets of a run.

use super::config::Config;
use super::observer::Observer;
use crate::class_match::match_names;
use crate::data::{self, Dataset, Demand, Opened, Split};
use crate::escape::first_names;
use crate::{Error, Result, eval};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Seed of the built-in set, independent of the run's: runs with other seeds use the same images.
const BUILT_IN_SEED: u64 = 0;

/// Opens training and validation images, both with the training images' classes. With `own_split`, a validation split next to the
/// training split becomes the setting `val`, unless that is set.
///
/// # Errors
/// Images are missing, or classes do not match.
pub fn data_sets(
    config: &mut Config,
    own_split: bool,
    observer: &mut dyn Observer,
) -> Result<(Arc<dyn Dataset>, Arc<dyn Dataset>)> {
    let Some(path) = &config.data else {
        let of = |split| data::synthetic(split, BUILT_IN_SEED);
        return Ok((of(Split::Train), of(Split::Validation)));
    };
    let opened = config.source(path).open(Split::Train, Demand::Trainable)?;
    let lines = opened.lines();
    lines.iter().for_each(|line| observer.note(line));
    let Opened { source: train, splits, at: trained_at, taken: trained_on, unused, .. } = opened;
    if own_split && config.val.is_none() && splits.is_some_and(|splits| splits.validation.is_some()) {
        config.val = config.data.clone();
    }
    let Some(val) = &config.val else { return Ok(data::hold_out(train, config.val_share)) };
    let found = config.source(val).open(Split::Validation, Demand::WithImages)?;
    if let Some(neither) = found.unused.iter().find(|of_val| unused.iter().any(|of_train| of_train.option == of_val.option)) {
        return Err(Error::file(&found.at, &neither.why));
    }
    // Two splits of one root share the notes about other files in it.
    found.lines().iter().filter(|line| !lines.contains(line)).for_each(|line| observer.note(line));
    let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
    if found.taken == trained_on && real(found.at) == real(trained_at) {
        observer.note(
            "warning: the validation images are the training images, so their accuracy does not carry over to other images",
        );
    }
    let absent = absent_classes(train.classes(), &*found.source);
    let val = eval::by_name(found.source, train.classes()).map_err(|error| error.context(val.display()))?;
    if !absent.is_empty() {
        observer.note(&format!("note: no validation images of {}", first_names(&absent, NAMED)));
    }
    Ok((train, val))
}

/// Maximum number of classes named in a note.
const NAMED: usize = 6;

/// Classes without images in a validation set, before its labels are matched to these classes.
fn absent_classes<'a>(classes: &'a [String], val: &dyn Dataset) -> Vec<&'a String> {
    let present: HashSet<u32> = (0..val.len()).map(|i| val.label(i)).collect();
    let present: Vec<String> =
        val.classes().iter().zip(0..).filter(|(_, label)| present.contains(label)).map(|(class, _)| class.clone()).collect();
    let found: HashSet<usize> = match_names(&present, classes).into_iter().flatten().collect();
    classes.iter().enumerate().filter(|(i, _)| !found.contains(i)).map(|(_, class)| class).collect()
}
