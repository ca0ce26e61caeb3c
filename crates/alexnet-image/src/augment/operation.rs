//! Operations of automatic augmentation, and the ranges of their magnitudes.

use super::canvas::Canvas;
use super::warp::{Affine, Centre, Interpolation};

/// An operation of TrivialAugmentWide, RandAugment and AugMix, named as in torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are torchvision's")]
pub enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

use Operation::*;

/// Selection of operations with ranges of their magnitudes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// TrivialAugmentWide's.
    Wide,
    /// RandAugment's.
    Rand,
    /// AugMix's.
    AugMix,
}

impl Space {
    /// The operations, in torchvision's order.
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Space::Wide | Space::Rand => &[
                Identity,
                ShearX,
                ShearY,
                TranslateX,
                TranslateY,
                Rotate,
                Brightness,
                Color,
                Contrast,
                Sharpness,
                Posterize,
                Solarize,
                AutoContrast,
                Equalize,
            ],
            Space::AugMix => &[
                ShearX,
                ShearY,
                TranslateX,
                TranslateY,
                Rotate,
                Posterize,
                Solarize,
                AutoContrast,
                Equalize,
                Brightness,
                Color,
                Contrast,
                Sharpness,
            ],
        }
    }

    /// Number of magnitudes of each operation.
    pub fn bins(self) -> usize {
        match self {
            Space::Wide | Space::Rand => 31,
            Space::AugMix => 10,
        }
    }

    /// Magnitude number `bin` of an operation on an image of `width` x `height` pixels; 0 for operations without one.
    pub fn magnitude(self, operation: Operation, bin: usize, width: usize, height: usize) -> f64 {
        let bins = self.bins();
        let side = |length: usize| match self {
            Space::Wide => 32.0,
            Space::Rand => 150.0 / 331.0 * length as f64,
            Space::AugMix => length as f64 / 3.0,
        };
        let last = match operation {
            Identity | AutoContrast | Equalize => return 0.0,
            ShearX | ShearY => [0.99, 0.3, 0.3][self as usize],
            TranslateX => side(width),
            TranslateY => side(height),
            Rotate => [135.0, 30.0, 30.0][self as usize],
            Brightness | Color | Contrast | Sharpness => [0.99, 0.9, 0.9][self as usize],
            Solarize => return linspace(1.0, 0.0, bins, bin),
            Posterize => {
                let (first, range) = [(8.0, 6.0), (8.0, 4.0), (4.0, 4.0)][self as usize];
                return (first - bin as f64 / ((bins - 1) as f64 / range)).round_ties_even();
            }
        };
        linspace(0.0, last, bins, bin)
    }
}

/// Element `i` of PyTorch's `linspace` in single precision, which counts from the nearer end and rounds once.
fn linspace(first: f64, last: f64, count: usize, i: usize) -> f64 {
    let (first, last) = (f64::from(first as f32), f64::from(last as f32));
    let step = f64::from((last - first) as f32 / (count - 1) as f32);
    f64::from((if i < count / 2 { first + step * i as f64 } else { last - step * (count - 1 - i) as f64 }) as f32)
}

impl Operation {
    /// Whether the magnitude is negated with probability 1/2.
    pub fn is_signed(self) -> bool {
        matches!(self, ShearX | ShearY | TranslateX | TranslateY | Rotate | Brightness | Color | Contrast | Sharpness)
    }

    /// Applies the operation.
    pub fn apply(self, canvas: &mut Canvas, magnitude: f64, interpolation: Interpolation) {
        let factor = (1.0 + magnitude) as f32;
        let degrees = magnitude.atan().to_degrees();
        // Whole pixels.
        let pixels = magnitude.trunc();
        let none = Affine::default();
        match self {
            Identity => {}
            ShearX => canvas.warp(&Affine { shear: (degrees, 0.0), centre: Centre::Corner, ..none }, interpolation),
            ShearY => canvas.warp(&Affine { shear: (0.0, degrees), centre: Centre::Corner, ..none }, interpolation),
            TranslateX => canvas.warp(&Affine { translate: (pixels, 0.0), ..none }, interpolation),
            TranslateY => canvas.warp(&Affine { translate: (0.0, pixels), ..none }, interpolation),
            Rotate => canvas.warp(&Affine::rotation(magnitude), interpolation),
            Brightness => canvas.brightness(factor),
            Color => canvas.saturation(factor),
            Contrast => canvas.contrast(factor),
            Sharpness => canvas.sharpness(factor),
            Posterize => canvas.posterize(magnitude as u32),
            Solarize => canvas.solarize((255.0 * magnitude) as f32),
            AutoContrast => canvas.autocontrast(),
            Equalize => canvas.equalize(),
        }
    }
}
