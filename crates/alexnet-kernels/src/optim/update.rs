//! The fast way through a formula: whole parameters, cut into chunks for threads and vectorized within each.

use super::{CHUNK, Formula, Number, Step, Visitor, slots};
use crate::context::Context;
use crate::executor::DisjointSlices;
use crate::isa::Isa;

/// Moves the weights `w` by their gradient `g`; `state` are the values of the optimizer's slots, zeros before the first step.
///
/// # Panics
/// When there is another number of slots, or the lengths differ.
pub fn update(context: &Context<'_>, step: &Step, w: &mut [f32], state: Vec<&mut [f32]>, g: &[f32]) {
    assert_eq!(w.len(), g.len(), "update: weights and gradients");
    assert!(state.iter().all(|slot| slot.len() == g.len()), "update: state and gradients");
    step.visit(Whole { context, w, state, g });
}

/// As [`update`], by `scale` times the gradient: a clipped one, or the mean of a sum.
///
/// # Panics
/// Those of [`update`].
pub fn update_scaled(context: &Context<'_>, step: &Step, w: &mut [f32], state: Vec<&mut [f32]>, g: &[f32], scale: f32) {
    assert_eq!(w.len(), g.len(), "update: weights and gradients");
    assert!(state.iter().all(|slot| slot.len() == g.len()), "update: state and gradients");
    step.visit(WholeScaled { whole: Whole { context, w, state, g }, scale });
}

/// The formula of a multiple of the gradient.
#[derive(Clone, Copy)]
struct Scaled<F> {
    formula: F,
    scale: f32,
}

impl<const SLOTS: usize, F: Formula<SLOTS>> Formula<SLOTS> for Scaled<F> {
    #[inline(always)]
    fn apply<V: Number>(&self, w: V, state: [V; SLOTS], g: V) -> (V, [V; SLOTS]) {
        self.formula.apply(w, state, g * self.scale)
    }
}

struct WholeScaled<'a, 'b> {
    whole: Whole<'a, 'b>,
    scale: f32,
}

impl Visitor for WholeScaled<'_, '_> {
    type Output = ();

    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) {
        self.whole.visit(Scaled { formula, scale: self.scale });
    }
}

struct Whole<'a, 'b> {
    context: &'a Context<'b>,
    w: &'a mut [f32],
    state: Vec<&'a mut [f32]>,
    g: &'a [f32],
}

impl Visitor for Whole<'_, '_> {
    type Output = ();

    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) {
        let Whole { context, w, state, g } = self;
        let (w, state) = (DisjointSlices::new(w), slots::<SLOTS, _>(state).map(DisjointSlices::new));
        context.threads.run(g.len().div_ceil(CHUNK), &|i| {
            let g = &g[i * CHUNK..g.len().min((i + 1) * CHUNK)];
            // SAFETY: chunks of different i do not overlap, and each i is run once.
            let (w, state) = unsafe { (w.slice(i * CHUNK, g.len()), state.map(|slot| slot.slice(i * CHUNK, g.len()))) };
            update_chunk(context.isa, &formula, w, state, g);
        });
    }
}

/// Moves some weights on the calling thread.
///
/// # Panics
/// When the state or the weights are shorter than the gradient.
#[inline(always)]
pub(crate) fn update_chunk<const SLOTS: usize, F: Formula<SLOTS>>(
    isa: Isa,
    formula: &F,
    w: &mut [f32],
    state: [&mut [f32]; SLOTS],
    g: &[f32],
) {
    isa.vectorize(
        #[inline(always)]
        move || {
            // A copy, which no weight can lie in: the compiler need not read it again after each write.
            let formula = *formula;
            let (w, state) = (&mut w[..g.len()], state.map(|slot| &mut slot[..g.len()]));
            for i in 0..g.len() {
                let mut values = [0.0; SLOTS];
                for slot in 0..SLOTS {
                    values[slot] = state[slot][i];
                }
                (w[i], values) = formula.apply(w[i], values, g[i]);
                for slot in 0..SLOTS {
                    state[slot][i] = values[slot];
                }
            }
        },
    );
}
