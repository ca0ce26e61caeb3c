//! Bilinear with antialias to the very bits of Pillow, which torchvision's transforms call: its file `Resample.c` in whole numbers.
//!
//! Each value is a mean of those within a triangle, weighted by 22 bits; first along the rows, rounded to a byte, then along the
//! columns. (Pillow 13 begins with the columns for some shapes, such as pictures more than twice as high as wide; 11 never does.)
//! A level more or less in one value of a hundred, as with weights of 16 bits, moved logits by 0.2 %.

use super::Picture;
use alexnet_kernels::isa::Isa;

/// Bits of a weight behind the point.
const BITS: u32 = 22;

/// The source values that a target value is made of.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of all target values along one axis.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    // Half the triangle's width: a pixel of the coarser of the two grids.
    let support = scale.max(1.0);
    let tap = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let heights = (first..end).map(|x| (1.0 - ((x as f64 - centre + 0.5) * (1.0 / support)).abs()).max(0.0));
        let heights: Vec<f64> = heights.collect();
        let sum: f64 = heights.iter().sum();
        let weights = heights.iter().map(|height| (0.5 + height / sum * f64::from(1 << BITS)) as i32).collect();
        Tap { first, weights }
    };
    (0..to).map(tap).collect()
}

/// The nearest byte of a sum of weighted bytes.
#[inline(always)]
fn byte(sum: i32) -> u8 {
    // Weights are rounded one by one and may sum to a little more than 1.
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// Brings a picture to size.
pub(super) fn resize(picture: &Picture, height: usize, width: usize) -> Picture {
    // Whole numbers: every instruction set has the same bits.
    let isa = Isa::from_env().unwrap_or(Isa::Portable);
    let mut rgb = Vec::new();
    let mut rows = picture.rgb.as_slice();
    if width != picture.width {
        let taps = taps(picture.width, width);
        rgb = isa.vectorize(|| along_rows(rows, picture.width, &taps));
        rows = &rgb;
    }
    if height != picture.height {
        let taps = taps(picture.height, height);
        rgb = isa.vectorize(|| along_columns(rows, width * 3, &taps));
    }
    Picture { width, height, rgb }
}

/// Four rows go together, their pixels side by side in a register of 16 values: of each row red, green, blue and nothing.
#[inline(always)]
fn along_rows(rgb: &[u8], width: usize, taps: &[Tap]) -> Vec<u8> {
    let mut out = vec![0; rgb.len() / width * taps.len()];
    let mut columns = vec![[0u8; 16]; width];
    for (rows, out) in rgb.chunks(4 * 3 * width).zip(out.chunks_mut(4 * 3 * taps.len())) {
        for (r, row) in rows.chunks_exact(3 * width).enumerate() {
            for (column, pixel) in columns.iter_mut().zip(row.as_chunks::<3>().0) {
                column[4 * r..4 * r + 3].copy_from_slice(pixel);
            }
        }
        for (i, Tap { first, weights }) in taps.iter().enumerate() {
            let mut sums = [0i32; 16];
            for (column, weight) in columns[*first..].iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(column) {
                    *sum += i32::from(*value) * weight;
                }
            }
            let bytes = sums.map(byte);
            for (r, row) in out.chunks_exact_mut(3 * taps.len()).enumerate() {
                row[3 * i..3 * i + 3].copy_from_slice(&bytes[4 * r..4 * r + 3]);
            }
        }
    }
    out
}

/// `row`: values in a row.
#[inline(always)]
fn along_columns(rgb: &[u8], row: usize, taps: &[Tap]) -> Vec<u8> {
    let mut out = Vec::with_capacity(row * taps.len());
    let mut sums = vec![0i32; row];
    for Tap { first, weights } in taps {
        sums.fill(0);
        for (values, weight) in rgb[first * row..].chunks_exact(row).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| byte(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Picture {
        let value = |i: usize| {
            let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
            ((x * 37 + y * 59 + x * y * 11 + c * 83) % 256) as u8
        };
        Picture { width, height, rgb: (0..width * height * 3).map(value).collect() }
    }

    /// Pillow 11.3's `Image.fromarray(picture).resize((width, height), Image.BILINEAR)`.
    #[test]
    fn every_value_is_pillows() {
        let small = picture(23, 17).resized(3, 4).rgb;
        assert_eq!(small, SMALL);
        // The sum of all values times their place, from 1.
        for ([from_width, from_height, width, height], wanted) in SUMS {
            let resized = picture(from_width, from_height).resized(height, width);
            let sum: u64 = resized.rgb.iter().zip(1..).map(|(value, place)| u64::from(*value) * place).sum();
            assert_eq!(
                (resized.rgb.len(), sum),
                (width * height * 3, wanted),
                "{from_width} x {from_height} to {width} x {height}"
            );
        }
    }

    const SMALL: [u8; 36] = [
        134, 128, 125, 124, 126, 127, 128, 128, 124, 131, 132, 133, 128, 128, 134, 124, 116, 135, 123, 129, 130, 122, 143, 132,
        123, 117, 117, 126, 118, 131, 125, 135, 133, 128, 145, 129,
    ];
    const SUMS: [([usize; 4], u64); 9] = [
        ([23, 17, 9, 6], 1_691_485),
        ([23, 17, 40, 30], 829_208_570),
        ([23, 17, 23, 5], 7_648_877),
        ([23, 17, 7, 17], 8_172_584),
        ([500, 375, 341, 256], 4_368_753_361_793),
        ([3, 200, 2, 7], 115_817),
        ([1, 1, 5, 4], 155_210),
        ([640, 9, 11, 64], 284_765_905),
        ([1600, 1200, 341, 256], 4_372_309_829_353),
    ];
}
