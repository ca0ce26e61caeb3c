//! Image files on the command line: files as given, folders searched recursively.

use alexnet::data;
use std::path::PathBuf;

/// Expands `paths` to files: each folder is replaced by the images below it at any depth, sorted.
pub(crate) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let source = data::open_loose(path)?;
            let mut names: Vec<&str> = (0..source.len()).map(|i| source.name(i)).collect();
            names.sort_unstable();
            files.extend(names.into_iter().map(|name| path.join(name)));
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
