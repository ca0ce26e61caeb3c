//! The gradient of the weights: the transposes of the forward pass's transforms.
//!
//! ```text
//! dg = G^T [ sum over tiles of (B^T d B) . (A dY A^T) ] G
//! ```
//!
//! Again 36 matrix products, [C, tiles] x [tiles, 32]. Some pictures at a time are transformed, both input and gradient, so that
//! the products find them in the third-level cache.

use super::transform::{self, LANES, Lanes, PRODUCTS, SIX};
use super::{Lines, MOST_WORD, Pixels, Tiles, input_rows, lanes, pixels, tile_size};
use crate::buffer::{cast, with_scratch};
use crate::context::Context;
use crate::conv::Shape;
use crate::map::Map;
use crate::pack::PANEL;
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
                    let places: [_; MOST_WORD] = std::array::from_fn(|i| {
                        let tile = word * E::WORD + i;
                        (i < E::WORD && tile < count).then(|| tiles.place(first * per_picture + tile))
                    });
                    for group in 0..shape.groups {
                        let start = v_parts.pointer(group * v_len + word * c, (PRODUCTS - 1) * words * c + c);
                        let pixels = places.map(|place| pixels(shape, x, group * c, place));
                        // SAFETY: this word's lines, C for each product, belong to this task alone.
                        unsafe { transform_inputs::<E>(context, c, &pixels, Lines { start, step: words * c }) };
                    }
                    for panel in 0..all_panels {
                        let within = panel % panels * PANEL;
                        let k = panel / panels * outputs + within;
                        let channels = (k, (outputs - within).min(PANEL));
                        let start = d_parts.pointer(panel * d_len + word * PANEL, (PRODUCTS - 1) * words * PANEL + PANEL);
                        let to = Lines { start, step: words * PANEL };
                        // SAFETY: as above, with a panel's words for each product.
                        unsafe { transform_gradients::<E, M>(context, dy_map, dy, places, channels, to) };
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
            transform_back::<R>(context, c, &u[panel * u_len..][..u_len], dw);
        });
    });
}

/// B^T d B of the tiles of a word, [36][C] words.
///
/// # Safety
/// `to` takes C words for each of 36.
unsafe fn transform_inputs<E: Real>(context: &Context<'_>, c: usize, pixels: &[Pixels<'_>; MOST_WORD], to: Lines<u32>) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; SIX]; SIX];
            let mut first = [[[0.0; LANES]; SIX]; SIX];
            for at in (0..c).step_by(LANES) {
                if E::WORD == 2 {
                    input_rows(&pixels[0], at, &mut columns, |i, row| first[i] = *row);
                }
                input_rows(&pixels[E::WORD - 1], at, &mut columns, |i, row| {
                    for (j, value) in row.iter().enumerate() {
                        // SAFETY: `at + 16` is at most C: the caller's promise.
                        unsafe { to.store(i * SIX + j, at, words_of::<E>(&first[i][j], value)) };
                    }
                });
            }
        },
    );
}

/// The words of the last value, and where there are two in a word the first one before it.
#[inline(always)]
fn words_of<E: Real>(first: &Lanes, last: &Lanes) -> [u32; LANES] {
    std::array::from_fn(|lane| E::word(|i| if i + 1 == E::WORD { last[lane] } else { first[lane] }))
}

/// A dY A^T of the tiles of a word, channels k .. . Pixels, channels and tiles that there are not are zero.
///
/// # Safety
/// `to` takes 32 words for each of 36.
unsafe fn transform_gradients<E: Real, const M: usize>(
    context: &Context<'_>,
    map: Map,
    dy: &[f32],
    places: [Option<(usize, usize, usize)>; MOST_WORD],
    (k, channels): (usize, usize),
    to: Lines<u32>,
) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut first = [[[0.0; LANES]; SIX]; SIX];
            for half in (0..PANEL).step_by(LANES) {
                let channels = (k + half, channels.saturating_sub(half).min(LANES));
                if E::WORD == 2 {
                    gradient_rows::<M>(map, dy, places[0], channels, |i, row| first[i] = *row);
                }
                gradient_rows::<M>(map, dy, places[E::WORD - 1], channels, |i, row| {
                    for (j, value) in row.iter().enumerate() {
                        // SAFETY: `half + 16` is at most 32: the caller's promise.
                        unsafe { to.store(i * SIX + j, half, words_of::<E>(&first[i][j], value)) };
                    }
                });
            }
        },
    );
}

/// A dY A^T of some channels of a tile, row by row.
#[inline(always)]
fn gradient_rows<const M: usize>(
    map: Map,
    dy: &[f32],
    place: Option<(usize, usize, usize)>,
    (k, channels): (usize, usize),
    mut row: impl FnMut(usize, &[Lanes; SIX]),
) {
    let (image, p, q) = place.unwrap_or((0, map.h, map.w));
    let mut columns = [[[0.0; LANES]; M]; SIX];
    for j in 0..M {
        let mut y = [[0.0; LANES]; M];
        for (i, y) in y.iter_mut().enumerate() {
            if p + i < map.h && q + j < map.w {
                let at = map.at(image, p + i, q + j) + k;
                if channels == LANES {
                    *y = lanes(dy, at);
                } else {
                    y[..channels].copy_from_slice(&dy[at..at + channels]);
                }
            }
        }
        let column = transform::output_gradient::<M>(y);
        for i in 0..SIX {
            columns[i][j] = column[i];
        }
    }
    for (i, column) in columns.iter().enumerate() {
        row(i, &transform::output_gradient::<M>(*column));
    }
}

/// G^T u G of a panel, from [36][C][32] to [R][S][C][32].
fn transform_back<const R: usize>(context: &Context<'_>, c: usize, u: &[f32], dw: &mut [f32]) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; SIX]; R];
            for channel in 0..c {
                for half in (0..PANEL).step_by(LANES) {
                    for j in 0..SIX {
                        let mut products = [[0.0; LANES]; SIX];
                        for (i, product) in products.iter_mut().enumerate() {
                            *product = lanes(u, ((i * SIX + j) * c + channel) * PANEL + half);
                        }
                        let column = transform::filter_gradient::<R>(products);
                        for r in 0..R {
                            columns[r][j] = column[r];
                        }
                    }
                    for (r, column) in columns.iter().enumerate() {
                        let row = transform::filter_gradient::<R>(*column);
                        for (s, value) in row.iter().enumerate() {
                            dw[((r * R + s) * c + channel) * PANEL + half..][..LANES].copy_from_slice(value);
                        }
                    }
                }
            }
        },
    );
}
