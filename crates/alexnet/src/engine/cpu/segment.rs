//! Contiguous part of a net for distributed engines. Inputs and outputs are `[n, channels, rows, columns]`, so that
//! channels and images can be split and concatenated.

use alexnet_kernels::context::Context;
use alexnet_kernels::layout;

use super::gradient_sink::{self, GradientSink};
use super::plan::batch;
use super::program::{Program, Purpose};
use super::run;
use super::{Cpu, parameters};
use crate::engine::{DropoutKey, OptimizerStep, Precision};
use crate::net::Net;
use crate::{Error, Result};
use std::ops::Range;

/// Some layers with their parameters and the memory to run them.
pub(crate) struct Segment {
    cpu: Cpu,
    layers: Range<usize>,
    training: Program,
    inference: Option<Program>,
}

impl Segment {
    /// Creates a segment of `layers` of `net` for up to `capacity` images; its input is the output of the layer
    /// before, or images. `wants_input_gradient`: whether earlier layers are trained.
    pub(crate) fn new(
        net: &Net,
        layers: Range<usize>,
        wants_input_gradient: bool,
        capacity: usize,
        threads: usize,
        precision: Precision,
    ) -> Result<Segment> {
        precision.check_trains()?;
        let cpu = Cpu::of_layers(net, capacity, threads)?.with_precision(precision)?;
        let purpose = if wants_input_gradient { Purpose::InputGradient } else { Purpose::Train };
        let training = Program::new(net, layers.clone(), purpose, capacity)?;
        Ok(Segment { cpu, layers, training, inference: None })
    }

    /// Lends the kernels' context.
    pub(crate) fn with_context<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let pool = self.cpu.pool.clone();
        work(&self.cpu.context(&pool))
    }

    /// Number of values in an image's output.
    pub(crate) fn output_len(&self) -> usize {
        let map = self.training.plan.values[self.training.plan.output].map;
        map.h * map.w * map.c
    }

    /// Forward pass of `n` inputs. With `train`, applies dropout by `key` and keeps what backward needs.
    pub(crate) fn forward(&mut self, input: &[f32], n: usize, key: Option<DropoutKey>, train: bool) -> Result<Vec<f32>> {
        let mut output = vec![0.0; n * self.output_len()];
        if n > self.cpu.capacity {
            return Err(Error::Net(format!("{n} images exceed the engine's batch size of {}", self.cpu.capacity)));
        }
        if n == 0 {
            return Ok(output);
        }
        let pool = self.cpu.pool.clone();
        let context = self.cpu.context(&pool);
        let own = self.parameters();
        self.cpu.parameters[own].iter_mut().for_each(|parameter| parameter.pack(&context));
        let program = if train {
            &mut self.training
        } else {
            if self.inference.is_none() {
                let made = Program::new(&self.cpu.net, self.layers.clone(), Purpose::Infer, self.cpu.capacity)?;
                self.inference = Some(made);
            }
            self.inference.as_mut().ok_or_else(|| Error::Invalid("no program".into()))?
        };
        run::forward(&context, program, &self.cpu.parameters, input, n, key);
        let value = program.plan.output;
        layout::to_planes(&context, batch(program.plan.values[value].map, n), program.memory.read(value), &mut output);
        Ok(output)
    }

    /// Backward pass from the gradient of the output of [`forward`](Self::forward); visits the gradients of
    /// parameters and returns the gradient of the input, if requested.
    pub(crate) fn backward(
        &mut self,
        gradient: &[f32],
        n: usize,
        key: Option<DropoutKey>,
        visit: &mut (dyn FnMut(&str, &[f32]) + Send),
    ) -> Option<Vec<f32>> {
        let pool = self.cpu.pool.clone();
        let context = self.cpu.context(&pool);
        let program = &mut self.training;
        let wanted = program.purpose == Purpose::InputGradient;
        let input = batch(program.plan.gradient_map(0), n);
        let mut planes = vec![0.0; if wanted { n * input.h * input.w * input.c } else { 0 }];
        if n > 0 {
            let output = program.plan.output;
            let value = program.plan.values[output];
            let (to, map) = (program.gradient(output), batch(program.plan.gradient_map(output), n));
            program.memory.write(to, |memory, to| {
                // The gradient of a ReLU's output is masked where it is written.
                if value.relu {
                    let mut seen = vec![0.0; gradient.len()];
                    layout::to_planes(&context, batch(value.map, n), memory.read(output), &mut seen);
                    let masked: Vec<f32> =
                        gradient.iter().zip(&seen).map(|(&g, &seen)| if seen > 0.0 { g } else { 0.0 }).collect();
                    layout::from_planes(&context, &masked, map, to);
                } else {
                    layout::from_planes(&context, gradient, map, to);
                }
            });
            let mut learn = GradientSink::Visit(visit);
            run::backward(&context, program, &mut self.cpu.parameters, &mut self.cpu.room, n, key, &mut learn);
            if wanted {
                layout::to_planes(&context, input, program.memory.read(program.gradient(0)), &mut planes);
            }
        }
        wanted.then_some(planes)
    }

    /// Indices of these layers' parameters among the net's.
    fn parameters(&self) -> Range<usize> {
        let name = |i: usize| &self.cpu.net.layers[i].name;
        let has = |i: usize| self.cpu.parameters.iter().any(|p| p.name == *name(i));
        let first = (0..self.layers.start).filter(|&i| has(i)).count();
        first..first + self.layers.clone().filter(|&i| has(i)).count()
    }

    /// Updates a parameter from its gradient.
    pub(crate) fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()> {
        let pool = self.cpu.pool.clone();
        let context = self.cpu.context(&pool);
        gradient_sink::apply(&context, &mut self.cpu.parameters, &mut self.cpu.room, name, gradient, step)
    }

    /// Reads a parameter or a slot of its optimizer state.
    pub(crate) fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match slot {
            Some(slot) => parameters::read_state(&self.cpu.parameters, name, slot),
            None => parameters::read(&self.cpu.parameters, name),
        }
    }

    /// Writes a parameter or a slot of its optimizer state.
    pub(crate) fn write(&mut self, name: &str, slot: Option<&str>, values: &[f32]) -> Result<()> {
        match slot {
            Some(slot) => parameters::write_state(&mut self.cpu.parameters, name, slot, values),
            None => parameters::write(&mut self.cpu.parameters, name, values),
        }
    }

    /// Whether a layer belongs to this segment.
    pub(crate) fn has(&self, layer: &str) -> bool {
        self.cpu.net.layers[self.layers.clone()].iter().any(|l| l.name == layer)
    }
}
