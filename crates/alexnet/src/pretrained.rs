//! Published weights by name, such as `torchvision`: looked up in the user's cache folder and, with the feature `download`,
//! downloaded when missing.
//!
//! ```no_run
//! # fn main() -> alexnet::Result<()> {
//! let mut classifier = alexnet::Classifier::pretrained("torchvision")?;
//! println!("{:?}", classifier.predict("cat.jpg")?.top(1));
//! // A model to fine-tune.
//! let weights = alexnet::pretrained::path("torchvision")?;
//! alexnet::TrainSettings::new("clothing/train").from(weights).run()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Hub`] has the settings: another folder, a mirror, a progress bar.

#[cfg(feature = "download")]
pub use alexnet_hub::Limits;
pub use alexnet_hub::{
    Accept, CachedFile, Checksum, Digests, Event, Hub, PUBLISHED, PublishedFile, Source, cache_folder, nearest, published,
};

use crate::{Error, Result};
use std::path::PathBuf;

/// The path of published weights, downloaded first if they are not in the cache folder. [`PUBLISHED`] lists the names.
///
/// # Errors
/// An unknown name, a failed download, or another file under this name in the cache folder.
pub fn path(name: &str) -> Result<PathBuf> {
    let file = published(name).ok_or_else(|| unknown(name))?;
    Ok(Hub::from_env()?.get(file, &mut |_| ())?.path)
}

/// The error of a name that is not in the list.
pub fn unknown(name: &str) -> Error {
    let hint = match nearest(name) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => {
            let names: Vec<&str> = PUBLISHED.iter().filter_map(|file| file.name).collect();
            format!("the names are {}", names.join(", "))
        }
    };
    Error::Invalid(format!("no published weights are called {name:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_a_suggestion_or_the_list() {
        let message = |name| path(name).unwrap_err().to_string();
        assert_eq!(message("torchvison"), "no published weights are called \"torchvison\"; did you mean torchvision?");
        assert!(message("resnet50").contains("the names are torchvision, bvlc, caffenet, onnx-bvlc, paddle, lpips"));
    }
}
