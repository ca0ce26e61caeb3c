//! Winograd weight gradient: the transposes of the forward pass's transforms.
//!
//! ```text
//! dg = G^T [ sum over tiles of (B^T d B) . (A dY A^T) ] G
//! ```
//!
//! This again needs P P matrix products, [C, tiles] x [tiles, 32]. Some images at a time are transformed, both input and
//! gradient, so that the products find them in the L3 cache.

use std::marker::PhantomData;

use super::Tiles;
use super::filters::{MOST_WORD, WeightsBack};
use super::maps::{Lines, Pixels, input, with_pixels};
use super::transform;
use crate::buffer::{LINE, cast, with_scratch};
use crate::context::Context;
use crate::conv::Shape;
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::feature_map::FeatureMap;
use crate::gemm::{Float, Start, Tile, cut, max_rows};
use crate::isa::dispatch;
use crate::simd::{LANES, Vector, Vectorized, prefetch};
use crate::weight_layout::PANEL;

/// Minimum and maximum bytes of transformed maps at a time. The minimum keeps transforms and products in the L3 cache (conv2 on
/// Cascade Lake: 410 GFLOP/s with 3 or 6 MiB, 360 with 12). In between, as many as the sums have (14 MB in conv4), which are read
/// and written once per chunk.
const TOGETHER: [usize; 2] = [6 << 20, 12 << 20];
/// Words of tiles summed before the next ones: 16 KiB of a panel.
const WORDS: usize = 128;

/// dw of a stride-1 convolution, packed. Equals the direct gradient up to rounding.
pub(in crate::conv) fn backward_weights<E: Float>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy_map: FeatureMap,
    dy: &[f32],
    dw: &mut [f32],
) {
    let tiles = Tiles::of::<E>(shape);
    let with = match (tiles.points, shape.r) {
        (6, 3) => backward_weights_with::<E, 6, 4, 3>,
        (6, _) => backward_weights_with::<E, 6, 2, 5>,
        _ => backward_weights_with::<E, 8, 4, 5>,
    };
    with(context, &tiles, x, dy_map, dy, dw);
}

fn backward_weights_with<E: Float, const P: usize, const M: usize, const R: usize>(
    context: &Context<'_>,
    tiles: &Tiles,
    x: &[f32],
    dy_map: FeatureMap,
    dy: &[f32],
    dw: &mut [f32],
) {
    let shape = &tiles.shape;
    let filters = shape.filters();
    let (panels, outputs, c) = (filters.panels(), filters.group_outputs(), filters.c);
    let (all_panels, c_panels) = (shape.groups * panels, c.div_ceil(PANEL));
    let element = PhantomData::<E>;
    let per_image = tiles.down * tiles.along;
    let all_c_panels = shape.groups * c_panels;
    let image = P * P * per_image * (all_c_panels + all_panels) * PANEL * size_of::<E>();
    let u_len = P * P * c * PANEL;
    let sums = all_panels * u_len * size_of::<f32>();
    let images = (sums.clamp(TOGETHER[0], TOGETHER[1]) / image).clamp(1, shape.x.n);
    // The sum is over tiles, so a word contains neighbouring tiles.
    let most = (images * per_image).div_ceil(E::WORD);
    // One more cache line, since otherwise the P P lines written by a tile would map to the same cache sets.
    let line = most * PANEL + LINE;
    with_scratch(all_panels * u_len, |u: &mut [f32]| {
        with_scratch((all_c_panels + all_panels) * P * P * line, |room: &mut [u32]| {
            let (v, d) = room.split_at_mut(all_c_panels * P * P * line);
            for first in (0..shape.x.n).step_by(images) {
                let count = images.min(shape.x.n - first) * per_image;
                let words = count.div_ceil(E::WORD);
                // v: [P P][panel of inputs][word of tiles][32], d: [P P][panel of outputs][word of tiles][32]
                let (v_parts, d_parts) = (DisjointSlices::new(v), DisjointSlices::new(d));
                context.threads.run(words, &|word| {
                    // The word's tiles; none beyond the last, or beyond the capacity of a word.
                    let tile = |i: usize| {
                        let tile = word * E::WORD + i;
                        (i < E::WORD && tile < count).then_some(first * per_image + tile)
                    };
                    for group in 0..shape.groups {
                        with_pixels::<P>(tiles, x, group * c, tile(0), |zeroth| {
                            with_pixels::<P>(tiles, x, group * c, tile(1), |first| {
                                for panel in 0..c_panels {
                                    let channels = (panel * PANEL, (c - panel * PANEL).min(PANEL));
                                    let step = all_c_panels * line;
                                    let at = (group * c_panels + panel) * line + word * PANEL;
                                    let start = v_parts.pointer(at, (P * P - 1) * step + PANEL);
                                    let (to, pixels) = (Lines { start, step }, [zeroth, first]);
                                    // SAFETY: this word's lines, a panel for each product, belong to this task alone.
                                    unsafe { dispatch(context.isa, InputsTransform::<E, P> { channels, pixels, to, element }) };
                                }
                            });
                        });
                    }
                    let places = [0, 1].map(|i| tile(i).map(|tile| tiles.place(tile)));
                    for panel in 0..all_panels {
                        let within = panel % panels * PANEL;
                        let k = panel / panels * outputs + within;
                        let channels = (k, (outputs - within).min(PANEL));
                        let step = all_panels * line;
                        let start = d_parts.pointer(panel * line + word * PANEL, (P * P - 1) * step + PANEL);
                        let to = Lines { start, step };
                        // SAFETY: as above.
                        unsafe {
                            dispatch(context.isa, GradientsTransform::<E, P, M> { dy_map, dy, places, channels, to, element });
                        }
                    }
                });
                let terms = Terms { words, line, first: first == 0, groups: shape.groups, c, panels };
                multiply::<E, P>(context, &terms, cast(v), d, u);
            }
        });
        let u = &*u;
        for_each_chunk(context.threads, dw, filters.depth() * PANEL, |panel, dw| {
            // SAFETY: nothing is asked for.
            unsafe { dispatch(context.isa, WeightsBack::<P, R> { c, u: &u[panel * u_len..][..u_len], dw }) };
        });
    });
}

/// Partial sums over some images' tiles.
struct Terms {
    /// Number of words of tiles.
    words: usize,
    /// Words between panels of inputs or outputs.
    line: usize,
    /// Whether these are the first images' tiles.
    first: bool,
    groups: usize,
    /// Input channels of a group.
    c: usize,
    /// Panels of outputs of a group.
    panels: usize,
}

/// u[panel of outputs][P P][C][32] += v[P P][panel of inputs][tiles][32]^T x d[P P][panel of outputs][tiles][32].
///
/// A task computes one product: its accumulator, 393 KB in conv4, and the tiles that it reads repeatedly stay in an L2 cache.
fn multiply<E: Float, const P: usize>(context: &Context<'_>, terms: &Terms, v: &[E], d: &[u32], u: &mut [f32]) {
    let Terms { words, line, first, groups, c, panels } = *terms;
    let (c_panels, all_panels) = (c.div_ceil(PANEL), groups * panels);
    let u = DisjointSlices::new(u);
    context.threads.run(P * P, &|product| {
        for word in (0..words).step_by(WORDS) {
            let count = WORDS.min(words - word);
            let start = if first && word == 0 { Start::Zero } else { Start::Y };
            for (panel, c_panel) in (0..all_panels).flat_map(|panel| (0..c_panels).map(move |c_panel| (panel, c_panel))) {
                let at = ((product * groups + panel / panels) * c_panels + c_panel) * line + word * PANEL;
                let b = &d[(product * all_panels + panel) * line + word * PANEL..][..count * PANEL];
                for (channel, rows) in cut((c - c_panel * PANEL).min(PANEL), max_rows::<E>(context.isa)) {
                    let a = &v[(at + channel) * E::WORD..];
                    let (counts, steps, floor) = ([1, 1, count], [0, 0, PANEL * E::WORD], f32::NEG_INFINITY);
                    let (row, y_row, lanes) = (E::WORD, PANEL, PANEL);
                    let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
                    let sum = ((panel * P * P + product) * c + c_panel * PANEL + channel) * PANEL;
                    let to = u.pointer(sum, rows * PANEL);
                    // The next sums.
                    prefetch(to.wrapping_add(rows * PANEL), rows * PANEL);
                    // SAFETY: this product belongs to this task alone.
                    unsafe { tile.run(context.isa, rows, to) };
                }
            }
        }
    });
}

/// B^T d B of a panel's channels of the tiles of a word.
///
/// Requires that `to` holds as many words as there are channels for each of P P, and that pixels have them.
struct InputsTransform<'a, E, const P: usize> {
    /// First channel, and number of channels up to 32: a multiple of any register's width.
    channels: (usize, usize),
    pixels: [&'a Pixels<'a, P>; MOST_WORD],
    to: Lines<u32>,
    element: PhantomData<E>,
}

impl<E: Float, const P: usize> Vectorized for InputsTransform<'_, E, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (c, channels) = self.channels;
        // SAFETY: what it asks for.
        unsafe {
            let mut first = [[V::splat(0.0); P]; P];
            for at in (0..channels).step_by(V::WIDTH) {
                if E::WORD == 2 {
                    input::<V, P>(
                        self.pixels[0],
                        c + at,
                        #[inline(always)]
                        |i, j, value| first[i][j] = value,
                    );
                }
                input::<V, P>(
                    self.pixels[E::WORD - 1],
                    c + at,
                    #[inline(always)]
                    |i, j, value| {
                        E::words(first[i][j], value).store(self.to.start.add((i * P + j) * self.to.step + at).cast());
                    },
                );
            }
        }
    }
}

/// A dY A^T of the tiles of a word. Missing pixels, channels and tiles are zero.
///
/// Requires that `to` holds 32 words for each of P P.
struct GradientsTransform<'a, E, const P: usize, const M: usize> {
    dy_map: FeatureMap,
    dy: &'a [f32],
    places: [Option<(usize, usize, usize)>; MOST_WORD],
    /// First channel, and number of channels up to 32.
    channels: (usize, usize),
    to: Lines<u32>,
    element: PhantomData<E>,
}

impl<E: Float, const P: usize, const M: usize> Vectorized for GradientsTransform<'_, E, P, M> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (k, channels) = self.channels;
        // SAFETY: lanes end with the panel.
        unsafe {
            let mut first = [[V::splat(0.0); P]; P];
            for lane in (0..PANEL).step_by(V::WIDTH) {
                let channels = (k + lane, channels.saturating_sub(lane).min(V::WIDTH));
                if E::WORD == 2 {
                    gradient::<V, P, M>(
                        self.dy_map,
                        self.dy,
                        self.places[0],
                        channels,
                        #[inline(always)]
                        |i, j, value| first[i][j] = value,
                    );
                }
                gradient::<V, P, M>(
                    self.dy_map,
                    self.dy,
                    self.places[E::WORD - 1],
                    channels,
                    #[inline(always)]
                    |i, j, value| {
                        E::words(first[i][j], value).store(self.to.start.add((i * P + j) * self.to.step + lane).cast());
                    },
                );
            }
        }
    }
}

/// A dY A^T of a register's channels of a tile.
///
/// # Safety
/// Those of [`Vector`].
#[inline(always)]
unsafe fn gradient<V: Vector, const P: usize, const M: usize>(
    map: FeatureMap,
    dy: &[f32],
    place: Option<(usize, usize, usize)>,
    (k, channels): (usize, usize),
    mut put: impl FnMut(usize, usize, V),
) {
    let (image, p, q) = place.unwrap_or((0, map.h, map.w));
    // SAFETY: the caller's promise; whole registers are read from slices as long.
    unsafe {
        let mut columns = [[V::splat(0.0); M]; P];
        for j in 0..M {
            let mut y = [V::splat(0.0); M];
            for i in 0..M {
                if channels > 0 && p + i < map.h && q + j < map.w {
                    let dy = &dy[map.at(image, p + i, q + j) + k..][..channels];
                    if channels == V::WIDTH {
                        y[i] = V::load(dy.as_ptr());
                    } else {
                        let mut some = [0.0; LANES];
                        some[..channels].copy_from_slice(dy);
                        y[i] = V::load(some.as_ptr());
                    }
                }
            }
            transform::output_gradient::<V, P, M>(
                #[inline(always)]
                |i| y[i],
                #[inline(always)]
                |i, value| columns[i][j] = value,
            );
        }
        for i in 0..P {
            transform::output_gradient::<V, P, M>(
                #[inline(always)]
                |j| columns[i][j],
                #[inline(always)]
                |j, value| put(i, j, value),
            );
        }
    }
}
