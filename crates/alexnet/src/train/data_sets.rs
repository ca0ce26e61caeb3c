//! Data sets of a run.

use super::config::Config;
use super::observer::Observer;
use crate::data::{self, Dataset, Demand, Opened, Split};
use crate::{Result, eval};
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
    let opened = data::open_split(path, Split::Train, Demand::Trainable)?;
    let lines = opened.lines();
    lines.iter().for_each(|line| observer.note(line));
    let trained_on = opened.path();
    let Opened { source: train, splits, .. } = opened;
    if own_split && config.val.is_none() && splits.is_some_and(|splits| splits.validation.is_some()) {
        config.val = config.data.clone();
    }
    let Some(val) = &config.val else { return Ok(data::hold_out(train, config.val_share)) };
    let found = data::open_split(val, Split::Validation, Demand::WithImages)?;
    // Two splits of one root share the notes about other files in it.
    found.lines().iter().filter(|line| !lines.contains(line)).for_each(|line| observer.note(line));
    let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
    if real(found.path()) == real(trained_on) {
        observer.note(
            "warning: the validation images are the training images, so their accuracy does not carry over to other images",
        );
    }
    let val = eval::by_name(found.source, train.classes()).map_err(|error| error.context(val.display()))?;
    Ok((train, val))
}
