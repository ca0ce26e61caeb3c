//! Data sets opened by commands. A summary of each goes to standard error once, so that nobody trains on the wrong set
//! unknowingly.

use crate::output;
use alexnet::data::{self, Demand, Opened, Split};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Opens a data set, or one split of it if it has several.
pub(crate) fn open(path: &Path, split: Split, demand: Demand, quiet: bool) -> anyhow::Result<Opened> {
    described(data::open_split(path, split, demand)?, quiet)
}

/// Opens images with or without labels.
pub(crate) fn open_any(path: &Path, quiet: bool) -> anyhow::Result<Opened> {
    described(data::open_any(path)?, quiet)
}

fn described(opened: Opened, quiet: bool) -> anyhow::Result<Opened> {
    // Two splits of one root share the notes about other files in it.
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !quiet {
        let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
        for line in opened.lines() {
            if !printed.contains(&line) {
                output::note(&line);
                printed.insert(line);
            }
        }
    }
    Ok(opened)
}

/// Observer that prints notes about a run's images as they are opened.
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
