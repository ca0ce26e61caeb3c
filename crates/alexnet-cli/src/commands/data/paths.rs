//! Paths of a data set's images, for lists.

use alexnet::data::{Dataset, Opened, list};
use anyhow::{Context, bail};
use std::path::Path;

/// Rejects a set whose images a list cannot name: the members of an archive, for example.
pub(super) fn check(opened: &Opened) -> anyhow::Result<()> {
    if !opened.source.is_empty() && opened.source.path(0).is_none() {
        bail!("{}: its images are not files of their own, so a list cannot name them; unpack it into a folder", opened.title());
    }
    Ok(())
}

/// The paths of images as a list at `file` names them: relative to its folder, or absolute if they lie elsewhere.
pub(super) fn for_list(file: &Path) -> anyhow::Result<impl Fn(&dyn Dataset, usize) -> anyhow::Result<String> + use<>> {
    let path = list::relative(file.parent().unwrap_or(Path::new("")))?;
    Ok(move |source: &dyn Dataset, i: usize| {
        let file = source.path(i).with_context(|| format!("{}: not a file of its own", source.name(i)))?;
        Ok(path(&file)?)
    })
}
