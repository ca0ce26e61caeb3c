//! A plan with its memory: lifetimes of values for inference or training.

use std::ops::Range;

use super::arena::{Arena, Lifetime};
use super::clock::Clock;
use super::plan::{Plan, Value, Work, batch};
use crate::engine::ReluGradient;
use crate::net::Net;
use crate::{Error, Result};

/// Purpose of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Forward only; a value's memory is free once its last reader has run.
    Infer,
    /// Forward and backward; values that backward reads are kept.
    Train,
    /// As `Train`, plus the gradient of the input.
    InputGradient,
}

/// A plan and the memory to run it on batches of up to `capacity` images.
pub(super) struct Program {
    pub(super) plan: Plan,
    pub(super) purpose: Purpose,
    /// Memory of the values, followed by their gradients: the gradient of value v is at [`Program::gradient`]`(v)`.
    pub(super) memory: Arena,
    /// Winner positions of each max pool; empty for inference.
    pub(super) winners: Vec<Vec<u8>>,
    /// Batch statistics of each batch norm.
    pub(super) norms: Vec<Found>,
    /// Rule for the backward pass of ReLUs.
    pub(super) relu: ReluGradient,
    /// Step clock, active only when profiling.
    pub(super) clock: Clock,
}

/// Batch statistics and parameter gradients of a batch norm, by channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    /// Gradients of its weights and biases.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Found {
    fn zeros(channels: usize) -> Found {
        let zeros = vec![0.0; channels];
        Found { mean: zeros.clone(), variance: zeros.clone(), weight: zeros.clone(), bias: zeros }
    }
}

/// Position between two steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of steps before it.
    pub(super) steps: usize,
    /// Output of the last of them.
    pub(super) value: usize,
    /// The value's floats for one image, border included.
    pub(super) len: usize,
}

impl Program {
    /// Compiles a contiguous range of a net's layers.
    pub(super) fn new(net: &Net, layers: Range<usize>, purpose: Purpose, capacity: usize) -> Result<Program> {
        let plan = Plan::new(net, layers)?;
        let bytes = 4 * Arena::len_of(&lives(&plan, purpose, capacity)) as u128;
        crate::memory::check(bytes, || format!("{} for {capacity} images of {} pixels", net.name, net.image_size))?;
        Ok(Program::of_plan(plan, purpose, capacity))
    }

    /// Allocates memory for a plan.
    pub(super) fn of_plan(plan: Plan, purpose: Purpose, capacity: usize) -> Program {
        let memory = Arena::new(&lives(&plan, purpose, capacity));
        let winners = match purpose {
            Purpose::Infer => plan.winners.iter().map(|_| Vec::new()).collect(),
            _ => plan.winners.iter().map(|&len| vec![0; len * capacity]).collect(),
        };
        let norms = plan.norms.iter().map(|&channels| Found::zeros(channels)).collect();
        Program { plan, purpose, memory, winners, norms, relu: ReluGradient::Plain, clock: Clock::default() }
    }

    /// Position after a layer. A ReLU fused into its convolution or linear layer lies before it.
    ///
    /// # Errors
    /// An unknown layer, or the last one.
    pub(super) fn after(&self, net: &Net, layer: &str) -> Result<Place> {
        let index = net.layers.iter().position(|l| l.name == layer);
        let last = index.and_then(|index| self.plan.steps.iter().rposition(|step| step.layer <= index));
        let Some(last) = last.filter(|&last| last + 1 < self.plan.steps.len()) else {
            return Err(Error::Net(format!("{}: cannot split the net after layer {layer}", net.name)));
        };
        let value = self.plan.steps[last].y;
        Ok(Place { steps: last + 1, value, len: self.plan.values[value].map.len() })
    }

    /// Index of the gradient of a value.
    pub(super) fn gradient(&self, value: usize) -> usize {
        self.plan.values.len() + value
    }
}

/// Lifetimes of the values. The input is written at tick 0, step i runs at i + 1, the loss follows the last step,
/// then the steps run in reverse.
fn lives(plan: &Plan, purpose: Purpose, capacity: usize) -> Vec<Option<Lifetime>> {
    let steps = plan.steps.len();
    let (forward, loss, back) = (|i: usize| i + 1, steps + 1, |i: usize| 2 * steps + 1 - i);
    let count = plan.values.len();
    let mut lives: Vec<Option<Lifetime>> = vec![None; 2 * count];
    let mut use_at = |value: usize, tick: usize| {
        let map = if value < count { plan.values[value].map } else { plan.gradient_map(value - count) };
        let life = lives[value].get_or_insert(Lifetime { len: batch(map, capacity).len(), from: tick, to: tick });
        life.from = life.from.min(tick);
        life.to = life.to.max(tick);
    };
    use_at(0, 0);
    use_at(plan.output, loss);
    for (i, step) in plan.steps.iter().enumerate() {
        use_at(step.x, forward(i));
        use_at(step.y, forward(i));
    }
    if purpose == Purpose::Infer {
        return lives;
    }
    use_at(count + plan.output, loss);
    for (i, step) in plan.steps.iter().enumerate() {
        let Value { relu, .. } = plan.values[step.x];
        match step.work {
            Work::Conv { .. } | Work::LocalConv { .. } | Work::Linear { .. } => use_at(step.x, back(i)),
            Work::Lrn { .. } | Work::LrnPool { .. } | Work::SpatialNorm { .. } | Work::BatchNorm { .. } => {
                use_at(step.x, back(i))
            }
            Work::MaxPool { .. } | Work::AvgPool { .. } | Work::AdaptiveAvgPool if relu => use_at(step.x, back(i)),
            Work::Activation { .. } => use_at(step.y, back(i)),
            Work::MaxPool { .. } | Work::AvgPool { .. } | Work::AdaptiveAvgPool | Work::Dropout { .. } => {}
        }
        use_at(count + step.y, back(i));
        if step.x != 0 || purpose == Purpose::InputGradient {
            use_at(count + step.x, back(i));
        }
    }
    if purpose == Purpose::InputGradient {
        use_at(count, back(0) + 1);
    }
    lives
}
