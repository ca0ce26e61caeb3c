//! Minimal engine: one linear layer and softmax. It supports dropout and every optimizer's state, so anything that a
//! trainer fails to save or repeats changes its bits.

use crate::engine::accumulation::HeldGradients;
use crate::engine::{
    Batch, BatchShard, GradientAccumulation, Gradients, Inference, OptimizerStep, ParameterStore, StepStats, Training, optim,
};
use crate::net::{BiasInit, Layer, Net, Op, WeightInit};
use crate::{Error, Result};
use alexnet_kernels::context::Context;
use alexnet_kernels::isa::Isa;
use alexnet_kernels::random::Key;
use std::collections::BTreeMap;

pub(crate) struct Linear {
    net: Net,
    parameters: BTreeMap<String, Vec<f32>>,
    /// Optimizer state by slot and parameter.
    state: BTreeMap<String, Vec<f32>>,
    /// Step from which the loss is NaN.
    pub(crate) breaks_at: Option<u64>,
    held: HeldGradients,
}

impl Linear {
    pub(crate) fn new(size: usize, classes: usize) -> Self {
        let op = Op::Linear { out: classes, weight_init: WeightInit::Normal(0.01), bias_init: BiasInit::Constant(0.0) };
        let net = Net { name: "linear".into(), image_size: size, layers: vec![Layer { name: "fc1".into(), op }] };
        let inputs = 3 * size * size;
        let mut parameters = BTreeMap::from([
            ("fc1.weight".to_string(), vec![0.0; classes * inputs]),
            ("fc1.bias".to_string(), vec![0.0; classes]),
        ]);
        if let Some(weights) = parameters.get_mut("fc1.weight") {
            weights.iter_mut().enumerate().for_each(|(i, w)| *w = Key(5).normal(i as u64) * 0.01);
        }
        Linear { net, parameters, state: BTreeMap::new(), breaks_at: None, held: HeldGradients::default() }
    }

    fn inputs(&self) -> usize {
        3 * self.net.image_size * self.net.image_size
    }

    fn forward(&self, images: &[f32]) -> Vec<f32> {
        let (weights, bias) = (&self.parameters["fc1.weight"], &self.parameters["fc1.bias"]);
        let row = |x: &[f32], w: &[f32], b: f32| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>() + b;
        let images = images.chunks_exact(self.inputs());
        images.flat_map(|x| weights.chunks_exact(x.len()).zip(bias).map(|(w, &b)| row(x, w, b)).collect::<Vec<_>>()).collect()
    }

    /// Loss, and gradients of the weights and biases.
    fn backward(&self, batch: &Batch<'_>) -> (StepStats, Vec<f32>, Vec<f32>) {
        let (classes, inputs, n) = (self.net.classes(), self.inputs(), batch.labels.len());
        let mut images = batch.images.to_vec();
        if let Some(key) = batch.dropout {
            for (i, x) in images.chunks_exact_mut(inputs).enumerate() {
                let key = Key(key.seed).with(key.step).with(key.first_image + i as u64);
                x.iter_mut().enumerate().for_each(|(j, x)| *x *= f32::from(u8::from(key.uniform(j as u64) >= 0.1)));
            }
        }
        let logits = self.forward(&images);
        let (mut dw, mut db, mut loss, mut correct) = (vec![0.0; classes * inputs], vec![0.0; classes], 0.0, 0);
        for ((logits, x), &label) in logits.chunks_exact(classes).zip(images.chunks_exact(inputs)).zip(batch.labels) {
            let logs = crate::predict::log_probabilities(logits, classes);
            loss -= logs[label as usize];
            correct += usize::from(crate::predict::ranking(&logs)[0] == label as usize);
            for c in 0..classes {
                let d = (logs[c].exp() as f32 - f32::from(u8::from(c == label as usize))) / n as f32;
                db[c] += d;
                dw[c * inputs..(c + 1) * inputs].iter_mut().zip(x).for_each(|(dw, x)| *dw += d * x);
            }
        }
        if batch.objective.criterion.is_none() && batch.objective.mixed.is_empty() {
            return (StepStats { loss: (loss / n as f64) as f32, correct }, dw, db);
        }
        let mut dlogits = vec![0.0; n * classes];
        let context = Context::serial(Isa::Portable);
        let stats = batch.objective.evaluate(&context, classes, &logits, batch.labels, 1.0, &mut dlogits);
        dw.fill(0.0);
        db.fill(0.0);
        for (d, x) in dlogits.chunks_exact(classes).zip(images.chunks_exact(inputs)) {
            for c in 0..classes {
                db[c] += d[c];
                dw[c * inputs..(c + 1) * inputs].iter_mut().zip(x).for_each(|(dw, x)| *dw += d[c] * x);
            }
        }
        (stats, dw, db)
    }
}

impl ParameterStore for Linear {
    fn net(&self) -> &Net {
        &self.net
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.parameters.get(name).cloned().ok_or_else(|| Error::Net(format!("no parameter {name}")))
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        set(&mut self.parameters, name, values)
    }
}

impl Inference for Linear {
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        *logits = self.forward(images);
        Ok(())
    }
}

impl Training for Linear {
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.train_step(&shard.batch(), step)
    }

    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>> {
        let zeros = || self.parameter(name).map(|values| vec![0.0; values.len()]);
        self.state.get(&format!("{slot}.{name}")).cloned().map_or_else(zeros, Ok)
    }

    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.parameter(name)?.len(), "{slot} of {name}");
        self.state.insert(format!("{slot}.{name}"), values.to_vec());
        Ok(())
    }

    fn accumulation(&mut self) -> Option<&mut dyn GradientAccumulation> {
        Some(self)
    }
}

impl GradientAccumulation for Linear {
    fn accumulate(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats> {
        let mut held = std::mem::take(&mut self.held);
        let stats = held.accumulate(self, &shard.batch(), step, weight);
        self.held = held;
        stats
    }

    fn apply_accumulated(&mut self, step: &OptimizerStep, scale: f32, clip_norm: Option<f64>) -> Result<Option<f64>> {
        let mut held = std::mem::take(&mut self.held);
        let norm = held.apply(self, step, scale, clip_norm);
        self.held = held;
        norm
    }
}

impl Gradients for Linear {
    fn train_step(&mut self, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats> {
        let (mut stats, dw, db) = self.backward(batch);
        if self.breaks_at.is_some_and(|at| batch.dropout.is_some_and(|key| key.step >= at)) {
            stats.loss = f32::NAN;
        }
        self.apply("fc1.weight", &dw, step)?;
        self.apply("fc1.bias", &db, step)?;
        Ok(stats)
    }

    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats> {
        let (stats, dw, db) = self.backward(batch);
        visit("fc1.weight", &dw);
        visit("fc1.bias", &db);
        Ok(stats)
    }

    fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()> {
        let OptimizerStep { optimizer, number, .. } = *step;
        let Some(rates) = step.rates(name) else { return Ok(()) };
        let mut state = optimizer.slots().iter().map(|slot| self.state(name, slot)).collect::<Result<Vec<_>>>()?;
        let mut values = self.parameter(name)?;
        let slots = state.iter_mut().map(Vec::as_mut_slice).collect();
        let context = Context::serial(Isa::Portable);
        optim::update(&context, &optim::Step { optimizer, rates, number }, &mut values, slots, gradient);
        for (slot, values) in optimizer.slots().iter().zip(state) {
            self.set_state(name, slot, &values)?;
        }
        self.set_parameter(name, &values)
    }
}

fn set(all: &mut BTreeMap<String, Vec<f32>>, name: &str, values: &[f32]) -> Result<()> {
    match all.get_mut(name) {
        Some(old) if old.len() == values.len() => {
            old.copy_from_slice(values);
            Ok(())
        }
        _ => Err(Error::Net(format!("no parameter {name} of {} values", values.len()))),
    }
}
