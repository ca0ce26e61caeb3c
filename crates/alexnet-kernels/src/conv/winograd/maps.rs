//! Winograd transforms of input and output tiles.

use super::super::direct::Finish;
use super::Tiles;
use super::transform;
use crate::buffer::with_scratch;
use crate::executor::DisjointSlices;
use crate::feature_map::FeatureMap;
use crate::gemm::Float;
use crate::simd::{LANES, Vector, Vectorized};
use crate::weight_layout::PANEL;

/// Channels of a pixel outside the border.
pub(super) static NOTHING: [f32; 1024] = [0.0; 1024];

/// Destination of a tile's P P values: value i is at offset `i step`.
///
/// A pointer, because the values of different tiles, written by different tasks, interleave.
#[derive(Clone, Copy)]
pub(super) struct Lines<T> {
    pub(super) start: *mut T,
    pub(super) step: usize,
}

/// The pixels of a tile, with C channels each.
pub(super) type Pixels<'a, const P: usize> = [[&'a [f32]; P]; P];

/// Locates the input pixels of a tile, with a group's channels starting at `channel`. Pixels outside the map and its border are
/// zero: they belong to outputs beyond the last, or meet zero weights. Without a tile all are zero.
pub(super) fn with_pixels<const P: usize>(
    tiles: &Tiles,
    x: &[f32],
    channel: usize,
    tile: Option<usize>,
    work: impl FnOnce(&Pixels<'_, P>),
) {
    let c = tiles.shape.filters().c;
    let mut pixels = [[&NOTHING[..c]; P]; P];
    let Some((image, p, q)) = tile.map(|tile| tiles.place(tile)) else { return work(&pixels) };
    let (map, pad, fold) = (tiles.map, tiles.shape.pad, tiles.fold);
    let (height, width) = (map.border.top + map.h + map.border.bottom, map.border.left + map.w + map.border.right);
    let (top, left) = (map.border.top - pad.top + p * fold, map.border.left - pad.left + q * fold);
    let x = &x[image * map.image_stride()..(image + 1) * map.image_stride()];
    if fold == 1 {
        for (i, row) in pixels.iter_mut().enumerate().take(height - top) {
            for (j, pixel) in row.iter_mut().enumerate().take(width - left) {
                *pixel = &x[(top + i) * map.row_stride() + (left + j) * map.c + channel..][..c];
            }
        }
        return work(&pixels);
    }
    // A pixel's channels are `fold` separate runs of x, which are gathered first.
    let run = fold * map.c;
    with_scratch(P * P * c, |room: &mut [f32]| {
        for (i, room) in room.chunks_exact_mut(P * c).enumerate() {
            for down in 0..fold {
                let row = top + i * fold + down;
                let from =
                    if row < height { &x[row * map.row_stride() + left * map.c..(row + 1) * map.row_stride()] } else { &[] };
                let mut stretches = from.chunks(run);
                for pixel in room.chunks_exact_mut(c) {
                    copy(&mut pixel[down * run..][..run], stretches.next().unwrap_or_default());
                }
            }
        }
        let mut pixels: Pixels<'_, P> = pixels;
        for (pixel, values) in pixels.as_flattened_mut().iter_mut().zip(room.chunks_exact(c)) {
            *pixel = values;
        }
        work(&pixels);
    });
}

/// Copies the available values, padded with zeros. The usual 12 floats (conv1: 4 pixels of 3 channels) take three registers and
/// no call: with calls, conv1 reached only 100 GFLOP/s per core.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    match (<&mut [f32; 12]>::try_from(&mut *to), <&[f32; 12]>::try_from(from)) {
        (Ok(to), Ok(from)) => *to = *from,
        _ => {
            to[..from.len()].copy_from_slice(from);
            to[from.len()..].fill(0.0);
        }
    }
}

/// B^T d B of a register's channels starting at `at`.
///
/// # Safety
/// Those of [`Vector`], and each pixel has these channels.
#[inline(always)]
pub(super) unsafe fn input<V: Vector, const P: usize>(pixels: &Pixels<'_, P>, at: usize, mut put: impl FnMut(usize, usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut columns = [[V::splat(0.0); P]; P];
        for j in 0..P {
            transform::input::<V, P>(
                #[inline(always)]
                |i| V::load(pixels[i][j].as_ptr().add(at)),
                #[inline(always)]
                |i, value| columns[i][j] = value,
            );
        }
        for i in 0..P {
            transform::input::<V, P>(
                #[inline(always)]
                |j| columns[i][j],
                #[inline(always)]
                |j, value| put(i, j, value),
            );
        }
    }
}

/// B^T d B of a tile, [P P][C].
///
/// Requires that `to` holds C values for each of P P, and that pixels have C channels.
pub(super) struct InputTransform<'a, E, const P: usize> {
    pub(super) c: usize,
    pub(super) pixels: &'a Pixels<'a, P>,
    pub(super) to: Lines<E>,
}

impl<E: Float, const P: usize> Vectorized for InputTransform<'_, E, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        for at in (0..self.c).step_by(V::WIDTH) {
            // SAFETY: C is a multiple of any register's width.
            unsafe {
                input::<V, P>(
                    self.pixels,
                    at,
                    #[inline(always)]
                    |i, j, value| {
                        E::store(value, self.to.start.add((i * P + j) * self.to.step + at));
                    },
                );
            }
        }
    }
}

/// A^T m A of a tile's panel, with bias, floor and mask, written to the existing pixels of y. Value i is at `m[i step ..]`.
///
/// Requires exclusive access to this tile's pixels in these channels.
pub(super) struct OutputTransform<'a, const P: usize, const M: usize> {
    pub(super) finish: &'a Finish<'a>,
    pub(super) m: &'a [f32],
    pub(super) step: usize,
    /// Image and first pixel.
    pub(super) place: (usize, usize, usize),
    /// First channel, and number of channels up to 32.
    pub(super) channels: (usize, usize),
    pub(super) y_map: FeatureMap,
    pub(super) y: &'a DisjointSlices<'a, f32>,
}

impl<const P: usize, const M: usize> Vectorized for OutputTransform<'_, P, M> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let ((image, p, q), (k, channels), Finish { bias, floor, mask }) = (self.place, self.channels, *self.finish);
        assert!(self.m.len() >= (P * P - 1) * self.step + PANEL);
        for lane in (0..channels).step_by(V::WIDTH) {
            let some = V::WIDTH.min(channels - lane);
            let mut biases = [0.0; LANES];
            if let Some(bias) = bias {
                biases[..some].copy_from_slice(&bias[k + lane..k + lane + some]);
            }
            // SAFETY: `m` is long enough by the assertion; y and the mask are cut to the lanes that are touched.
            unsafe {
                let (bias, floor) = (V::load(biases.as_ptr()), V::splat(floor));
                let mut columns = [[V::splat(0.0); P]; M];
                for j in 0..P {
                    let product = |i| V::load(self.m.as_ptr().add((i * P + j) * self.step + lane));
                    transform::output::<V, P, M>(
                        product,
                        #[inline(always)]
                        |i, value| columns[i][j] = value,
                    );
                }
                for i in 0..M.min(self.y_map.h - p) {
                    let mut row = [bias; M];
                    transform::output::<V, P, M>(
                        #[inline(always)]
                        |j| columns[i][j],
                        #[inline(always)]
                        |j, value| row[j] = value,
                    );
                    for j in 0..M.min(self.y_map.w - q) {
                        let mut value = row[j].add(bias).at_least(floor);
                        let y = self.y.slice(self.y_map.at(image, p + i, q + j) + k + lane, some);
                        let mask = mask.map(|(map, values)| &values[map.at(image, p + i, q + j) + k + lane..][..some]);
                        if some == V::WIDTH {
                            if let Some(mask) = mask {
                                value = value.where_positive(V::load(mask.as_ptr()));
                            }
                            value.store(y.as_mut_ptr());
                        } else {
                            let mut whole = [0.0; LANES];
                            value.store(whole.as_mut_ptr());
                            for (lane, y) in y.iter_mut().enumerate() {
                                *y = if mask.is_none_or(|mask| mask[lane] > 0.0) { whole[lane] } else { 0.0 };
                            }
                        }
                    }
                }
            }
        }
    }
}
