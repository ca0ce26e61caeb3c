//! Random operations on one image, in a fixed order.

use super::canvas::Canvas;
use super::policy::Policy;
use super::warp::{Affine, Interpolation};
use alexnet_kernels::random::Key;

/// Sub-streams of an image's random key.
const AFFINE: u64 = 11;
const POLICY: u64 = 12;
const JITTER: u64 = 13;
const GRAYSCALE: u64 = 14;
const BLUR: u64 = 15;

/// Random rotation, translation, scaling and shear: torchvision's `RandomAffine`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomAffine {
    /// Maximum rotation in degrees, either way.
    pub degrees: f64,
    /// Maximum translation as a fraction of each side.
    pub translate: f64,
    /// Smallest and largest scale factor.
    pub zoom: (f64, f64),
    /// Maximum shear along x in degrees.
    pub shear: f64,
}

impl Default for RandomAffine {
    fn default() -> RandomAffine {
        RandomAffine { degrees: 0.0, translate: 0.0, zoom: (1.0, 1.0), shear: 0.0 }
    }
}

/// Random brightness, contrast, saturation and hue in random order: torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColorJitter {
    /// Maximum change of the brightness factor from 1.
    pub brightness: f64,
    /// Maximum change of the contrast factor from 1.
    pub contrast: f64,
    /// Maximum change of the saturation factor from 1.
    pub saturation: f64,
    /// Maximum shift of hues in turns, up to 0.5.
    pub hue: f64,
}

/// Random operations on an image, in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// Rotation, translation, scaling and shear.
    pub affine: RandomAffine,
    /// Automatic augmentation.
    pub policy: Option<Policy>,
    /// Brightness, contrast, saturation and hue.
    pub jitter: ColorJitter,
    /// Probability of removing colours.
    pub grayscale: f64,
    /// Probability of a blur.
    pub blur: f64,
    /// Smallest and largest standard deviation of the blur in pixels.
    pub blur_sigma: (f64, f64),
    /// Sampling of moved images; `None`: torchvision's default for each operation.
    pub interpolation: Option<Interpolation>,
}

impl Default for Steps {
    fn default() -> Steps {
        Steps {
            affine: RandomAffine::default(),
            policy: None,
            jitter: ColorJitter::default(),
            grayscale: 0.0,
            blur: 0.0,
            blur_sigma: (0.1, 2.0),
            interpolation: None,
        }
    }
}

/// The i-th number of `key`, uniformly from a range.
fn between(key: Key, i: u64, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * f64::from(key.uniform(i))
}

/// The i-th number of `key`, uniformly up to `most` in either direction.
fn within(key: Key, i: u64, most: f64) -> f64 {
    between(key, i, (-most, most))
}

impl RandomAffine {
    fn draw(&self, key: Key, width: usize, height: usize) -> Affine {
        let pixels = |i, side: usize| within(key, i, self.translate * side as f64).round_ties_even();
        Affine {
            angle: within(key, 0, self.degrees),
            translate: (pixels(1, width), pixels(2, height)),
            zoom: between(key, 3, self.zoom),
            shear: (within(key, 4, self.shear), 0.0),
            ..Affine::default()
        }
    }
}

impl ColorJitter {
    fn apply(&self, canvas: &mut Canvas, key: Key) {
        let factor = |i, most: f64| between(key, i, ((1.0 - most).max(0.0), 1.0 + most)) as f32;
        for operation in key.with(0).permutation(4) {
            match operation {
                0 if self.brightness > 0.0 => canvas.brightness(factor(0, self.brightness)),
                1 if self.contrast > 0.0 => canvas.contrast(factor(1, self.contrast)),
                2 if self.saturation > 0.0 => canvas.saturation(factor(2, self.saturation)),
                3 if self.hue > 0.0 => canvas.hue(within(key, 3, self.hue) as f32),
                _ => {}
            }
        }
    }
}

impl Steps {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Steps { affine, policy, jitter, grayscale, blur, .. } = self;
        *affine == RandomAffine::default()
            && policy.is_none()
            && *jitter == ColorJitter::default()
            && *grayscale == 0.0
            && *blur == 0.0
    }

    /// Applies the operations with parameters drawn from `key`.
    pub fn apply(&self, canvas: &mut Canvas, key: Key) {
        if self.affine != RandomAffine::default() {
            let map = self.affine.draw(key.with(AFFINE), canvas.width(), canvas.height());
            canvas.warp(&map, self.interpolation.unwrap_or(Interpolation::Nearest));
        }
        if let Some(policy) = self.policy {
            policy.apply(canvas, key.with(POLICY), self.interpolation);
        }
        self.jitter.apply(canvas, key.with(JITTER));
        if f64::from(key.with(GRAYSCALE).uniform(0)) < self.grayscale {
            canvas.grayscale();
        }
        let key = key.with(BLUR);
        if f64::from(key.uniform(0)) < self.blur {
            // Twice the largest deviation on either side, whichever is drawn.
            let radius = (2.0 * self.blur_sigma.1).ceil() as usize;
            canvas.gaussian_blur(radius, between(key, 1, self.blur_sigma) as f32);
        }
    }
}
