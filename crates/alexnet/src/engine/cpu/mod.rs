//! The CPU engine: a net compiled once into a plan of fused steps over one arena.
//!
//! `plan` turns layers into steps, `program` adds memory (`arena`: buffers shared by values with disjoint lifetimes),
//! and `run` runs the steps forward and backward on [`alexnet_kernels`]. Nothing is allocated after the first step.
//! Work is partitioned at boundaries that depend only on shapes, so results are bitwise equal for any number of
//! threads.

mod activations;
mod arena;
mod average;
mod clock;
mod cost;
pub(crate) mod dropout;
mod gradient_sink;
mod held_gradient;
mod int8;
mod layer_gradient;
pub(crate) mod linear_shard;
mod parameters;
mod plan;
mod profile;
mod program;
mod run;
pub(crate) mod segment;
mod split;
mod thread_pool;

use std::sync::Arc;

pub use alexnet_kernels::context::Convolutions;
use alexnet_kernels::context::{self, Context};
use alexnet_kernels::isa::Isa;
use alexnet_kernels::layout;
use alexnet_kernels::thread_pool::ThreadPool;

pub use self::clock::Pass;
use self::gradient_sink::{GradientBuffer, GradientSink};
use self::parameters::Parameter;
pub use self::profile::{Limits, Timing};
use self::program::{Program, Purpose};
use super::split::SplitEngine;
use super::{
    Batch, BatchShard, Calibration, FeatureMaps, GradientAccumulation, Gradients, Inference, Inspection, LayerGradient,
    Objective, OptimizerStep, ParameterStore, Precision, ReluGradient, StepStats, Training, WeightAveraging, input,
};
use crate::formats::{ActivationRanges, TensorData};
use crate::net::{Net, Op};
use crate::{Error, Result};

/// CPU engine: trains and infers in f32 or bf16, and infers in int8 and int4.
pub struct Cpu {
    net: Net,
    classes: usize,
    capacity: usize,
    isa: Isa,
    convolutions: Convolutions,
    precision: Precision,
    /// Quantisation parameters of each layer's input; empty until set or calibrated.
    ranges: ActivationRanges,
    /// Int8 weights; created lazily after each change.
    bytes: Option<int8::Bytes>,
    pool: Arc<ThreadPool>,
    parameters: Vec<Parameter>,
    room: GradientBuffer,
    /// Created on first use, since most runs need only some of them.
    inference: Option<Program>,
    training: Option<Program>,
    input_gradient: Option<Program>,
    /// Cached programs for activations, most recently used last.
    shown: Vec<(activations::Wanted, Program)>,
}

impl Cpu {
    /// Creates an engine for batches of up to `capacity` images on `threads` threads (0: one per core). All
    /// parameters are zero.
    ///
    /// # Errors
    /// Inconsistent layers, a last layer that is not linear, a capacity of 0, or an instruction set in `ALEXNET_ISA`
    /// that this processor lacks.
    pub fn new(net: &Net, capacity: usize, threads: usize) -> Result<Cpu> {
        if !matches!(net.layers.last().map(|layer| &layer.op), Some(Op::Linear { .. })) {
            return Err(Error::Net(format!("{}: the last layer must be linear, because its outputs are the classes", net.name)));
        }
        Cpu::of_layers(net, capacity, threads)
    }

    /// Creates an engine as [`new`](Self::new) does, for some layers of a net; the last layer may be of any type.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), except for the last layer.
    pub fn of_layers(net: &Net, capacity: usize, threads: usize) -> Result<Cpu> {
        if capacity == 0 {
            return Err(Error::Invalid("the batch size must be at least 1".into()));
        }
        Ok(Cpu {
            net: net.clone(),
            classes: net.classes(),
            capacity,
            isa: Isa::from_env().map_err(Error::Invalid)?,
            convolutions: Convolutions::from_env().map_err(Error::Invalid)?,
            precision: Precision::F32,
            ranges: ActivationRanges::new(),
            bytes: None,
            pool: Arc::new(thread_pool::new(threads)?),
            parameters: Parameter::zeros(net)?,
            room: GradientBuffer::default(),
            inference: None,
            training: None,
            input_gradient: None,
            shown: Vec::new(),
        })
    }

    /// Overrides the default choice of convolution algorithms (the fastest, or those of `ALEXNET_CONV`).
    #[must_use]
    pub fn with_convolutions(self, convolutions: Convolutions) -> Cpu {
        Cpu { convolutions, ..self }
    }

    /// Sets the precision of matrix products and convolutions.
    ///
    /// # Errors
    /// Half precision, which the CPU does not support.
    pub fn with_precision(self, precision: Precision) -> Result<Cpu> {
        if !precision.runs_on_cpu() {
            return Err(Error::Invalid("precision f16 requires a GPU (--device); use bf16 on the CPU".into()));
        }
        Ok(Cpu { precision, ..self })
    }

    /// Makes logits bitwise independent of the other images in the batch. By default, linear layers sum in a
    /// different order for small and large batches. This mode keeps weights in file order and is 3 % slower for large
    /// batches. Call it before setting parameters.
    #[must_use]
    pub fn batch_invariant(mut self) -> Cpu {
        let linear = |name: &str| self.net.layers.iter().any(|l| l.name == name && matches!(l.op, Op::Linear { .. }));
        self.parameters.iter_mut().for_each(|parameter| parameter.steady = linear(&parameter.name));
        self
    }

    /// Activation ranges for quantised inference.
    pub fn ranges(&self) -> &ActivationRanges {
        &self.ranges
    }

    /// Int8 supports neither batch normalisation nor locally connected layers.
    fn refuse_in_int8(&self) -> Result<()> {
        if let Some(layer) = self.net.local_layer() {
            let message =
                format!("{}: layer {layer}: locally connected layers are not supported in int8; use f32 or bf16", self.net.name);
            return Err(Error::Invalid(message));
        }
        if self.net.has_batch_norm() {
            let message = format!("{}: batch normalisation is not supported in int8; use f32 or bf16", self.net.name);
            return Err(Error::Invalid(message));
        }
        Ok(())
    }

    fn context<'a>(&self, pool: &'a ThreadPool) -> Context<'a> {
        Context { isa: self.isa, threads: pool, convolutions: self.convolutions, factors: floats(self.precision) }
    }

    /// Instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of threads in use.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Number of images in `images`.
    fn count(&self, images: &[f32]) -> Result<usize> {
        input::image_count(&self.net, images)
    }

    /// Forward, loss and backward on a batch of at most the engine's capacity, starting from images or from the
    /// output of layer `after`.
    fn learn(
        &mut self,
        purpose: Purpose,
        after: Option<&str>,
        batch: &Batch<'_>,
        mut learn: GradientSink<'_>,
    ) -> Result<StepStats> {
        let n = if after.is_some() { batch.labels.len() } else { self.count(batch.images)? };
        input::check_batch(n, batch.labels, self.classes, self.capacity)?;
        batch.objective.check(n, self.classes)?;
        self.precision.check_trains()?;
        let (pool, precision) = (self.pool.clone(), self.precision);
        let context = self.context(&pool);
        let slot = if purpose == Purpose::Train { &mut self.training } else { &mut self.input_gradient };
        let program = compiled(slot, &self.net, purpose, self.capacity, &context, precision)?;
        self.parameters.iter_mut().for_each(|parameter| parameter.pack(&context));
        if let Some(step) = learn.step() {
            for parameter in &mut self.parameters {
                match step.is_frozen(&parameter.name) {
                    true => parameter.ready_frozen(),
                    false => parameter.ready_to_train(&step.optimizer),
                }
            }
        }
        let (classes, parameters, room) = (self.classes, &mut self.parameters, &mut self.room);
        match after {
            None => run::forward(&context, program, parameters, batch.images, n, batch.dropout),
            Some(layer) => {
                let place = program.after(&self.net, layer)?;
                if batch.images.len() != n * place.len {
                    return Err(split::not_features(batch.images.len(), layer, place));
                }
                if run::lowest_to_learn(program, parameters, &learn) < place.steps {
                    return Err(Error::Net(format!("cannot train on features of {layer}: a layer at or below it is not frozen")));
                }
                run::forward_after(&context, program, parameters, batch.images, n, batch.dropout, place);
            }
        }
        let (output, gradient) = (program.plan.output, program.gradient(program.plan.output));
        let weight = if let GradientSink::Hold(_, weight) = &learn { *weight } else { 1.0 };
        let stats = program.memory.write(gradient, |memory, dlogits| {
            let logits = memory.read(output);
            batch.objective.evaluate(&context, classes, logits, batch.labels, weight, dlogits)
        });
        program.clock.lap_loss();
        run::backward(&context, program, parameters, room, n, batch.dropout, &mut learn);
        Ok(stats)
    }
}

/// Factor type of the float kernels.
fn floats(precision: Precision) -> context::FactorType {
    match precision {
        Precision::Bf16 => context::FactorType::Bf16,
        Precision::F32 | Precision::F16 | Precision::Int8 | Precision::Int4 => context::FactorType::F32,
    }
}

/// Returns the program in `slot`, compiling it if needed.
fn compiled<'a>(
    slot: &'a mut Option<Program>,
    net: &Net,
    purpose: Purpose,
    capacity: usize,
    context: &Context<'_>,
    precision: Precision,
) -> Result<&'a mut Program> {
    if slot.is_none() {
        let program = Program::new(net, 0..net.layers.len(), purpose, capacity)?;
        cost::log(net, &program.plan, purpose, context, precision);
        *slot = Some(program);
    }
    let Some(program) = slot else { unreachable!("compiled above") };
    Ok(program)
}

impl ParameterStore for Cpu {
    fn net(&self) -> &Net {
        &self.net
    }

    /// Sets the activation ranges for [`Precision::Int8`] and [`Precision::Int4`].
    fn set_ranges(&mut self, ranges: &ActivationRanges) {
        self.ranges = ranges.clone();
        self.bytes = None;
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        parameters::read(&self.parameters, name)
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.bytes = None;
        parameters::write(&mut self.parameters, name, values)
    }

    fn share_parameter(&mut self, name: &str, values: &TensorData) -> Result<()> {
        self.bytes = None;
        parameters::share(&mut self.parameters, name, values)
    }
}

impl Inference for Cpu {
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let n = self.count(images)?;
        if self.precision.is_of_bytes() {
            self.refuse_in_int8()?;
        }
        let (pool, precision) = (self.pool.clone(), self.precision);
        let context = self.context(&pool);
        let program = compiled(&mut self.inference, &self.net, Purpose::Infer, self.capacity, &context, precision)?;
        logits.clear();
        if self.precision.is_of_bytes() {
            let bytes = match &mut self.bytes {
                Some(bytes) => bytes,
                None => {
                    let nibbles = self.precision == Precision::Int4;
                    let bytes = int8::Bytes::new(&context, &program.plan, &mut self.parameters, &self.ranges, nibbles)?;
                    self.bytes.insert(bytes)
                }
            };
            for part in images.chunks(images.len() / n * self.capacity) {
                let n = part.len() / (images.len() / n);
                int8::forward(&context, program, &self.parameters, bytes, part, n);
                logits.extend_from_slice(&program.memory.read(program.plan.output)[..n * self.classes]);
            }
            return Ok(());
        }
        run::prepare(&context, program, &mut self.parameters, n.min(self.capacity));
        for part in images.chunks(images.len() / n * self.capacity) {
            let n = part.len() / (images.len() / n);
            run::forward(&context, program, &self.parameters, part, n, None);
            logits.extend_from_slice(&program.memory.read(program.plan.output)[..n * self.classes]);
        }
        Ok(())
    }
}

impl Inspection for Cpu {
    fn activation(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>> {
        self.count(images)?;
        let mut maps = self.feature_maps(images, [self.net.image_size; 2], &[layer])?;
        Ok(maps.swap_remove(0).values)
    }

    fn layer_gradient(
        &mut self,
        images: &[f32],
        layer: Option<&str>,
        weights: &[f32],
        relu: ReluGradient,
    ) -> Result<LayerGradient> {
        layer_gradient::layer_gradient(self, images, layer, weights, relu)
    }

    fn input_gradient(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        let batch = Batch { images, labels, dropout: None, objective: Objective::default() };
        self.learn(Purpose::InputGradient, None, &batch, GradientSink::Nothing)?;
        let Some(program) = &self.input_gradient else { unreachable!("compiled by `learn`") };
        let pool = self.pool.clone();
        let context = self.context(&pool);
        let map = plan::batch(program.plan.gradient_map(0), labels.len());
        let mut planes = vec![0.0; images.len()];
        layout::to_planes(&context, map, program.memory.read(program.gradient(0)), &mut planes);
        Ok(planes)
    }

    fn release_gradient_memory(&mut self) {
        self.parameters.iter_mut().for_each(parameters::Parameter::release_packed);
    }
}

impl Calibration for Cpu {
    fn calibrate(&mut self, images: &[f32]) -> Result<ActivationRanges> {
        let n = self.count(images)?;
        self.refuse_in_int8()?;
        if n > self.capacity {
            return Err(Error::Net(format!("{n} images exceed the engine's batch size of {}", self.capacity)));
        }
        let (pool, precision) = (self.pool.clone(), self.precision);
        let context = self.context(&pool);
        let program = compiled(&mut self.inference, &self.net, Purpose::Infer, self.capacity, &context, precision)?;
        run::prepare(&context, program, &mut self.parameters, n);
        Ok(int8::calibrate(&context, program, &self.parameters, images, n))
    }
}

impl Training for Cpu {
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.train_step(&shard.batch(), step)
    }

    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>> {
        parameters::read_state(&self.parameters, name, slot)
    }

    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()> {
        parameters::write_state(&mut self.parameters, name, slot, values)
    }

    fn prepare_training(&mut self) {
        self.parameters.iter_mut().for_each(|parameter| parameter.trains = true);
    }

    fn accumulation(&mut self) -> Option<&mut dyn GradientAccumulation> {
        Some(self)
    }

    fn averaging(&mut self) -> Option<&mut dyn WeightAveraging> {
        Some(self)
    }

    fn split(&mut self) -> Option<&mut dyn SplitEngine> {
        Some(self)
    }
}

impl Gradients for Cpu {
    fn train_step(&mut self, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.learn(Purpose::Train, None, batch, GradientSink::Update(step))
    }

    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats> {
        self.learn(Purpose::Train, None, batch, GradientSink::Visit(visit))
    }

    fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()> {
        self.bytes = None;
        let pool = self.pool.clone();
        let context = self.context(&pool);
        gradient_sink::apply(&context, &mut self.parameters, &mut self.room, name, gradient, step)
    }
}
