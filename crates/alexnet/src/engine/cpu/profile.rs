//! How long each step takes: a clock that does nothing until someone asks.

use std::time::{Duration, Instant};

use alexnet_kernels::roofline::{self, Factors};

use super::cost::{Cost, Pass, cost, has, how};
use super::program::{Program, Purpose};
use super::{Cpu, Precision, compiled};
use crate::Result;

/// What one pass of one step took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The layer's name; `input` for the pictures' change of layout, `loss` for the loss with its gradient.
    pub layer: String,
    /// What was done, with the algorithm.
    pub how: String,
    /// Which part of the step.
    pub pass: Pass,
    /// Median over the runs.
    pub seconds: f64,
    /// Multiply-adds of the formula; a Winograd convolution does fewer.
    pub macs: usize,
    /// Bytes that must be read and written at least.
    pub bytes: usize,
}

/// Laps of a program's passes. It stands still until it is wound up, and then costs a look at the time for each pass.
#[derive(Default)]
pub(super) struct Clock {
    running: bool,
    last: Option<Instant>,
    /// For the input, each step, and the loss: the laps of its passes, one a run.
    laps: Vec<[Vec<Duration>; 3]>,
}

impl Clock {
    fn wound_up(steps: usize) -> Clock {
        Clock { running: true, last: None, laps: vec![Default::default(); steps + 2] }
    }

    /// Begins a run.
    pub(super) fn start(&mut self) {
        self.last = self.running.then(Instant::now);
    }

    /// Ends the forward pass of the input's layout.
    pub(super) fn lap_input(&mut self) {
        self.lap_of(0, Pass::Forward);
    }

    /// Ends a pass of step `i`.
    pub(super) fn lap(&mut self, i: usize, pass: Pass) {
        self.lap_of(i + 1, pass);
    }

    /// Ends the loss.
    pub(super) fn lap_loss(&mut self) {
        self.lap_of(self.laps.len().saturating_sub(1), Pass::Forward);
    }

    fn lap_of(&mut self, row: usize, pass: Pass) {
        if let Some(last) = &mut self.last {
            let now = Instant::now();
            self.laps[row][pass as usize].push(now - *last);
            *last = now;
        }
    }
}

/// What the processor can do with this engine's instruction set, precision and threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Floating-point operations a second of multiply-adds in registers, two for each.
    pub flops: f64,
    /// Bytes a second read from memory.
    pub read: f64,
}

impl Limits {
    /// The better of each of two measurements.
    #[must_use]
    pub fn better(self, other: Limits) -> Limits {
        Limits { flops: self.flops.max(other.flops), read: self.read.max(other.read) }
    }
}

impl Cpu {
    /// Measures what the processor can do now, in some tenths of a second.
    pub fn limits(&self) -> Limits {
        let (context, threads) = (self.context(&self.pool), self.threads());
        let factors = match self.precision {
            Precision::F32 => Factors::Floats,
            Precision::Bf16 => Factors::Bf16,
            Precision::Int8 | Precision::Int4 => Factors::Bytes,
        };
        Limits { flops: roofline::flops(&context, factors, threads), read: roofline::read(&context, threads) }
    }

    /// Times every step of training, or else of inference, from now on; what was measured before is forgotten.
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

    /// What every step took, in the order of the net; nothing unless [`time_steps`](Self::time_steps) was called before. Costs
    /// are those of a full batch.
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
