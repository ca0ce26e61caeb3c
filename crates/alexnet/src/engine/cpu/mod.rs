//! The CPU engine: a net compiled once into a plan of fused steps over one arena.
//!
//! `plan` turns layers into steps, `program` adds memory (`memory`: buffers shared by values that never meet), `run`
//! runs the steps forth and back on [`alexnet_kernels`]. After a first step nothing is allocated. Every task is cut at places
//! fixed by shapes, so results have the same bits for any number of threads.

mod activations;
mod arena;
mod clock;
mod cost;
pub(crate) mod dropout;
mod gradient_sink;
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
use alexnet_kernels::thread_pool::ThreadPool;
use alexnet_kernels::{layout, loss};

pub use self::clock::Pass;
use self::gradient_sink::{GradientBuffer, GradientSink};
use self::parameters::Parameter;
use self::plan::batch;
pub use self::profile::{Limits, Timing};
use self::program::{Program, Purpose};
use super::split::SplitEngine;
use super::{
    Batch, BatchShard, Calibration, FeatureMaps, Gradients, Inference, Inspection, LayerGradient, OptimizerStep, ParameterStore,
    Precision, ReluGradient, StepStats, Training, input,
};
use crate::formats::{ActivationRanges, TensorData};
use crate::net::{Net, Op};
use crate::{Error, Result};

/// Runs a [`Net`] on the processor, in f32 or with products of bf16, or infers in bytes.
pub struct Cpu {
    net: Net,
    classes: usize,
    capacity: usize,
    isa: Isa,
    convolutions: Convolutions,
    precision: Precision,
    /// What the bytes of each layer's input stand for; empty until told or found by calibration.
    ranges: ActivationRanges,
    /// Weights in bytes; made when first needed after a change.
    bytes: Option<int8::Bytes>,
    pool: Arc<ThreadPool>,
    parameters: Vec<Parameter>,
    room: GradientBuffer,
    /// Made when first used, since most runs need only some of them.
    inference: Option<Program>,
    training: Option<Program>,
    input_gradient: Option<Program>,
    /// Programs that show what layers give, made when first wanted; the one used last is the last.
    shown: Vec<(activations::Wanted, Program)>,
}

impl Cpu {
    /// An engine for batches of up to `capacity` images on `threads` threads (0: one a core); all parameters are zero.
    ///
    /// # Errors
    /// A net whose layers do not fit each other or whose last layer is not linear, a batch of nothing, or an instruction set
    /// in `ALEXNET_ISA` that this processor lacks.
    pub fn new(net: &Net, capacity: usize, threads: usize) -> Result<Cpu> {
        if !matches!(net.layers.last().map(|layer| &layer.op), Some(Op::Linear { .. })) {
            return Err(Error::Net(format!("{}: the last layer must be linear: its outputs are the classes", net.name)));
        }
        Cpu::of_layers(net, capacity, threads)
    }

    /// As [`new`](Self::new), for some layers of a net, which may end in any way.
    ///
    /// # Errors
    /// As there, but for the last layer.
    pub fn of_layers(net: &Net, capacity: usize, threads: usize) -> Result<Cpu> {
        if capacity == 0 {
            return Err(Error::Invalid("a batch needs at least one image".into()));
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

    /// The same engine with other algorithms for its convolutions than the fastest, or those of `ALEXNET_CONV`.
    #[must_use]
    pub fn with_convolutions(self, convolutions: Convolutions) -> Cpu {
        Cpu { convolutions, ..self }
    }

    /// The same engine with other factors in its products than single precision.
    ///
    /// # Errors
    /// Half precision, which is for devices.
    pub fn with_precision(self, precision: Precision) -> Result<Cpu> {
        if !precision.runs_on_cpu() {
            return Err(Error::Invalid("precision f16 is for devices (--device); on the CPU use bf16".into()));
        }
        Ok(Cpu { precision, ..self })
    }

    /// The same engine, whose answers on an image have the same bits whatever images are beside it: by default linear layers
    /// add in another order for a few images than for many. It keeps weights in file order, and takes 3 % longer for many.
    /// To be called before parameters are set.
    #[must_use]
    pub fn batch_invariant(mut self) -> Cpu {
        let linear = |name: &str| self.net.layers.iter().any(|l| l.name == name && matches!(l.op, Op::Linear { .. }));
        self.parameters.iter_mut().for_each(|parameter| parameter.steady = linear(&parameter.name));
        self
    }

    /// What the bytes of each layer's input stand for.
    pub fn ranges(&self) -> &ActivationRanges {
        &self.ranges
    }

    /// Bytes have no batch normalisation.
    fn refuse_norms(&self) -> Result<()> {
        if self.net.has_batch_norm() {
            let message = format!("{}: batch normalisation in int8 is not there; use f32 or bf16", self.net.name);
            return Err(Error::Invalid(message));
        }
        Ok(())
    }

    fn context<'a>(&self, pool: &'a ThreadPool) -> Context<'a> {
        Context { isa: self.isa, threads: pool, convolutions: self.convolutions, factors: floats(self.precision) }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads in use.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Number of images in `images`.
    fn count(&self, images: &[f32]) -> Result<usize> {
        input::image_count(&self.net, images)
    }

    /// Forward, loss and backward on a batch of at most the engine's capacity, from the images on or from what the layer
    /// `after` gave.
    fn learn(
        &mut self,
        purpose: Purpose,
        after: Option<&str>,
        batch: &Batch<'_>,
        mut learn: GradientSink<'_>,
    ) -> Result<StepStats> {
        let n = if after.is_some() { batch.labels.len() } else { self.count(batch.images)? };
        input::check_batch(n, batch.labels, self.classes, self.capacity)?;
        self.precision.check_trains()?;
        let (pool, precision) = (self.pool.clone(), self.precision);
        let context = self.context(&pool);
        let slot = if purpose == Purpose::Train { &mut self.training } else { &mut self.input_gradient };
        let program = compiled(slot, &self.net, purpose, self.capacity, &context, precision)?;
        self.parameters.iter_mut().for_each(|parameter| parameter.pack(&context));
        if let GradientSink::Update(step) = &learn {
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
                    return Err(Error::Net(format!("a layer up to {layer} learns, so that its features would not stay")));
                }
                run::forward_after(&context, program, parameters, batch.images, n, batch.dropout, place);
            }
        }
        let (output, gradient) = (program.plan.output, program.gradient(program.plan.output));
        let loss = program.memory.write(gradient, |memory, dlogits| {
            let logits = memory.read(output);
            loss::softmax_cross_entropy(&context, n, classes, logits, batch.labels, 1.0 / n as f32, Some(dlogits))
        });
        program.clock.lap_loss();
        run::backward(&context, program, parameters, room, n, batch.dropout, &mut learn);
        Ok(StepStats { loss: (loss.sum / n as f64) as f32, correct: loss.correct })
    }
}

/// What kernels that compute on floats multiply.
fn floats(precision: Precision) -> context::FactorType {
    match precision {
        Precision::Bf16 => context::FactorType::Bf16,
        Precision::F32 | Precision::F16 | Precision::Int8 | Precision::Int4 => context::FactorType::F32,
    }
}

/// The program in `slot`, compiled now if it was not.
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

    /// What the bytes of each layer's input stand for in [`Precision::Int8`] and [`Precision::Int4`].
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
            self.refuse_norms()?;
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
        self.learn(Purpose::InputGradient, None, &Batch { images, labels, dropout: None }, GradientSink::Nothing)?;
        let Some(program) = &self.input_gradient else { unreachable!("compiled by `learn`") };
        let pool = self.pool.clone();
        let context = self.context(&pool);
        let map = batch(program.plan.gradient_map(0), labels.len());
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
        self.refuse_norms()?;
        if n > self.capacity {
            return Err(Error::Net(format!("{n} images in an engine for batches of {}", self.capacity)));
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
