//! Split execution on the CPU engine: the value after a layer is copied out and in with its arena layout.

use super::gradient_sink::GradientSink;
use super::program::{Place, Purpose};
use super::run;
use super::{Cpu, compiled};
use crate::engine::split::SplitEngine;
use crate::engine::{Batch, OptimizerStep, StepStats};
use crate::{Error, Result};

impl SplitEngine for Cpu {
    fn features(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>> {
        let n = self.count(images)?;
        let pool = self.pool.clone();
        let (context, precision) = (self.context(&pool), self.precision);
        let program = compiled(&mut self.training, &self.net, Purpose::Train, self.capacity, &context, precision)?;
        let place = program.after(&self.net, layer)?;
        // Uses the training layout, so that the features are bitwise equal to those of training.
        for parameter in &mut self.parameters {
            parameter.pack(&context);
            parameter.ready_frozen();
        }
        let mut features = Vec::with_capacity(n * place.len);
        for part in images.chunks(images.len() / n * self.capacity) {
            let n = part.len() / (images.len() / n);
            run::forward_up_to(&context, program, &self.parameters, part, n, place.steps);
            features.extend_from_slice(&program.memory.read(place.value)[..n * place.len]);
        }
        Ok(features)
    }

    fn infer_after(&mut self, layer: &str, features: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let pool = self.pool.clone();
        let (context, precision) = (self.context(&pool), self.precision);
        let program = compiled(&mut self.inference, &self.net, Purpose::Infer, self.capacity, &context, precision)?;
        let place = program.after(&self.net, layer)?;
        let n = features.len() / place.len;
        if n == 0 || features.len() != n * place.len {
            return Err(not_features(features.len(), layer, place));
        }
        run::prepare(&context, program, &mut self.parameters, n.min(self.capacity));
        logits.clear();
        for part in features.chunks(place.len * self.capacity) {
            let n = part.len() / place.len;
            run::forward_after(&context, program, &self.parameters, part, n, None, place);
            logits.extend_from_slice(&program.memory.read(program.plan.output)[..n * self.classes]);
        }
        Ok(())
    }

    fn train_step_after(&mut self, layer: &str, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.learn(Purpose::Train, Some(layer), batch, GradientSink::Update(step))
    }

    fn accumulate_after(&mut self, layer: &str, batch: &Batch<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats> {
        self.learn(Purpose::Train, Some(layer), batch, GradientSink::Hold(step, weight))
    }
}

/// Error for a wrong number of feature values.
pub(super) fn not_features(len: usize, layer: &str, place: Place) -> Error {
    Error::Net(format!("expected a multiple of {} values, the features of {layer}, got {len}", place.len))
}
