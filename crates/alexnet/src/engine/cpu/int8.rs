//! Int8 inference: the same plan, with int8 maps wherever all readers of a value compute in int8.
//!
//! conv1 writes int8 for pool1, which writes int8 for conv2, and so on to fc8, whose logits are floats. Operators
//! without an int8 kernel (normalisation, tanh) read and write floats, and the next convolution quantises its input
//! first. Weights of linear layers may be 4-bit instead.

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

/// A layer's quantised weights.
enum Weights {
    Bytes(int8::Weights),
    Nibbles(int4::Weights),
}

/// A program's quantised weights and values.
pub(super) struct Bytes {
    /// One entry for each layer with parameters.
    weights: Vec<Weights>,
    /// Quantisation parameters of the input of each layer with parameters.
    inputs: Vec<QuantParams>,
    /// Quantisation parameters of each value of the plan; `None` for float values.
    kinds: Vec<Option<QuantParams>>,
    /// Scratch buffer for quantised inputs.
    rounded: Vec<u8>,
}

impl Bytes {
    /// Quantises all weights to int8, or those of linear layers to 4 bits if `nibbles`.
    ///
    /// # Errors
    /// A layer whose input range is unknown.
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
                    Error::Invalid(format!("the input range of {name} is unknown; calibrate the model with `alexnet quantize`"))
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

/// Decides which values are int8. Readers follow the step that writes a value, so a backward walk visits all readers
/// before the writer.
fn kinds(plan: &Plan, inputs: &[QuantParams]) -> Vec<Option<QuantParams>> {
    /// The type that a value's readers expect.
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
            // This dropout style is the identity at inference.
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
    // A step that reads floats and could only pass int8 through writes floats.
    for step in &plan.steps {
        if matches!(step.work, Work::MaxPool { .. }) && kinds[step.x].is_none() {
            kinds[step.y] = None;
        }
    }
    kinds
}

/// Forward pass, as [`run::forward`] without dropout.
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
            // The last word may extend past the last byte; the buffer is large enough because it was sized for
            // floats.
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
            _ => unreachable!("convolution weights are int8"),
        }
    });
}

/// Runs `images` in floats and returns the best range of each layer's input.
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
