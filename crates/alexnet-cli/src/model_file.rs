//! `--model`: model files of any format, with notes about unused content.

use crate::output;
use alexnet::formats::{self, Model};
use anyhow::bail;
use std::path::Path;

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
