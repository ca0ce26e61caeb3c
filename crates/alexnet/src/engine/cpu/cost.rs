//! Algorithm and minimum cost of each step.

use alexnet_kernels::context::Context;

use super::clock::Pass;
use super::plan::{Plan, Step, Work, batch};
use super::program::Purpose;
use crate::engine::Precision;
use crate::net::{DropoutStyle, Net};

/// Minimum cost of one pass of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cost {
    /// Multiply-adds of the mathematical definition, whatever the algorithm.
    pub(super) macs: usize,
    /// Bytes read and written if each value crosses the memory bus once.
    pub(super) bytes: usize,
}

/// Algorithm that a step uses.
pub(super) fn how(work: &Work, pass: Pass, context: &Context<'_>, precision: Precision) -> String {
    match work {
        Work::Conv { shape, .. } if precision.is_of_bytes() => format!("direct {}x{}", shape.r, shape.s),
        Work::Conv { shape, .. } => {
            let algorithm = match pass {
                Pass::DataGradient => shape.data_gradient_algorithm(context),
                Pass::Forward => shape.algorithm(context),
                Pass::WeightGradient => shape.weight_gradient_algorithm(context),
            };
            format!("{algorithm} {}x{}", shape.r, shape.s)
        }
        Work::LocalConv { shape, .. } => format!("local {}x{}", shape.r, shape.s),
        Work::Linear { .. } => "product".into(),
        Work::MaxPool { shape, .. } => format!("max pool {0}x{0}", shape.kernel),
        Work::AvgPool { shape } => format!("average pool {0}x{0}", shape.kernel),
        Work::AdaptiveAvgPool => "adaptive pool".into(),
        Work::Lrn { .. } => "LRN".into(),
        Work::LrnPool { pool, .. } => format!("LRN, max pool {0}x{0}", pool.kernel),
        Work::SpatialNorm { .. } => "spatial norm".into(),
        Work::BatchNorm { .. } => "batch norm".into(),
        Work::Activation { function } => format!("{function:?}").to_lowercase(),
        Work::Dropout { .. } => "dropout".into(),
    }
}

/// Whether a step has the given pass.
pub(super) fn has(step: &Step, pass: Pass, purpose: Purpose) -> bool {
    match pass {
        // This dropout style is the identity at inference.
        Pass::Forward => {
            purpose == Purpose::Train || !matches!(step.work, Work::Dropout { style: DropoutStyle::ScaleInTraining, .. })
        }
        Pass::DataGradient => purpose != Purpose::Infer && (step.x != 0 || step.x == step.y),
        Pass::WeightGradient => {
            let learns = |work: &Work| {
                matches!(work, Work::Conv { .. } | Work::LocalConv { .. } | Work::Linear { .. } | Work::BatchNorm { .. })
            };
            purpose == Purpose::Train && learns(&step.work)
        }
    }
}

/// Cost of a step for `n` images.
pub(super) fn cost(plan: &Plan, step: &Step, pass: Pass, purpose: Purpose, precision: Precision, n: usize) -> Cost {
    let value = |v: usize| batch(plan.values[v].map, n).len();
    let gradient = |v: usize| batch(plan.gradient_map(v), n).len();
    let (x, y, dx, dy) = (value(step.x), value(step.y), gradient(step.x), gradient(step.y));
    let mask = if plan.values[step.x].relu { x } else { 0 };
    let (macs, weights) = match step.work {
        Work::Conv { shape, .. } => (n * shape.macs(), shape.filters().packed_len()),
        Work::LocalConv { shape, .. } => (n * shape.macs(), shape.filters().packed_len()),
        Work::Linear { inputs, outputs, .. } => (n * inputs * outputs, inputs * outputs),
        _ => (0, 0),
    };
    let winners = match step.work {
        Work::MaxPool { winners, .. } | Work::LrnPool { winners, .. } if purpose != Purpose::Infer => n * plan.winners[winners],
        _ => 0,
    };
    let floats = match (pass, &step.work) {
        // Weights and their velocities are read and written.
        (Pass::WeightGradient, _) => x + dy + 4 * weights,
        // Computes the mean, then the variance, then the values.
        (Pass::Forward, Work::BatchNorm { .. }) if purpose == Purpose::Train => 3 * x + y,
        (Pass::Forward, Work::Activation { .. } | Work::Dropout { .. }) if step.x == step.y => 2 * y,
        (Pass::Forward, _) => x + weights + y,
        (Pass::DataGradient, Work::Activation { .. }) => y + 2 * dy,
        (Pass::DataGradient, Work::Dropout { .. }) => 2 * dy,
        // Normalisation layers read their input in backward anyway.
        (Pass::DataGradient, Work::Lrn { .. } | Work::LrnPool { .. } | Work::SpatialNorm { .. } | Work::BatchNorm { .. }) => {
            x + dy + dx
        }
        (Pass::DataGradient, _) => dy + weights + mask + dx,
    };
    let bytes = match precision {
        // Prepared weights, and the maps between compute layers, are bf16.
        Precision::Bf16 if purpose == Purpose::Infer => 4 * floats - 2 * weights,
        // 32 weights in 18 bytes.
        Precision::Int4 if matches!(step.work, Work::Linear { .. }) => floats - weights + weights * 9 / 16,
        Precision::Int8 | Precision::Int4
            if matches!(step.work, Work::Conv { .. } | Work::Linear { .. } | Work::MaxPool { .. }) =>
        {
            floats
        }
        _ => 4 * floats,
    };
    Cost { macs, bytes: bytes + winners }
}

/// Logs how a program will run (`RUST_LOG=info`; `debug` for each layer).
pub(super) fn log(net: &Net, plan: &Plan, purpose: Purpose, context: &Context<'_>, precision: Precision) {
    log::info!("{}: {} steps of {purpose:?} in {precision} on {}", net.name, plan.steps.len(), context.isa);
    for step in &plan.steps {
        let passes = [Pass::Forward, Pass::DataGradient, Pass::WeightGradient];
        let described =
            |pass: Pass| has(step, pass, purpose).then(|| format!("{pass} by {}", how(&step.work, pass, context, precision)));
        let line = passes.into_iter().filter_map(described).collect::<Vec<_>>().join(", ");
        if !line.is_empty() {
            log::debug!("{} on {}: {line}", net.layers[step.layer].name, context.isa);
        }
    }
}
