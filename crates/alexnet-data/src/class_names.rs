//! Class names in the order of their labels: in a file, or built in.

use crate::{Error, Result, files};
use alexnet_net::imagenet::{Order, read_labels};
use std::path::Path;

/// Reads a file of class names in any form that `--labels` accepts; `imagenet` and `devkit` are built in, unless there are files of
/// these names.
///
/// # Errors
/// It cannot be read, or holds none.
pub(crate) fn read(path: &Path) -> Result<Vec<String>> {
    match path.to_str().filter(|_| !path.exists()) {
        Some("imagenet") => return Ok(Order::Sorted.names()),
        Some("devkit") => return Ok(Order::Devkit.names()),
        _ => {}
    }
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    if text.trim_start_matches('\u{FEFF}').trim().is_empty() {
        return Err(Error::file(path, "holds no class names; expected one per line"));
    }
    read_labels(&text).map_err(|error| Error::file(path, error.without_path()))
}
