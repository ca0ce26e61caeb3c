//! Class names for models whose file has none: ImageNet's, or those of a file.

use crate::class_match::LabelOrder;
use crate::formats::Model;
use crate::net::imagenet::{self, Order};
use crate::{Error, Result, files};
use std::path::{Path, PathBuf};

/// Sets a model's class names to those of `labels`, if given, and returns how its outputs are matched with class folders: by
/// `order` if given, else by these names.
///
/// # Errors
/// Names cannot be read, differ in number from the outputs, or are ImageNet's in another order than the model's.
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

/// Reads class names from a file (one per line, `synset_words.txt`, or JSON) or a built-in list: `imagenet` (1,000, sorted by
/// WordNet identifier) or `devkit` (the challenge's own numbering).
///
/// # Errors
/// The file cannot be read, or is not a list of names.
pub fn read(path: &Path) -> Result<Vec<String>> {
    if let Some(order) = built_in(path) {
        return Ok(order.names());
    }
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    imagenet::read_labels(&text).map_err(|message| Error::file(path, message))
}

/// Makes the path of a label file absolute, so that a run can be resumed from another working directory.
///
/// # Errors
/// The working directory cannot be determined.
pub fn absolute(labels: Option<&Path>) -> Result<Option<PathBuf>> {
    let absolute = |path: &Path| match built_in(path) {
        Some(_) => Ok(path.to_path_buf()),
        None => std::path::absolute(path).map_err(|error| Error::io(path, error)),
    };
    labels.map(absolute).transpose()
}

/// The built-in list of a given name.
fn built_in(path: &Path) -> Option<Order> {
    match path.to_str() {
        Some("imagenet") => Some(Order::Sorted),
        Some("devkit") => Some(Order::Devkit),
        _ => None,
    }
}
