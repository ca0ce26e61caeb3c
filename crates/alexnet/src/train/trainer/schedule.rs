//! Position of a run in its schedule, and the optimizer step there.

use crate::engine::OptimizerStep;
use crate::train::lr_change::LrChange;
use crate::train::recipe::{Progress, Recipe};
use crate::train::state::State;
use std::collections::BTreeMap;

/// A recipe's learning rates over the steps of a run.
pub(super) struct RunSchedule<'a> {
    recipe: &'a Recipe,
    /// Per-layer learning-rate multipliers.
    multipliers: BTreeMap<String, f32>,
    /// Weight decay of layers with their own.
    weight_decays: BTreeMap<String, f32>,
    /// Further multipliers of layers from an epoch on.
    changes: Vec<(usize, String, f32)>,
    /// Learning rates given by hand.
    pub(super) by_hand: Vec<LrChange>,
    batches_per_epoch: usize,
}

impl<'a> RunSchedule<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        multipliers: BTreeMap<String, f32>,
        weight_decays: BTreeMap<String, f32>,
        changes: Vec<(usize, String, f32)>,
        batches_per_epoch: usize,
    ) -> RunSchedule<'a> {
        RunSchedule { recipe, multipliers, weight_decays, changes, by_hand: Vec::new(), batches_per_epoch }
    }

    /// Optimizer steps in an epoch.
    pub(super) fn steps_per_epoch(&self) -> usize {
        self.recipe.steps_per_epoch(self.batches_per_epoch)
    }

    /// Optimizer steps completed in the current epoch.
    pub(super) fn step_in_epoch(&self, state: &State) -> usize {
        if state.batch < self.batches_per_epoch { state.batch / self.recipe.accumulate } else { self.steps_per_epoch() }
    }

    /// Whether gradients are held until a step is complete, rather than applied as backward produces them.
    pub(super) fn holds_gradients(&self) -> bool {
        self.recipe.accumulate > 1 || self.recipe.clip_norm.is_some()
    }

    /// Whether the next batch completes an optimizer step.
    pub(super) fn completes_step(&self, state: &State) -> bool {
        let batches = state.batch + 1;
        batches >= self.batches_per_epoch || batches.is_multiple_of(self.recipe.accumulate)
    }

    /// Whether the batches so far make whole optimizer steps.
    pub(super) fn between_steps(&self, state: &State) -> bool {
        state.batch >= self.batches_per_epoch || state.batch.is_multiple_of(self.recipe.accumulate)
    }

    /// Steps completed since the start of the run.
    pub(super) fn step(&self, state: &State) -> u64 {
        // A run by the clock may end within an epoch.
        let ended = state.timeline.as_ref().and_then(|timeline| timeline.ended);
        ended.unwrap_or((state.epoch * self.steps_per_epoch() + self.step_in_epoch(state)) as u64)
    }

    /// Whether all steps are done.
    pub(super) fn is_complete(&self, state: &State) -> bool {
        match &state.timeline {
            Some(timeline) => timeline.ended.is_some(),
            None => state.epoch >= self.recipe.epochs,
        }
    }

    /// Number of steps of the whole run; as planned so far, in a run by the clock.
    pub(super) fn until(&self, state: &State) -> u64 {
        let all = (self.recipe.epochs * self.steps_per_epoch()) as u64;
        state.timeline.as_ref().map_or(all, |timeline| timeline.ended.unwrap_or(timeline.until()))
    }

    fn progress(&self, state: &State) -> Progress {
        self.progress_at(state, self.step(state))
    }

    /// Progress at a step. In a run by the clock it is that of the recipe's own run where the same share is done.
    fn progress_at(&self, state: &State, step: u64) -> Progress {
        let steps_per_epoch = self.steps_per_epoch() as u64;
        let (epoch, step) = match &state.timeline {
            None => (state.epoch, step),
            Some(timeline) => {
                let all = self.recipe.epochs as u64 * steps_per_epoch;
                let step = ((timeline.share(step) * all as f64) as u64).min(all.saturating_sub(1));
                ((step / steps_per_epoch.max(1)) as usize, step)
            }
        };
        Progress { epoch, step, steps_per_epoch, drops: state.schedule.drops }
    }

    /// The recipe's epoch to which the run had come when the current epoch began; in a run by the clock they differ.
    pub(super) fn recipe_epoch(&self, state: &State) -> u64 {
        self.progress_at(state, (state.epoch * self.steps_per_epoch()) as u64).epoch as u64
    }

    /// The learning rate of the next step.
    pub(super) fn lr(&self, state: &State) -> f64 {
        self.lr_at(state, self.step(state))
    }

    /// The learning rate of the last step in the current epoch.
    pub(super) fn last_lr(&self, state: &State) -> f64 {
        self.lr_at(state, self.step(state).saturating_sub(1))
    }

    fn lr_at(&self, state: &State, step: u64) -> f64 {
        self.recipe.lr_at(self.progress_at(state, step)) * LrChange::times_at(&self.by_hand, step)
    }

    /// The change that makes the learning rate of the next step `lr`; `None` if the schedule has no rate there to scale.
    pub(super) fn change_to(&self, state: &State, lr: f64) -> Option<LrChange> {
        let times = lr / self.recipe.lr_at(self.progress(state));
        (times > 0.0 && times.is_finite()).then_some(LrChange { step: self.step(state), lr, times })
    }

    /// Settings of the next optimizer step.
    pub(super) fn optimizer_step(&self, state: &State) -> OptimizerStep {
        let at = self.progress(state);
        let mut changed = BTreeMap::new();
        for (_, layer, times) in self.changes.iter().filter(|(epoch, _, _)| at.epoch >= *epoch) {
            changed.insert(layer.clone(), self.multipliers.get(layer).copied().unwrap_or(1.0) * times);
        }
        let mut layers = self.multipliers.clone();
        layers.extend(changed);
        let (number, layer_weight_decay) = (self.step(state) + 1, self.weight_decays.clone());
        OptimizerStep { number, layers, layer_weight_decay, ..self.recipe.step_with(at, self.lr(state)) }
    }

    /// A step with the layers that the run trains at some time: those whose optimizer state is saved.
    pub(super) fn saved_step(&self, state: &State) -> OptimizerStep {
        OptimizerStep { layers: self.multipliers.clone(), ..self.optimizer_step(state) }
    }
}
