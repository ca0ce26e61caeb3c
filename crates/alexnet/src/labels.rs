//! Names for the outputs of a model whose file has none: ImageNet's, or those of a file.

use crate::class_match::LabelOrder;
use crate::formats::Model;
use crate::formats::imagenet::{self, Order};
use crate::{Error, Result, files};
use std::path::{Path, PathBuf};

/// Gives a model the names that `labels` stands for, if any, and returns how its outputs are matched with class folders: as `order` says, else by
/// these names.
///
/// # Errors
/// Names that cannot be read, are not as many as the outputs, or are ImageNet's in another order than the model's.
pub fn apply(model: &mut Model, labels: Option<&Path>, order: Option<LabelOrder>) -> Result<LabelOrder> {
    if let Some(labels) = labels {
        let option = || format!("--labels {}", labels.display());
        let names = read(labels)?;
        if names.len() != model.classes.len() {
            let message = format!("{} names, but the model has {} outputs", names.len(), model.classes.len());
            return Err(Error::Invalid(message).context(option()));
        }
        imagenet::check_names(&model.classes, &names).map_err(|error| error.context(option()))?;
        model.classes = names;
    }
    Ok(order.unwrap_or(if labels.is_some() { LabelOrder::Names } else { LabelOrder::Unknown }))
}

/// The names of a file (a name a line, `synset_words.txt`, or JSON), or of a built-in list: `imagenet` (1,000, sorted by WordNet identifier) or
/// `devkit` (the challenge's own numbers).
///
/// # Errors
/// A file that cannot be read, or that is no list of names.
pub fn read(path: &Path) -> Result<Vec<String>> {
    if let Some(order) = built_in(path) {
        return Ok(order.names());
    }
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    imagenet::read_labels(&text).map_err(|message| Error::file(path, message))
}

/// The same labels by a path that is valid in any working directory, so that a run can be resumed from another one.
///
/// # Errors
/// When the working directory cannot be read.
pub fn absolute(labels: Option<&Path>) -> Result<Option<PathBuf>> {
    let absolute = |path: &Path| match built_in(path) {
        Some(_) => Ok(path.to_path_buf()),
        None => std::path::absolute(path).map_err(|error| Error::io(path, error)),
    };
    labels.map(absolute).transpose()
}

/// The list that a word stands for.
fn built_in(path: &Path) -> Option<Order> {
    match path.to_str() {
        Some("imagenet") => Some(Order::Sorted),
        Some("devkit") => Some(Order::Devkit),
        _ => None,
    }
}
