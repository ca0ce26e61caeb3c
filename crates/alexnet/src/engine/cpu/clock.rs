//! Clock for the passes of a program; inactive unless profiling is on.

use std::fmt;
use std::time::{Duration, Instant};

/// A pass of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The forward pass.
    Forward,
    /// The gradient of the step's input.
    DataGradient,
    /// The gradient of the step's weights and biases, and their update.
    WeightGradient,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pass::Forward => "forward",
            Pass::DataGradient => "data gradient",
            Pass::WeightGradient => "weights",
        })
    }
}

/// Times of a program's passes. An inactive clock records nothing; an active one reads the time once per pass.
#[derive(Default)]
pub(super) struct Clock {
    running: bool,
    last: Option<Instant>,
    /// Recorded times by row (the input, each step, the loss) and pass, one entry per run.
    pub(super) laps: Vec<[Vec<Duration>; 3]>,
}

impl Clock {
    pub(super) fn wound_up(steps: usize) -> Clock {
        Clock { running: true, last: None, laps: vec![Default::default(); steps + 2] }
    }

    /// Starts a run.
    pub(super) fn start(&mut self) {
        self.last = self.running.then(Instant::now);
    }

    /// Records the layout conversion of the input.
    pub(super) fn lap_input(&mut self) {
        self.lap_of(0, Pass::Forward);
    }

    /// Records a pass of step `i`.
    pub(super) fn lap(&mut self, i: usize, pass: Pass) {
        self.lap_of(i + 1, pass);
    }

    /// Records the loss.
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
