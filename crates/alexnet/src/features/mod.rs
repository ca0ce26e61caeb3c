//! Feature extraction: activations of a layer as a table, and nearest-neighbour search.
//!
//! A table records its origin ([`Provenance`]), so that features of two models or layers are never compared.

mod image_files;
mod knn;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod sheet;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use image_files::ImageFiles;
pub use knn::{Near, nearest};
pub use sheet::{SheetRow, sheet};
pub use table::{Provenance, Table};
pub use write::Writer;

use crate::data::loader::Loader;
use crate::engine::Inspection;
use crate::net::{Net, Op};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Pooling of a layer's maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// No pooling.
    None,
    /// The mean of each map.
    Average,
    /// The maximum of each map.
    Max,
}

impl Pool {
    /// `none`, `average`, `max`.
    pub fn name(self) -> &'static str {
        match self {
            Pool::None => "none",
            Pool::Average => "average",
            Pool::Max => "max",
        }
    }

    /// Appends the pooled maps of one image, `[channels, pixels]`.
    fn append(self, maps: &[f32], pixels: usize, row: &mut Vec<f32>) {
        match self {
            Pool::None => row.extend_from_slice(maps),
            Pool::Average => row.extend(maps.chunks_exact(pixels).map(|map| map.iter().sum::<f32>() / pixels as f32)),
            Pool::Max => row.extend(maps.chunks_exact(pixels).map(|map| map.iter().copied().fold(f32::NEG_INFINITY, f32::max))),
        }
    }
}

/// Source of features: a layer of a net, and the shape of its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The layer requested from the engine.
    layer: String,
    pool: Pool,
    /// Shape of an image's features: `[features]`, or `[channels, rows, columns]`.
    shape: Vec<usize>,
    pixels: usize,
}

impl Taken {
    /// Finds a layer by name. As torchvision users expect, `conv3` means conv3 after its ReLU (whatever activation follows it,
    /// including normalisation in between), unless `before_relu`.
    ///
    /// # Errors
    /// The net has no such layer, or `before_relu` is set for a layer that is itself an activation.
    pub fn new(net: &Net, layer: &str, before_relu: bool, pool: Pool) -> Result<Taken> {
        let at = net.layer(layer)?;
        let is_activation = |i: usize| matches!(net.layers[i].op, Op::Activation { .. });
        if before_relu && is_activation(at) {
            return Err(Error::Invalid(format!("{layer} is itself an activation; name the layer before it")));
        }
        // Any layer may lie in between except one with weights or a pool, after which it would be another layer's activation.
        let another = |op: &Op| {
            matches!(
                op,
                Op::Conv { .. }
                    | Op::LocalConv { .. }
                    | Op::Linear { .. }
                    | Op::MaxPool { .. }
                    | Op::AvgPool { .. }
                    | Op::AdaptiveAvgPool { .. }
            )
        };
        let rest = at + 1..net.layers.len();
        let seen = if before_relu || is_activation(at) {
            at
        } else {
            rest.take_while(|&i| !another(&net.layers[i].op)).find(|&i| is_activation(i)).unwrap_or(at)
        };
        let output = net.shapes()?[seen].output;
        // After a linear layer there are no maps, whatever the layer is.
        let flat = net.layers[..=at].iter().any(|layer| matches!(layer.op, Op::Linear { .. }));
        let shape = match pool {
            Pool::None if !flat => vec![output.channels, output.size, output.size],
            _ => vec![output.channels],
        };
        Ok(Taken { layer: net.layers[seen].name.clone(), pool, shape, pixels: output.size * output.size })
    }

    /// The layer whose output is taken: `relu3` if `conv3` was requested.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// Features of one image from the output of [`layer`](Self::layer).
    pub fn features(&self, maps: &[f32]) -> Vec<f32> {
        let mut row = Vec::new();
        self.pool.append(maps, self.pixels, &mut row);
        row
    }

    /// Shape of an image's features: `[features]`, or `[channels, rows, columns]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

/// Runs all images of a sequential loader through the net up to the requested layer and passes each one's source index and
/// features to `row`, in the source's order. Returns the unreadable images with reasons.
///
/// # Errors
/// An error of the engine or of `row`.
pub fn extract(
    engine: &mut dyn Inspection,
    loader: &Loader,
    taken: &Taken,
    row: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
) -> Result<Vec<(u32, String)>> {
    let (mut broken, mut features) = (Vec::new(), Vec::new());
    for mut batch in loader.epoch(0, 0) {
        broken.append(&mut batch.broken);
        if batch.indices.is_empty() {
            continue;
        }
        let values = engine.activation(&batch.images, &taken.layer)?;
        for (maps, &image) in values.chunks_exact(values.len() / batch.indices.len()).zip(&batch.indices) {
            features.clear();
            taken.pool.append(maps, taken.pixels, &mut features);
            row(image as usize, &features)?;
        }
    }
    Ok(broken)
}
