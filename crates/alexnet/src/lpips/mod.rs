//! LPIPS, a perceptual distance between images based on AlexNet's activations (Zhang et al., "The Unreasonable Effectiveness of
//! Deep Features as a Perceptual Metric", CVPR 2018, arXiv 1801.03924), version 0.1, compatible with the Python package `lpips`.
//!
//! ```text
//! x = (value / 127.5 - 1 - shift) / scale              shift (-.030, -.088, -.188), scale (.458, .448, .450), red first
//! f_l = relu_l(x) / (||relu_l(x)|| + 1e-10)            five layers, the norm over the channels of a pixel
//! d = sum over l of the mean over pixels of sum over channels of w_lc (f_lc(a) - f_lc(b))^2
//! ```
//!
//! The w are the "linear heads" of the package's `alex.pth`; all are 1 without them, which is the package's baseline
//! (`lpips=False`). Published results use torchvision's weights for the backbone.

mod backbone;
mod heads;
#[cfg(test)]
mod tests;

pub use backbone::Backbone;
pub use heads::Heads;

use crate::engine::{Activations, FeatureMaps};
use crate::image::Image;
use crate::{Error, Result};

/// Constants of the package's `ScalingLayer`, red first.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Compared layers and their numbers of channels.
const LAYERS: [&str; 5] = ["relu1", "relu2", "relu3", "relu4", "relu5"];
const CHANNELS: [usize; 5] = [64, 192, 384, 256, 256];

/// Maximum image size; larger ones would need gigabytes for conv1's activations alone.
const MOST_PIXELS: usize = 1 << 25;

/// Perceptual distance between images.
pub struct Lpips {
    engine: Box<dyn FeatureMaps + Send>,
    heads: Option<Heads>,
}

/// Distance between two images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Sum over the layers; 0 for equal images.
    pub distance: f64,
    /// Contribution of each of relu1 to relu5.
    pub layers: [f64; 5],
}

impl Lpips {
    /// Number of images per comparison, which the engine's batch size must allow.
    pub const BATCH: usize = 2;

    /// Creates a comparison on an engine for the backbone's net, whose parameters it sets, with optional linear heads.
    ///
    /// # Errors
    /// The engine has another net.
    pub fn new(mut engine: Box<dyn FeatureMaps + Send>, backbone: &Backbone, heads: Option<Heads>) -> Result<Lpips> {
        backbone.tensors.iter().try_for_each(|(name, values)| engine.share_parameter(name, values))?;
        Ok(Lpips { engine, heads })
    }

    /// Compares two images of the same size without resizing or cropping.
    ///
    /// # Errors
    /// The image sizes differ, or are too small (below 31 pixels) or too large.
    pub fn compare(&mut self, a: &Image, b: &Image) -> Result<Distance> {
        let (height, width) = (a.height, a.width);
        if (height, width) != (b.height, b.width) {
            let sizes = format!("{width} x {height} pixels and {} x {}", b.width, b.height);
            return Err(Error::Invalid(format!("{sizes}: LPIPS needs images of equal size; --size N resizes both to N x N")));
        }
        if height * width > MOST_PIXELS {
            return Err(Error::Invalid(format!("{width} x {height} pixels are too many; --size N resizes both to N x N")));
        }
        let mut images = Vec::with_capacity(6 * height * width);
        for image in [a, b] {
            for c in 0..3 {
                let scaled = |v: &u8| (f32::from(*v) / 127.5 - 1.0 - SHIFT[c]) / SCALE[c];
                images.extend(image.rgb.iter().skip(c).step_by(3).map(scaled));
            }
        }
        let maps = self.engine.feature_maps(&images, [height, width], &LAYERS)?;
        let mut layers = [0.0; 5];
        for (i, (maps, sum)) in maps.iter().zip(&mut layers).enumerate() {
            *sum = difference(maps, self.heads.as_ref().map(|heads| heads.weights(i)));
        }
        Ok(Distance { distance: layers.iter().sum(), layers })
    }
}

/// Mean over pixels of the weighted squared difference of two images' normalised channels.
fn difference(maps: &Activations, weights: Option<&[f32]>) -> f64 {
    let pixels = maps.height * maps.width;
    let (a, b) = maps.values.split_at(maps.channels * pixels);
    let scales = |maps: &[f32]| {
        let mut squares = vec![0.0f64; pixels];
        for map in maps.chunks_exact(pixels) {
            squares.iter_mut().zip(map).for_each(|(sum, &v)| *sum += f64::from(v) * f64::from(v));
        }
        squares.iter_mut().for_each(|sum| *sum = 1.0 / (sum.sqrt() + 1e-10));
        squares
    };
    let (scale_a, scale_b) = (scales(a), scales(b));
    let mut sum = 0.0;
    for (c, (a, b)) in a.chunks_exact(pixels).zip(b.chunks_exact(pixels)).enumerate() {
        let mut channel = 0.0;
        for (((a, b), scale_a), scale_b) in a.iter().zip(b).zip(&scale_a).zip(&scale_b) {
            let difference = f64::from(*a) * scale_a - f64::from(*b) * scale_b;
            channel += difference * difference;
        }
        sum += channel * weights.map_or(1.0, |weights| f64::from(weights[c]));
    }
    sum / pixels as f64
}
