//! Backward passes: gradients of parameters, and of a layer's output.

use super::parameter::{Of, read, write};
use super::tower::{ForwardMode, ForwardTape, PerDevice, Towers};
use alexnet::engine::{LayerGradient, ReluGradient};
use alexnet::net::{Activation, Op};
use alexnet::{Error, Result};
use burn::tensor::{Gradients, Tensor};

/// Backward from `held`, given each tower's gradient. Burn differentiates a scalar, so the values are multiplied by
/// their gradients and summed.
fn back(held: &PerDevice, upstream: &PerDevice) -> Option<Gradients> {
    let device = held.iter().flatten().next()?.device();
    let sums = held.iter().zip(upstream).filter_map(|(held, upstream)| Some((held.clone()? * upstream.clone()?).sum()));
    let sum = sums.map(|sum| sum.to_device(&device)).reduce(|a, b| a + b)?;
    sum.is_tracked().then(|| sum.backward())
}

/// The gradients of the parameters on the tape, given that of the logits scaled by `scale`, followed by the
/// differences of running statistics to the batch's. They are in each tower's order of parameters.
pub(crate) fn of_parameters(held: &PerDevice, upstream: Tensor<4>, scale: f32, tape: ForwardTape) -> Vec<Of> {
    let mut all = vec![Some(upstream)];
    all.resize(held.len(), None);
    let Some(mut gradients) = back(held, &all) else { return Vec::new() };
    let gradient = |of: Of| {
        let tensor = of.tensor.grad_remove(&mut gradients)?;
        Some(Of { tensor: if scale == 1.0 { tensor } else { tensor / scale }, ..of })
    };
    let mut found: Vec<Of> = tape.leaves.into_iter().filter_map(gradient).chain(tape.away).collect();
    found.sort_by_key(|of| of.parameter);
    found
}

/// Whether all values are finite, with one read per tower.
pub(crate) fn are_finite(gradients: &[Of]) -> Result<bool> {
    for tower in 0..2 {
        // 0 times infinity or NaN is NaN.
        let of_tower = gradients.iter().filter(|of| of.tower == tower);
        let zeros: Vec<Tensor<1>> = of_tower.map(|of| (of.tensor.clone() * 0.0).sum()).collect();
        if !zeros.is_empty() && read(Tensor::cat(zeros, 0))?.iter().any(|zero| *zero != 0.0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Implements [`layer_gradient`](alexnet::engine::Inspection::layer_gradient). The net is split after the layer and,
/// for guided backpropagation, also after every later ReLU, where only positive gradients are passed on. Each part
/// runs once more to be differentiated.
pub(crate) fn of_layer(
    towers: &mut Towers,
    images: &[f32],
    n: usize,
    layer: Option<&str>,
    weights: &[f32],
    relu: ReluGradient,
) -> Result<LayerGradient> {
    let layers = towers.net.layers.len();
    let first = layer.map_or(Ok(0), |name| towers.net.layer(name).map(|at| at + 1))?;
    let is_relu = |at: &usize| matches!(towers.net.layers[*at].op, Op::Activation { function: Activation::Relu });
    let mut cuts = vec![first];
    if relu == ReluGradient::Guided {
        cuts.extend((first..layers).filter(is_relu).map(|at| at + 1));
    }
    cuts.push(layers);
    let pictures = towers.images(images, n);
    let mut values = vec![towers.forward(0..first, pictures, ForwardMode::Infer, &mut ForwardTape::default())];
    for part in cuts[..cuts.len() - 1].windows(2) {
        let x = values[values.len() - 1].clone();
        values.push(towers.forward(part[0]..part[1], x, ForwardMode::Infer, &mut ForwardTape::default()));
    }
    let mut upstream: PerDevice = vec![None; towers.all.len()];
    upstream[0] = Some(write(weights, [n, towers.net.classes(), 1, 1], &towers.all[0].device));
    let activation = values[0].clone();
    for (part, x) in cuts.windows(2).zip(values).rev() {
        let leaves: PerDevice = x.into_iter().map(|x| x.map(|x| x.autodiff().require_grad())).collect();
        let held = towers.forward(part[0]..part[1], leaves.clone(), ForwardMode::Explain, &mut ForwardTape::default());
        let gradients = back(&held, &upstream).ok_or_else(|| Error::Net("no gradient reaches this layer".into()))?;
        let clip = part[0] > first;
        let gradient = |leaf: Tensor<4>| {
            let gradient = leaf.grad(&gradients).unwrap_or_else(|| leaf.without_autodiff().zeros_like());
            if clip { gradient.clamp_min(0.0) } else { gradient }
        };
        upstream = leaves.into_iter().map(|leaf| leaf.map(gradient)).collect();
    }
    if layer.is_none() {
        // Each tower has read the whole image, so their gradients are summed.
        let device = towers.all[0].device.clone();
        let sum = upstream.into_iter().flatten().map(|part| part.to_device(&device)).reduce(|a, b| a + b);
        let gradient = read(sum.ok_or_else(|| Error::Net("no tower read the images".into()))?)?;
        return Ok(LayerGradient { activation: images.to_vec(), gradient });
    }
    let joined =
        |held: PerDevice| towers.joined(held).ok_or_else(|| Error::Net("no tower holds this layer".into())).and_then(read);
    Ok(LayerGradient { activation: joined(activation)?, gradient: joined(upstream)? })
}
