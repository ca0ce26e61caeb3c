//! Linear layer gradient with respect to the input.

use super::Shape;
use crate::bf16::Bf16;
use crate::buffer::with_scratch;
use crate::context::{Context, FactorType};
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::gemm::{Float, Start, Tile, cut, max_rows};
use crate::weight_layout::PANEL;

/// Inputs per task.
const INPUTS: usize = 112;
/// Panels of outputs per block: 16 of them are 256 KiB of dy for 128 images and 229 KB of weights, which fit together in an L2
/// cache.
const PANELS: usize = 16;

/// dx = the gradient of the loss with respect to the input, from `dy`, that with respect to the output.
///
/// With a `mask` ([n, inputs]), dx is zero where the mask's value is not positive: pass the input itself if it is the output of a
/// ReLU, and dx is the gradient before that ReLU.
///
/// A weight row holds 32 outputs of one input, so the sum is over outputs and the tile's lanes are images: it computes dx
/// transposed, which is transposed back at the end. Each weight is read from memory once.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_data(context: &Context<'_>, shape: &Shape, dy: &[f32], w: &[f32], mask: Option<&[f32]>, dx: &mut [f32]) {
    shape.check(dx.len(), w.len(), dy.len());
    assert!(mask.is_none_or(|mask| mask.len() >= shape.n * shape.inputs), "mask of {shape:?}");
    match context.factors {
        FactorType::F32 => multiply::<f32>(context, shape, dy, w, mask, dx),
        FactorType::Bf16 => multiply::<Bf16>(context, shape, dy, w, mask, dx),
    }
}

fn multiply<E: Float>(context: &Context<'_>, shape: &Shape, dy: &[f32], w: &[f32], mask: Option<&[f32]>, dx: &mut [f32]) {
    let Shape { n, inputs, outputs } = *shape;
    let (panels, blocks) = (outputs.div_ceil(PANEL), n.div_ceil(PANEL));
    // Words of a panel, and of a block of 32 images.
    let panel_len = PANEL / E::WORD * PANEL;
    let block_len = panels * panel_len;
    let dx = DisjointSlices::new(dx);
    with_scratch(blocks * block_len, |turned: &mut [u32]| {
        // [block of 32 images][word of outputs][32 images], zeros beyond the last output and the last image.
        for_each_chunk(context.threads, turned, panel_len, |i, part| {
            let (image, output) = (i / panels * PANEL, i % panels * PANEL);
            part.fill(0);
            for m in image..n.min(image + PANEL) {
                let dy = &dy[m * outputs..(m + 1) * outputs];
                for (i, values) in dy[output..outputs.min(output + PANEL)].chunks(E::WORD).enumerate() {
                    part[i * PANEL + m - image] = E::word(|j| values.get(j).copied().unwrap_or(0.0));
                }
            }
        });
        let turned = &*turned;
        context.threads.run(inputs.div_ceil(INPUTS), &|task| {
            let first = task * INPUTS;
            let count = INPUTS.min(inputs - first);
            let wide = blocks * PANEL;
            with_scratch(count * wide, |sums: &mut [f32]| {
                with_scratch(count * PANELS * PANEL, |weights: &mut [E]| {
                    for panel in (0..panels).step_by(PANELS) {
                        // A tile's weights are in pieces of 1.8 KB a megabyte apart, which no prefetcher follows; pieces of 14 KB
                        // are copied at memory speed.
                        for (line, panel) in weights.chunks_exact_mut(count * PANEL).zip(panel..panels.min(panel + PANELS)) {
                            context.isa.vectorize(
                                #[inline(always)]
                                || {
                                    for (to, &from) in line.iter_mut().zip(&w[(panel * inputs + first) * PANEL..]) {
                                        *to = E::new(from);
                                    }
                                },
                            );
                        }
                        let counts = [PANELS.min(panels - panel), 1, PANEL / E::WORD];
                        let start = if panel == 0 { Start::Zero } else { Start::Y };
                        for (input, rows) in cut(count, max_rows::<E>(context.isa)) {
                            for block in 0..blocks {
                                let a = &weights[input * PANEL..];
                                let b = &turned[block * block_len + panel * panel_len..];
                                let (steps, floor) = ([count * PANEL, 0, E::WORD], f32::NEG_INFINITY);
                                let (row, y_row, lanes) = (PANEL, wide, PANEL);
                                let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
                                let at = &mut sums[input * wide + block * PANEL..][..(rows - 1) * wide + PANEL];
                                // SAFETY: `at` has these rows and lanes.
                                unsafe { tile.run(context.isa, rows, at.as_mut_ptr()) };
                            }
                        }
                    }
                });
                for image in 0..n {
                    // SAFETY: these columns of dx belong to this task alone.
                    let dx = unsafe { dx.slice(image * inputs + first, count) };
                    for (i, dx) in dx.iter_mut().enumerate() {
                        *dx = sums[i * wide + image];
                    }
                    if let Some(mask) = mask {
                        for (dx, &mask) in dx.iter_mut().zip(&mask[image * inputs + first..]) {
                            *dx = if mask > 0.0 { *dx } else { 0.0 };
                        }
                    }
                }
            });
        });
    });
}
