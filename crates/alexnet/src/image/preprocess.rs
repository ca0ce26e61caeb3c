//! The preprocessing that each published network was trained with.

use super::{Channels, Mean, Preprocess, Resize};
use crate::net::Net;

/// Mean and deviation of ImageNet's pixels divided by 255, red first, as torchvision and Paddle publish them.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Mean of ImageNet's pixels, blue first, as Caffe's `bvlc_alexnet` and `caffenet` take it.
const CAFFE_MEAN: [f32; 3] = [104.0, 117.0, 123.0];

/// Mean of ImageNet's pixels, red first, over the middle 256 x 256, from cuda-convnet2's published statistics.
const CUDA_CONVNET_MEAN: [f32; 3] = [127.305, 119.715, 104.913];

impl Preprocess {
    /// The preprocessing that belongs to the preset of the net's name, sizes in proportion to the net's image size.
    ///
    /// | presets | image | crop of 256 | channels | values |
    /// |---|---|---|---|---|
    /// | `bvlc`, `caffenet` | warped to a square, no antialias | 227 | BGR | 0 to 255 minus 104, 117, 123 |
    /// | `onnx-bvlc` | the same | 224 | BGR | the same |
    /// | `paper`, its ablations, `original-145`, `original-146`, `owt` | short side, middle square | 224 | RGB | 0 to 255 minus mean |
    /// | `torchvision`, `paddle`; the seed's and `slim`, which come without one; any other name | short side | 224 | RGB | 0 to 1, ImageNet's mean and deviation |
    ///
    /// The paper subtracts a mean image of its training set, which no net knows: until the trainer puts a
    /// [`Mean::Image`] there, it is the mean colour.
    pub fn for_net(net: &Net) -> Preprocess {
        let crop = net.image_size;
        let side = |original: f64| (crop as f64 * 256.0 / original).round() as usize;
        let caffe = |original| Preprocess {
            resize: Resize::Warp(side(original)),
            crop,
            channels: Channels::Bgr,
            scale: 1.0,
            mean: Mean::Channel(CAFFE_MEAN),
            std: [1.0; 3],
        };
        match net.name.as_str() {
            "bvlc" | "caffenet" => caffe(227.0),
            "onnx-bvlc" => caffe(224.0),
            "paper" | "paper-half" | "paper-no-lrn" | "paper-no-overlap" | "original-145" | "original-146" | "owt" => {
                Preprocess {
                    resize: Resize::Square(side(224.0)),
                    crop,
                    channels: Channels::Rgb,
                    scale: 1.0,
                    mean: Mean::Channel(CUDA_CONVNET_MEAN),
                    std: [1.0; 3],
                }
            }
            _ => Preprocess {
                resize: Resize::ShortSide(side(224.0)),
                crop,
                channels: Channels::Rgb,
                scale: 1.0 / 255.0,
                mean: Mean::Channel(IMAGENET_MEAN),
                std: IMAGENET_STD,
            },
        }
    }

    /// Checks what a user or a model file may have set wrongly.
    ///
    /// # Errors
    /// A line that says which value cannot work.
    pub fn check(&self) -> Result<(), String> {
        let side = self.resize.side();
        if self.crop == 0 || self.crop > side {
            return Err(format!("preprocessing: a crop of {} pixels out of images resized to {side}", self.crop));
        }
        if side > MAX_SIDE {
            return Err(format!("preprocessing: images resized to {side} pixels; {MAX_SIDE} at most"));
        }
        if !self.std.iter().all(|std| std.is_finite() && *std != 0.0) || !self.scale.is_finite() {
            return Err(format!("preprocessing: cannot divide by {:?} or scale by {}", self.std, self.scale));
        }
        if matches!(&self.mean, Mean::Channel(mean) if mean.iter().any(|mean| !mean.is_finite())) {
            return Err(format!("preprocessing: cannot subtract {:?}", self.mean));
        }
        if let Mean::Image { size, .. } = &self.mean
            && *size < self.crop
        {
            return Err(format!(
                "preprocessing: a mean image of {size} x {size} pixels is smaller than the crop of {0} x {0} that the net takes",
                self.crop
            ));
        }
        if let Mean::Image { size, values, .. } = &self.mean
            && Some(values.len()) != size.checked_mul(size * 3)
        {
            return Err(format!("preprocessing: a mean image of {} values, where 3 x {size} x {size} are needed", values.len()));
        }
        Ok(())
    }
}

/// A larger resized image is surely a mistake, and would fill the memory.
const MAX_SIDE: usize = 4_096;
