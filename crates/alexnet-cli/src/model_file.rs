//! `--model`: a model file of any format, and what of it was left aside.

use alexnet::weights::{self, Model};
use std::path::Path;

/// Opens a model file. What of it is not used is said on standard error: a second net in it, or layers of somebody else, may be what
/// was meant.
pub(crate) fn open(path: &Path, net: Option<&str>) -> alexnet::Result<Model> {
    Ok(with_notes(path, weights::open_with_notes(path, net)?))
}

/// As [`open`], for training to begin from: the model may lack its last layer.
pub(crate) fn open_for_finetuning(path: &Path, net: Option<&str>) -> alexnet::Result<Model> {
    Ok(with_notes(path, weights::open_for_finetuning(path, net)?))
}

fn with_notes(path: &Path, (model, notes): (Model, Vec<String>)) -> Model {
    for note in notes {
        eprintln!("note: {}: {note}", path.display());
    }
    model
}
