//! Linear layer with 4-bit weights.

use super::kernels::Inputs;
use super::{GROUP, MIDDLE, Weights};
use crate::buffer::{cast_mut, with_scratch};
use crate::context::Context;
use crate::gemm::cut;
use crate::int8::{Output, Place};
use crate::linear::Shape;
use crate::weight_layout::PANEL;

/// Multiplies bytes `x`, [n, inputs], and applies a ReLU if `relu`.
///
/// A task processes one panel, so each weight is read from memory once. An image's outputs are bit-identical alone and in a
/// batch.
///
/// # Panics
/// When a slice is too short for the shape, or the weights are another layer's.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[u8], w: &Weights, relu: bool, y: Output<'_>) {
    let Shape { n, inputs, outputs } = *shape;
    let (groups, panel_words) = (inputs.div_ceil(GROUP), Weights::panel_words(shape));
    assert_eq!(w.words.len(), outputs.div_ceil(PANEL) * panel_words, "weights of {shape:?}");
    assert!(x.len() >= n * inputs, "x has {} bytes: {shape:?}", x.len());
    let place = Place::from(y);
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let kernels = (context.isa.kernels().int4)();
    let words = groups * GROUP / 4;
    with_scratch(n * words, |padded: &mut [u32]| {
        with_scratch(n * groups, |starts: &mut [i32]| {
            for ((padded, starts), x) in
                padded.chunks_exact_mut(words).zip(starts.chunks_exact_mut(groups)).zip(x.chunks_exact(inputs))
            {
                let padded: &mut [u8] = cast_mut(padded);
                padded[..inputs].copy_from_slice(x);
                padded[inputs..].fill(0);
                for (start, x) in starts.iter_mut().zip(padded.chunks_exact(GROUP)) {
                    *start = -MIDDLE * x.iter().map(|&x| i32::from(x)).sum::<i32>();
                }
            }
            let (padded, starts) = (&*padded, &*starts);
            context.threads.run(outputs.div_ceil(PANEL), &|panel| {
                let (k, lanes) = (panel * PANEL, (outputs - panel * PANEL).min(PANEL));
                let panel = &w.words[panel * panel_words..(panel + 1) * panel_words];
                let offsets = &w.offsets[k..k + lanes];
                for (first, count) in cut(n, kernels.len()) {
                    let x = Inputs {
                        words: &padded[first * words..(first + count) * words],
                        starts: &starts[first * groups..(first + count) * groups],
                        groups,
                    };
                    let mut totals = [0.0; 4 * PANEL];
                    let totals = &mut totals[..count * PANEL];
                    // SAFETY: `isa` is supported by the condition on a `Context`; the slices are cut to `count` pictures.
                    unsafe { kernels[count - 1](x, panel, totals) };
                    for (image, totals) in totals.chunks_exact_mut(PANEL).enumerate() {
                        for (total, offset) in totals.iter_mut().zip(offsets) {
                            let value = *total * w.scale + offset;
                            // NaN is preserved.
                            *total = if value < floor { floor } else { value };
                        }
                        let at = (first + image) * outputs + k;
                        // SAFETY: this panel's columns of y belong to this task alone.
                        unsafe {
                            match &place {
                                Place::Floats(y) => y.slice(at, lanes).copy_from_slice(&totals[..lanes]),
                                Place::Bytes(y, q) => {
                                    y.slice(at, lanes).iter_mut().zip(totals).for_each(|(y, total)| *y = q.quantise(*total));
                                }
                            }
                        }
                    }
                }
            });
        });
    });
}
