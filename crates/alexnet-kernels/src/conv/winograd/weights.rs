//! The gradient of the weights: the transposes of the forward pass's transforms.
//!
//! ```text
//! dg = G^T [ sum over tiles of (B^T d B) . (A dY A^T) ] G
//! ```
//!
//! Again 36 matrix products, [C, tiles] x [tiles, 32]. Some pictures at a time are transformed, both input and gradient, so that
//! the products find them in the third-level cache.

use std::marker::PhantomData;

use super::transform::{self, LANES, PRODUCTS, SIX};
use super::{Lines, MOST_WORD, Pixels, Tiles, find_pixels, input, no_pixels, tile_size};
use crate::buffer::{cast, with_scratch};
use crate::context::Context;
use crate::conv::Shape;
use crate::map::Map;
use crate::pack::PANEL;
use crate::simd::{Vector, Vectorized, dispatch};
use crate::threads::{Parts, for_each_chunk};
use crate::tile::{Real, Start, Tile, cut, max_rows};

/// Bytes of transformed maps at a time.
const TOGETHER: usize = 12 << 20;

/// dw, packed; the same as the direct gradient but for rounding.
pub(in crate::conv) fn backward_weights<E: Real>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy_map: Map,
    dy: &[f32],
    dw: &mut [f32],
) {
    match tile_size(shape) {
        Some(4) => backward_weights_with::<E, 4, 3>(context, shape, x, dy_map, dy, dw),
        Some(2) => backward_weights_with::<E, 2, 5>(context, shape, x, dy_map, dy, dw),
        _ => unreachable!("see `fits`"),
    }
}

fn backward_weights_with<E: Real, const M: usize, const R: usize>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy_map: Map,
    dy: &[f32],
    dw: &mut [f32],
) {
    let filters = shape.filters();
    let (panels, outputs, c) = (filters.panels(), filters.group_outputs(), filters.c);
    let all_panels = shape.groups * panels;
    let element = PhantomData::<E>;
    let tiles = Tiles::new(shape, M);
    let per_picture = tiles.down * tiles.along;
    let picture = PRODUCTS * per_picture * (shape.x.c + all_panels * PANEL) * size_of::<E>();
    let pictures = (TOGETHER / picture).clamp(1, shape.x.n);
    // The sum is over tiles, so a word takes neighbouring tiles.
    let most = (pictures * per_picture).div_ceil(E::WORD);
    let (v_len, d_len, u_len) = (PRODUCTS * most * c, PRODUCTS * most * PANEL, PRODUCTS * c * PANEL);
    with_scratch(all_panels * u_len, |u: &mut [f32]| {
        with_scratch(shape.groups * v_len + all_panels * d_len, |room: &mut [u32]| {
            let (v, d) = room.split_at_mut(shape.groups * v_len);
            for first in (0..shape.x.n).step_by(pictures) {
                let count = pictures.min(shape.x.n - first) * per_picture;
                let words = count.div_ceil(E::WORD);
                // v: [group][36][word of tiles][C / groups], d: [panel][36][word of tiles][32]
                let (v_parts, d_parts) = (Parts::new(v), Parts::new(d));
                context.threads.run(words, &|word| {
                    let places: [_; MOST_WORD] = std::array::from_fn(
                        #[inline(always)]
                        |i| {
                            let tile = word * E::WORD + i;
                            (i < E::WORD && tile < count).then(|| tiles.place(first * per_picture + tile))
                        },
                    );
                    let mut pixels = [no_pixels(c); MOST_WORD];
                    for group in 0..shape.groups {
                        let start = v_parts.pointer(group * v_len + word * c, (PRODUCTS - 1) * words * c + c);
                        for (&place, pixels) in places.iter().zip(&mut pixels).take(E::WORD) {
                            find_pixels(shape, x, group * c, place, pixels);
                        }
                        let to = Lines { start, step: words * c };
                        // SAFETY: this word's lines, C for each product, belong to this task alone.
                        unsafe { dispatch(context.isa, InputsTransform { c, pixels: &pixels, to, element }) };
                    }
                    for panel in 0..all_panels {
                        let within = panel % panels * PANEL;
                        let k = panel / panels * outputs + within;
                        let channels = (k, (outputs - within).min(PANEL));
                        let start = d_parts.pointer(panel * d_len + word * PANEL, (PRODUCTS - 1) * words * PANEL + PANEL);
                        let to = Lines { start, step: words * PANEL };
                        // SAFETY: as above, with a panel's words for each product.
                        unsafe {
                            dispatch(context.isa, GradientsTransform::<E, M> { dy_map, dy, places, channels, to, element });
                        }
                    }
                });
                let (v, d) = (cast::<u32, E>(v), &*d);
                let start = if first == 0 { Start::Zero } else { Start::Y };
                // A task takes six products of a panel.
                for_each_chunk(context.threads, u, SIX * c * PANEL, |task, u| {
                    let (panel, row) = (task / SIX, task % SIX);
                    for (product, u) in (row * SIX..).zip(u.chunks_exact_mut(c * PANEL)) {
                        for (channel, rows) in cut(c, max_rows::<E>(context.isa)) {
                            let a = &v[(panel / panels * v_len + product * words * c + channel) * E::WORD..];
                            let b = &d[panel * d_len + product * words * PANEL..];
                            let (counts, steps, floor) = ([1, 1, words], [0, 0, c * E::WORD], f32::NEG_INFINITY);
                            let (row, y_row, lanes) = (E::WORD, PANEL, PANEL);
                            let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
                            let to = &mut u[channel * PANEL..][..rows * PANEL];
                            // SAFETY: `to` has these rows and lanes.
                            unsafe { tile.run(context.isa, rows, to.as_mut_ptr()) };
                        }
                    }
                });
            }
        });
        let u = &*u;
        for_each_chunk(context.threads, dw, filters.depth() * PANEL, |panel, dw| {
            // SAFETY: nothing is asked for.
            unsafe { dispatch(context.isa, WeightsBack::<R> { c, u: &u[panel * u_len..][..u_len], dw }) };
        });
    });
}

/// B^T d B of the tiles of a word, [36][C] words.
///
/// It asks that `to` takes C words for each of 36, and that pixels have C channels.
struct InputsTransform<'a, E> {
    c: usize,
    pixels: &'a [Pixels<'a>; MOST_WORD],
    to: Lines<u32>,
    element: PhantomData<E>,
}

impl<E: Real> Vectorized for InputsTransform<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: C is a multiple of any register's width.
        unsafe {
            let mut first = [V::splat(0.0); PRODUCTS];
            for at in (0..self.c).step_by(V::WIDTH) {
                if E::WORD == 2 {
                    input::<V>(
                        &self.pixels[0],
                        at,
                        #[inline(always)]
                        |product, value| first[product] = value,
                    );
                }
                input::<V>(
                    &self.pixels[E::WORD - 1],
                    at,
                    #[inline(always)]
                    |product, value| {
                        E::words(first[product], value).store(self.to.start.add(product * self.to.step + at).cast());
                    },
                );
            }
        }
    }
}

/// A dY A^T of the tiles of a word. Pixels, channels and tiles that there are not are zero.
///
/// It asks that `to` takes 32 words for each of 36.
struct GradientsTransform<'a, E, const M: usize> {
    dy_map: Map,
    dy: &'a [f32],
    places: [Option<(usize, usize, usize)>; MOST_WORD],
    /// First channel, and how many up to 32.
    channels: (usize, usize),
    to: Lines<u32>,
    element: PhantomData<E>,
}

impl<E: Real, const M: usize> Vectorized for GradientsTransform<'_, E, M> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (k, channels) = self.channels;
        // SAFETY: lanes end with the panel.
        unsafe {
            let mut first = [V::splat(0.0); PRODUCTS];
            for lane in (0..PANEL).step_by(V::WIDTH) {
                let channels = (k + lane, channels.saturating_sub(lane).min(V::WIDTH));
                if E::WORD == 2 {
                    gradient::<V, M>(
                        self.dy_map,
                        self.dy,
                        self.places[0],
                        channels,
                        #[inline(always)]
                        |product, value| first[product] = value,
                    );
                }
                gradient::<V, M>(
                    self.dy_map,
                    self.dy,
                    self.places[E::WORD - 1],
                    channels,
                    #[inline(always)]
                    |product, value| {
                        E::words(first[product], value).store(self.to.start.add(product * self.to.step + lane).cast());
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
unsafe fn gradient<V: Vector, const M: usize>(
    map: Map,
    dy: &[f32],
    place: Option<(usize, usize, usize)>,
    (k, channels): (usize, usize),
    mut put: impl FnMut(usize, V),
) {
    let (image, p, q) = place.unwrap_or((0, map.h, map.w));
    // SAFETY: the caller's promise; whole registers are read from slices as long.
    unsafe {
        let mut columns = [[V::splat(0.0); M]; SIX];
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
            transform::output_gradient::<V, M>(
                #[inline(always)]
                |i| y[i],
                #[inline(always)]
                |i, value| columns[i][j] = value,
            );
        }
        for i in 0..SIX {
            transform::output_gradient::<V, M>(
                #[inline(always)]
                |j| columns[i][j],
                #[inline(always)]
                |j, value| put(i * SIX + j, value),
            );
        }
    }
}

/// G^T u G of a panel, from [36][C][32] to [R][S][C][32].
struct WeightsBack<'a, const R: usize> {
    c: usize,
    u: &'a [f32],
    dw: &'a mut [f32],
}

impl<const R: usize> Vectorized for WeightsBack<'_, R> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (c, u, dw) = (self.c, self.u.as_ptr(), self.dw.as_mut_ptr());
        assert!(self.u.len() >= PRODUCTS * c * PANEL && self.dw.len() >= R * R * c * PANEL);
        for at in (0..c * PANEL).step_by(V::WIDTH) {
            // SAFETY: within the lengths just checked.
            unsafe {
                let mut columns = [[V::splat(0.0); SIX]; R];
                for j in 0..SIX {
                    let product = |i| V::load(u.add((i * SIX + j) * c * PANEL + at));
                    transform::filter_gradient::<V, R>(
                        product,
                        #[inline(always)]
                        |r, value| columns[r][j] = value,
                    );
                }
                for r in 0..R {
                    let put = |s, value: V| value.store(dw.add((r * R + s) * c * PANEL + at));
                    transform::filter_gradient::<V, R>(
                        #[inline(always)]
                        |j| columns[r][j],
                        put,
                    );
                }
            }
        }
    }
}
