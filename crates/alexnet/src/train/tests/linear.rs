//! The smallest engine there is: one linear layer and softmax. It knows dropout, both update forms and velocities, so
//! whatever a trainer forgets to save or repeats shows in its bits.

use crate::engine::{Batch, Engine, MomentumForm, Rates, StepStats, Update};
use crate::net::{BiasInit, Layer, Net, Op, WeightInit};
use crate::{Error, Result};
use alexnet_kernels::random::Key;
use std::collections::BTreeMap;

pub(crate) struct Linear {
    net: Net,
    parameters: BTreeMap<String, Vec<f32>>,
    velocities: BTreeMap<String, Vec<f32>>,
    /// From this step on the loss is not a number.
    pub(crate) breaks_at: Option<u64>,
}

impl Linear {
    pub(crate) fn new(size: usize, classes: usize) -> Self {
        let op = Op::Linear { out: classes, weight_init: WeightInit::Normal(0.01), bias_init: BiasInit::Constant(0.0) };
        let net = Net { name: "linear".into(), image_size: size, layers: vec![Layer { name: "fc1".into(), op }] };
        let inputs = 3 * size * size;
        let zeros = BTreeMap::from([
            ("fc1.weight".to_string(), vec![0.0; classes * inputs]),
            ("fc1.bias".to_string(), vec![0.0; classes]),
        ]);
        let mut parameters = zeros.clone();
        if let Some(weights) = parameters.get_mut("fc1.weight") {
            weights.iter_mut().enumerate().for_each(|(i, w)| *w = Key(5).normal(i as u64) * 0.01);
        }
        Linear { net, parameters, velocities: zeros, breaks_at: None }
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

    /// Loss, and gradients of weights and biases.
    fn backward(&self, batch: &Batch<'_>) -> (StepStats, Vec<f32>, Vec<f32>) {
        let (classes, inputs, n) = (self.net.classes(), self.inputs(), batch.labels.len());
        let mut images = batch.images.to_vec();
        if let Some(key) = batch.dropout {
            for (i, x) in images.chunks_exact_mut(inputs).enumerate() {
                let key = Key(key.seed).with(key.step).with(key.first_picture + i as u64);
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
        (StepStats { loss: (loss / n as f64) as f32, correct }, dw, db)
    }
}

impl Engine for Linear {
    fn net(&self) -> &Net {
        &self.net
    }

    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        *logits = self.forward(images);
        Ok(())
    }

    fn train_step(&mut self, batch: &Batch<'_>, rule: &Update) -> Result<StepStats> {
        let (mut step, dw, db) = self.backward(batch);
        if self.breaks_at.is_some_and(|at| batch.dropout.is_some_and(|key| key.step >= at)) {
            step.loss = f32::NAN;
        }
        self.apply("fc1.weight", &dw, rule)?;
        self.apply("fc1.bias", &db, rule)?;
        Ok(step)
    }

    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats> {
        let (step, dw, db) = self.backward(batch);
        visit("fc1.weight", &dw);
        visit("fc1.bias", &db);
        Ok(step)
    }

    fn apply(&mut self, name: &str, gradient: &[f32], rule: &Update) -> Result<()> {
        let Some(Rates { lr, decay }) = rule.rates(name) else { return Ok(()) };
        let (Some(w), Some(v)) = (self.parameters.get_mut(name), self.velocities.get_mut(name)) else {
            return Err(Error::Net(format!("no parameter {name}")));
        };
        for ((w, v), g) in w.iter_mut().zip(v).zip(gradient) {
            let inside = if rule.form == MomentumForm::RateInside { lr } else { 1.0 };
            *v = rule.momentum * *v + inside * (g + decay * *w);
            *w -= lr / inside * *v;
        }
        Ok(())
    }

    fn input_gradient(&mut self, _images: &[f32], _labels: &[u32]) -> Result<Vec<f32>> {
        Err(Error::Invalid("not asked for by a trainer".into()))
    }

    fn activation(&mut self, images: &[f32], _layer: &str) -> Result<Vec<f32>> {
        Ok(self.forward(images))
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.parameters.get(name).cloned().ok_or_else(|| Error::Net(format!("no parameter {name}")))
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        set(&mut self.parameters, name, values)
    }

    fn velocity(&self, name: &str) -> Result<Vec<f32>> {
        self.velocities.get(name).cloned().ok_or_else(|| Error::Net(format!("no velocity {name}")))
    }

    fn set_velocity(&mut self, name: &str, values: &[f32]) -> Result<()> {
        set(&mut self.velocities, name, values)
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
