//! Folder with downloads of known data sets, such as torchvision's `root`.

use crate::location::Location;
use crate::{Error, Result};

/// Names of the sets' folders.
const KNOWN: [&str; 6] =
    ["cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python", "FashionMNIST", "MNIST"];

/// Known data sets in a folder.
pub(crate) fn within(at: &Location) -> Vec<&str> {
    at.names().iter().map(String::as_str).filter(|name| KNOWN.contains(name) && at.path.join(name).is_dir()).collect()
}

/// The only one.
///
/// # Errors
/// There are others.
pub(crate) fn only(at: &Location) -> Result<Option<&str>> {
    match within(at).as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let why = format!("holds several data sets: {}; use the folder of one", several.join(", "));
            Err(Error::file(&at.path, why))
        }
    }
}
