//! Training-time augmentation of images.

use alexnet_kernels::random::Key;
use serde::{Deserialize, Serialize};

use crate::image::crop::{self, Area, Window};
use crate::image::pca_noise::ColourNoise;
use crate::image::{Image, Preprocess};

/// Sub-streams of an image's random key.
const PLACE: u64 = 1;
const COLOUR: u64 = 2;

/// Random augmentation of training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Augment {
    /// None: the centre crop, in random order of images.
    None,
    /// The paper's: a random crop of the resized image, mirrored with probability 1/2.
    CropMirror {
        /// Colour noise of the whole image.
        colour: Option<ColourNoise>,
    },
    /// torchvision's: a random area of the original image, resized, mirrored with probability 1/2.
    RandomResizedCrop {
        /// Smallest and largest fraction of the image's pixels; torchvision's are 0.08 and 1.
        scale: (f32, f32),
        /// Smallest and largest aspect ratio (width / height); torchvision's are 3/4 and 4/3.
        ratio: (f32, f32),
        /// Colour noise of the whole image.
        colour: Option<ColourNoise>,
    },
}

impl Augment {
    /// torchvision's `RandomResizedCrop` with its defaults.
    pub fn random_resized_crop() -> Augment {
        Augment::RandomResizedCrop { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), colour: None }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Augment::RandomResizedCrop { scale, ratio, .. } = self {
            let ordered = |(low, high): (f32, f32)| low > 0.0 && low <= high && high.is_finite();
            if !ordered(*scale) || scale.1 > 1.0 {
                return Err(format!("random resized crop: invalid scale range {} to {}", scale.0, scale.1));
            }
            if !ordered(*ratio) {
                return Err(format!("random resized crop: invalid aspect ratio range {} to {}", ratio.0, ratio.1));
            }
        }
        Ok(())
    }

    /// Whether areas are cropped from the original image, which then must not be resized beforehand.
    pub fn crops_originals(&self) -> bool {
        matches!(self, Augment::RandomResizedCrop { .. })
    }

    /// Writes a random view of `image` (resized, unless [`crops_originals`](Self::crops_originals)) as a tensor.
    ///
    /// # Panics
    /// If the image is smaller than the crop, or `out` is not `[3, crop, crop]` long.
    pub fn write(&self, preprocess: &Preprocess, image: &Image, key: Key, out: &mut [f32]) {
        let (size, place) = (preprocess.crop, key.with(PLACE));
        match self {
            Augment::None => {
                image.tensor(preprocess, crop::centre(image.height, image.width, size), None, out);
            }
            Augment::CropMirror { .. } => {
                let window = crop::random(place, image.height, image.width, size);
                image.tensor(preprocess, window, self.noise(key), out);
            }
            Augment::RandomResizedCrop { .. } => {
                let area = self.area(image.height, image.width, key);
                self.write_area(preprocess, &image.resized_area(area, size), key, out);
            }
        }
    }

    /// The random area of an original image of `height` x `width` pixels, or all of it.
    pub(super) fn area(&self, height: usize, width: usize, key: Key) -> Area {
        match self {
            Augment::RandomResizedCrop { scale, ratio, .. } => {
                crop::random_resized(key.with(PLACE), height, width, *scale, *ratio)
            }
            _ => Area { top: 0, left: 0, height, width },
        }
    }

    /// Writes the resized [`area`](Self::area) of an image as a tensor.
    pub(super) fn write_area(&self, preprocess: &Preprocess, resized: &Image, key: Key, out: &mut [f32]) {
        // Bits 0 to 39 of the key selected the area.
        let window = Window { top: 0, left: 0, mirror: key.with(PLACE).below(40, 2) == 1 };
        resized.tensor(preprocess, window, self.noise(key), out);
    }

    /// Colour noise of an image, if it is wanted.
    fn noise(&self, key: Key) -> Option<[f32; 3]> {
        let (Augment::CropMirror { colour } | Augment::RandomResizedCrop { colour, .. }) = self else { return None };
        colour.as_ref().map(|noise| noise.draw(key.with(COLOUR)))
    }
}
