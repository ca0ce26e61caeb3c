//! Default folder for runs without `--out`.

use alexnet::report::newest_model as model_of;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Default parent folder of runs.
pub(crate) const FOLDER: &str = "runs";

/// Finds the most recently written model among all runs in a folder, preferring each run's best model to its last.
pub(crate) fn newest_model(folder: &Path) -> Option<PathBuf> {
    let written = |model: &PathBuf| model.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let runs = std::fs::read_dir(folder).ok()?.flatten().map(|run| run.path());
    runs.filter_map(|run| model_of(&run)).max_by_key(written)
}
