//! The steps of an epoch: batches, gradients, updates.

use super::held::accumulation;
use super::sync::StepStatus;
use super::{Event, StopReason, Trainer};
use crate::data::loader;
use crate::engine::{Batch, BatchShard, DropoutKey, Objective};
use crate::train::feature_cache;
use crate::train::state::RunningTotals;
use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

impl Trainer<'_> {
    /// Trains the remaining steps of the current epoch. Returns the reason if it stopped early.
    pub(super) fn steps(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Option<StopReason>> {
        let all = self.loaders.train.batches();
        let epoch = self.state.epoch as u64;
        let mut batches = match self.features {
            Some(_) => Batches::Kept(self.loaders.train.plan(epoch)),
            None => {
                let mixed_as = self.schedule.recipe_epoch(&self.state);
                Batches::Ahead(self.loaders.train.epoch_at(epoch, mixed_as, self.state.batch))
            }
        };
        while self.state.batch < all {
            let between_steps = self.schedule.between_steps(&self.state);
            if between_steps && self.is_over() {
                break;
            }
            if between_steps && self.max_steps.is_some_and(|most| self.step() >= most) {
                return Ok(Some(StopReason::MaxSteps));
            }
            let batch = self.next(&mut batches)?.ok_or_else(|| {
                Error::Invalid(
                    "the loader stopped before the end of an epoch; the system may have reached its thread limit (ulimit -u)"
                        .into(),
                )
            })?;
            let status = self.ranks.sync_step(StepStatus {
                parts: batch.parts.clone(),
                broken: batch.broken.clone(),
                stop: stop.load(Ordering::Relaxed),
                save: self.checkpointer.is_due_within_epoch(),
            })?;
            // Accumulated gradients are not saved, so a run stops between steps only.
            if status.stop && between_steps {
                return Ok(Some(StopReason::Interrupted));
            }
            if self.decode_errors.in_training(&status.broken, &mut self.state, watch)? {
                self.checkpointer.write_broken(&self.state)?;
            }
            let lr = self.schedule.lr(&self.state);
            self.train_on(&batch, &status.parts)?;
            let completes = self.schedule.completes_step(&self.state);
            if completes {
                self.apply_held()?;
            }
            self.state.batch += 1;
            if !completes {
                continue;
            }
            let trained = std::mem::take(&mut self.held).images;
            let step = self.step();
            self.ema.as_mut().map_or(Ok(()), |ema| ema.after_step(self.engine, step))?;
            if let (Some(clock), Some(timeline)) = (&mut self.clock, &mut self.state.timeline) {
                clock.step();
                clock.plan(timeline, step);
            }
            let RunningTotals { loss, correct, images } = self.state.sums;
            let n = images.max(1) as f64;
            watch(Event::Step {
                epoch: self.state.epoch + 1,
                steps: (self.schedule.step_in_epoch(&self.state), self.schedule.steps_per_epoch()),
                loss: loss / n,
                top1: correct as f64 / n,
                images: trained,
                step,
                until: self.schedule.until(&self.state),
                lr,
                sums: self.state.sums,
            });
            if self.state.batch < all && !self.is_over() && status.save {
                self.save(false)?;
            }
        }
        Ok(None)
    }

    /// Whether a run with a timeline has done its last step.
    pub(super) fn is_over(&self) -> bool {
        self.state.timeline.is_some() && self.step() >= self.schedule.until(&self.state)
    }

    /// Plans the rest of a run by the clock when an epoch is validated and saved. Without time for another step, it ends.
    pub(super) fn plan_after_epoch(&mut self) {
        let (step, complete) = (self.step(), self.schedule.is_complete(&self.state));
        if let (Some(clock), Some(timeline), false) = (&mut self.clock, &mut self.state.timeline, complete) {
            timeline.ended = clock.plan_after_epoch(timeline, step).then_some(step);
        }
    }

    /// The next batch of the current epoch: images, or cached features.
    fn next(&mut self, batches: &mut Batches) -> Result<Option<loader::Batch>> {
        match (batches, &mut self.features) {
            (Batches::Ahead(batches), _) => Ok(batches.next()),
            (Batches::Kept(plan), Some(features)) => {
                let Some(images) = plan.get(self.state.batch) else { return Ok(None) };
                features.batch(self.engine, &self.loaders.train, self.state.epoch as u64, images).map(Some)
            }
            (Batches::Kept(_), None) => Ok(None),
        }
    }

    /// Trains on one batch, of which this rank has a shard; `blocks` are the numbers of images in each block of the
    /// whole batch. A batch without a readable image is skipped.
    fn train_on(&mut self, batch: &loader::Batch, blocks: &[usize]) -> Result<()> {
        let n = blocks.iter().sum::<usize>();
        if n == 0 {
            return Ok(());
        }
        let step = self.schedule.optimizer_step(&self.state);
        let cut = self.loaders.train.cut();
        let before = self.held.images + blocks[..cut.blocks_of(cut.rank).start].iter().sum::<usize>();
        let dropout = Some(DropoutKey { seed: self.seed, step: self.step(), first_image: before as u64 });
        let (holds, weight) = (self.schedule.holds_gradients(), n as f32 / self.recipe.batch as f32);
        let (images, labels) = (&batch.images, &batch.labels);
        let objective = Objective { criterion: self.criterion.as_ref(), mixed: &batch.mixed };
        let (engine, features) = (&mut *self.engine, &self.features);
        let input = Batch { images, labels, dropout, objective };
        let shard = BatchShard { images, labels, dropout, objective, blocks };
        let stats = self.ranks.measure(self.schedule.completes_step(&self.state), || match (features, holds) {
            (Some(features), false) => feature_cache::split(engine)?.train_step_after(features.after(), &input, &step),
            (Some(features), true) => feature_cache::split(engine)?.accumulate_after(features.after(), &input, &step, weight),
            (None, false) => engine.train_shard(&shard, &step),
            (None, true) => accumulation(engine)?.accumulate(&shard, &step, weight),
        })?;
        if !stats.loss.is_finite() {
            return Err(self.diverged("loss"));
        }
        self.state.sums.loss += f64::from(stats.loss) * n as f64;
        self.state.sums.correct += stats.correct as u64;
        self.state.sums.images += n as u64;
        self.held.add(n, weight);
        Ok(())
    }

    /// Updates the parameters by the gradients held since the last step, if any.
    fn apply_held(&mut self) -> Result<()> {
        if !self.schedule.holds_gradients() || self.held.images == 0 {
            return Ok(());
        }
        let (step, scale, clip_norm) = (self.schedule.optimizer_step(&self.state), self.held.scale(), self.recipe.clip_norm);
        let engine = &mut *self.engine;
        let norm = self.ranks.measure(false, || accumulation(engine)?.apply_accumulated(&step, scale, clip_norm))?;
        if norm.is_some_and(|norm| !norm.is_finite()) { Err(self.diverged("norm of the gradients")) } else { Ok(()) }
    }
}

/// Source of an epoch's batches.
enum Batches {
    /// Prefetching loader.
    Ahead(loader::BatchIter),
    /// Images of each batch whose features are cached.
    Kept(Vec<Vec<u32>>),
}
