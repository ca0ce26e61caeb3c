//! Runs a program: each kind of step forward, followed by its backward.

use alexnet_kernels::activation;
use alexnet_kernels::batch_norm::{self, Norm};
use alexnet_kernels::bias;
use alexnet_kernels::context::Context;
use alexnet_kernels::conv;
use alexnet_kernels::layout;
use alexnet_kernels::linear;
use alexnet_kernels::local_conv;
use alexnet_kernels::lrn;
use alexnet_kernels::pool;
use alexnet_kernels::spatial_norm;

use super::clock::Pass;
use super::dropout;
use super::gradient_sink::{GradientBuffer, GradientSink, learn_biases, learn_norm, learn_weights, visit_weights};
use super::held_gradient::hold_weights;
use super::parameters::Parameter;
use super::plan::{Step, Work, batch};
use super::program::{Found, Place, Program, Purpose};
use crate::engine::{DropoutKey, ReluGradient};

/// Forward pass: reads `[n, 3, size, size]` and leaves the result in the plan's output value.
///
/// Without a dropout key, dropout is off, and inference-time scaling is applied in nets that use it.
pub(super) fn forward(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    images: &[f32],
    n: usize,
    key: Option<DropoutKey>,
) {
    forward_watched(context, program, parameters, images, n, key, &mut |_, _| {});
}

/// As [`forward`], calling `before` with the program before each step.
pub(super) fn forward_watched(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    images: &[f32],
    n: usize,
    key: Option<DropoutKey>,
    before: &mut dyn FnMut(&Program, usize),
) {
    let input = batch(program.plan.values[0].map, n);
    program.clock.start();
    program.memory.write(0, |_, y| layout::from_planes(context, images, input, y));
    program.clock.lap_input();
    for i in 0..program.plan.steps.len() {
        before(program, i);
        step_forward(context, program, parameters, i, n, key);
        program.clock.lap(i, Pass::Forward);
    }
}

/// Runs the first `steps` steps of [`forward`], none of which applies dropout.
pub(super) fn forward_up_to(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    images: &[f32],
    n: usize,
    steps: usize,
) {
    let input = batch(program.plan.values[0].map, n);
    program.memory.write(0, |_, y| layout::from_planes(context, images, input, y));
    (0..steps).for_each(|i| step_forward(context, program, parameters, i, n, None));
}

/// Runs [`forward`] from a position on, given the value there.
pub(super) fn forward_after(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    features: &[f32],
    n: usize,
    key: Option<DropoutKey>,
    place: Place,
) {
    program.clock.start();
    program.memory.write(place.value, |_, y| y[..features.len()].copy_from_slice(features));
    for i in place.steps..program.plan.steps.len() {
        step_forward(context, program, parameters, i, n, key);
        program.clock.lap(i, Pass::Forward);
    }
}

/// Prepares the weights in the layout that an inference-only program needs for `n` images, once for many runs.
pub(super) fn prepare(context: &Context<'_>, program: &Program, parameters: &mut [Parameter], n: usize) {
    for step in &program.plan.steps {
        match &step.work {
            Work::Conv { shape, parameter, .. } => {
                let make = |weights: &[f32], prepared: &mut [f32]| conv::prepare(context, shape, weights, prepared);
                parameters[*parameter].ready_to_infer(context, shape.prepared_len(context), make);
            }
            Work::Linear { inputs, outputs, parameter, .. } if parameters[*parameter].in_file_order(context, n).is_none() => {
                let shape = linear::Shape { n, inputs: *inputs, outputs: *outputs };
                let make = |weights: &[f32], prepared: &mut [f32]| linear::prepare(context, &shape, weights, prepared);
                parameters[*parameter].ready_to_infer(context, shape.prepared_len(context), make);
            }
            Work::LocalConv { parameter, .. } | Work::BatchNorm { parameter, .. } => parameters[*parameter].pack(context),
            _ => {}
        }
    }
}

/// The lowest step with trainable parameters; below it no gradient is needed.
pub(super) fn lowest_to_learn(program: &Program, parameters: &[Parameter], learn: &GradientSink<'_>) -> usize {
    let Some(step) = learn.step() else { return 0 };
    let learns = |at: &Step| match at.work {
        Work::Conv { parameter, .. }
        | Work::LocalConv { parameter, .. }
        | Work::Linear { parameter, .. }
        | Work::BatchNorm { parameter, .. } => !step.is_frozen(&parameters[parameter].name),
        _ => false,
    };
    program.plan.steps.iter().position(learns).unwrap_or(program.plan.steps.len())
}

/// Backward pass from the gradient of the output, which is already in place.
pub(super) fn backward(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &mut [Parameter],
    room: &mut GradientBuffer,
    n: usize,
    key: Option<DropoutKey>,
    learn: &mut GradientSink<'_>,
) {
    let lowest = lowest_to_learn(program, parameters, learn);
    for i in (lowest..program.plan.steps.len()).rev() {
        step_backward(context, program, parameters, room, i, i > lowest, n, key, learn);
        program.clock.lap(i, Pass::WeightGradient);
    }
}

pub(super) fn step_forward(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    i: usize,
    n: usize,
    key: Option<DropoutKey>,
) {
    let Program { plan, purpose, memory, winners, norms, .. } = program;
    let Step { layer, work, x, y } = plan.steps[i];
    let (x_map, y_map) = (batch(plan.values[x].map, n), batch(plan.values[y].map, n));
    if matches!(work, Work::Activation { .. } | Work::Dropout { .. }) && x != y {
        memory.write(y, |memory, to| layout::copy(context, x_map, memory.read(x), y_map, to));
    }
    memory.write(y, |memory, y| match work {
        Work::Conv { shape, parameter, relu } => {
            let Parameter { weights, biases, prepared, .. } = &parameters[parameter];
            let shape = conv::Shape { x: x_map, ..shape };
            if *purpose == Purpose::Infer && !prepared.is_empty() {
                conv::forward_prepared(context, &shape, memory.read(x), prepared, biases, relu, y_map, y);
            } else {
                conv::forward(context, &shape, memory.read(x), weights, biases, relu, y_map, y);
            }
        }
        Work::LocalConv { shape, parameter, relu } => {
            let Parameter { weights, biases, .. } = &parameters[parameter];
            let shape = local_conv::Shape { x: x_map, ..shape };
            local_conv::forward(context, &shape, memory.read(x), weights, biases, relu, y_map, y);
        }
        Work::Linear { inputs, outputs, parameter, relu } => {
            let Parameter { filters, weights, biases, prepared, .. } = &parameters[parameter];
            let shape = linear::Shape { n, inputs, outputs };
            if let Some(weights) = parameters[parameter].in_file_order(context, n) {
                linear::forward_file_order(context, filters, n, memory.read(x), weights, biases, relu, y);
            } else if *purpose == Purpose::Infer && !prepared.is_empty() {
                linear::forward_prepared(context, &shape, memory.read(x), prepared, biases, relu, y);
            } else {
                linear::forward(context, &shape, memory.read(x), weights, biases, relu, y);
            }
        }
        Work::MaxPool { shape, winners: w } => {
            let shape = pool::Shape { x: x_map, ..shape };
            let winners = if *purpose == Purpose::Infer { None } else { Some(&mut winners[w][..n * plan.winners[w]]) };
            pool::max::forward(context, &shape, memory.read(x), y_map, y, winners);
        }
        Work::AvgPool { shape } => {
            pool::average::forward(context, &pool::Shape { x: x_map, ..shape }, memory.read(x), y_map, y);
        }
        Work::AdaptiveAvgPool => pool::adaptive::forward(context, x_map, memory.read(x), y_map, y),
        Work::Lrn { shape } => lrn::forward(context, &lrn::Shape { x: x_map, ..shape }, memory.read(x), y_map, y),
        Work::LrnPool { norm, pool, winners: w } => {
            let (norm, pool) = (lrn::Shape { x: x_map, ..norm }, pool::Shape { x: batch(pool.x, n), ..pool });
            let winners = if *purpose == Purpose::Infer { None } else { Some(&mut winners[w][..n * plan.winners[w]]) };
            lrn::maxpool::forward(context, &norm, &pool, memory.read(x), y_map, y, winners);
        }
        Work::SpatialNorm { shape } => {
            spatial_norm::forward(context, &spatial_norm::Shape { x: x_map, ..shape }, memory.read(x), y_map, y);
        }
        Work::BatchNorm { eps, parameter, norm, relu, .. } => {
            let (parameter, found) = (&parameters[parameter], &mut norms[norm]);
            if by_batch(*purpose) {
                batch_norm::statistics(context, x_map, memory.read(x), &mut found.mean, &mut found.variance);
            }
            let norm = norm_of(parameter, found, *purpose, eps);
            batch_norm::forward(context, &norm, x_map, memory.read(x), relu, y_map, y);
        }
        Work::Activation { function } => activation::forward(context, function, y_map, y),
        Work::Dropout { rate, style } => dropout::apply(context, layer, rate, style, key, n, y_map.image_stride(), y),
    });
}

#[allow(clippy::too_many_arguments)]
fn step_backward(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &mut [Parameter],
    room: &mut GradientBuffer,
    i: usize,
    learns_below: bool,
    n: usize,
    key: Option<DropoutKey>,
    learn: &mut GradientSink<'_>,
) {
    let Step { layer, work, x, y } = program.plan.steps[i];
    let (x_map, dx_map) = (batch(program.plan.values[x].map, n), batch(program.plan.gradient_map(x), n));
    let (y_map, dy_map) = (batch(program.plan.values[y].map, n), batch(program.plan.gradient_map(y), n));
    let (dx, dy) = (program.gradient(x), program.gradient(y));
    let Program { plan, purpose, memory, winners, norms, relu: through, clock } = program;
    let wanted = (x != 0 && learns_below) || *purpose == Purpose::InputGradient;
    let relu = plan.values[x].relu;
    match work {
        // The gradient of a ReLU's output is masked where it is written: see `Value::relu`.
        Work::Activation { function: activation::Function::Relu } => {}
        Work::Activation { function } => {
            memory.write(dy, |memory, dy| activation::backward(context, function, y_map, memory.read(y), dy_map, dy));
        }
        Work::Dropout { rate, style } => memory.write(dy, |_, dy| {
            dropout::apply(context, layer, rate, style, key, n, dy_map.image_stride(), dy);
        }),
        _ => {}
    }
    if let Work::BatchNorm { eps, parameter, norm, .. } = work {
        let (mut dweight, mut dbias) = (std::mem::take(&mut norms[norm].weight), std::mem::take(&mut norms[norm].bias));
        let of = norm_of(&parameters[parameter], &norms[norm], *purpose, eps);
        batch_norm::backward_weights(context, &of, x_map, memory.read(x), dy_map, memory.read(dy), &mut dweight, &mut dbias);
        (norms[norm].weight, norms[norm].bias) = (dweight, dbias);
    }
    // Computes the gradient of the input first, with the weights as they were in the forward pass.
    if wanted && x != y {
        memory.write(dx, |memory, to| {
            let mask = relu.then(|| (x_map, memory.read(x)));
            match work {
                Work::Conv { shape, parameter, .. } => {
                    let shape = conv::Shape { x: x_map, ..shape };
                    let weights = &parameters[parameter].weights;
                    conv::backward_data(context, &shape, dy_map, memory.read(dy), weights, mask, dx_map, to);
                }
                Work::LocalConv { shape, parameter, .. } => {
                    let shape = local_conv::Shape { x: x_map, ..shape };
                    let weights = &parameters[parameter].weights;
                    local_conv::backward_data(context, &shape, dy_map, memory.read(dy), weights, mask, dx_map, to);
                }
                Work::Linear { inputs, outputs, parameter, .. } => {
                    let shape = linear::Shape { n, inputs, outputs };
                    let weights = &parameters[parameter].weights;
                    let mask = mask.map(|(_, values)| values);
                    linear::backward_data(context, &shape, memory.read(dy), weights, mask, to);
                }
                Work::MaxPool { shape, winners: w } => {
                    let shape = pool::Shape { x: x_map, ..shape };
                    let winners = &winners[w][..n * plan.winners[w]];
                    pool::max::backward(context, &shape, dy_map, memory.read(dy), winners, mask, dx_map, to);
                }
                Work::AvgPool { shape } => {
                    let shape = pool::Shape { x: x_map, ..shape };
                    pool::average::backward(context, &shape, dy_map, memory.read(dy), mask, dx_map, to);
                }
                Work::AdaptiveAvgPool => {
                    pool::adaptive::backward(context, x_map, dy_map, memory.read(dy), mask, dx_map, to);
                }
                Work::Lrn { shape } => {
                    let shape = lrn::Shape { x: x_map, ..shape };
                    lrn::backward(context, &shape, memory.read(x), dy_map, memory.read(dy), relu, dx_map, to);
                }
                Work::LrnPool { norm, pool, winners: w } => {
                    let (norm, pool) = (lrn::Shape { x: x_map, ..norm }, pool::Shape { x: batch(pool.x, n), ..pool });
                    let (x, dy, winners) = (memory.read(x), memory.read(dy), &winners[w][..n * plan.winners[w]]);
                    lrn::maxpool::backward(context, &norm, &pool, x, dy_map, dy, winners, relu, dx_map, to);
                }
                Work::SpatialNorm { shape } => {
                    let shape = spatial_norm::Shape { x: x_map, ..shape };
                    spatial_norm::backward(context, &shape, memory.read(x), dy_map, memory.read(dy), relu, dx_map, to);
                }
                Work::BatchNorm { eps, parameter, norm, .. } => {
                    let found = &norms[norm];
                    let of = norm_of(&parameters[parameter], found, *purpose, eps);
                    let batch = by_batch(*purpose).then_some((found.weight.as_slice(), found.bias.as_slice()));
                    let (x, dy) = (memory.read(x), memory.read(dy));
                    batch_norm::backward(context, &of, x_map, x, batch, dy_map, dy, relu, dx_map, to);
                }
                // Not in place: `x` is then the input or the output of a tanh or sigmoid, which needs no mask.
                Work::Activation { .. } | Work::Dropout { .. } => layout::copy(context, dy_map, memory.read(dy), dx_map, to),
            }
            if relu && *through == ReluGradient::Guided {
                to.iter_mut().for_each(|gradient| *gradient = gradient.max(0.0));
            }
        });
    }
    clock.lap(i, Pass::DataGradient);
    let dy = memory.read(dy);
    let biases = |db: &mut [f32]| bias::gradient(context, dy_map, dy, db);
    match work {
        Work::Conv { shape, parameter, .. } => {
            let shape = conv::Shape { x: x_map, ..shape };
            let parameter = &mut parameters[parameter];
            let x = memory.read(x);
            learn_biases(context, parameter, room, biases, learn);
            let gradient = |dw: &mut [f32]| conv::backward_weights(context, &shape, x, dy_map, dy, dw);
            match learn {
                GradientSink::Nothing => {}
                GradientSink::Visit(visit) => visit_weights(context, parameter, room, gradient, visit),
                GradientSink::Hold(step, _) => hold_weights(context, parameter, room, step, gradient),
                GradientSink::Update(step) => learn_weights(context, parameter, room, step, gradient),
            }
        }
        Work::LocalConv { shape, parameter, .. } => {
            let shape = local_conv::Shape { x: x_map, ..shape };
            let parameter = &mut parameters[parameter];
            let x = memory.read(x);
            let biases = |db: &mut [f32]| local_conv::backward_biases(context, dy_map, dy, db);
            learn_biases(context, parameter, room, biases, learn);
            let gradient = |dw: &mut [f32]| local_conv::backward_weights(context, &shape, x, dy_map, dy, dw);
            match learn {
                GradientSink::Nothing => {}
                GradientSink::Visit(visit) => visit_weights(context, parameter, room, gradient, visit),
                GradientSink::Hold(step, _) => hold_weights(context, parameter, room, step, gradient),
                GradientSink::Update(step) => learn_weights(context, parameter, room, step, gradient),
            }
        }
        Work::Linear { inputs, outputs, parameter, .. } => {
            let shape = linear::Shape { n, inputs, outputs };
            let parameter = &mut parameters[parameter];
            let x = memory.read(x);
            learn_biases(context, parameter, room, biases, learn);
            let gradient = |dw: &mut [f32]| linear::backward_weights(context, &shape, x, dy, dw);
            match learn {
                GradientSink::Nothing => {}
                GradientSink::Visit(visit) => visit_weights(context, parameter, room, gradient, visit),
                GradientSink::Hold(step, _) => hold_weights(context, parameter, room, step, gradient),
                // Norms require the full gradient.
                GradientSink::Update(step) if step.optimizer.lars_trust().is_some() => {
                    learn_weights(context, parameter, room, step, gradient)
                }
                GradientSink::Update(step) => {
                    let Some(step) = step.of_weights(&parameter.name) else { return };
                    let (weights, state) = parameter.weights_with_state();
                    linear::backward_weights_update(context, &shape, x, dy, &step, weights, state);
                }
            }
        }
        Work::BatchNorm { parameter, norm, .. } => {
            learn_norm(context, &mut parameters[parameter], &norms[norm], x_map, learn);
        }
        _ => {}
    }
}

/// Whether batch norms use batch statistics. The gradient of the input alone is that of inference, which uses running
/// statistics.
fn by_batch(purpose: Purpose) -> bool {
    purpose == Purpose::Train
}

/// Statistics that a batch norm normalises by: the batch's or the running ones.
fn norm_of<'a>(parameter: &'a Parameter, found: &'a Found, purpose: Purpose, eps: f32) -> Norm<'a> {
    let (mean, variance) = match by_batch(purpose) {
        true => (found.mean.as_slice(), found.variance.as_slice()),
        false => (parameter.running_of(0), parameter.running_of(1)),
    };
    // One weight per channel; the packed panels are contiguous.
    Norm { mean, variance, weight: &parameter.weights[..parameter.filters.k], bias: &parameter.biases, eps }
}
