//! `--model`: a model file of any format, and what of it was left aside.

use crate::out;
use alexnet::weights::{self, Model};
use std::path::Path;

/// Opens a model file. What of it is not used is said on standard error: a second net in it, or layers of somebody else, may be what
/// was meant.
pub(crate) fn open(path: &Path, net: Option<&str>) -> alexnet::Result<Model> {
    let (model, notes) = weights::open_with_notes(path, net)?;
    for note in notes {
        out::note(&format!("note: {}: {note}", path.display()));
    }
    Ok(model)
}
