//! `--model`: a model file of any format, and what of it was left aside.

use crate::output;
use alexnet::formats::{self, Model};
use anyhow::bail;
use std::path::Path;

/// Opens a model file to compute with it. What of it is not used is said on standard error: a second net in it, or layers of
/// somebody else, may be what was meant.
///
/// # Errors
/// It cannot be read, or holds values that are not finite.
pub(crate) fn open(path: &Path, net: Option<&str>) -> anyhow::Result<Model> {
    let model = open_as_it_is(path, net)?;
    finite(path, &model)?;
    Ok(model)
}

/// Refuses a model with NaN or infinity in it, as training that ran away leaves it: an accuracy, a feature or a drawing of it would look
/// like any other.
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

/// As [`open`], whatever its values are.
pub(crate) fn open_as_it_is(path: &Path, net: Option<&str>) -> alexnet::Result<Model> {
    Ok(with_notes(path, formats::load_with_notes(path, net)?))
}

fn with_notes(path: &Path, (model, notes): (Model, Vec<String>)) -> Model {
    for note in notes {
        output::note(&format!("note: {}: {note}", path.display()));
    }
    model
}
