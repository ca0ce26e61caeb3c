//! The gradient with respect to the weights, kept or turned into an update at once.

use super::Shape;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::pack::PANEL;
use crate::threads::{Parts, for_each_chunk};
use crate::tile::{MAX_ROWS, Start, Tile, ZEROS, cut, max_rows};
use crate::update::{self, Rule};

/// Inputs of one task: 8 tiles of 14. Its columns of x are packed, because rows of x may be a multiple of 4 KiB apart, where
/// they would all compete for the same few places of a cache.
const INPUTS: usize = 112;

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// The bias's gradient is [`bias::gradient`](crate::bias::gradient) on `Map::plain(n, 1, 1, outputs)`.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), dy.len());
    let dw = Parts::new(dw);
    // SAFETY: each tile is visited once.
    tiles(context, shape, x, dy, |at, tile| unsafe { dw.slice(at, tile.len()) }.copy_from_slice(tile));
}

/// Changes `w` and its velocity `v` by the gradient of the loss with respect to `w`, which is never written to memory: a tile
/// of it goes from registers through the first-level cache into the update. Of fc6's 38 million weights only w and v move.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_weights_update(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy: &[f32],
    rule: &Rule,
    w: &mut [f32],
    v: &mut [f32],
) {
    shape.check(x.len(), w.len(), dy.len());
    assert_eq!(v.len(), w.len(), "velocity of {shape:?}");
    let (w, v) = (Parts::new(w), Parts::new(v));
    tiles(context, shape, x, dy, |at, tile| {
        // SAFETY: each tile is visited once.
        let (w, v) = unsafe { (w.slice(at, tile.len()), v.slice(at, tile.len())) };
        context.isa.vectorize(
            #[inline(always)]
            || {
                for ((w, v), &g) in w.iter_mut().zip(v).zip(tile) {
                    (*w, *v) = update::step(rule, *w, *v, g);
                }
            },
        );
    });
}

/// Computes the gradient tile by tile; `visit` is given the index of each tile's first weight, and the tile.
fn tiles(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], visit: impl Fn(usize, &[f32]) + Sync) {
    let Shape { n, inputs, outputs } = *shape;
    let panels = outputs.div_ceil(PANEL);
    with_scratch(panels * n * PANEL, |packed| {
        // [panel][picture][32 outputs]
        for_each_chunk(context.threads, packed, n * PANEL, |panel, part| {
            let lanes = (outputs - panel * PANEL).min(PANEL);
            for (picture, line) in part.chunks_exact_mut(PANEL).enumerate() {
                line[..lanes].copy_from_slice(&dy[picture * outputs + panel * PANEL..][..lanes]);
                line[lanes..].fill(0.0);
            }
        });
        let packed = &*packed;
        context.threads.run(inputs.div_ceil(INPUTS), &|task| {
            let first = task * INPUTS;
            let count = INPUTS.min(inputs - first);
            with_scratch(n * count, |columns| {
                for (picture, line) in columns.chunks_exact_mut(count).enumerate() {
                    line.copy_from_slice(&x[picture * inputs + first..][..count]);
                }
                let mut room = [0.0; MAX_ROWS * PANEL];
                for panel in 0..panels {
                    for (input, rows) in cut(count, max_rows(context.isa)) {
                        let (a, b) = (&columns[input..], &packed[panel * n * PANEL..]);
                        let (counts, steps, start) = ([1, 1, n], [0, 0, count], Start::Lanes(&ZEROS));
                        let (floor, y_row, lanes) = (f32::NEG_INFINITY, PANEL, PANEL);
                        let tile = Tile { a, row: 1, counts, steps, b, start, floor, mask: None, y_row, lanes };
                        // SAFETY: `room` has a panel's lanes for the most rows.
                        unsafe { tile.run(context.isa, rows, room.as_mut_ptr()) };
                        visit((panel * inputs + first + input) * PANEL, &room[..rows * PANEL]);
                    }
                }
            });
        });
    });
}
