//! The folder in which runs are put that have no `--out`.

use alexnet::report::newest_model as model_of;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where runs are put by default.
pub(crate) const FOLDER: &str = "runs";

/// The most recently written model of all runs in a folder: of each run its best one, else its last one.
pub(crate) fn newest_model(folder: &Path) -> Option<PathBuf> {
    let written = |model: &PathBuf| model.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let runs = std::fs::read_dir(folder).ok()?.flatten().map(|run| run.path());
    runs.filter_map(|run| model_of(&run)).max_by_key(written)
}
