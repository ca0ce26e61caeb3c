//! Image preprocessing as data.

use alexnet_files::{Error, Result};
use serde::{Deserialize, Serialize};

/// Conversion of an image to a tensor. It is part of the model file, and train, eval, predict and serve share its implementation.
///
/// decode -> `resize` -> crop (`crop` x `crop`) -> channel order -> `(value * scale - mean) / std`, value in 0..=255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Resizing of the whole image.
    pub resize: Resize,
    /// Rows and columns of the crop that the net takes; the net's image size.
    pub crop: usize,
    /// Channel order of the tensor.
    pub channels: Channels,
    /// Factor for the 8-bit values: 1 / 255 in PyTorch, 1 in Caffe.
    pub scale: f32,
    /// Subtracted after scaling.
    pub mean: Mean,
    /// Divisor after subtracting the mean, per channel in tensor order.
    pub std: [f32; 3],
    /// Decoding of JPEG files. Files of models have it only where it is not the default.
    #[serde(default, skip_serializing_if = "JpegDecoding::is_exact")]
    pub jpeg: JpegDecoding,
}

/// Decoding of JPEG files that are much larger than the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JpegDecoding {
    /// Every pixel, as for the published networks.
    #[default]
    Exact,
    /// At 1/2, 1/4 or 1/8 of the size, which takes less time, as long as the image keeps at least twice the size that it is resized
    /// to: Pillow's `draft`, as in its `thumbnail`.
    Scaled,
}

impl JpegDecoding {
    /// Name of each variant.
    pub const NAMES: [&str; 2] = ["exact", "scaled"];

    /// The variant of a name.
    pub fn of_name(name: &str) -> Option<JpegDecoding> {
        [JpegDecoding::Exact, JpegDecoding::Scaled].into_iter().find(|variant| variant.to_string() == name)
    }

    /// Whether every pixel is decoded.
    pub fn is_exact(&self) -> bool {
        *self == JpegDecoding::Exact
    }
}

impl std::fmt::Display for JpegDecoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

/// Resizing of the whole image before cropping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Resizes the short side to this many pixels, bilinear with antialias; the long side is truncated as in torchvision.
    ShortSide(usize),
    /// Resizes the short side like [`ShortSide`](Self::ShortSide), then crops the central square, as in the paper.
    Square(usize),
    /// Resizes both sides to this many pixels regardless of aspect, bilinear without antialias, as in Caffe's `convert_imageset`.
    Warp(usize),
}

/// Channel order of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red first: nearly all frameworks.
    Rgb,
    /// Blue first: Caffe.
    Bgr,
}

/// Mean to subtract after scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mean {
    /// One value per channel, in tensor order.
    Channel([f32; 3]),
    /// Mean image `[3, size, size]` of the resized training images, in tensor order. The model file stores it as the tensor
    /// `preprocess.mean`, not in the metadata.
    #[serde(rename = "picture", alias = "image")]
    Image {
        /// Rows and columns.
        size: usize,
        /// The values.
        #[serde(skip)]
        values: std::sync::Arc<Vec<f32>>,
        /// Whether the mean is always cropped at the centre (the 2012 code) rather than at the image's crop (Caffe).
        centre: bool,
    },
}

/// Maximum resized side; a larger one is surely a mistake and would exhaust memory.
const MAX_SIDE: usize = 4_096;

impl Preprocess {
    /// Validates settings from a user or a model file.
    ///
    /// # Errors
    /// The invalid value.
    pub fn check(&self) -> Result<()> {
        let side = self.resize.side();
        if self.crop == 0 || self.crop > side {
            return Err(Error::Invalid(format!(
                "preprocessing: a crop of {} pixels does not fit images resized to {side}",
                self.crop
            )));
        }
        if side > MAX_SIDE {
            return Err(Error::Invalid(format!("preprocessing: images are resized to {side} pixels; the limit is {MAX_SIDE}")));
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
                "preprocessing: a mean image of {size} x {size} pixels is smaller than the net's crop of {0} x {0}",
                self.crop
            )));
        }
        if let Mean::Image { size, values, .. } = &self.mean
            && Some(values.len()) != size.checked_mul(size * 3)
        {
            return Err(Error::Invalid(format!(
                "preprocessing: a mean image has {} values, expected 3 x {size} x {size}",
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

/// Start of the central `crop` of `size` pixels. An odd remainder is split as in torchvision: half of it, rounded to even.
///
/// # Panics
/// When the crop exceeds the size.
pub fn centre(size: usize, crop: usize) -> usize {
    ((size - crop) as f64 / 2.0).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;

    /// Files without the setting are exact, and exact files are as before there was one.
    #[test]
    fn exact_decoding_is_not_stored() {
        let exact = Preprocess::for_net(&presets::by_name("torchvision").expect("a preset"));
        let text = serde_json::to_string(&exact).expect("plain data");
        assert!(!text.contains("jpeg"), "{text}");
        assert_eq!(serde_json::from_str::<Preprocess>(&text).expect("plain data"), exact);
        let scaled = Preprocess { jpeg: JpegDecoding::Scaled, ..exact };
        let text = serde_json::to_string(&scaled).expect("plain data");
        assert!(text.ends_with(r#""jpeg":"scaled"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Preprocess>(&text).expect("plain data"), scaled);
        for name in JpegDecoding::NAMES {
            assert_eq!(JpegDecoding::of_name(name).map(|variant| variant.to_string()).as_deref(), Some(name));
        }
    }
}
