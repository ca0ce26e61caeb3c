//! `--model`: model files of any format, or published weights by name, with notes about unused content.

use crate::{download, output};
use alexnet::formats::{self, Model};
use alexnet::pretrained::{self, Hub, PUBLISHED};
use anyhow::bail;
use std::path::{Path, PathBuf};

/// The file of a model argument: an existing file, or published weights by name, which are downloaded if they are not in the
/// cache folder. Other paths are returned as they are, for the error of opening them.
///
/// # Errors
/// A failed download, or a name that is neither.
pub(crate) fn locate(argument: &Path, quiet: bool) -> anyhow::Result<PathBuf> {
    let text = argument.to_string_lossy();
    let is_folder = argument.is_dir();
    if text.is_empty() || (argument.exists() && !is_folder) {
        return Ok(argument.into());
    }
    if let Some(file) = pretrained::published(&text) {
        let hub = Hub::from_env()?;
        let found = download::with_progress(file, quiet, |observer| hub.get(file, observer))?;
        if let Some(note) = download::unpublished(file, &found).filter(|_| !quiet) {
            output::note(&note);
        }
        return Ok(found.path);
    }
    let same_file = PUBLISHED.iter().find(|file| argument.file_name().is_some_and(|name| name == file.file));
    if let Some(name) = same_file.and_then(|file| file.name) {
        bail!("{text}: No such file; for the published one, give its name: {name}");
    }
    match is_folder || text.contains(['/', '\\', '.']) {
        true => Ok(argument.into()),
        false => bail!("{text}: No such file, and {}", pretrained::unknown(&text)),
    }
}

/// Opens a model file for computation. Unused content is reported on standard error, since a second net or unknown layers may be
/// what the user meant.
///
/// # Errors
/// The file cannot be read or holds values that are not finite.
pub(crate) fn open(path: &Path, net: Option<&str>) -> anyhow::Result<Model> {
    let model = open_unchecked(path, net)?;
    finite(path, &model)?;
    Ok(model)
}

/// Rejects a model with NaN or infinity, the result of diverged training: its accuracy, features or drawings would look like any
/// other's.
pub(crate) fn finite(path: &Path, model: &Model) -> anyhow::Result<()> {
    let broken = |values: &[f32]| values.iter().any(|value| !value.is_finite());
    if let Some((name, _)) = model.tensors.iter().find(|(_, values)| broken(values)) {
        bail!(
            "{}: {name} holds NaN or infinity, so its predictions would be meaningless; use an earlier checkpoint",
            path.display()
        );
    }
    Ok(())
}

/// Opens a model file without checking its values.
pub(crate) fn open_unchecked(path: &Path, net: Option<&str>) -> alexnet::Result<Model> {
    Ok(with_notes(path, formats::load_with_notes(path, net)?))
}

fn with_notes(path: &Path, (model, notes): (Model, Vec<String>)) -> Model {
    for note in notes {
        output::note(&format!("note: {}: {note}", path.display()));
    }
    model
}
