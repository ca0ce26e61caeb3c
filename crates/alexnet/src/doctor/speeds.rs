//! Measured speeds: the processor's limits, and torchvision's net.

use crate::Result;
use crate::engine::cpu::Cpu;
use crate::engine::{
    Batch, Calibration, DropoutKey, Gradients, Inference, Objective, OptimizerStep, ParameterStore, Precision, init,
};
use crate::net::presets;
use crate::selftest::formula;
use alexnet_kernels::isa::Isa;
use serde::Serialize;
use std::time::Instant;

/// Net that is measured.
const NET: &str = "torchvision";
/// Image size and batch size in training, as for a person's own photographs.
const TRAINED: (usize, usize) = (128, 32);
/// Seconds of each measurement, after a first run.
const SECONDS: f64 = 0.7;

/// Speeds with the threads and the instruction set in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speeds {
    /// Multiplications and additions per second in registers, in single precision.
    pub flops: f64,
    /// The same with one thread.
    pub flops_of_one_thread: f64,
    /// The same with all threads in bytes.
    pub byte_ops: f64,
    /// Bytes per second read from memory.
    pub read: f64,
    /// Seconds that torchvision's net takes for one image of 224 pixels.
    pub one_image: f64,
    /// The same in bytes (`int8`).
    pub one_image_int8: f64,
    /// Images per second in training the net at 128 pixels.
    pub training: f64,
    /// The same in bfloat16.
    pub training_bf16: f64,
}

/// Measures them; returns also the instruction set.
pub(super) fn measure(threads: usize) -> Result<(Isa, Speeds)> {
    let net = presets::by_name(NET)?;
    let images = formula::uniform(0, 3 * net.image_size * net.image_size, 1.7);
    let mut engine = Cpu::new(&net, 1, threads)?;
    init::initialise(&mut engine, 0)?;
    let isa = engine.isa();
    let limits = engine.limits();
    let one = Cpu::new(&net, 1, 1)?.limits();
    let one_image = infer(&mut engine, &images)?;
    let ranges = engine.calibrate(&images)?;
    let mut engine = engine.with_precision(Precision::Int8)?;
    engine.set_ranges(&ranges);
    let byte_ops = engine.limits().flops;
    let one_image_int8 = infer(&mut engine, &images)?;
    drop(engine);
    let [training, training_bf16] = [train(Precision::F32, threads)?, train(Precision::Bf16, threads)?];
    let speeds = Speeds {
        flops: limits.flops,
        flops_of_one_thread: one.flops,
        byte_ops,
        read: limits.read,
        one_image,
        one_image_int8,
        training,
        training_bf16,
    };
    Ok((isa, speeds))
}

fn infer(engine: &mut Cpu, images: &[f32]) -> Result<f64> {
    let mut logits = Vec::new();
    fastest(|| engine.infer(images, &mut logits))
}

/// Images per second in training.
fn train(precision: Precision, threads: usize) -> Result<f64> {
    let (size, batch) = TRAINED;
    let net = presets::by_name(NET)?.with_image_size(size);
    let mut engine = Cpu::new(&net, batch, threads)?.with_precision(precision)?;
    init::initialise(&mut engine, 0)?;
    let (images, labels) = (formula::uniform(0, batch * 3 * size * size, 1.7), formula::labels(batch, net.classes()));
    let step = OptimizerStep::for_timing();
    let dropout = Some(DropoutKey { seed: 0, step: 0, first_image: 0 });
    let batches = Batch { images: &images, labels: &labels, dropout, objective: Objective::default() };
    Ok(batch as f64 / fastest(|| engine.train_step(&batches, &step).map(drop))?)
}

/// Seconds of the fastest of some runs, after a first one that allocates memory.
fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while best == f64::INFINITY || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
