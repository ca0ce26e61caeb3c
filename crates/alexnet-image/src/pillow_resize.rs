//! Bilinear with antialias to the very bits of Pillow, which torchvision's transforms call: its file `Resample.c` in whole numbers.
//!
//! Each value is a mean of those within a triangle, weighted by 22 bits; first along the rows, rounded to a byte, then along the
//! columns. (Pillow 13 begins with the columns for some shapes, such as images more than twice as high as wide; 11 never does.)
//! A level more or less in one value of a hundred, as with weights of 16 bits, moved logits by 0.2 %.

use std::ops::Range;

use crate::image::Image;
use alexnet_kernels::isa::Isa;

/// Bits of a weight behind the point.
const BITS: u32 = 22;

/// Half of the last place, where each sum begins, so that it is rounded.
const HALF: i32 = 1 << (BITS - 1);

/// Rows that are narrowed together: as many as a register of AVX-512 has sums.
const ROWS: usize = 16;

/// About as many source columns are set side by side at a time: 8 KiB, which stay in the first-level cache.
const COLUMNS: usize = 128;

/// A pixel of each of the rows: red in the lowest byte, then green and blue; the highest is not looked at.
type Column = [u32; ROWS];

/// The source values that each target value along an axis is made of.
struct Taps {
    /// For each target value: its first source value, and which of the weights are its own.
    places: Vec<(usize, Range<usize>)>,
    /// All in one list: hundreds of short ones took as long to make as the image's columns to shorten.
    weights: Vec<i32>,
}

impl Taps {
    fn new(from: usize, to: usize) -> Taps {
        let scale = from as f64 / to as f64;
        // Half the triangle's width: a pixel of the coarser of the two grids.
        let support = scale.max(1.0);
        let (mut weights, mut heights) = (Vec::new(), Vec::new());
        let place = |i: usize| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            heights.clear();
            heights.extend((first..end).map(|x| (1.0 - ((x as f64 - centre + 0.5) * (1.0 / support)).abs()).max(0.0)));
            let sum: f64 = heights.iter().sum();
            let begin = weights.len();
            weights.extend(heights.iter().map(|height| (0.5 + height / sum * f64::from(1 << BITS)) as i32));
            (first, begin..weights.len())
        };
        Taps { places: (0..to).map(place).collect(), weights }
    }
}

/// The byte of a sum of weighted bytes.
#[inline(always)]
fn byte(sum: i32) -> u32 {
    // Weights are rounded one by one and may sum to a little more than 1.
    (sum >> BITS).clamp(0, 255) as u32
}

/// Brings an image to size.
pub(super) fn resize(picture: &Image, height: usize, width: usize) -> Image {
    // Whole numbers: every instruction set has the same bits.
    resize_on(Isa::from_env().unwrap_or(Isa::Portable), picture, height, width)
}

/// From 400 x 533 pixels to 256 x 341 in 0.14 ms of a core of a Zen 4 (AVX2 0.19, portable 0.49), most of it turning rows into columns and back.
fn resize_on(isa: Isa, picture: &Image, height: usize, width: usize) -> Image {
    let mut rgb = Vec::new();
    let mut rows = picture.rgb.as_slice();
    if width != picture.width {
        rgb = along_rows(isa, rows, picture.width, &Taps::new(picture.width, width));
        rows = &rgb;
    }
    if height != picture.height {
        let taps = Taps::new(picture.height, height);
        // Without the attribute the closure is a function of its own, compiled for any processor: 3.5 times as long.
        rgb = isa.vectorize(
            #[inline(always)]
            || along_columns(rows, width * 3, &taps),
        );
    }
    Image { width, height, rgb }
}

/// Sixteen rows go together, a lane each, and each colour in a register of its own. Four rows of four lanes, one of them empty, took 2.5
/// times as long; gathered and scattered by AVX-512 as well (see [`to_columns`]).
fn along_rows(isa: Isa, rgb: &[u8], width: usize, taps: &Taps) -> Vec<u8> {
    let (from, to) = (3 * width, 3 * taps.places.len());
    let mut out = vec![0; rgb.len() / from * to];
    let strip = (COLUMNS * taps.places.len() / width).max(1);
    let mut means = vec![Column::default(); strip];
    let mut columns = Vec::new();
    for (rgb, out) in rgb.chunks(ROWS * from).zip(out.chunks_mut(ROWS * to)) {
        for (places, at) in taps.places.chunks(strip).zip((0..).step_by(3 * strip)) {
            let first = places.first().map_or(0, |(first, _)| *first);
            let end = places.last().map_or(0, |(first, own)| first + own.len());
            if columns.len() < end - first {
                columns.resize(end - first, Column::default());
            }
            let (columns, means) = (&mut columns[..end - first], &mut means[..places.len()]);
            to_columns(rgb, from, first, columns);
            isa.vectorize(
                #[inline(always)]
                || mean_columns(columns, first, places, &taps.weights, means),
            );
            to_rows(means, out, to, at);
        }
    }
    out
}

/// The mean of columns, of which the first is the image's `first`, at each place.
#[inline(always)]
fn mean_columns(columns: &[Column], first: usize, places: &[(usize, Range<usize>)], weights: &[i32], means: &mut [Column]) {
    for (mean, (start, own)) in means.iter_mut().zip(places) {
        let (mut red, mut green, mut blue) = ([HALF; ROWS], [HALF; ROWS], [HALF; ROWS]);
        for (column, weight) in columns[start - first..].iter().zip(&weights[own.clone()]) {
            for i in 0..ROWS {
                red[i] += (column[i] & 255) as i32 * weight;
                green[i] += (column[i] >> 8 & 255) as i32 * weight;
                blue[i] += (column[i] >> 16 & 255) as i32 * weight;
            }
        }
        for i in 0..ROWS {
            mean[i] = byte(red[i]) | byte(green[i]) << 8 | byte(blue[i]) << 16;
        }
    }
}

/// Sets rows of `row` bytes side by side, from pixel `first` on. Below the last row, it stands in for those that are missing.
///
/// This and the way back are compiled for any processor: for AVX-512, the compiler gathers and scatters single words.
#[inline(never)]
fn to_columns(rgb: &[u8], row: usize, first: usize, columns: &mut [Column]) {
    let last = rgb.len() / row - 1;
    let rows: [&[u8]; ROWS] = std::array::from_fn(|r| &rgb[r.min(last) * row..][..row]);
    // Four bytes are read at once, save at the end of the rows, where there are three.
    let (whole, end) = columns.split_at_mut(columns.len().min(row / 3 - 1 - first));
    for (x, column) in (first..).zip(whole) {
        for (pixel, row) in column.iter_mut().zip(&rows) {
            *pixel = u32::from_le_bytes(row[3 * x..3 * x + 4].try_into().expect("four bytes"));
        }
    }
    for column in end {
        *column = rows.map(|row| u32::from_le_bytes([row[row.len() - 3], row[row.len() - 2], row[row.len() - 1], 0]));
    }
}

/// Writes columns into rows of `row` bytes, from byte `at` on.
#[inline(never)]
fn to_rows(columns: &[Column], rgb: &mut [u8], row: usize, at: usize) {
    let Some((last, others)) = columns.split_last() else { return };
    for (r, row) in rgb.chunks_exact_mut(row).enumerate() {
        let row = &mut row[at..at + 3 * columns.len()];
        // Four bytes at once: the fourth is overwritten by the next.
        for (x, column) in others.iter().enumerate() {
            row[3 * x..3 * x + 4].copy_from_slice(&column[r].to_le_bytes());
        }
        row[3 * others.len()..].copy_from_slice(&last[r].to_le_bytes()[..3]);
    }
}

/// `row`: values in a row.
#[inline(always)]
fn along_columns(rgb: &[u8], row: usize, taps: &Taps) -> Vec<u8> {
    let mut out = Vec::with_capacity(row * taps.places.len());
    let mut sums = vec![0i32; row];
    for (first, own) in &taps.places {
        sums.fill(HALF);
        for (values, weight) in rgb[first * row..].chunks_exact(row).zip(&taps.weights[own.clone()]) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| byte(*sum) as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Image {
        let value = |i: usize| {
            let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
            ((x * 37 + y * 59 + x * y * 11 + c * 83) % 256) as u8
        };
        Image { width, height, rgb: (0..width * height * 3).map(value).collect() }
    }

    /// Pillow 11.3's `Image.fromarray(picture).resize((width, height), Image.BILINEAR)`.
    #[test]
    fn every_value_is_pillows() {
        for isa in Isa::all_supported() {
            let small = resize_on(isa, &picture(23, 17), 3, 4).rgb;
            assert_eq!(small, SMALL, "{isa}");
            // The sum of all values times their place, from 1.
            for ([from_width, from_height, width, height], wanted) in SUMS {
                let resized = resize_on(isa, &picture(from_width, from_height), height, width);
                let sum: u64 = resized.rgb.iter().zip(1..).map(|(value, place)| u64::from(*value) * place).sum();
                assert_eq!(
                    (resized.rgb.len(), sum),
                    (width * height * 3, wanted),
                    "{from_width} x {from_height} to {width} x {height}, {isa}"
                );
            }
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
