//! Position of a run in its schedule, and the optimizer step there.

use crate::engine::OptimizerStep;
use crate::train::recipe::{Progress, Recipe};
use crate::train::state::State;
use std::collections::BTreeMap;

/// A recipe's learning rates over the steps of a run.
pub(super) struct RunSchedule<'a> {
    recipe: &'a Recipe,
    /// Per-layer learning-rate multipliers.
    multipliers: BTreeMap<String, f32>,
    steps_per_epoch: usize,
}

impl<'a> RunSchedule<'a> {
    pub(super) fn new(recipe: &'a Recipe, multipliers: BTreeMap<String, f32>, steps_per_epoch: usize) -> RunSchedule<'a> {
        RunSchedule { recipe, multipliers, steps_per_epoch }
    }

    /// Steps completed since the start of the run.
    pub(super) fn step(&self, state: &State) -> u64 {
        (state.epoch * self.steps_per_epoch + state.batch) as u64
    }

    fn progress(&self, state: &State) -> Progress {
        Progress {
            epoch: state.epoch,
            step: self.step(state),
            steps_per_epoch: self.steps_per_epoch as u64,
            drops: state.schedule.drops,
        }
    }

    /// The learning rate of the next step.
    pub(super) fn lr(&self, state: &State) -> f64 {
        self.recipe.lr_at(self.progress(state))
    }

    /// The learning rate of the last step in the current epoch.
    pub(super) fn last_lr(&self, state: &State) -> f64 {
        let progress = self.progress(state);
        self.recipe.lr_at(Progress { step: progress.step.saturating_sub(1), ..progress })
    }

    /// Settings of the next optimizer step.
    pub(super) fn optimizer_step(&self, state: &State) -> OptimizerStep {
        OptimizerStep { layers: self.multipliers.clone(), ..self.recipe.step_at(self.progress(state)) }
    }
}
