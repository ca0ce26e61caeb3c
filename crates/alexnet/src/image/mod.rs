//! From an image to numbers: decode, resize, crop, mirror, colour.

pub mod crop;
pub mod decode;
mod normalize;
pub mod pca_noise;
mod pillow_resize;
mod preprocess;
pub(crate) mod resize;

use serde::{Deserialize, Serialize};

/// An upright RGB image, 8 bits a channel: `[height, width, 3]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue of each pixel, row by row.
    pub rgb: Vec<u8>,
}

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
