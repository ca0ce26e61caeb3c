//! Linear heads: per-channel weights of LPIPS.

use super::CHANNELS;
use crate::formats::parse;
use crate::{Error, Result};
use std::path::Path;

/// Three weights of the package's `v0.0/alex.pth`, as (layer, channel). That file has the same keys and shapes as version 0.1,
/// but expects images from -1 to 1 that are neither shifted nor scaled: taken for 0.1, it is wrong by several percent.
const OF_VERSION_0_0: [(usize, usize, f32); 3] = [(0, 1, 0.533_004_46), (3, 0, 0.115_015_42), (4, 0, 0.081_195_77)];

/// Weights of the channels of all five layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Heads(Vec<Vec<f32>>);

impl Heads {
    /// Reads the package's `alex.pth`, or the same tensors in another format: `lin0.model.1.weight` [1, 64, 1, 1] to
    /// `lin4.model.1.weight`, with or without `s.` after `lin`, as newer versions save them.
    ///
    /// # Errors
    /// The file is missing, for another net, or of version 0.0.
    pub fn read(path: impl AsRef<Path>) -> Result<Heads> {
        let path = path.as_ref();
        let parsed = parse(path)?;
        let mut heads: Vec<Vec<f32>> = Vec::new();
        for (i, &channels) in CHANNELS.iter().enumerate() {
            let names = [format!("lin{i}.model.1.weight"), format!("lins.{i}.model.1.weight"), format!("lin{i}.model.0.weight")];
            let found = parsed.tensors().iter().find(|tensor| names.contains(&tensor.name));
            let found = found.ok_or_else(|| Error::file(path, format!("no linear heads of LPIPS: missing {}", names[0])))?;
            if found.count() != Some(channels) {
                let message = format!(
                    "{} is {:?}, AlexNet's layer has {channels} channels; these may be heads of another net",
                    found.name, found.shape
                );
                return Err(Error::file(path, message));
            }
            heads.push(parsed.values(found)?);
        }
        // A copy in half precision counts as the same heads.
        if OF_VERSION_0_0.iter().all(|&(layer, channel, weight)| (heads[layer][channel] - weight).abs() < 1e-3 * weight) {
            return Err(Error::file(
                path,
                "these are the heads of LPIPS 0.0, but LPIPS 0.1 is required; use weights/v0.1/alex.pth",
            ));
        }
        Ok(Heads(heads))
    }

    /// Weights of layer `i`.
    pub(super) fn weights(&self, i: usize) -> &[f32] {
        &self.0[i]
    }
}
