//! The forward pass.

use super::{Shape, with_padded_rows};
use crate::context::Context;
use crate::pack::PANEL;
use crate::threads::Parts;
use crate::tile::{Start, Tile, cut, max_rows};

/// Inputs that are multiplied with all pictures at a time: 512 x 32 weights are 64 KiB, which stay in the second-level cache.
const DEPTH: usize = 512;

/// Multiplies `x` with packed weights `w`, adds the bias, and clips at zero when `relu`.
///
/// A task takes a panel, so each weight is read from memory once.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    shape.check(x.len(), w.len(), y.len());
    assert_eq!(bias.len(), shape.outputs, "biases of {shape:?}");
    let Shape { n, inputs, outputs } = *shape;
    let y = Parts::new(y);
    with_padded_rows(context, shape, x, |x, row| {
        context.threads.run(outputs.div_ceil(PANEL), &|panel| {
            let (k, weights) = (panel * PANEL, &w[panel * inputs * PANEL..(panel + 1) * inputs * PANEL]);
            let lanes = (outputs - k).min(PANEL);
            let rows = max_rows(context.isa);
            let depth = if n <= rows { inputs } else { DEPTH };
            for first in (0..inputs).step_by(depth) {
                let count = depth.min(inputs - first);
                let start = if first == 0 { Start::Lanes(&bias[k..k + lanes]) } else { Start::Y };
                let floor = if relu && first + count == inputs { 0.0 } else { f32::NEG_INFINITY };
                for (picture, rows) in cut(n, rows) {
                    let a = &x[picture * row + first..];
                    let b = &weights[first * PANEL..];
                    let (counts, steps) = ([1, 1, count], [0, 0, 1]);
                    let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row: outputs, lanes };
                    let at = y.pointer(picture * outputs + k, (rows - 1) * outputs + lanes);
                    // SAFETY: this panel's columns of y belong to this task alone.
                    unsafe { tile.run(context.isa, rows, at) };
                }
            }
        });
    });
}
