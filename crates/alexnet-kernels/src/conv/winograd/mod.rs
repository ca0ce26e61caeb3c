//! Winograd convolution: F(4 x 4, 3 x 3) with 2.25 multiplications for an output and channel instead of 9, F(2 x 2, 5 x 5) with 9
//! instead of 25.
//!
//! A block of tiles is transformed, multiplied and transformed back while it is in the second-level cache: of what lies between
//! nothing is written to memory. The products are 36 matrix products [tiles, C] x [C, 32], one for each value of a tile.

#![allow(clippy::needless_range_loop)] // rows and columns of small matrices read best by their numbers

mod transform;
mod weights;

pub(super) use weights::backward_weights;

use std::marker::PhantomData;

use self::transform::{LANES, PRODUCTS, SIX};
use super::Shape;
use super::direct::Finish;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::map::Map;
use crate::pack::PANEL;
use crate::simd::{Vector, Vectorized, dispatch};
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
    let (c, panel_len, element) = (filters.c, filters.depth() * PANEL, PhantomData::<E>);
    for_each_chunk(context.threads, u, panel_words::<E>(shape), |panel, u| {
        let w = &w[panel * panel_len..(panel + 1) * panel_len];
        match shape.r {
            // SAFETY: nothing is asked for.
            3 => unsafe { dispatch(context.isa, WeightsTransform::<E, 3> { c, w, u, element }) },
            // SAFETY: as above.
            _ => unsafe { dispatch(context.isa, WeightsTransform::<E, 5> { c, w, u, element }) },
        }
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
            let place = tiles.place(first + tile);
            let work = OutputTransform::<M> { finish, m: &m[tile * PANEL..], count, place, channels, y_map, y: &y };
            // SAFETY: this tile's pixels of these channels belong to this task alone.
            unsafe { dispatch(context.isa, work) };
        }
    };
    if blocks < FEW {
        with_scratch(PRODUCTS * all * shape.x.c, |v: &mut [E]| {
            let parts = Parts::new(v);
            context.threads.run(all * shape.groups, &|task| {
                let (tile, group) = (task / shape.groups, task % shape.groups);
                let start = parts.pointer((group * PRODUCTS * all + tile) * c, (PRODUCTS - 1) * all * c + c);
                let mut pixels = no_pixels(c);
                find_pixels(shape, x, group * c, Some(tiles.place(tile)), &mut pixels);
                // SAFETY: this tile's lines, C values for each product, belong to this task alone.
                unsafe { dispatch(context.isa, InputTransform { c, pixels: &pixels, to: Lines { start, step: all * c } }) };
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
            let mut pixels = no_pixels(c);
            for tile in 0..count {
                let to = Lines { start: v[tile * c..].as_mut_ptr(), step: count * c };
                find_pixels(shape, x, group * c, Some(tiles.place(first + tile)), &mut pixels);
                // SAFETY: value i of the tile has its C values in `v` at (i count + tile) C.
                unsafe { dispatch(context.isa, InputTransform { c, pixels: &pixels, to }) };
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

/// The most values in a word.
const MOST_WORD: usize = 2;

/// G g G^T of a panel, from [R][S][C][32] to [36][words of C][32].
struct WeightsTransform<'a, E, const R: usize> {
    c: usize,
    w: &'a [f32],
    u: &'a mut [u32],
    element: PhantomData<E>,
}

impl<E: Real, const R: usize> Vectorized for WeightsTransform<'_, E, R> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (c, w, u) = (self.c, self.w.as_ptr(), self.u.as_mut_ptr());
        assert!(self.w.len() >= R * R * c * PANEL && self.u.len() * E::WORD >= PRODUCTS * c * PANEL);
        // SAFETY: within the lengths just checked.
        unsafe {
            let mut values = [[V::splat(0.0); PRODUCTS]; MOST_WORD];
            for word in 0..c / E::WORD {
                for lane in (0..PANEL).step_by(V::WIDTH) {
                    for (within, values) in values.iter_mut().enumerate().take(E::WORD) {
                        let channel = word * E::WORD + within;
                        let mut columns = [[V::splat(0.0); R]; SIX];
                        for s in 0..R {
                            let g = |r| V::load(w.add(((r * R + s) * c + channel) * PANEL + lane));
                            transform::filter::<V, R>(
                                g,
                                #[inline(always)]
                                |i, value| columns[i][s] = value,
                            );
                        }
                        for i in 0..SIX {
                            transform::filter::<V, R>(
                                #[inline(always)]
                                |s| columns[i][s],
                                #[inline(always)]
                                |j, value| values[i * SIX + j] = value,
                            );
                        }
                    }
                    for product in 0..PRODUCTS {
                        let words = E::words(values[0][product], values[E::WORD - 1][product]);
                        words.store(u.add((product * c / E::WORD + word) * PANEL + lane).cast());
                    }
                }
            }
        }
    }
}

/// Where the 36 values of a tile go: value i begins `i step` behind the first.
///
/// A pointer, because the values of different tiles, which different tasks write, interleave.
#[derive(Clone, Copy)]
struct Lines<T> {
    start: *mut T,
    step: usize,
}

/// The pixels of a tile, C channels each.
type Pixels<'a> = [[&'a [f32]; SIX]; SIX];

/// Finds the input pixels of a tile, with its group's channels from `channel` on. What lies beyond the map and its border is zero:
/// it belongs to outputs beyond the last. A tile beyond the last is zero altogether.
fn find_pixels<'a>(shape: &Shape, x: &'a [f32], channel: usize, place: Option<(usize, usize, usize)>, pixels: &mut Pixels<'a>) {
    let (map, c) = (shape.x, shape.x.c / shape.groups);
    let Some((image, p, q)) = place else {
        *pixels = no_pixels(c);
        return;
    };
    let (height, width) = (map.border.top + map.h + map.border.bottom, map.border.left + map.w + map.border.right);
    let (top, left) = (map.border.top - shape.pad.top + p, map.border.left - shape.pad.left + q);
    let x = &x[image * map.image_stride()..(image + 1) * map.image_stride()];
    for (i, row) in pixels.iter_mut().enumerate() {
        for (j, pixel) in row.iter_mut().enumerate() {
            *pixel = match (top + i < height, left + j < width) {
                (true, true) => &x[(top + i) * map.row_stride() + (left + j) * map.c + channel..][..c],
                _ => &NOTHING[..c],
            };
        }
    }
}

/// Pixels beyond the map.
fn no_pixels(c: usize) -> Pixels<'static> {
    [[&NOTHING[..c]; SIX]; SIX]
}

/// B^T d B of a register's channels from `at` on.
///
/// # Safety
/// Those of [`Vector`], and each pixel has the channels.
#[inline(always)]
unsafe fn input<V: Vector>(pixels: &Pixels<'_>, at: usize, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut columns = [[V::splat(0.0); SIX]; SIX];
        for j in 0..SIX {
            transform::input(
                #[inline(always)]
                |i| V::load(pixels[i][j].as_ptr().add(at)),
                #[inline(always)]
                |i, value| columns[i][j] = value,
            );
        }
        for i in 0..SIX {
            transform::input(
                #[inline(always)]
                |j| columns[i][j],
                #[inline(always)]
                |j, value| put(i * SIX + j, value),
            );
        }
    }
}

/// B^T d B of a tile, [36][C].
///
/// It asks that `to` takes C values for each of 36, and that pixels have C channels.
struct InputTransform<'a, E> {
    c: usize,
    pixels: &'a Pixels<'a>,
    to: Lines<E>,
}

impl<E: Real> Vectorized for InputTransform<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        for at in (0..self.c).step_by(V::WIDTH) {
            // SAFETY: C is a multiple of any register's width.
            unsafe {
                input::<V>(
                    self.pixels,
                    at,
                    #[inline(always)]
                    |product, value| {
                        E::store(value, self.to.start.add(product * self.to.step + at));
                    },
                );
            }
        }
    }
}

/// A^T m A of a tile's panel, with bias, floor and mask, to the pixels of y that there are. Value i is at `m[i count 32 ..]`.
///
/// It asks that this tile's pixels of these channels belong to nobody else.
struct OutputTransform<'a, const M: usize> {
    finish: &'a Finish<'a>,
    m: &'a [f32],
    count: usize,
    /// Picture and first pixel.
    place: (usize, usize, usize),
    /// First channel, and how many up to 32.
    channels: (usize, usize),
    y_map: Map,
    y: &'a Parts<'a, f32>,
}

impl<const M: usize> Vectorized for OutputTransform<'_, M> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let ((image, p, q), (k, channels), Finish { bias, floor, mask }) = (self.place, self.channels, *self.finish);
        assert!(self.m.len() >= (PRODUCTS - 1) * self.count * PANEL + PANEL);
        for lane in (0..channels).step_by(V::WIDTH) {
            let some = V::WIDTH.min(channels - lane);
            let mut biases = [0.0; LANES];
            if let Some(bias) = bias {
                biases[..some].copy_from_slice(&bias[k + lane..k + lane + some]);
            }
            // SAFETY: `m` is long enough by the assertion; y and the mask are cut to the lanes that are touched.
            unsafe {
                let (bias, floor) = (V::load(biases.as_ptr()), V::splat(floor));
                let mut columns = [[V::splat(0.0); SIX]; M];
                for j in 0..SIX {
                    let product = |i| V::load(self.m.as_ptr().add((i * SIX + j) * self.count * PANEL + lane));
                    transform::output::<V, M>(
                        product,
                        #[inline(always)]
                        |i, value| columns[i][j] = value,
                    );
                }
                for i in 0..M.min(self.y_map.h - p) {
                    let mut row = [bias; M];
                    transform::output::<V, M>(
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
