//! Data sets that commands open: what they hold is said once, on standard error, so that nobody trains on another set than they think.

use crate::output;
use alexnet::data::{self, Demand, Opened, Split};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Opens a data set, or the split of it that is meant where it holds several.
pub(crate) fn open(path: &Path, split: Split, demand: Demand, quiet: bool) -> anyhow::Result<Opened> {
    described(data::open_split(path, split, demand)?, quiet)
}

/// Opens images with or without labels.
pub(crate) fn open_any(path: &Path, quiet: bool) -> anyhow::Result<Opened> {
    described(data::open_any(path)?, quiet)
}

fn described(opened: Opened, quiet: bool) -> anyhow::Result<Opened> {
    // Two splits of one root have what lies beside them in common.
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !quiet {
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        for line in opened.lines() {
            if !said.contains(&line) {
                output::note(&line);
                said.insert(line);
            }
        }
    }
    Ok(opened)
}

/// Prints what is found when a run's images are opened.
pub(crate) struct Notes {
    pub(crate) quiet: bool,
}

impl alexnet::train::Observer for Notes {
    fn note(&mut self, line: &str) {
        if !self.quiet {
            output::note(line);
        }
    }
}
