//! Inference in bytes: the same plan, with maps of bytes wherever all readers of a value multiply bytes.
//!
//! conv1 writes bytes for pool1, which writes bytes for conv2, and so on to fc8, whose logits are floats. What has no kernel for
//! bytes (normalisation, tanh) reads and writes floats, and the next convolution rounds its input first. Weights of linear layers
//! may be nibbles instead.

use alexnet_kernels::buffer::{bytes, bytes_mut};
use alexnet_kernels::context::Context;
use alexnet_kernels::int8::QuantParams;
use alexnet_kernels::int8::{self, Output};
use alexnet_kernels::{conv, int4, layout, linear, pool};

use super::clock::Pass;
use super::parameters::Parameter;
use super::plan::{Plan, Step, Work, batch};
use super::program::Program;
use super::run;
use crate::formats::{self, ActivationRanges};
use crate::net::DropoutStyle;
use crate::{Error, Result};

/// A layer's weights, rounded.
enum Weights {
    Bytes(int8::Weights),
    Nibbles(int4::Weights),
}

/// A program's weights and values in bytes.
pub(super) struct Bytes {
    /// For each layer with parameters.
    weights: Vec<Weights>,
    /// For each layer with parameters, what its input's bytes stand for.
    inputs: Vec<QuantParams>,
    /// For each value of the plan, what its bytes stand for; none where it is floats.
    kinds: Vec<Option<QuantParams>>,
    /// Room for an input that has to be rounded.
    rounded: Vec<u8>,
}

impl Bytes {
    /// Rounds all weights to bytes, or those of linear layers to `nibbles`.
    ///
    /// # Errors
    /// A layer whose input's range is not known.
    pub(super) fn new(
        context: &Context<'_>,
        plan: &Plan,
        parameters: &mut [Parameter],
        ranges: &ActivationRanges,
        nibbles: bool,
    ) -> Result<Bytes> {
        let range = |parameter: &Parameter| {
            ranges.get(&parameter.name).map(|&formats::QuantParams { scale, zero }| QuantParams { scale, zero }).ok_or_else(
                || {
                    let name = &parameter.name;
                    Error::Invalid(format!("the range of {name}'s input is not known; `alexnet quantize` finds it"))
                },
            )
        };
        let inputs = parameters.iter().map(range).collect::<Result<Vec<_>>>()?;
        let linear = |index: usize| {
            plan.steps.iter().find_map(|step| match step.work {
                Work::Linear { parameter, inputs, outputs, .. } if parameter == index => Some((inputs, outputs)),
                _ => None,
            })
        };
        let weights = parameters.iter_mut().zip(&inputs).enumerate().map(|(i, (parameter, &input))| {
            parameter.pack(context);
            let Parameter { filters, weights, biases, .. } = parameter;
            match linear(i).filter(|_| nibbles) {
                Some((inputs, outputs)) => {
                    let shape = linear::Shape { n: 1, inputs, outputs };
                    Weights::Nibbles(int4::Weights::new(context, &shape, weights, biases, input))
                }
                None => Weights::Bytes(int8::Weights::new(context, filters, weights, biases, input)),
            }
        });
        let weights = weights.collect();
        Ok(Bytes { weights, kinds: kinds(plan, &inputs), inputs, rounded: Vec::new() })
    }
}

/// Which values are bytes. Readers come after the step that writes a value, so that walking backwards all its readers are known
/// when its writer is met.
fn kinds(plan: &Plan, inputs: &[QuantParams]) -> Vec<Option<QuantParams>> {
    /// What a value's readers want.
    #[derive(Clone, Copy, PartialEq)]
    enum Wish {
        Nothing,
        Bytes(QuantParams),
        Floats,
    }
    let mut wishes = vec![Wish::Nothing; plan.values.len()];
    wishes[plan.output] = Wish::Floats;
    for step in plan.steps.iter().rev() {
        let wish = match step.work {
            Work::Conv { parameter, .. } | Work::Linear { parameter, .. } => Wish::Bytes(inputs[parameter]),
            Work::MaxPool { .. } => wishes[step.y],
            // Does nothing in inference.
            Work::Dropout { style: DropoutStyle::ScaleInTraining, .. } if step.x == step.y => continue,
            _ => {
                wishes[step.y] = Wish::Floats;
                Wish::Floats
            }
        };
        wishes[step.x] = match wishes[step.x] {
            Wish::Nothing => wish,
            other if other == wish => wish,
            _ => Wish::Floats,
        };
    }
    let mut kinds: Vec<_> = wishes.iter().map(|wish| if let Wish::Bytes(q) = wish { Some(*q) } else { None }).collect();
    // What reads floats and could only pass bytes on writes floats.
    for step in &plan.steps {
        if matches!(step.work, Work::MaxPool { .. }) && kinds[step.x].is_none() {
            kinds[step.y] = None;
        }
    }
    kinds
}

/// Forward, as [`run::forward`] without dropout.
pub(super) fn forward(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    all: &mut Bytes,
    images: &[f32],
    n: usize,
) {
    let input = batch(program.plan.values[0].map, n);
    program.clock.start();
    program.memory.write(0, |_, y| match all.kinds[0] {
        Some(q) => int8::from_planes(context, q, images, input, bytes_mut(y)),
        None => layout::from_planes(context, images, input, y),
    });
    program.clock.lap_input();
    for i in 0..program.plan.steps.len() {
        let Step { work, x, y, .. } = program.plan.steps[i];
        match work {
            Work::Conv { .. } | Work::Linear { .. } => product(context, program, all, i, n),
            Work::MaxPool { shape, .. } if all.kinds[y].is_some() => {
                let (x_map, y_map) = (batch(program.plan.values[x].map, n), batch(program.plan.values[y].map, n));
                let (shape, zero) = (pool::Shape { x: x_map, ..shape }, all.kinds[y].map_or(0, |q| q.zero));
                program.memory.write(y, |memory, y| {
                    int8::max_pool(context, &shape, bytes(memory.read(x)), zero, y_map, bytes_mut(y));
                });
            }
            Work::Dropout { style: DropoutStyle::ScaleInTraining, .. } if x == y => {}
            _ => run::step_forward(context, program, parameters, i, n, None),
        }
        program.clock.lap(i, Pass::Forward);
    }
}

/// A convolution or linear layer.
fn product(context: &Context<'_>, program: &mut Program, all: &mut Bytes, i: usize, n: usize) {
    let Bytes { weights, inputs, kinds, rounded } = all;
    let Step { work, x, y, .. } = program.plan.steps[i];
    let (x_map, y_map) = (batch(program.plan.values[x].map, n), batch(program.plan.values[y].map, n));
    program.memory.write(y, |memory, to| {
        let (Work::Conv { parameter, .. } | Work::Linear { parameter, .. }) = work else { return };
        let from = match kinds[x] {
            // A word may reach beyond the last byte, where there is room: the buffer was made for floats.
            Some(_) => bytes(memory.read(x)),
            None => {
                rounded.resize((x_map.len() + 3).max(rounded.len()), 0);
                int8::from_floats(context, inputs[parameter], x_map, memory.read(x), x_map, rounded);
                rounded
            }
        };
        let to = match kinds[y] {
            Some(q) => Output::Bytes(bytes_mut(to), q),
            None => Output::Floats(to),
        };
        match (work, &weights[parameter]) {
            (Work::Conv { shape, relu, .. }, Weights::Bytes(w)) => {
                int8::conv(context, &conv::Shape { x: x_map, ..shape }, from, w, relu, y_map, to);
            }
            (Work::Linear { inputs, outputs, relu, .. }, Weights::Bytes(w)) => {
                int8::linear(context, &linear::Shape { n, inputs, outputs }, from, w, relu, to);
            }
            (Work::Linear { inputs, outputs, relu, .. }, Weights::Nibbles(w)) => {
                int4::linear(context, &linear::Shape { n, inputs, outputs }, from, w, relu, to);
            }
            _ => unreachable!("convolutions' weights are bytes"),
        }
    });
}

/// Runs `images` in floats and finds the best range of each layer's input.
pub(super) fn calibrate(
    context: &Context<'_>,
    program: &mut Program,
    parameters: &[Parameter],
    images: &[f32],
    n: usize,
) -> ActivationRanges {
    let mut ranges = ActivationRanges::new();
    run::forward_watched(context, program, parameters, images, n, None, &mut |program, i| {
        let Step { work, x, .. } = program.plan.steps[i];
        if let Work::Conv { parameter, .. } | Work::Linear { parameter, .. } = work {
            let len = batch(program.plan.values[x].map, n).len();
            let QuantParams { scale, zero } = int8::range::best(&program.memory.read(x)[..len]);
            ranges.insert(parameters[parameter].name.clone(), formats::QuantParams { scale, zero });
        }
    });
    ranges
}
