//! Brightness, contrast, saturation, grayscale.

use super::canvas::{Canvas, Rgb, floored, levels, pixel};

/// torchvision's luma of a colour, rounded down.
#[inline(always)]
fn luma([red, green, blue]: Rgb) -> (f32, i32) {
    floored(red * 0.2989 + green * 0.587 + blue * 0.114)
}

/// Mean of two levels: `ratio` of the first and the rest of the second.
#[inline(always)]
fn blend(first: f32, second: f32, ratio: f32) -> f32 {
    first * ratio + second * (1.0 - ratio)
}

impl Canvas {
    /// Multiplies all levels by `factor`: `adjust_brightness`.
    pub fn brightness(&mut self, factor: f32) {
        self.map(
            #[inline(always)]
            |p| pixel(levels(p).map(|level| level * factor)),
        );
    }

    /// Multiplies all differences from the mean luma by `factor`: `adjust_contrast`.
    pub fn contrast(&mut self, factor: f32) {
        let pixels = &self.pixels;
        let sum: u64 = self.isa.vectorize(
            #[inline(always)]
            || {
                // Sums of integers do not depend on their order; 2^16 lumas fit 32 bits.
                let part = |pixels: &[u32]| pixels.iter().map(|&p| luma(levels(p)).1 as u32).sum::<u32>();
                pixels.chunks(1 << 16).map(|pixels| u64::from(part(pixels))).sum()
            },
        );
        let mean = (sum as f64 / self.pixels.len().max(1) as f64) as f32;
        self.map(
            #[inline(always)]
            |p| pixel(levels(p).map(|level| blend(level, mean, factor))),
        );
    }

    /// Multiplies all differences from a pixel's luma by `factor`: `adjust_saturation`.
    pub fn saturation(&mut self, factor: f32) {
        self.map(
            #[inline(always)]
            |p| {
                let rgb = levels(p);
                let (luma, _) = luma(rgb);
                pixel(rgb.map(|level| blend(level, luma, factor)))
            },
        );
    }

    /// Replaces colours by their luma: `rgb_to_grayscale` with three channels.
    pub fn grayscale(&mut self) {
        self.map(
            #[inline(always)]
            |p| luma(levels(p)).1 as u32 * 0x01_01_01,
        );
    }
}
