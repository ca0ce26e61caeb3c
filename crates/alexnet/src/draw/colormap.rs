//! Colormaps, and heatmap overlays on images.

use super::Colour;
use crate::image::Image;

/// Black over violet and orange to pale yellow, readable for the colour-blind: matplotlib's `inferno` at 0, 1/8, ... 1.
const INFERNO: [Colour; 9] = [
    [0, 0, 4],
    [31, 12, 72],
    [85, 15, 109],
    [136, 34, 106],
    [186, 54, 85],
    [227, 89, 51],
    [249, 140, 10],
    [249, 201, 50],
    [252, 255, 164],
];

/// Colour of a value from 0 to 1.
pub fn colour(value: f32) -> Colour {
    let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    let at = value * (INFERNO.len() - 1) as f32;
    let below = (at as usize).min(INFERNO.len() - 2);
    let share = at - below as f32;
    std::array::from_fn(|c| {
        let (a, b) = (f32::from(INFERNO[below][c]), f32::from(INFERNO[below + 1][c]));
        (a + (b - a) * share).round() as u8
    })
}

/// Colour of a value from -1 (blue) over 0 (white) to 1 (red).
pub fn signed_colour(value: f32) -> Colour {
    let value = value.clamp(-1.0, 1.0);
    let end: Colour = if value < 0.0 { [33, 102, 172] } else { [178, 24, 43] };
    end.map(|c| (255.0 + (f32::from(c) - 255.0) * value.abs().powf(0.8)).round() as u8)
}

/// Image of `[height, width]` values coloured by `colour`.
///
/// # Panics
/// If the number of values does not match.
pub fn image(values: &[f32], height: usize, width: usize, colour: impl Fn(f32) -> Colour) -> Image {
    assert_eq!(values.len(), height * width, "{height} x {width} values");
    Image { width, height, rgb: values.iter().flat_map(|&v| colour(v)).collect() }
}

/// Values scaled linearly to 0 to 1: the smallest becomes 0, the largest 1; 0 if all are equal or NaN.
pub fn unit(values: &[f32]) -> Vec<f32> {
    let (low, high) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let range = high - low;
    if !range.is_finite() || range <= 0.0 {
        return vec![0.0; values.len()];
    }
    values.iter().map(|&v| if v.is_finite() { (v - low) / range } else { 0.0 }).collect()
}

/// Values divided by the largest magnitude, so that 0 stays 0; 0 if all are zero or NaN.
pub fn signed_unit(values: &[f32]) -> Vec<f32> {
    let largest = values.iter().filter(|v| v.is_finite()).fold(0.0f32, |m, v| m.max(v.abs()));
    values.iter().map(|&v| if largest > 0.0 && v.is_finite() { v / largest } else { 0.0 }).collect()
}

/// Overlays heat of 0 to 1, `[image.height, image.width]`, on an image with an opacity of 0 to `strength` (0 to 1). The image
/// is desaturated by half, so that the heat stands out.
///
/// # Panics
/// If the number of values differs from the number of pixels.
pub fn overlay(image: &Image, heat: &[f32], strength: f32) -> Image {
    assert_eq!(heat.len() * 3, image.rgb.len(), "one value per pixel");
    let mut rgb = Vec::with_capacity(image.rgb.len());
    for (pixel, &heat) in image.rgb.chunks_exact(3).zip(heat) {
        let heat = heat.clamp(0.0, 1.0);
        // Rec. 601 luma.
        let grey = 0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2]);
        let warm = colour(0.25 + 0.75 * heat);
        let share = strength * heat.sqrt();
        for (&have, want) in pixel.iter().zip(warm) {
            let paler = (f32::from(have) + grey) / 2.0;
            rgb.push((paler + (f32::from(want) - paler) * share).round() as u8);
        }
    }
    Image { rgb, ..*image }
}

/// Resizes `[rows, columns]` values to `[height, width]`, bilinear between cell centres like images.
///
/// # Panics
/// If the number of values does not match, or there are none.
pub fn enlarge(values: &[f32], (rows, columns): (usize, usize), (height, width): (usize, usize)) -> Vec<f32> {
    assert!(rows > 0 && columns > 0 && values.len() == rows * columns, "{rows} x {columns} values");
    let taps = |from: usize, to: usize, i: usize| {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
        (at as usize, (at as usize + 1).min(from - 1), at.fract())
    };
    let along: Vec<_> = (0..width).map(|x| taps(columns, width, x)).collect();
    let mut large = Vec::with_capacity(height * width);
    for y in 0..height {
        let (upper, lower, down) = taps(rows, height, y);
        let [upper, lower] = [upper, lower].map(|row| &values[row * columns..(row + 1) * columns]);
        large.extend(along.iter().map(|&(left, right, share)| {
            let mix = |row: &[f32]| row[left] + (row[right] - row[left]) * share;
            mix(upper) + (mix(lower) - mix(upper)) * down
        }));
    }
    large
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_brighten_with_the_value() {
        let light = |c: Colour| c.iter().map(|&v| u32::from(v)).sum::<u32>();
        let steps: Vec<u32> = (0..=16).map(|i| light(colour(i as f32 / 16.0))).collect();
        assert!(steps.is_sorted() && steps[0] < 10 && steps[16] > 600, "{steps:?}");
        assert_eq!(colour(f32::NAN), colour(0.0));
        assert_eq!(signed_colour(0.0), [255; 3]);
    }

    #[test]
    fn values_are_scaled_and_non_finite_ones_are_harmless() {
        assert_eq!(unit(&[2.0, 4.0, 3.0]), [0.0, 1.0, 0.5]);
        assert_eq!(unit(&[7.0, 7.0]), [0.0, 0.0]);
        assert_eq!(unit(&[0.0, f32::INFINITY]), [0.0, 0.0]);
        assert_eq!(signed_unit(&[-2.0, 1.0, 0.0]), [-1.0, 0.5, 0.0]);
        assert_eq!(signed_unit(&[0.0, f32::NAN]), [0.0, 0.0]);
    }

    #[test]
    fn upscaling_keeps_corners_means_and_linear_ramps() {
        let large = enlarge(&[0.0, 1.0, 2.0, 3.0], (2, 2), (4, 4));
        assert_eq!((large[0], large[3], large[12], large[15]), (0.0, 1.0, 2.0, 3.0));
        assert_eq!(large.iter().sum::<f32>(), 24.0);
        assert_eq!(enlarge(&[5.0], (1, 1), (2, 3)), [5.0; 6]);
        assert_eq!(enlarge(&[1.0, 2.0, 3.0], (3, 1), (3, 1)), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn zero_heat_keeps_lightness_and_full_heat_hides_it() {
        let grey = Image { width: 2, height: 1, rgb: vec![90; 6] };
        let over = overlay(&grey, &[0.0, 1.0], 1.0);
        assert_eq!(over.rgb[..3], [90; 3]);
        assert_eq!(over.rgb[3..], colour(1.0));
    }
}
