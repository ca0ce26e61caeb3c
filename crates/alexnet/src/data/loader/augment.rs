//! Training-time augmentation of images.

use alexnet_kernels::random::Key;

use super::mix::Mix;
use crate::image::augment::{Canvas, Steps, random_rectangle};
use crate::image::crop::{self, Area, Window};
use crate::image::pca_noise::ColourNoise;
use crate::image::{Image, Preprocess};

/// Sub-streams of an image's random key. [`Steps`] has those from 11 on.
const PLACE: u64 = 1;
const COLOUR: u64 = 2;
const FLIP: u64 = 3;
const ERASE: u64 = 4;

/// Crop of a training image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crop {
    /// The centre of the resized image.
    Centre,
    /// The paper's: at a random place of the resized image.
    Random,
    /// torchvision's: a random area of the original image, resized.
    RandomResized {
        /// Smallest and largest fraction of the image's pixels; torchvision's are 0.08 and 1.
        scale: (f32, f32),
        /// Smallest and largest aspect ratio (width / height); torchvision's are 3/4 and 4/3.
        ratio: (f32, f32),
        /// Short side to which larger originals are reduced before, so that more of them fit into the cache.
        short_side: Option<usize>,
    },
}

/// Random augmentation of training images, in the order of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    /// Crop.
    pub crop: Crop,
    /// Probability of mirroring left to right.
    pub flip: f64,
    /// Probability of turning upside down.
    pub vertical_flip: f64,
    /// Operations on the crop.
    pub steps: Steps,
    /// Colour noise of the whole image.
    pub colour: Option<ColourNoise>,
    /// Probability of erasing a random rectangle of the normalised image.
    pub erasing: f64,
    /// Mixing of the images of a batch.
    pub mix: Mix,
}

impl Augment {
    /// None: the centre crop, in random order of images.
    pub fn none() -> Augment {
        Augment {
            crop: Crop::Centre,
            flip: 0.0,
            vertical_flip: 0.0,
            steps: Steps::default(),
            colour: None,
            erasing: 0.0,
            mix: Mix::default(),
        }
    }

    /// The paper's: a random crop of the resized image, mirrored with probability 1/2, without colour noise.
    pub fn crop_mirror() -> Augment {
        Augment { crop: Crop::Random, flip: 0.5, ..Augment::none() }
    }

    /// torchvision's `RandomResizedCrop` with its defaults, mirrored with probability 1/2.
    pub fn random_resized_crop() -> Augment {
        let crop = Crop::RandomResized { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), short_side: None };
        Augment { crop, flip: 0.5, ..Augment::none() }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Crop::RandomResized { scale, ratio, .. } = &self.crop {
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

    /// Whether an image is the same in every epoch, apart from mixing.
    pub fn is_fixed(&self) -> bool {
        let Augment { crop, flip, vertical_flip, steps, colour, erasing, mix: _ } = self;
        let moves = *crop != Crop::Centre || *flip > 0.0 || *vertical_flip > 0.0;
        !moves && steps.is_empty() && colour.is_none() && *erasing == 0.0
    }

    /// Whether areas are cropped from the original image, which then must not be resized beforehand.
    pub fn crops_originals(&self) -> bool {
        matches!(self.crop, Crop::RandomResized { .. })
    }

    /// Short side to which larger originals are reduced first.
    pub(super) fn short_side(&self) -> Option<usize> {
        if let Crop::RandomResized { short_side, .. } = self.crop { short_side } else { None }
    }

    /// Writes a random view of `image` (resized, unless [`crops_originals`](Self::crops_originals)) as a tensor.
    ///
    /// # Panics
    /// If the image is smaller than the crop, or `out` is not `[3, crop, crop]` long.
    pub fn write(&self, preprocess: &Preprocess, image: &Image, key: Key, out: &mut [f32]) {
        let (size, place) = (preprocess.crop, key.with(PLACE));
        let window = match self.crop {
            Crop::Centre => crop::centre(image.height, image.width, size),
            Crop::Random => crop::random(place, image.height, image.width, size),
            Crop::RandomResized { .. } => {
                let area = self.area(image.height, image.width, key);
                return self.write_area(preprocess, &image.resized_area(area, size), key, out);
            }
        };
        // Numbers 0 and 1 of the key selected the window.
        self.write_window(preprocess, image, Window { mirror: self.mirrors(place, 2), ..window }, key, out);
    }

    /// The random area of an original image of `height` x `width` pixels, or all of it.
    pub(super) fn area(&self, height: usize, width: usize, key: Key) -> Area {
        match self.crop {
            Crop::RandomResized { scale, ratio, .. } => crop::random_resized(key.with(PLACE), height, width, scale, ratio),
            _ => Area { top: 0, left: 0, height, width },
        }
    }

    /// Writes the resized [`area`](Self::area) of an image as a tensor.
    pub(super) fn write_area(&self, preprocess: &Preprocess, resized: &Image, key: Key, out: &mut [f32]) {
        // Numbers 0 to 39 of the key selected the area.
        let window = Window { top: 0, left: 0, mirror: self.mirrors(key.with(PLACE), 40) };
        self.write_window(preprocess, resized, window, key, out);
    }

    /// Whether the i-th number of a key mirrors the image. With probability 1/2, its highest bit does.
    fn mirrors(&self, key: Key, i: u64) -> bool {
        f64::from(key.uniform(i)) >= 1.0 - self.flip
    }

    fn write_window(&self, preprocess: &Preprocess, image: &Image, window: Window, key: Key, out: &mut [f32]) {
        let size = preprocess.crop;
        let noise = self.colour.as_ref().map(|noise| noise.draw(key.with(COLOUR)));
        if self.steps.is_empty() && self.vertical_flip == 0.0 {
            image.tensor(preprocess, window, noise, out);
        } else {
            let area = Area { top: window.top, left: window.left, height: size, width: size };
            let flips = f64::from(key.with(FLIP).uniform(0)) < self.vertical_flip;
            let mut canvas = Canvas::of_area(image, area, window.mirror, flips);
            self.steps.apply(&mut canvas, key);
            canvas.to_image().tensor_cropped_at(preprocess, window, noise, out);
        }
        let key = key.with(ERASE);
        if f64::from(key.uniform(0)) < self.erasing
            && let Some(rectangle) = random_rectangle(key.with(1), size, size)
        {
            rectangle.erase(out, size, size);
        }
    }
}
