//! Winograd convolution: F(4 x 4, 3 x 3) with 2.25 multiplications per output and channel instead of 9, F(4 x 4, 5 x 5) with 4
//! and F(2 x 2, 5 x 5) with 9 instead of 25.
//!
//! A block of tiles is transformed, multiplied and transformed back while in cache, without writing intermediate values to
//! memory. Tiles of P x P points need P P matrix products [tiles, C] x [C, 32] for each panel of outputs.

#![allow(clippy::needless_range_loop)] // indices are clearest for rows and columns of small matrices

mod filters;
mod maps;
mod transform;
mod weights;

pub(super) use weights::backward_weights;

use std::marker::PhantomData;

use self::filters::WeightsTransform;
use self::maps::{InputTransform, Lines, NOTHING, OutputTransform, with_pixels};
use super::Shape;
use super::direct::Finish;
use crate::buffer::{LINE, with_scratch};
use crate::context::{Context, FactorType};
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::feature_map::FeatureMap;
use crate::gemm::{Float, Start, Tile, cut, max_rows};
use crate::isa::dispatch;
use crate::simd::LANES;
use crate::weight_layout::PANEL;

/// Bytes of transformed input per block: with a panel's products they fill most of a 1 MiB L2 cache. Larger blocks in the L3
/// cache, with the products of several panels at once, read the weights less often but were slower on Cascade Lake.
const BLOCK: usize = 800 << 10;

/// Tiling of a batch.
#[derive(Clone, Copy)]
struct Tiles {
    /// The stride-1 convolution that is computed; for a strided one its fold, see [`fold`].
    shape: Shape,
    /// The input map in memory.
    map: FeatureMap,
    /// Stride: number of rows and columns of the input folded into one pixel's channels.
    fold: usize,
    /// Points of the transform along each side, equal to the input values.
    points: usize,
    /// Outputs along each side.
    size: usize,
    /// Tiles per column and per row of an image.
    down: usize,
    along: usize,
}

/// Folds a strided convolution into a stride-1 one over pixels of stride x stride pixels: 11 x 11 kernels of 3 channels at stride
/// 4 become 3 x 3 kernels of 48 channels, whose last row and column of weights (12 is more than 11) are zero.
fn fold(shape: &Shape) -> Shape {
    let times = shape.stride;
    let x = FeatureMap { c: shape.x.c * times * times, ..shape.x };
    Shape { x, r: shape.r.div_ceil(times), s: shape.s.div_ceil(times), stride: 1, ..*shape }
}

impl Tiles {
    /// The tiling of a shape, if a transform exists; it needs whole registers of channels. Strides are supported only in single
    /// precision, since the first layer's error propagates to all others. So are eight points ([`factors`]): in bf16 they would
    /// double the error.
    fn new(shape: &Shape, factors: FactorType) -> Option<Tiles> {
        let (map, fold_by, shape) = (shape.x, shape.stride, fold(shape));
        let of = |points: usize| {
            let size = points + 1 - shape.r;
            let (down, along) = (shape.p.div_ceil(size), shape.q.div_ceil(size));
            Tiles { shape, map, fold: fold_by, points, size, down, along }
        };
        let c = shape.x.c / shape.groups;
        let single = factors == FactorType::F32;
        if fold_by > 1 && (shape.groups > 1 || !single) || !c.is_multiple_of(LANES) || c > NOTHING.len() {
            return None;
        }
        match (shape.r, shape.s) {
            (3, 3) => Some(of(6)),
            (5, 5) if of(8).products() < of(6).products() => Some(of(8)),
            (5, 5) => Some(of(6)),
            _ => None,
        }
    }

    /// The tiling of a shape that [`fits`].
    fn of<E: Float>(shape: &Shape) -> Tiles {
        let factors = if E::WORD == 1 { FactorType::F32 } else { FactorType::Bf16 };
        Tiles::new(shape, factors).expect("a shape that fits")
    }

    /// Words of a panel's transformed weights.
    fn panel_words<E: Float>(&self) -> usize {
        self.points * self.points * self.shape.filters().c / E::WORD * PANEL
    }

    /// Multiplications per image and output channel.
    fn products(&self) -> usize {
        self.points * self.points * self.down * self.along * self.shape.filters().c
    }

    /// Image and first output pixel of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (image, within) = (tile / (self.down * self.along), tile % (self.down * self.along));
        (image, within / self.along * self.size, within % self.along * self.size)
    }
}

/// Precision of a shape's products if operands may be rounded to `factors`. Those of 5 x 5 kernels are always in single
/// precision: F(4 x 4, 5 x 5) needs 4 multiplications per output and channel, while F(2 x 2, 5 x 5), which tolerates bf16's
/// rounding, needs 9, more than bf16's speed-up (Zen 4, conv2 of the paper's net: 81, 91 and 88 ms forward, data, weights instead
/// of 116, 136 and 200; of torchvision's 74, 67 and 75 instead of 98, 90 and 91).
pub(super) fn factors(shape: &Shape, factors: FactorType) -> FactorType {
    if fold(shape).r == 5 { FactorType::F32 } else { factors }
}

/// Whether a shape is supported.
pub(super) fn fits(shape: &Shape, factors: FactorType) -> bool {
    Tiles::new(shape, factors).is_some()
}

/// Whether it pays off: at least a third fewer multiplications, which maps of a pixel or two do not give.
pub(super) fn pays(shape: &Shape, factors: FactorType) -> bool {
    let direct = shape.p * shape.q * shape.filters().depth();
    Tiles::new(shape, factors).is_some_and(|tiles| 3 * tiles.products() <= 2 * direct)
}

/// Words of all transformed weights.
pub(super) fn transformed_words<E: Float>(shape: &Shape) -> usize {
    shape.groups * shape.filters().panels() * Tiles::of::<E>(shape).panel_words::<E>()
}

/// Transforms weights, panel by panel.
pub(super) fn transform<E: Float>(context: &Context<'_>, shape: &Shape, w: &[f32], u: &mut [u32]) {
    let tiles = Tiles::of::<E>(shape);
    let (filters, folded) = (shape.filters(), tiles.shape.filters());
    let (c, panel_len, element) = (folded.c, filters.depth() * PANEL, PhantomData::<E>);
    for_each_chunk(context.threads, u, tiles.panel_words::<E>(), |panel, u| {
        with_scratch(if tiles.fold > 1 { folded.depth() * PANEL } else { 0 }, |room: &mut [f32]| {
            let mut w = &w[panel * panel_len..(panel + 1) * panel_len];
            if tiles.fold > 1 {
                room.fill(0.0);
                fold_weights(shape, tiles.fold, |from, to| room[to..to + PANEL].copy_from_slice(&w[from..from + PANEL]));
                w = room;
            }
            // SAFETY: nothing is asked for.
            unsafe {
                match (tiles.points, folded.r) {
                    (6, 3) => dispatch(context.isa, WeightsTransform::<E, 6, 3> { c, w, u, element }),
                    (6, _) => dispatch(context.isa, WeightsTransform::<E, 6, 5> { c, w, u, element }),
                    _ => dispatch(context.isa, WeightsTransform::<E, 8, 5> { c, w, u, element }),
                }
            }
        });
    });
}

/// Visits a panel's lines of weights: the offset of each in [R][S][C][32], and in the folded kernel's weights.
fn fold_weights(shape: &Shape, fold: usize, mut visit: impl FnMut(usize, usize)) {
    let (c, columns) = (shape.filters().c, shape.s.div_ceil(fold));
    for r in 0..shape.r {
        for s in 0..shape.s {
            let pixel = (r / fold * columns + s / fold) * fold * fold + r % fold * fold + s % fold;
            for channel in 0..c {
                visit(((r * shape.s + s) * c + channel) * PANEL, (pixel * c + channel) * PANEL);
            }
        }
    }
}

/// Convolves with transformed weights. Equals [`direct::convolve`](super::direct::convolve) up to rounding: a relative error of
/// some 5e-7 of the output's norm (2e-6 with eight points) compared with 1e-7 in single precision, of 1e-2 compared with 2e-3 in
/// bf16.
pub(super) fn convolve<E: Float>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    u: &[u32],
    finish: &Finish<'_>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    assert_eq!(u.len(), transformed_words::<E>(shape), "transformed weights of {shape:?}");
    let tiles = Tiles::of::<E>(shape);
    let with = match (tiles.points, tiles.size) {
        (6, 4) => convolve_with::<E, 6, 4>,
        (6, _) => convolve_with::<E, 6, 2>,
        _ => convolve_with::<E, 8, 4>,
    };
    with(context, &tiles, x, u, finish, y_map, y);
}

/// Number of blocks below which threads would idle; then the panels are distributed instead.
const FEW: usize = 8;

fn convolve_with<E: Float, const P: usize, const M: usize>(
    context: &Context<'_>,
    tiles: &Tiles,
    x: &[f32],
    u: &[u32],
    finish: &Finish<'_>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    let (shape, panel_words) = (&tiles.shape, tiles.panel_words::<E>());
    let filters = shape.filters();
    let (panels, outputs, c) = (filters.panels(), filters.group_outputs(), filters.c);
    y_map.clear_borders(context.threads, y);
    let all = shape.x.n * tiles.down * tiles.along;
    let rows = max_rows::<E>(context.isa);
    // Whole tiles of rows, so that only the last product has a short one.
    let together = (BLOCK / (P * P * c * size_of::<E>()) / rows).max(1) * rows;
    let blocks = all.div_ceil(together);
    let y = DisjointSlices::new(y);
    // A cache line of padding between the values of a tile, since otherwise they would map to the same cache sets.
    let v_step = |count: usize| count * c + LINE * size_of::<f32>() / size_of::<E>();
    // Products and outputs of a panel for `count` tiles starting at `first`, whose transformed inputs are in `v`.
    let panel_of = |panel: usize, (first, count): (usize, usize), v: &[E]| {
        let (v_step, m_step) = (v_step(count), count * PANEL + LINE);
        with_scratch(P * P * m_step, |m| {
            for product in 0..P * P {
                let u = &u[panel * panel_words + product * c / E::WORD * PANEL..];
                multiply(context, c, count, &v[product * v_step..], u, &mut m[product * m_step..]);
            }
            let within = panel % panels * PANEL;
            let channels = (panel / panels * outputs + within, (outputs - within).min(PANEL));
            for tile in 0..count {
                let place = tiles.place(first + tile);
                let work = OutputTransform::<P, M> { finish, m: &m[tile * PANEL..], step: m_step, place, channels, y_map, y: &y };
                // SAFETY: this tile's pixels of these channels belong to this task alone.
                unsafe { dispatch(context.isa, work) };
            }
        });
    };
    if blocks < FEW {
        let step = v_step(all);
        with_scratch(P * P * step * shape.groups, |v: &mut [E]| {
            let parts = DisjointSlices::new(v);
            context.threads.run(all * shape.groups, &|task| {
                let (tile, group) = (task / shape.groups, task % shape.groups);
                let start = parts.pointer(group * P * P * step + tile * c, (P * P - 1) * step + c);
                with_pixels::<P>(tiles, x, group * c, Some(tile), |pixels| {
                    // SAFETY: this tile's lines, C values for each product, belong to this task alone.
                    unsafe { dispatch(context.isa, InputTransform { c, pixels, to: Lines { start, step } }) };
                });
            });
            let v = &*v;
            context.threads.run(shape.groups * panels, &|panel| {
                let v = &v[panel / panels * P * P * step..];
                panel_of(panel, (0, all), v);
            });
        });
        return;
    }
    context.threads.run(blocks * shape.groups, &|task| {
        let (block, group) = (task / shape.groups, task % shape.groups);
        let first = block * together;
        let count = together.min(all - first);
        let step = v_step(count);
        with_scratch(P * P * step, |v: &mut [E]| {
            for tile in 0..count {
                let to = Lines { start: v[tile * c..].as_mut_ptr(), step };
                with_pixels::<P>(tiles, x, group * c, Some(first + tile), |pixels| {
                    // SAFETY: value i of the tile has its C values in `v` at i step + tile C.
                    unsafe { dispatch(context.isa, InputTransform { c, pixels, to }) };
                });
            }
            for panel in group * panels..(group + 1) * panels {
                panel_of(panel, (first, count), v);
            }
        });
    });
}

/// One product of a panel: m[tile][32] = v[tile][C] x u[C][32].
fn multiply<E: Float>(context: &Context<'_>, c: usize, count: usize, v: &[E], u: &[u32], m: &mut [f32]) {
    let words = c / E::WORD;
    for (tile, rows) in cut(count, max_rows::<E>(context.isa)) {
        let (a, b) = (&v[tile * c..], &u[..words * PANEL]);
        let (counts, steps, start) = ([1, 1, words], [0, 0, E::WORD], Start::Zero);
        let (row, floor, y_row, lanes) = (c, f32::NEG_INFINITY, PANEL, PANEL);
        let to = &mut m[tile * PANEL..][..rows * PANEL];
        let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
        // SAFETY: `to` has these rows and lanes.
        unsafe { tile.run(context.isa, rows, to.as_mut_ptr()) };
    }
}
