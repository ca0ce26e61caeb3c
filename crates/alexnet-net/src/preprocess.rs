//! Preprocessing: how images become the input of a net, as data.

use alexnet_files::{Error, Result};
use serde::{Deserialize, Serialize};

/// How an image becomes a tensor. It is part of the model file, and the same code in train, eval, predict and serve.
///
/// decode -> `resize` -> crop (`crop` x `crop`) -> channel order -> `(value * scale - mean) / std`, value in 0..=255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// How the whole image is brought to size.
    pub resize: Resize,
    /// Rows and columns of the crop that the net takes; the net's image size.
    pub crop: usize,
    /// Order of the channels in the tensor.
    pub channels: Channels,
    /// Each 8-bit value is multiplied by this first: 1 / 255 in PyTorch's world, 1 in Caffe's.
    pub scale: f32,
    /// Subtracted after scaling.
    pub mean: Mean,
    /// Divides what is left, for each channel in tensor order.
    pub std: [f32; 3],
}

/// How the whole image is brought to size before cropping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The short side to this many pixels, bilinear with antialias; the long side is truncated as torchvision does.
    ShortSide(usize),
    /// The short side to this many pixels as [`ShortSide`](Self::ShortSide), then the middle square, as the paper.
    Square(usize),
    /// Both sides to this many pixels, whatever the aspect, bilinear without antialias, as Caffe's `convert_imageset`.
    Warp(usize),
}

/// Order of the channels in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red first: almost everyone.
    Rgb,
    /// Blue first: Caffe.
    Bgr,
}

/// What is subtracted, on the scale of the scaled values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mean {
    /// One value a channel, in tensor order.
    Channel([f32; 3]),
    /// A mean image `[3, size, size]` of the resized training images, in tensor order; it is kept as the tensor
    /// `preprocess.mean` of the model file, not in the metadata.
    #[serde(rename = "picture", alias = "image")]
    Image {
        /// Rows and columns.
        size: usize,
        /// The values.
        #[serde(skip)]
        values: std::sync::Arc<Vec<f32>>,
        /// Whether a crop takes the mean at its own place (Caffe) or always the centre (the 2012 code).
        centre: bool,
    },
}

/// A larger resized image is surely a mistake, and would fill the memory.
const MAX_SIDE: usize = 4_096;

impl Preprocess {
    /// Checks what a user or a model file may have set wrongly.
    ///
    /// # Errors
    /// A line that says which value cannot work.
    pub fn check(&self) -> Result<()> {
        let side = self.resize.side();
        if self.crop == 0 || self.crop > side {
            return Err(Error::Invalid(format!("preprocessing: a crop of {} pixels out of images resized to {side}", self.crop)));
        }
        if side > MAX_SIDE {
            return Err(Error::Invalid(format!("preprocessing: images resized to {side} pixels; {MAX_SIDE} at most")));
        }
        if !self.std.iter().all(|std| std.is_finite() && *std != 0.0) || !self.scale.is_finite() {
            return Err(Error::Invalid(format!("preprocessing: cannot divide by {:?} or scale by {}", self.std, self.scale)));
        }
        if matches!(&self.mean, Mean::Channel(mean) if mean.iter().any(|mean| !mean.is_finite())) {
            return Err(Error::Invalid(format!("preprocessing: cannot subtract {:?}", self.mean)));
        }
        if let Mean::Image { size, .. } = &self.mean
            && *size < self.crop
        {
            return Err(Error::Invalid(format!(
                "preprocessing: a mean image of {size} x {size} pixels is smaller than the crop of {0} x {0} that the net takes",
                self.crop
            )));
        }
        if let Mean::Image { size, values, .. } = &self.mean
            && Some(values.len()) != size.checked_mul(size * 3)
        {
            return Err(Error::Invalid(format!(
                "preprocessing: a mean image of {} values, where 3 x {size} x {size} are needed",
                values.len()
            )));
        }
        Ok(())
    }
}

impl Resize {
    /// The shorter side of a resized image in pixels: the largest possible crop.
    pub fn side(self) -> usize {
        let (Resize::ShortSide(side) | Resize::Square(side) | Resize::Warp(side)) = self;
        side
    }
}

/// The first of the middle `crop` of `size` pixels. An odd rest is split as in torchvision: half of it, rounded to even.
///
/// # Panics
/// When there are fewer pixels than the crop has.
pub fn centre(size: usize, crop: usize) -> usize {
    ((size - crop) as f64 / 2.0).round_ties_even() as usize
}
