//! The gradient of the weights: the transposes of the forward pass's transforms.
//!
//! ```text
//! dg = G^T [ sum over tiles of (B^T d B) . (A dY A^T) ] G
//! ```
//!
//! Again 36 matrix products, [C, tiles] x [tiles, 32]. Some pictures at a time are transformed, both input and gradient, so that
//! the products find them in the third-level cache.

use super::transform::{self, LANES, PRODUCTS, SIX};
use super::{Lines, Tiles, lanes, tile_size, transform_input};
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::conv::Shape;
use crate::map::Map;
use crate::pack::PANEL;
use crate::threads::{Parts, for_each_chunk};
use crate::tile::{Start, Tile, ZEROS, cut, max_rows};

/// Bytes of transformed maps at a time.
const TOGETHER: usize = 12 << 20;

/// dw, packed; the same as the direct gradient but for rounding.
pub(in crate::conv) fn backward_weights(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy_map: Map,
    dy: &[f32],
    dw: &mut [f32],
) {
    match tile_size(shape) {
        Some(4) => backward_weights_with::<4, 3>(context, shape, x, dy_map, dy, dw),
        Some(2) => backward_weights_with::<2, 5>(context, shape, x, dy_map, dy, dw),
        _ => unreachable!("see `fits`"),
    }
}

fn backward_weights_with<const M: usize, const R: usize>(
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
    let picture = PRODUCTS * per_picture * (shape.x.c + all_panels * PANEL) * size_of::<f32>();
    let pictures = (TOGETHER / picture).clamp(1, shape.x.n);
    let most = pictures * per_picture;
    let (v_len, d_len, u_len) = (PRODUCTS * most * c, PRODUCTS * most * PANEL, PRODUCTS * c * PANEL);
    with_scratch(shape.groups * v_len + all_panels * (d_len + u_len), |room| {
        let (v, room) = room.split_at_mut(shape.groups * v_len);
        let (d, u) = room.split_at_mut(all_panels * d_len);
        for first in (0..shape.x.n).step_by(pictures) {
            let count = pictures.min(shape.x.n - first) * per_picture;
            // v: [group][36][tile][C / groups], d: [panel][36][tile][32]
            let (v_parts, d_parts) = (Parts::new(v), Parts::new(d));
            context.threads.run(count, &|tile| {
                let place = tiles.place(first * per_picture + tile);
                for group in 0..shape.groups {
                    let start = v_parts.pointer(group * v_len + tile * c, (PRODUCTS - 1) * count * c + c);
                    // SAFETY: this tile's lines, C floats for each value, belong to this task alone.
                    unsafe { transform_input(context, shape, x, group * c, place, Lines { start, step: count * c }) };
                }
                for panel in 0..all_panels {
                    let within = panel % panels * PANEL;
                    let k = panel / panels * outputs + within;
                    let channels = (k, (outputs - within).min(PANEL));
                    let start = d_parts.pointer(panel * d_len + tile * PANEL, (PRODUCTS - 1) * count * PANEL + PANEL);
                    let to = Lines { start, step: count * PANEL };
                    // SAFETY: as above, with a panel's floats for each value.
                    unsafe { transform_gradient::<M>(context, dy_map, dy, place, channels, to) };
                }
            });
            let (v, d) = (&*v, &*d);
            let start = if first == 0 { Start::Lanes(&ZEROS) } else { Start::Y };
            // A task takes six products of a panel.
            for_each_chunk(context.threads, u, SIX * c * PANEL, |task, u| {
                let (panel, row) = (task / SIX, task % SIX);
                for (product, u) in (row * SIX..).zip(u.chunks_exact_mut(c * PANEL)) {
                    for (channel, rows) in cut(c, max_rows(context.isa)) {
                        let a = &v[panel / panels * v_len + product * count * c + channel..];
                        let b = &d[panel * d_len + product * count * PANEL..];
                        let (counts, steps, floor) = ([1, 1, count], [0, 0, c], f32::NEG_INFINITY);
                        let (y_row, lanes) = (PANEL, PANEL);
                        let tile = Tile { a, row: 1, counts, steps, b, start, floor, mask: None, y_row, lanes };
                        let to = &mut u[channel * PANEL..][..rows * PANEL];
                        // SAFETY: `to` has these rows and lanes.
                        unsafe { tile.run(context.isa, rows, to.as_mut_ptr()) };
                    }
                }
            });
        }
        let u = &*u;
        for_each_chunk(context.threads, dw, filters.depth() * PANEL, |panel, dw| {
            transform_back::<R>(context, c, &u[panel * u_len..][..u_len], dw);
        });
    });
}

/// A dY A^T of a tile's channels k .. . Pixels and channels that there are not are zero.
///
/// # Safety
/// `to` takes 32 floats for each of 36 values.
unsafe fn transform_gradient<const M: usize>(
    context: &Context<'_>,
    map: Map,
    dy: &[f32],
    (image, p, q): (usize, usize, usize),
    (k, channels): (usize, usize),
    to: Lines,
) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            let mut columns = [[[0.0; LANES]; M]; SIX];
            for half in (0..PANEL).step_by(LANES) {
                for j in 0..M {
                    let mut y = [[0.0; LANES]; M];
                    for (i, y) in y.iter_mut().enumerate() {
                        if p + i < map.h && q + j < map.w && half < channels {
                            let at = map.at(image, p + i, q + j) + k + half;
                            if channels - half >= LANES {
                                *y = lanes(dy, at);
                            } else {
                                y[..channels - half].copy_from_slice(&dy[at..at + channels - half]);
                            }
                        }
                    }
                    let column = transform::output_gradient::<M>(y);
                    for i in 0..SIX {
                        columns[i][j] = column[i];
                    }
                }
                for (i, column) in columns.iter().enumerate() {
                    let row = transform::output_gradient::<M>(*column);
                    for (j, value) in row.iter().enumerate() {
                        // SAFETY: `half + 16` is at most 32: the caller's promise.
                        unsafe { to.store(i * SIX + j, half, value) };
                    }
                }
            }
        },
    );
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
