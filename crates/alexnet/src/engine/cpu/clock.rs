//! A clock for the passes of a program, which does nothing until someone asks.

use std::fmt;
use std::time::{Duration, Instant};

/// A part of a step of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The step itself.
    Forward,
    /// The gradient of its input.
    DataGradient,
    /// The gradient of its weights and biases, and their update.
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

/// Laps of a program's passes. It stands still until it is wound up, and then costs a look at the time for each pass.
#[derive(Default)]
pub(super) struct Clock {
    running: bool,
    last: Option<Instant>,
    /// For the input, each step, and the loss: the laps of its passes, one a run.
    pub(super) laps: Vec<[Vec<Duration>; 3]>,
}

impl Clock {
    pub(super) fn wound_up(steps: usize) -> Clock {
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
