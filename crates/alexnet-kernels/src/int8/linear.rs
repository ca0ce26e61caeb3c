//! Linear layer on bytes.

use super::{Finish, Output, Place, Weights};
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::gemm::{Start, Tile, cut, max_rows};
use crate::isa::dispatch;
use crate::linear::Shape;
use crate::weight_layout::PANEL;

/// Words of inputs multiplied with all images at a time, as in the linear layer of floats.
const DEPTH: usize = 512;

/// Multiplies bytes `x`, [n, inputs], and applies a ReLU if `relu`. `x` must extend 3 bytes beyond its end.
///
/// # Panics
/// When a slice is too short for the shape, or the weights are another layer's.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[u8], w: &Weights, relu: bool, y: Output<'_>) {
    let Shape { n, inputs, outputs } = *shape;
    assert_eq!(w.words.len(), outputs.div_ceil(PANEL) * w.panel_words, "weights of {shape:?}");
    assert!(x.len() >= n * inputs + super::conv::BEYOND, "x has {} bytes: {shape:?}", x.len());
    let place = Place::from(y);
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    // Kernel rows of a layer on a map each end with a separate word.
    let (stretches, stretch) = (inputs / w.run, w.run.div_ceil(4));
    let rows = max_rows::<u8>(context.isa);
    context.threads.run(outputs.div_ceil(PANEL), &|panel| {
        let (k, lanes) = (panel * PANEL, (outputs - panel * PANEL).min(PANEL));
        let words = &w.words[panel * w.panel_words..(panel + 1) * w.panel_words];
        let (factors, offsets) = (&w.factors[k..k + lanes], &w.offsets[k..k + lanes]);
        with_scratch(n * PANEL, |sums: &mut [i32]| {
            let together = if n <= rows { stretches } else { (DEPTH / stretch).max(1) };
            for first in (0..stretches).step_by(together) {
                let count = together.min(stretches - first);
                let parts = if n <= rows { 1 } else { stretch.div_ceil(DEPTH) };
                for part in 0..parts {
                    let (from, to) = (part * stretch / parts, (part + 1) * stretch / parts);
                    let start = if first + part == 0 { Start::Zero } else { Start::Y };
                    for (image, rows) in cut(n, rows) {
                        let tile: Tile<'_, u8> = Tile {
                            a: &x[image * inputs + first * w.run + from * 4..],
                            row: inputs,
                            counts: [1, count, to - from],
                            steps: [0, w.run, 4],
                            b: &words[(first * stretch + from) * PANEL..],
                            start,
                            floor,
                            mask: None,
                            y_row: PANEL,
                            lanes: PANEL,
                        };
                        // SAFETY: `sums` has a panel's lanes for all pictures.
                        unsafe { tile.run(context.isa, rows, sums[image * PANEL..].as_mut_ptr()) };
                    }
                }
            }
            // SAFETY: this panel's columns of y belong to this task alone.
            unsafe { dispatch(context.isa, Finish { sums, factors, offsets, floor, place: &place, at: k, y_row: outputs }) };
        });
    });
}
