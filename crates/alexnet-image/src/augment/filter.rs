//! Sharpness and Gaussian blur.

use super::canvas::{Canvas, Rgb, levels, pixel, rounded};

/// Red and blue of a pixel, each in half a word.
const RED_BLUE: u32 = 0xFF_00_FF;

impl Canvas {
    /// Multiplies all differences from a smoothed image by `factor`: `adjust_sharpness`. The border is unchanged.
    pub fn sharpness(&mut self, factor: f32) {
        let (width, height) = (self.width, self.height);
        if width <= 2 || height <= 2 {
            return;
        }
        let Canvas { pixels, spare, isa, .. } = self;
        spare.clone_from(pixels);
        isa.vectorize(
            #[inline(always)]
            || {
                for y in 1..height - 1 {
                    let [above, row, below] = [y - 1, y, y + 1].map(|y| &spare[y * width..(y + 1) * width]);
                    let out = &mut pixels[y * width + 1..(y + 1) * width - 1];
                    for (x, out) in out.iter_mut().enumerate() {
                        // Sums of 13 levels fit half a word.
                        let (mut red_blue, mut green) = (4 * (row[x + 1] & RED_BLUE), 4 * (row[x + 1] >> 8 & 255));
                        for row in [above, row, below] {
                            for p in [row[x], row[x + 1], row[x + 2]] {
                                red_blue += p & RED_BLUE;
                                green += p >> 8 & 255;
                            }
                        }
                        let smooth =
                            [red_blue & 0xFFFF, green, red_blue >> 16].map(|sum| rounded(sum as i32 as f32 * (1.0 / 13.0)).0);
                        let rgb: Rgb = levels(row[x + 1]);
                        *out = pixel(std::array::from_fn(|c| rgb[c] + (smooth[c] - rgb[c]) * (1.0 - factor)));
                    }
                }
            },
        );
    }

    /// Gaussian blur with standard deviation `sigma` over 2 `radius` + 1 pixels a side, reflected at the border: `gaussian_blur`.
    ///
    /// # Panics
    /// When `sigma` is not positive.
    pub fn gaussian_blur(&mut self, radius: usize, sigma: f32) {
        assert!(sigma > 0.0, "a blur of {sigma} pixels");
        // A reflection reaches less than the whole image.
        let radius = radius.min(self.width - 1).min(self.height - 1);
        let weights = gaussian(radius, sigma);
        let (width, height, isa) = (self.width, self.height, self.isa);
        let mut planes: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; width * height]);
        let mut padded = vec![0.0f32; width + 2 * radius];
        for (c, plane) in planes.iter_mut().enumerate() {
            let pixels = &self.pixels;
            let padded = &mut padded;
            isa.vectorize(
                #[inline(always)]
                || {
                    for (row, out) in pixels.chunks_exact(width).zip(plane.chunks_exact_mut(width)) {
                        let inner = &mut padded[radius..radius + width];
                        inner.iter_mut().zip(row).for_each(|(out, p)| *out = (p >> (8 * c) & 255) as i32 as f32);
                        for i in 0..radius {
                            padded[i] = padded[2 * radius - i];
                            padded[radius + width + i] = padded[radius + width - 2 - i];
                        }
                        for (k, weight) in weights.iter().enumerate() {
                            out.iter_mut().zip(&padded[k..]).for_each(|(out, level)| *out += level * weight);
                        }
                    }
                },
            );
        }
        let mut sums: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; width]);
        for (y, out) in self.pixels.chunks_exact_mut(width).enumerate() {
            let (sums, planes, weights) = (&mut sums, &planes, &weights);
            isa.vectorize(
                #[inline(always)]
                || {
                    for (sum, plane) in sums.iter_mut().zip(planes) {
                        sum.fill(0.5);
                        for (k, weight) in weights.iter().enumerate() {
                            let y = reflected(y as isize + k as isize - radius as isize, height);
                            let row = &plane[y * width..(y + 1) * width];
                            sum.iter_mut().zip(row).for_each(|(sum, level)| *sum += level * weight);
                        }
                    }
                    let [red, green, blue] = &*sums;
                    for (((out, &red), &green), &blue) in out.iter_mut().zip(red).zip(green).zip(blue) {
                        *out = pixel([red, green, blue]);
                    }
                },
            );
        }
    }
}

/// Weights of a Gaussian at the offsets `-radius..=radius`, with sum 1.
fn gaussian(radius: usize, sigma: f32) -> Vec<f32> {
    let height = |i: usize| {
        let offset = (i as f64 - radius as f64) / f64::from(sigma);
        (-0.5 * offset * offset).exp()
    };
    let heights: Vec<f64> = (0..=2 * radius).map(height).collect();
    let sum: f64 = heights.iter().sum();
    heights.iter().map(|height| (height / sum) as f32).collect()
}

/// The index that is seen at `i` when `0..len` is reflected at its first and last element.
fn reflected(i: isize, len: usize) -> usize {
    let i = i.unsigned_abs();
    if i < len { i } else { 2 * (len - 1) - i }
}
