//! A plan with memory: which values live when, forward only or forth and back.

use std::ops::Range;

use super::arena::{Arena, Lifetime};
use super::clock::Clock;
use super::plan::{Plan, Value, Work, batch};
use crate::engine::ReluGradient;
use crate::net::Net;
use crate::{Error, Result};

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Forward only; a value's memory is free as soon as it was read.
    Infer,
    /// Forward and backward; what backward reads stays.
    Train,
    /// As `Train`, and the gradient of the input is wanted.
    InputGradient,
}

/// A plan, and room to run it for batches of up to `capacity` images.
pub(super) struct Program {
    pub(super) plan: Plan,
    pub(super) purpose: Purpose,
    /// Room for the values, and behind them for their gradients: value v has its gradient at [`Program::gradient`]`(v)`.
    pub(super) memory: Arena,
    /// Room for the winners of each max pool; empty for inference.
    pub(super) winners: Vec<Vec<u8>>,
    /// For each batch norm, what it found in the batch.
    pub(super) norms: Vec<Found>,
    /// What ReLUs let through on the way back.
    pub(super) relu: ReluGradient,
    /// Times the steps, if someone asked for it.
    pub(super) clock: Clock,
}

/// What a batch norm found in a batch, by channel.
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

/// A place between two steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The steps before it.
    pub(super) steps: usize,
    /// The value that the last of them gives.
    pub(super) value: usize,
    /// Its floats for one image, border included.
    pub(super) len: usize,
}

impl Program {
    /// Compiles a run of a net's layers.
    pub(super) fn new(net: &Net, layers: Range<usize>, purpose: Purpose, capacity: usize) -> Result<Program> {
        let plan = Plan::new(net, layers)?;
        let bytes = 4 * Arena::len_of(&lives(&plan, purpose, capacity)) as u128;
        crate::memory::check(bytes, || format!("{} for {capacity} images of {} pixels", net.name, net.image_size))?;
        Ok(Program::of_plan(plan, purpose, capacity))
    }

    /// Makes room for a plan.
    pub(super) fn of_plan(plan: Plan, purpose: Purpose, capacity: usize) -> Program {
        let memory = Arena::new(&lives(&plan, purpose, capacity));
        let winners = match purpose {
            Purpose::Infer => plan.winners.iter().map(|_| Vec::new()).collect(),
            _ => plan.winners.iter().map(|&len| vec![0; len * capacity]).collect(),
        };
        let norms = plan.norms.iter().map(|&channels| Found::zeros(channels)).collect();
        Program { plan, purpose, memory, winners, norms, relu: ReluGradient::Plain, clock: Clock::default() }
    }

    /// The place after a layer. A ReLU that is fused with its convolution or linear layer is before it.
    ///
    /// # Errors
    /// No such layer, or the last one.
    pub(super) fn after(&self, net: &Net, layer: &str) -> Result<Place> {
        let index = net.layers.iter().position(|l| l.name == layer);
        let last = index.and_then(|index| self.plan.steps.iter().rposition(|step| step.layer <= index));
        let Some(last) = last.filter(|&last| last + 1 < self.plan.steps.len()) else {
            return Err(Error::Net(format!("{}: nothing can begin after a layer {layer}", net.name)));
        };
        let value = self.plan.steps[last].y;
        Ok(Place { steps: last + 1, value, len: self.plan.values[value].map.len() })
    }

    /// The number of the gradient of a value.
    pub(super) fn gradient(&self, value: usize) -> usize {
        self.plan.values.len() + value
    }
}

/// Ticks: the input comes at 0, step i at i + 1, the loss after the last step, then the steps in reverse.
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
            Work::Conv { .. } | Work::Linear { .. } => use_at(step.x, back(i)),
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
