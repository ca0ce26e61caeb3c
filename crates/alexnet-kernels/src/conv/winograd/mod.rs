//! Winograd convolution: F(4 x 4, 3 x 3) with 2.25 multiplications for an output and channel instead of 9, F(2 x 2, 5 x 5) with 9
//! instead of 25.
//!
//! A block of tiles is transformed, multiplied and transformed back while it is in the second-level cache: of what lies between
//! nothing is written to memory. The products are 36 matrix products [tiles, C] x [C, 32], one for each value of a tile.

#![allow(clippy::needless_range_loop)] // rows and columns of small matrices read best by their numbers

mod transform;
mod weights;

pub(super) use weights::backward_weights;

use self::transform::{LANES, Lanes, PRODUCTS, SIX};
use super::Shape;
use super::direct::Finish;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::map::Map;
use crate::pack::{Filters, PANEL};
use crate::threads::{Parts, for_each_chunk};
use crate::tile::{Element, Real, Start, Tile, cut, max_rows};

/// Bytes of transformed input in a block: with a panel's products they fill most of a second-level cache of 1 MiB.
const BLOCK: usize = 800 << 10;

/// Channels of a pixel beyond the border.
static NOTHING: [f32; 1024] = [0.0; 1024];

/// Outputs along each side of a tile, if there is a transform for this shape.
fn tile_size(shape: &Shape) -> Option<usize> {
    let c = shape.x.c / shape.groups;
    let fits = shape.stride == 1 && c.is_multiple_of(LANES) && c <= NOTHING.len();
    match (shape.r, shape.s) {
        (3, 3) if fits => Some(4),
        (5, 5) if fits => Some(2),
        _ => None,
    }
}

/// Whether a shape can be convolved here.
pub(super) fn fits(shape: &Shape) -> bool {
    tile_size(shape).is_some()
}

/// Whether it is worth it: a third fewer multiplications at least, which maps of a pixel or two do not give.
pub(super) fn pays(shape: &Shape) -> bool {
    tile_size(shape).is_some_and(|size| {
        let Tiles { down, along, .. } = Tiles::new(shape, size);
        3 * PRODUCTS * down * along <= 2 * shape.p * shape.q * shape.r * shape.s
    })
}

/// Convolves with transformed weights; the same as [`direct::convolve`](super::direct::convolve), but for rounding: a relative
/// error of some 5e-7 of the output's norm against 1e-7 in single precision, of 1e-2 against 2e-3 in bf16.
pub(super) fn convolve<E: Real>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    u: &[u32],
    finish: &Finish<'_>,
    y_map: Map,
    y: &mut [f32],
) {
    assert_eq!(u.len(), transformed_words::<E>(shape), "transformed weights of {shape:?}");
    match tile_size(shape) {
        Some(4) => convolve_with::<E, 4>(context, shape, x, u, finish, y_map, y),
        Some(2) => convolve_with::<E, 2>(context, shape, x, u, finish, y_map, y),
        _ => unreachable!("see `fits`"),
    }
}

/// Where the tiles of a batch lie.
#[derive(Clone, Copy)]
struct Tiles {
    /// Outputs along each side.
    size: usize,
    /// Tiles in a column and in a row of a picture.
    down: usize,
    along: usize,
}

impl Tiles {
    fn new(shape: &Shape, size: usize) -> Self {
        Tiles { size, down: shape.p.div_ceil(size), along: shape.q.div_ceil(size) }
    }

    /// The picture and the first output pixel of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (image, within) = (tile / (self.down * self.along), tile % (self.down * self.along));
        (image, within / self.along * self.size, within % self.along * self.size)
    }
}

/// Words of a panel's transformed weights.
fn panel_words<E: Element>(shape: &Shape) -> usize {
    PRODUCTS * shape.filters().c / E::WORD * PANEL
}

/// Words of all transformed weights.
pub(super) fn transformed_words<E: Element>(shape: &Shape) -> usize {
    shape.groups * shape.filters().panels() * panel_words::<E>(shape)
}

/// Transforms weights, panel by panel.
pub(super) fn transform<E: Real>(context: &Context<'_>, shape: &Shape, w: &[f32], u: &mut [u32]) {
    let filters = shape.filters();
    for_each_chunk(context.threads, u, panel_words::<E>(shape), |panel, u| match shape.r {
        3 => transform_weights::<E, 3>(context, filters, w, panel, u),
        _ => transform_weights::<E, 5>(context, filters, w, panel, u),
    });
}

/// Blocks below which there are too few for all threads; then the panels are shared among them instead.
const FEW: usize = 8;

fn convolve_with<E: Real, const M: usize>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    u: &[u32],
    finish: &Finish<'_>,
    y_map: Map,
    y: &mut [f32],
) {
    let filters = shape.filters();
    let (panels, c) = (filters.panels(), filters.c);
    if y_map.border != Default::default() {
        let y = &mut y[..y_map.len()];
        for_each_chunk(context.threads, y, y_map.image_stride(), |_, image| y_map.clear_border(image));
    }
    let tiles = Tiles::new(shape, M);
    let all = shape.x.n * tiles.down * tiles.along;
    let rows = max_rows::<E>(context.isa);
    // Whole tiles of rows, so that no product has a short one but the last.
    let together = (BLOCK / (PRODUCTS * c * size_of::<E>()) / rows).max(1) * rows;
    let blocks = all.div_ceil(together);
    let y = Parts::new(y);
    // Products and outputs of a panel for `count` tiles from `first` on, whose transformed inputs are in `v`.
    let panel_of = |panel: usize, (first, count): (usize, usize), v: &[E], m: &mut [f32]| {
        multiply(context, c, count, v, &u[panel * panel_words::<E>(shape)..], m);
        let within = panel % panels * PANEL;
        let channels = (panel / panels * filters.group_outputs() + within, (filters.group_outputs() - within).min(PANEL));
        for tile in 0..count {
            transform_output::<M>(context, finish, &m[tile * PANEL..], count, tiles.place(first + tile), channels, y_map, &y);
        }
    };
    if blocks < FEW {
        with_scratch(PRODUCTS * all * shape.x.c, |v: &mut [E]| {
            let parts = Parts::new(v);
            context.threads.run(all * shape.groups, &|task| {
                let (tile, group) = (task / shape.groups, task % shape.groups);
                let start = parts.pointer((group * PRODUCTS * all + tile) * c, (PRODUCTS - 1) * all * c + c);
                let pixels = pixels(shape, x, group * c, Some(tiles.place(tile)));
                // SAFETY: this tile's lines, C values for each product, belong to this task alone.
                unsafe { transform_input(context, c, &pixels, Lines { start, step: all * c }) };
            });
            let v = &*v;
            context.threads.run(shape.groups * panels, &|panel| {
                let v = &v[panel / panels * PRODUCTS * all * c..];
                with_scratch(PRODUCTS * all * PANEL, |m| panel_of(panel, (0, all), v, m));
            });
        });
        return;
    }
    context.threads.run(blocks * shape.groups, &|task| {
        let (block, group) = (task / shape.groups, task % shape.groups);
        let first = block * together;
        let count = together.min(all - first);
        with_scratch(PRODUCTS * count * c, |v: &mut [E]| {
            for tile in 0..count {
                let to = Lines { start: v[tile * c..].as_mut_ptr(), step: count * c };
                let pixels = pixels(shape, x, group * c, Some(tiles.place(first + tile)));
                // SAFETY: value i of the tile has its C values in `v` at (i count + tile) C.
                unsafe { transform_input(context, c, &pixels, to) };
            }
            with_scratch(PRODUCTS * count * PANEL, |m| {
                for panel in group * panels..(group + 1) * panels {
                    panel_of(panel, (first, count), v, m);
                }
            });
        });
    });
}

/// The 36 products of a panel: m[i][tile][32] = v[i][tile][C] x u[i][C][32].
fn multiply<E: Real>(context: &Context<'_>, c: usize, count: usize, v: &[E], u: &[u32], m: &mut [f32]) {
    let words = c / E::WORD;
    for product in 0..PRODUCTS {
        let b = &u[product * words * PANEL..][..words * PANEL];
        for (tile, rows) in cut(count, max_rows::<E>(context.isa)) {
            let a = &v[(product * count + tile) * c..];
            let (counts, steps, start) = ([1, 1, words], [0, 0, E::WORD], Start::Zero);
            let (row, floor, y_row, lanes) = (c, f32::NEG_INFINITY, PANEL, PANEL);
            let to = &mut m[(product * count + tile) * PANEL..][..rows * PANEL];
            let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
            // SAFETY: `to` has these rows and lanes.
            unsafe { tile.run(context.isa, rows, to.as_mut_ptr()) };
        }
    }
}

/// G g G^T of a panel: [36][words of C][32].
fn transform_weights<E: Real, const R: usize>(context: &Context<'_>, filters: Filters, w: &[f32], panel: usize, u: &mut [u32]) {
    let c = filters.c;
    let w = &w[panel * filters.depth() * PANEL..][..filters.depth() * PANEL];
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; R]; SIX];
            let mut values = [[[0.0; LANES]; PRODUCTS]; MOST_WORD];
            for word in 0..c / E::WORD {
                for half in (0..PANEL).step_by(LANES) {
                    for (within, values) in values.iter_mut().enumerate().take(E::WORD) {
                        let channel = word * E::WORD + within;
                        for s in 0..R {
                            let mut g = [[0.0; LANES]; R];
                            for (r, g) in g.iter_mut().enumerate() {
                                *g = lanes(w, ((r * R + s) * c + channel) * PANEL + half);
                            }
                            let column = transform::filter::<R>(g);
                            for i in 0..SIX {
                                columns[i][s] = column[i];
                            }
                        }
                        for (i, column) in columns.iter().enumerate() {
                            let row = transform::filter::<R>(*column);
                            values[i * SIX..][..SIX].copy_from_slice(&row);
                        }
                    }
                    for product in 0..PRODUCTS {
                        let to = &mut u[(product * c / E::WORD + word) * PANEL + half..][..LANES];
                        for (lane, to) in to.iter_mut().enumerate() {
                            *to = E::word(|i| values[i][product][lane]);
                        }
                    }
                }
            }
        },
    );
}

/// The most values in a word.
const MOST_WORD: usize = 2;

/// Where the 36 values of a tile go: value i begins `i step` behind the first.
///
/// A pointer, because the values of different tiles, which different tasks write, interleave. A closure that stores through
/// checked slices was tried: conv2's weight gradient took twice the time.
#[derive(Clone, Copy)]
struct Lines<T> {
    start: *mut T,
    step: usize,
}

impl<T> Lines<T> {
    /// Writes 16 lanes of value `product` from `at` on.
    ///
    /// # Safety
    /// These values can be written, and nobody else touches them meanwhile.
    #[inline(always)]
    unsafe fn store(self, product: usize, at: usize, lanes: [T; LANES]) {
        // SAFETY: the caller's promise.
        unsafe { self.start.add(product * self.step + at).cast::<[T; LANES]>().write_unaligned(lanes) };
    }
}

/// The pixels of a tile, C channels each.
type Pixels<'a> = [[&'a [f32]; SIX]; SIX];

/// The input pixels of a tile, with its group's channels from `channel` on. What lies beyond the map and its border is zero: it
/// belongs to outputs beyond the last. A tile beyond the last is zero altogether.
fn pixels<'a>(shape: &Shape, x: &'a [f32], channel: usize, place: Option<(usize, usize, usize)>) -> Pixels<'a> {
    let (map, c) = (shape.x, shape.x.c / shape.groups);
    let Some((image, p, q)) = place else { return [[&NOTHING[..c]; SIX]; SIX] };
    let (height, width) = (map.border.top + map.h + map.border.bottom, map.border.left + map.w + map.border.right);
    let (top, left) = (map.border.top - shape.pad.top + p, map.border.left - shape.pad.left + q);
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (top + i < height, left + j < width) {
            (true, true) => &x[image * map.image_stride() + (top + i) * map.row_stride() + (left + j) * map.c + channel..][..c],
            _ => &NOTHING[..c],
        })
    })
}

/// B^T d B of a tile's channels `at` to `at + 16`, row by row. `columns` is room.
#[inline(always)]
fn input_rows(pixels: &Pixels<'_>, at: usize, columns: &mut [[Lanes; SIX]; SIX], mut row: impl FnMut(usize, &[Lanes; SIX])) {
    for j in 0..SIX {
        let mut d = [[0.0; LANES]; SIX];
        for (i, d) in d.iter_mut().enumerate() {
            *d = lanes(pixels[i][j], at);
        }
        let column = transform::input(d);
        for i in 0..SIX {
            columns[i][j] = column[i];
        }
    }
    for (i, column) in columns.iter().enumerate() {
        row(i, &transform::input(*column));
    }
}

/// B^T d B of a tile, [36][C].
///
/// # Safety
/// `to` takes C values for each of 36.
unsafe fn transform_input<E: Real>(context: &Context<'_>, c: usize, pixels: &Pixels<'_>, to: Lines<E>) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; SIX]; SIX];
            for at in (0..c).step_by(LANES) {
                input_rows(pixels, at, &mut columns, |i, row| {
                    for (j, value) in row.iter().enumerate() {
                        // SAFETY: `at + 16` is at most C: the caller's promise.
                        unsafe { to.store(i * SIX + j, at, value.map(E::new)) };
                    }
                });
            }
        },
    );
}

/// A^T m A of a tile's panel, with bias, floor and mask, to the pixels of y that there are. Value i is at `m[i count 32 ..]`.
#[allow(clippy::too_many_arguments)]
fn transform_output<const M: usize>(
    context: &Context<'_>,
    finish: &Finish<'_>,
    m: &[f32],
    count: usize,
    (image, p, q): (usize, usize, usize),
    (k, channels): (usize, usize),
    y_map: Map,
    y: &Parts<'_, f32>,
) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; SIX]; M];
            for half in (0..channels).step_by(LANES) {
                let some = LANES.min(channels - half);
                for j in 0..SIX {
                    let mut products = [[0.0; LANES]; SIX];
                    for (i, product) in products.iter_mut().enumerate() {
                        *product = lanes(m, (i * SIX + j) * count * PANEL + half);
                    }
                    let column = transform::output::<M>(products);
                    for i in 0..M {
                        columns[i][j] = column[i];
                    }
                }
                let mut bias = [0.0; LANES];
                if let Some(all) = finish.bias {
                    bias[..some].copy_from_slice(&all[k + half..k + half + some]);
                }
                for i in 0..M.min(y_map.h - p) {
                    let row = transform::output::<M>(columns[i]);
                    for (j, mut value) in row.into_iter().enumerate().take(y_map.w - q) {
                        for (value, bias) in value.iter_mut().zip(bias) {
                            *value += bias;
                            *value = if *value < finish.floor { finish.floor } else { *value };
                        }
                        if let Some((map, mask)) = finish.mask {
                            let mask = &mask[map.at(image, p + i, q + j) + k + half..];
                            for (value, &mask) in value.iter_mut().zip(mask) {
                                *value = if mask > 0.0 { *value } else { 0.0 };
                            }
                        }
                        let at = y_map.at(image, p + i, q + j) + k + half;
                        // SAFETY: this tile's pixels of these channels belong to this task alone.
                        unsafe { y.slice(at, some) }.copy_from_slice(&value[..some]);
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn lanes(from: &[f32], at: usize) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes.copy_from_slice(&from[at..at + LANES]);
    lanes
}
