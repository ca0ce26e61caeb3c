//! Gradient with respect to a layer's output. The net is split after the layer, and the second half treats the
//! layer's output as its input. The gradient is therefore that of the layer's own output, even where a full program
//! would fuse a following ReLU.

use alexnet_kernels::layout;

use super::Cpu;
use super::gradient_sink::GradientSink;
use super::plan::batch;
use super::program::{Program, Purpose};
use super::run;
use crate::engine::{Inspection, LayerGradient, ReluGradient, input};
use crate::{Error, Result};

/// See [`Inspection::layer_gradient`].
pub(super) fn layer_gradient(
    cpu: &mut Cpu,
    images: &[f32],
    layer: Option<&str>,
    weights: &[f32],
    relu: ReluGradient,
) -> Result<LayerGradient> {
    let n = cpu.count(images)?;
    input::check_logit_weights(n, cpu.classes, weights)?;
    if cpu.precision.is_of_bytes() {
        return Err(Error::Invalid(format!("{} has no gradients; use f32 or bf16", cpu.precision)));
    }
    let (first, activation) = match layer {
        Some(name) => (cpu.net.layer(name)? + 1, cpu.activation(images, name)?),
        None => (0, images.to_vec()),
    };
    let mut program = Program::new(&cpu.net, first..cpu.net.layers.len(), Purpose::InputGradient, n)?;
    program.relu = relu;
    let pool = cpu.pool.clone();
    let context = cpu.context(&pool);
    cpu.parameters.iter_mut().for_each(|parameter| parameter.pack(&context));
    run::forward(&context, &mut program, &cpu.parameters, &activation, n, None);
    let output = program.gradient(program.plan.output);
    program.memory.write(output, |_, gradient| gradient[..weights.len()].copy_from_slice(weights));
    run::backward(&context, &mut program, &mut cpu.parameters, &mut cpu.room, n, None, &mut GradientSink::Nothing);
    let map = batch(program.plan.gradient_map(0), n);
    let mut gradient = vec![0.0; activation.len()];
    layout::to_planes(&context, map, program.memory.read(program.gradient(0)), &mut gradient);
    Ok(LayerGradient { activation, gradient })
}
