//! Linear layer gradient with respect to the weights, stored or applied directly as an update.

use super::Shape;
use crate::bf16::Bf16;
use crate::buffer::{cast, with_scratch};
use crate::context::{Context, FactorType};
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::gemm::{Float, MAX_ROWS, Start, Tile, cut, max_rows};
use crate::optim::{Formula, Step, Visitor, slots, update_chunk};
use crate::weight_layout::PANEL;

/// Inputs per task: 8 tiles of 14. Its columns of x are packed, because rows of x may be a multiple of 4 KiB apart, where they
/// would all compete for the same cache sets.
const INPUTS: usize = 112;

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// The bias gradient is [`bias::gradient`](crate::bias::gradient) on `FeatureMap::plain(n, 1, 1, outputs)`.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), dy.len());
    let dw = DisjointSlices::new(dw);
    // SAFETY: each tile is visited once.
    tiles(context, shape, x, dy, |at, tile| unsafe { dw.slice(at, tile.len()) }.copy_from_slice(tile));
}

/// Updates `w` and its optimizer's `state` by the gradient of the loss with respect to `w`, which is never written to memory: a
/// tile of it goes from registers through the L1 cache into the update. Of fc6's 38 million weights only w and the state are
/// transferred.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_weights_update(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy: &[f32],
    step: &Step,
    w: &mut [f32],
    state: Vec<&mut [f32]>,
) {
    shape.check(x.len(), w.len(), dy.len());
    assert!(state.iter().all(|slot| slot.len() == w.len()), "state of {shape:?}");
    step.visit(Fused { context, shape, x, dy, w, state });
}

struct Fused<'a, 'b> {
    context: &'a Context<'b>,
    shape: &'a Shape,
    x: &'a [f32],
    dy: &'a [f32],
    w: &'a mut [f32],
    state: Vec<&'a mut [f32]>,
}

impl Visitor for Fused<'_, '_> {
    type Output = ();

    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) {
        let Fused { context, shape, x, dy, w, state } = self;
        let (w, state) = (DisjointSlices::new(w), slots::<SLOTS, _>(state).map(DisjointSlices::new));
        tiles(context, shape, x, dy, |at, tile| {
            // SAFETY: each tile is visited once.
            let (w, state) = unsafe { (w.slice(at, tile.len()), state.map(|slot| slot.slice(at, tile.len()))) };
            update_chunk(context.isa, &formula, w, state, tile);
        });
    }
}

/// Computes the gradient tile by tile; `visit` receives the index of each tile's first weight, and the tile.
fn tiles(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], visit: impl Fn(usize, &[f32]) + Sync) {
    match context.factors {
        FactorType::F32 => tiles_of::<f32>(context, shape, x, dy, visit),
        FactorType::Bf16 => tiles_of::<Bf16>(context, shape, x, dy, visit),
    }
}

fn tiles_of<E: Float>(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], visit: impl Fn(usize, &[f32]) + Sync) {
    let Shape { n, inputs, outputs } = *shape;
    let panels = outputs.div_ceil(PANEL);
    // Words of images: the sum is over images.
    let words = n.div_ceil(E::WORD);
    with_scratch(panels * words * PANEL, |packed: &mut [u32]| {
        // [panel][word of images][32 outputs]
        for_each_chunk(context.threads, packed, words * PANEL, |panel, part| {
            let lanes = (outputs - panel * PANEL).min(PANEL);
            let dy = |image: usize| &dy[image * outputs + panel * PANEL..][..lanes];
            interleave::<E, _>(context, n, dy, PANEL, part);
        });
        let packed = &*packed;
        context.threads.run(inputs.div_ceil(INPUTS), &|task| {
            let first = task * INPUTS;
            let count = INPUTS.min(inputs - first);
            with_scratch(words * count, |columns: &mut [u32]| {
                interleave::<E, _>(context, n, |image| &x[image * inputs + first..][..count], count, columns);
                let columns: &[E] = cast(columns);
                let mut room = [0.0; MAX_ROWS * PANEL];
                for panel in 0..panels {
                    for (input, rows) in cut(count, max_rows::<E>(context.isa)) {
                        let (a, b) = (&columns[input * E::WORD..], &packed[panel * words * PANEL..]);
                        let (counts, steps, start) = ([1, 1, words], [0, 0, count * E::WORD], Start::Zero);
                        let (row, floor, y_row, lanes) = (E::WORD, f32::NEG_INFINITY, PANEL, PANEL);
                        let tile = Tile { a, row, counts, steps, b, start, floor, mask: None, y_row, lanes };
                        // SAFETY: `room` has a panel's lanes for the most rows.
                        unsafe { tile.run(context.isa, rows, room.as_mut_ptr()) };
                        visit((panel * inputs + first + input) * PANEL, &room[..rows * PANEL]);
                    }
                }
            });
        });
    });
}

/// Packs `n` lines into words, [word of lines][`width`], with zeros beyond a line's end and the last line.
fn interleave<'a, E: Float, F: Fn(usize) -> &'a [f32]>(
    context: &Context<'_>,
    n: usize,
    line: F,
    width: usize,
    words: &mut [u32],
) {
    context.isa.vectorize(
        #[inline(always)]
        || {
            for (i, words) in words.chunks_exact_mut(width).enumerate() {
                let first = line(i * E::WORD);
                let last = if i * E::WORD + 1 < n { line(i * E::WORD + 1) } else { &[] };
                for (j, word) in words[..first.len()].iter_mut().enumerate() {
                    *word = E::word(|i| if i == 0 { first[j] } else { last.get(j).copied().unwrap_or(0.0) });
                }
                words[first.len()..].fill(0);
            }
        },
    );
}
