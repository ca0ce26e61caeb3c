//! Data sets opened by commands. A summary of each goes to standard error once, so that nobody trains on the wrong set
//! unknowingly.

use crate::output;
use alexnet::data::{Demand, Opened, Source, Split, pack};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Options for what a list of images leaves open.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Folder to which the paths in a list of images are relative [default: the list's own]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) root: Option<PathBuf>,
    /// File with the class names in label order, one per line, for images with numbers as labels; or imagenet, devkit
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) classes: Option<PathBuf>,
}

impl ListArgs {
    /// The images at a path.
    pub(crate) fn source(&self, path: &Path) -> Source {
        Source { root: self.root.clone(), classes: self.classes.clone(), ..Source::new(path) }
    }
}

/// Option that selects one of several splits.
#[derive(clap::Args)]
pub(crate) struct SplitArg {
    /// Split of the images, if they have several: train, val or test [default: val, or test if there is no val]
    #[arg(long, value_name = "train|val|test", value_parser = split, help_heading = "Data")]
    split: Option<Split>,
}

impl SplitArg {
    /// Opens the selected split of labelled images.
    pub(crate) fn open(&self, source: &Source, quiet: bool) -> anyhow::Result<Opened> {
        let opened = open(source, self.split.unwrap_or(Split::Validation), Demand::WithImages, quiet)?;
        if let Some(split) = self.split {
            let present = opened.splits.as_ref().is_some_and(|splits| splits.has(split));
            anyhow::ensure!(present, "--split: {} has no such split", output::path(&opened.root));
        }
        Ok(opened)
    }
}

fn split(text: &str) -> Result<Split, String> {
    match text {
        "train" => Ok(Split::Train),
        "val" | "valid" | "validation" => Ok(Split::Validation),
        "test" => Ok(Split::Test),
        _ => Err("expected train, val or test".into()),
    }
}

/// Opens a data set, or one split of it if it has several.
pub(crate) fn open(source: &Source, split: Split, demand: Demand, quiet: bool) -> anyhow::Result<Opened> {
    described(source.open(split, demand)?, quiet)
}

/// Opens images with or without labels.
pub(crate) fn open_any(source: &Source, quiet: bool) -> anyhow::Result<Opened> {
    described(source.open_any()?, quiet)
}

/// Opens all splits.
pub(crate) fn open_all(source: &Source, quiet: bool) -> anyhow::Result<Vec<Opened>> {
    pack::open_all(source)?.into_iter().map(|opened| described(opened, quiet)).collect()
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
