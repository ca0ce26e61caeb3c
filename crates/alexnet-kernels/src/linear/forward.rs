//! Forward pass of linear layers.

use super::Shape;
use crate::bf16::Bf16;
use crate::buffer::{cast, cast_mut, with_scratch};
use crate::context::{Context, FactorType};
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::gemm::{DType, Float, Start, Tile, cut, max_rows, pack_words};
use crate::weight_layout::PANEL;

/// Inputs multiplied with all images at a time: 512 x 32 weights are 64 KiB, which stay in the L2 cache.
const DEPTH: usize = 512;

/// Packed weights: words ready for multiplication, or floats converted panel by panel.
enum Weights<'a> {
    Words(&'a [u32]),
    Floats(&'a [f32]),
}

/// Multiplies `x` with packed weights `w`, adds the bias, and applies a ReLU if `relu`.
///
/// A task processes one panel, so each weight is read from memory once.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    shape.check(x.len(), w.len(), y.len());
    match context.factors {
        FactorType::F32 => multiply::<f32>(context, shape, x, &Weights::Words(cast(w)), bias, relu, y),
        FactorType::Bf16 => multiply::<Bf16>(context, shape, x, &Weights::Floats(w), bias, relu, y),
    }
}

/// Prepares weights for repeated use by [`forward_prepared`].
///
/// # Panics
/// When `prepared` is not [`Shape::prepared_len`] long, or that is 0.
pub fn prepare(context: &Context<'_>, shape: &Shape, w: &[f32], prepared: &mut [f32]) {
    assert!(!prepared.is_empty() && prepared.len() == shape.prepared_len(context), "prepared weights of {shape:?}");
    let panel = shape.inputs * PANEL;
    for_each_chunk(context.threads, prepared, shape.inputs.div_ceil(Bf16::WORD) * PANEL, |i, words| {
        pack_words::<Bf16>(context, &w[i * panel..(i + 1) * panel], cast_mut(words));
    });
}

/// [`forward`] with weights from [`prepare`].
///
/// # Panics
/// As `forward`.
pub fn forward_prepared(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    shape.check(x.len(), shape.filters().packed_len(), y.len());
    assert_eq!(w.len(), shape.prepared_len(context), "prepared weights of {shape:?}");
    multiply::<Bf16>(context, shape, x, &Weights::Words(cast(w)), bias, relu, y);
}

fn multiply<E: Float>(context: &Context<'_>, shape: &Shape, x: &[f32], w: &Weights<'_>, bias: &[f32], relu: bool, y: &mut [f32]) {
    assert_eq!(bias.len(), shape.outputs, "biases of {shape:?}");
    let Shape { n, inputs, outputs } = *shape;
    let y = DisjointSlices::new(y);
    let all = inputs.div_ceil(E::WORD);
    let rows = max_rows::<E>(context.isa);
    let depth = if n <= rows && matches!(w, Weights::Words(_)) { all } else { DEPTH };
    with_rows::<E, _>(context, shape, x, |x, row| {
        context.threads.run(outputs.div_ceil(PANEL), &|panel| {
            let k = panel * PANEL;
            let lanes = (outputs - k).min(PANEL);
            with_scratch(if matches!(w, Weights::Words(_)) { 0 } else { depth * PANEL }, |room| {
                for first in (0..all).step_by(depth) {
                    let count = depth.min(all - first);
                    let b = match w {
                        Weights::Words(words) => &words[(panel * all + first) * PANEL..][..count * PANEL],
                        Weights::Floats(floats) => {
                            let last = inputs.min((first + count) * E::WORD);
                            let from = panel * inputs;
                            let floats = &floats[(from + first * E::WORD) * PANEL..(from + last) * PANEL];
                            pack_words::<E>(context, floats, &mut room[..count * PANEL]);
                            &room[..count * PANEL]
                        }
                    };
                    let start = if first == 0 { Start::Lanes(&bias[k..k + lanes]) } else { Start::Y };
                    let floor = if relu && first + count == all { 0.0 } else { f32::NEG_INFINITY };
                    for (image, rows) in cut(n, rows) {
                        let a = &x[image * row + first * E::WORD..];
                        let (counts, steps) = ([1, 1, count], [0, 0, E::WORD]);
                        let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row: outputs, lanes };
                        let at = y.pointer(image * outputs + k, (rows - 1) * outputs + lanes);
                        // SAFETY: this panel's columns of y belong to this task alone.
                        unsafe { tile.run(context.isa, rows, at) };
                    }
                }
            });
        });
    });
}

/// Calls `work` with the rows of x, each padded with zeros to whole words, and their stride.
///
/// Rows a multiple of 4 KiB apart are copied with an extra cache line between them: otherwise all images' values of one input
/// would map to the same 12 lines of the L1 cache.
fn with_rows<E: Float, R>(context: &Context<'_>, shape: &Shape, x: &[f32], work: impl FnOnce(&[E], usize) -> R) -> R {
    let Shape { n, inputs, .. } = *shape;
    if let Some(x) = E::borrow(x)
        && (n < 5 || !inputs.is_multiple_of(1024))
    {
        return work(x, inputs);
    }
    let row = inputs.next_multiple_of(E::WORD) + 64 / size_of::<E>();
    with_scratch(n * row, |padded: &mut [E]| {
        for_each_chunk(context.threads, padded, row, |image, line| {
            context.isa.vectorize(
                #[inline(always)]
                || {
                    for (to, &from) in line.iter_mut().zip(&x[image * inputs..(image + 1) * inputs]) {
                        *to = E::new(from);
                    }
                },
            );
            line[inputs..].fill(E::default());
        });
        work(padded, row)
    })
}
