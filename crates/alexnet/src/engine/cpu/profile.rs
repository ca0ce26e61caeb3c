//! Measured time and minimum cost of each step.

use std::time::Duration;

use alexnet_kernels::roofline::{self, Factors};

use super::clock::{Clock, Pass};
use super::cost::{Cost, cost, has, how};
use super::program::{Program, Purpose};
use super::{Cpu, compiled};
use crate::Result;
use crate::engine::Precision;

/// Time and cost of one pass of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Layer name; `input` for the images' layout conversion, `loss` for the loss and its gradient.
    pub layer: String,
    /// Operation and algorithm.
    pub how: String,
    /// Pass of the step.
    pub pass: Pass,
    /// Median over the runs.
    pub seconds: f64,
    /// Multiply-adds of the mathematical definition; a Winograd convolution does fewer.
    pub macs: usize,
    /// Minimum number of bytes to read and write.
    pub bytes: usize,
}

/// Peak performance of the processor with this engine's instruction set, precision and threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Floating-point operations per second of register multiply-adds, two for each.
    pub flops: f64,
    /// Bytes per second read from memory.
    pub read: f64,
}

impl Limits {
    /// The better of two measurements, field by field.
    #[must_use]
    pub fn better(self, other: Limits) -> Limits {
        Limits { flops: self.flops.max(other.flops), read: self.read.max(other.read) }
    }
}

impl Cpu {
    /// Measures the processor's current peak performance in a few tenths of a second.
    pub fn limits(&self) -> Limits {
        let (context, threads) = (self.context(&self.pool), self.threads());
        let factors = match self.precision {
            Precision::F32 | Precision::F16 => Factors::Floats,
            Precision::Bf16 => Factors::Bf16,
            Precision::Int8 | Precision::Int4 => Factors::Bytes,
        };
        Limits { flops: roofline::flops(&context, factors, threads), read: roofline::read(&context, threads) }
    }

    /// Starts timing every step of training or of inference, discarding earlier measurements.
    ///
    /// # Errors
    /// A net that does not compile.
    pub fn time_steps(&mut self, training: bool) -> Result<()> {
        let (pool, precision) = (self.pool.clone(), self.precision);
        let context = self.context(&pool);
        let (slot, purpose) = if training { (&mut self.training, Purpose::Train) } else { (&mut self.inference, Purpose::Infer) };
        let program = compiled(slot, &self.net, purpose, self.capacity, &context, precision)?;
        program.clock = Clock::wound_up(program.plan.steps.len());
        Ok(())
    }

    /// Timings of every step, in the order of the net; empty unless [`time_steps`](Self::time_steps) was called
    /// before. Costs are those of a full batch.
    pub fn timings(&self, training: bool) -> Vec<Timing> {
        let Some(program) = (if training { &self.training } else { &self.inference }) else { return Vec::new() };
        let Program { plan, purpose, clock, .. } = program;
        let (Some(input), Some(loss)) = (clock.laps.first(), clock.laps.last()) else { return Vec::new() };
        let n = self.capacity;
        let row = |layer: &str, how: String, pass: Pass, laps: &[Vec<Duration>; 3], Cost { macs, bytes }: Cost| {
            let mut laps = laps[pass as usize].clone();
            laps.sort();
            let seconds = laps.get(laps.len() / 2)?.as_secs_f64();
            Some(Timing { layer: layer.into(), how, pass, seconds, macs, bytes })
        };
        let floats = |count: usize| Cost { macs: 0, bytes: count * size_of::<f32>() };
        let map = plan.values[0].map;
        let mut rows = vec![row("input", "layout".into(), Pass::Forward, input, floats(n * (map.len() + 3 * map.h * map.w)))];
        for (step, laps) in plan.steps.iter().zip(&clock.laps[1..]) {
            let name = &self.net.layers[step.layer].name;
            for pass in [Pass::Forward, Pass::DataGradient, Pass::WeightGradient] {
                if has(step, pass, *purpose) {
                    let how = how(&step.work, pass, &self.context(&self.pool), self.precision);
                    rows.push(row(name, how, pass, laps, cost(plan, step, pass, *purpose, self.precision, n)));
                }
            }
        }
        rows.push(row("loss", "cross-entropy".into(), Pass::Forward, loss, floats(2 * n * self.classes)));
        rows.into_iter().flatten().collect()
    }
}
