//! The small linear layers that weigh channels.

use super::CHANNELS;
use crate::weights::contents;
use crate::{Error, Result};
use std::path::Path;

/// A weight for each channel of each of the five layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Heads(Vec<Vec<f32>>);

impl Heads {
    /// Reads the package's `alex.pth`, or the same tensors in another format: `lin0.model.1.weight` [1, 64, 1, 1] to
    /// `lin4.model.1.weight`, with or without `s.` after `lin` as newer versions save them.
    ///
    /// # Errors
    /// No such file, or heads for another net.
    pub fn read(path: impl AsRef<Path>) -> Result<Heads> {
        let path = path.as_ref();
        let contents = contents(path)?;
        let mut heads = Vec::new();
        for (i, &channels) in CHANNELS.iter().enumerate() {
            let names = [format!("lin{i}.model.1.weight"), format!("lins.{i}.model.1.weight"), format!("lin{i}.model.0.weight")];
            let found = contents.tensors.iter().find(|tensor| names.contains(&tensor.name));
            let found = found.ok_or_else(|| Error::file(path, format!("lacks {}: no linear heads of LPIPS", names[0])))?;
            if found.len() != Some(channels) {
                let message = format!(
                    "{} is {:?}, AlexNet's layer has {channels} channels: heads of another net?",
                    found.name, found.shape
                );
                return Err(Error::file(path, message));
            }
            heads.push(found.values(&contents.source).map_err(|message| Error::file(path, message))?);
        }
        Ok(Heads(heads))
    }

    /// Those of layer `i`.
    pub(super) fn weights(&self, i: usize) -> &[f32] {
        &self.0[i]
    }
}
