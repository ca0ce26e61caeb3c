//! Antialiased bilinear resizing, bit-exact with Pillow, which torchvision's transforms use: the integer arithmetic of its
//! `Resample.c`.
//!
//! Each value is a mean over a triangle filter with 22-bit weights, first along the rows, rounded to a byte, then along the
//! columns. (Pillow 13 starts with the columns for some shapes, such as images more than twice as high as wide; 11 never does.)
//! With 16-bit weights, one value in a hundred differs by a level, which changes logits by 0.2 %.

use std::ops::Range;

use crate::image::Image;
use alexnet_kernels::isa::Isa;

/// Fractional bits of a weight.
const BITS: u32 = 22;

/// Half of the last place, the initial value of each sum, for rounding.
const HALF: i32 = 1 << (BITS - 1);

/// Number of rows processed together: one per lane of an AVX-512 register.
const ROWS: usize = 16;

/// Approximate number of source columns transposed at a time: 8 KiB, which stay in the L1 cache.
const COLUMNS: usize = 128;

/// A pixel of each of the rows: red in the lowest byte, then green and blue; the highest is ignored.
type Column = [u32; ROWS];

/// Source values and weights of each target value along an axis.
struct Taps {
    /// For each target value: its first source value, and the range of its weights.
    places: Vec<(usize, Range<usize>)>,
    /// All in one list: allocating hundreds of short ones took as long as resizing the columns.
    weights: Vec<i32>,
}

/// A part of an image along an axis, in pixels of 32 bits as in Pillow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) start: f32,
    pub(super) end: f32,
}

impl Span {
    fn whole(size: usize) -> Span {
        Span { start: 0.0, end: size as f32 }
    }

    /// Whether resizing the part of an axis of `from` pixels to `to` pixels changes nothing.
    fn is_kept(self, from: usize, to: usize) -> bool {
        from == to && self == Span::whole(to)
    }
}

impl Taps {
    /// The taps that resize the part `span` of an axis of `from` pixels to `to` pixels.
    fn new(from: usize, span: Span, to: usize) -> Taps {
        let scale = f64::from(span.end - span.start) / to as f64;
        // Half the width of the triangle: a pixel of the coarser grid.
        let support = scale.max(1.0);
        let (mut weights, mut heights) = (Vec::new(), Vec::new());
        let place = |i: usize| {
            let centre = f64::from(span.start) + (i as f64 + 0.5) * scale;
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

/// Converts a sum of weighted bytes to a byte.
#[inline(always)]
fn byte(sum: i32) -> u32 {
    // Weights are rounded individually and may sum to slightly more than 1.
    (sum >> BITS).clamp(0, 255) as u32
}

/// Resizes an image.
pub(super) fn resize(image: &Image, height: usize, width: usize) -> Image {
    resize_part(image, (Span::whole(image.width), Span::whole(image.height)), height, width)
}

/// Resizes a part of an image, by its columns and its rows: Pillow's `resize(..., box=...)`.
pub(super) fn resize_part(image: &Image, part: (Span, Span), height: usize, width: usize) -> Image {
    // Integer arithmetic: every instruction set gives the same bits.
    resize_on(Isa::from_env().unwrap_or(Isa::Portable), image, part, height, width)
}

/// Takes 0.14 ms from 400 x 533 to 256 x 341 pixels on one Zen 4 core (AVX2 0.19, portable 0.49), mostly for transposing rows to
/// columns and back.
fn resize_on(isa: Isa, image: &Image, (across, down): (Span, Span), height: usize, width: usize) -> Image {
    if across.is_kept(image.width, width) && down.is_kept(image.height, height) {
        return image.clone();
    }
    let mut rgb = Vec::new();
    let mut rows = image.rgb.as_slice();
    if !across.is_kept(image.width, width) {
        rgb = along_rows(isa, rows, image.width, &Taps::new(image.width, across, width));
        rows = &rgb;
    }
    if !down.is_kept(image.height, height) {
        let taps = Taps::new(image.height, down, height);
        // Without the attribute the closure is a separate function compiled for a generic CPU: 3.5 times as slow.
        rgb = isa.vectorize(
            #[inline(always)]
            || along_columns(rows, width * 3, &taps),
        );
    }
    Image { width, height, rgb }
}

/// Resizes along the rows, sixteen rows at a time with a lane for each, and a register for each colour. Four rows of four lanes
/// with one unused took 2.5 times as long; so did gathers and scatters with AVX-512 (see [`to_columns`]).
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

/// Weighted mean of columns at each place; the first column is the image's column `first`.
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

/// Transposes rows of `row` bytes to columns, starting at pixel `first`. The last row fills in for missing ones.
///
/// This and the reverse are compiled for a generic CPU: for AVX-512, the compiler gathers and scatters single words.
#[inline(never)]
fn to_columns(rgb: &[u8], row: usize, first: usize, columns: &mut [Column]) {
    let last = rgb.len() / row - 1;
    let rows: [&[u8]; ROWS] = std::array::from_fn(|r| &rgb[r.min(last) * row..][..row]);
    // Reads four bytes at once, except at the end of the rows, where there are only three.
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

/// Writes columns to rows of `row` bytes, starting at byte `at`.
#[inline(never)]
fn to_rows(columns: &[Column], rgb: &mut [u8], row: usize, at: usize) {
    let Some((last, others)) = columns.split_last() else { return };
    for (r, row) in rgb.chunks_exact_mut(row).enumerate() {
        let row = &mut row[at..at + 3 * columns.len()];
        // Writes four bytes at once: the next pixel overwrites the fourth.
        for (x, column) in others.iter().enumerate() {
            row[3 * x..3 * x + 4].copy_from_slice(&column[r].to_le_bytes());
        }
        row[3 * others.len()..].copy_from_slice(&last[r].to_le_bytes()[..3]);
    }
}

/// Resizes along the columns; `row` is the number of values in a row.
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

    fn image(width: usize, height: usize) -> Image {
        let value = |i: usize| {
            let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
            ((x * 37 + y * 59 + x * y * 11 + c * 83) % 256) as u8
        };
        Image { width, height, rgb: (0..width * height * 3).map(value).collect() }
    }

    fn whole_on(isa: Isa, image: &Image, height: usize, width: usize) -> Image {
        resize_on(isa, image, (Span::whole(image.width), Span::whole(image.height)), height, width)
    }

    /// Pillow 11.3's `Image.fromarray(image).resize((width, height), Image.BILINEAR)`.
    #[test]
    fn every_value_matches_pillow() {
        for isa in Isa::all_supported() {
            let small = whole_on(isa, &image(23, 17), 3, 4).rgb;
            assert_eq!(small, SMALL, "{isa}");
            // The sum of all values times their position, counted from 1.
            for ([from_width, from_height, width, height], expected) in SUMS {
                let resized = whole_on(isa, &image(from_width, from_height), height, width);
                let sum: u64 = resized.rgb.iter().zip(1..).map(|(value, place)| u64::from(*value) * place).sum();
                assert_eq!(
                    (resized.rgb.len(), sum),
                    (width * height * 3, expected),
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
