//! A net on its devices: whole on one, or as two towers that hold half of every layer's maps each and exchange maps
//! where layers cross.

use super::batch_norm::{self, Statistics};
use super::layer::{self, Values};
use super::matmul::Matmul;
use super::parameter::{Kind, Of, Parameter, write};
use alexnet::engine::{DropoutKey, Precision};
use alexnet::net::towers::{Crossing, Place, TowerLayer};
use alexnet::net::{DropoutStyle, LayerShape, Net, Op};
use alexnet::{Error, Result};
use alexnet_kernels::context::Context;
use alexnet_kernels::dropout;
use alexnet_kernels::isa::Isa;
use burn::tensor::{Device, Tensor};
use std::ops::Range;

/// A device and its part of the net.
pub(crate) struct Tower {
    pub(crate) device: Device,
    pub(crate) products: Matmul,
    pub(crate) parameters: Vec<Parameter>,
}

/// A net on one device or two.
pub(crate) struct Towers {
    pub(crate) net: Net,
    pub(crate) shapes: Vec<LayerShape>,
    /// Placement of each layer; `None` on a single device.
    plan: Option<Vec<TowerLayer>>,
    pub(crate) all: Vec<Tower>,
    /// Bytes transferred between the towers, forward and backward.
    pub(crate) crossed: u64,
}

/// Purpose of a forward pass.
#[derive(Clone, Copy)]
pub(crate) enum ForwardMode<'a> {
    /// Inference without gradients.
    Infer,
    /// Gradients are needed, but no parameter learns.
    Explain,
    /// Gradients of the parameters for which `learns` is true. Dropout uses the key `dropout`, if any, and batch
    /// norms use batch statistics.
    Learn { learns: &'a dyn Fn(&str) -> bool, dropout: Option<DropoutKey> },
}

/// Tape of a training forward pass.
#[derive(Default)]
pub(crate) struct ForwardTape {
    /// Parameters to differentiate.
    pub(crate) leaves: Vec<Of>,
    /// Differences of running statistics to those of the batch.
    pub(crate) away: Vec<Of>,
}

/// Each tower's values between two layers.
pub(crate) type PerDevice = Vec<Option<Tensor<4>>>;

impl Towers {
    pub(crate) fn new(net: &Net, devices: Vec<Device>, precision: Precision) -> Result<Towers> {
        let shapes = net.shapes()?;
        let plan = match devices.len() {
            1 => None,
            2 => Some(net.towers()?),
            n => return Err(Error::Invalid(format!("{n} devices: a net runs on one device, or as two towers on two"))),
        };
        let mut all = Vec::new();
        for device in devices {
            let products = Matmul::on(&device, precision)?;
            all.push(Tower { device, products, parameters: Vec::new() });
        }
        for (i, shape) in shapes.iter().enumerate().filter(|(_, shape)| !shape.weight.is_empty()) {
            let (outputs, inputs) = (shape.weight[0], shape.weight[1..].iter().product::<usize>());
            for (t, tower) in all.iter_mut().enumerate() {
                let held = plan.as_ref().map_or(0..outputs, |plan| plan[i].outputs(t, outputs));
                let weights = held.start * inputs..held.end * inputs;
                if held.is_empty() {
                    continue;
                }
                let mut add = |part: &str, kind: Kind, range: &Range<usize>| {
                    let name = format!("{}.{part}", shape.name);
                    tower.parameters.push(Parameter::zeros(name, kind, range.clone(), &tower.device));
                };
                match net.layers[i].op {
                    Op::BatchNorm { momentum, .. } => {
                        add("weight", Kind::Biases, &held);
                        add("bias", Kind::Biases, &held);
                        add("running_mean", Kind::Running { momentum }, &held);
                        add("running_var", Kind::Running { momentum }, &held);
                    }
                    _ => {
                        add("weight", Kind::Weights, &weights);
                        add("bias", Kind::Biases, &held);
                    }
                }
            }
        }
        Ok(Towers { net: net.clone(), shapes, plan, all, crossed: 0 })
    }

    /// Copies images to every tower's device.
    pub(crate) fn images(&self, images: &[f32], n: usize) -> PerDevice {
        let size = self.net.image_size;
        self.all.iter().map(|tower| Some(write(images, [n, 3, size, size], &tower.device))).collect()
    }

    /// Forward pass of the layers in `range` on each tower; training values are added to `tape`.
    pub(crate) fn forward(
        &mut self,
        range: Range<usize>,
        mut x: PerDevice,
        way: ForwardMode<'_>,
        tape: &mut ForwardTape,
    ) -> PerDevice {
        for i in range {
            let (read, edges) = self.gather(i, x, !matches!(way, ForwardMode::Infer));
            x = read
                .into_iter()
                .enumerate()
                .map(|(t, x)| x.and_then(|x| self.layer(i, t, x, edges[t].clone(), way, tape)))
                .collect();
        }
        x
    }

    /// The inputs of layer i on each tower, and which of their channels are the tower's own.
    fn gather(&mut self, i: usize, x: PerDevice, back: bool) -> (PerDevice, Vec<Option<Range<usize>>>) {
        let Some(plan) = &self.plan else { return (x, vec![None]) };
        let TowerLayer { crossing, place, .. } = plan[i].clone();
        let mut own = vec![None; 2];
        if crossing == Crossing::Nothing {
            return (x, own);
        }
        let mut read: PerDevice = Vec::new();
        for t in 0..2 {
            let (Some(mine), Some(other)) = (&x[t], &x[1 - t]) else {
                read.push(None);
                continue;
            };
            if place == Place::First && t == 1 {
                read.push(None);
                continue;
            }
            let maps = other.dims()[1];
            let other = match crossing {
                // At the border lie the last maps of tower 0 and the first maps of tower 1.
                Crossing::Edge(edge) if t == 1 => other.clone().slice_dim(1, maps - edge..maps),
                Crossing::Edge(edge) => other.clone().slice_dim(1, 0..edge),
                _ => other.clone(),
            };
            self.crossed += (other.shape().num_elements() * 4 * if back { 2 } else { 1 }) as u64;
            let other = other.to_device(&self.all[t].device);
            let (mine, maps, edge) = (mine.clone(), mine.dims()[1], other.dims()[1]);
            if matches!(crossing, Crossing::Edge(_)) {
                own[t] = Some(if t == 0 { 0..maps } else { edge..edge + maps });
            }
            read.push(Some(Tensor::cat(if t == 0 { vec![mine, other] } else { vec![other, mine] }, 1)));
        }
        (read, own)
    }

    /// Runs layer i on tower t; `None` if another tower computes it.
    fn layer(
        &self,
        i: usize,
        t: usize,
        x: Tensor<4>,
        own: Option<Range<usize>>,
        way: ForwardMode<'_>,
        tape: &mut ForwardTape,
    ) -> Option<Tensor<4>> {
        let (layer, shape) = (&self.net.layers[i], &self.shapes[i]);
        let groups = match layer.op {
            ref op if self.plan.is_some() => op.groups_of_tower(),
            Op::Conv { groups: n, .. } | Op::Lrn { columns: n, .. } => n,
            _ => 1,
        };
        let mut values = None;
        if !shape.weight.is_empty() {
            let at = self.all[t].parameters.iter().position(|p| p.name.strip_suffix(".weight") == Some(&layer.name))?;
            let mut value = |at: usize| {
                let parameter = &self.all[t].parameters[at];
                let ForwardMode::Learn { learns, .. } = way else { return parameter.value.clone() };
                if !learns(&parameter.name) {
                    return parameter.value.clone();
                }
                let value = parameter.value.clone().autodiff().require_grad();
                tape.leaves.push(Of { tower: t, parameter: at, tensor: value.clone() });
                value
            };
            let of_layer = Values { weights: value(at), biases: value(at + 1) };
            if let Op::BatchNorm { eps, .. } = layer.op {
                return Some(batch_norm::forward(x.clone(), self.statistics(t, at + 2, &x, way, tape), eps, of_layer));
            }
            values = Some(of_layer);
        }
        if let Op::Dropout { rate, style } = layer.op {
            let key = if let ForwardMode::Learn { dropout, .. } = way { dropout } else { None };
            return Some(self.dropout(i, t, rate, style, x, key));
        }
        let y = layer::forward(&layer.op, shape, groups, x, values, self.all[t].products);
        Some(match own {
            Some(own) => y.slice_dim(1, own),
            None => y,
        })
    }

    /// Statistics of a batch norm with input `x`: the batch's in training, otherwise the running ones, stored from
    /// parameter `at` on.
    fn statistics(&self, t: usize, at: usize, x: &Tensor<4>, way: ForwardMode<'_>, tape: &mut ForwardTape) -> Statistics {
        let running = [0, 1].map(|i| &self.all[t].parameters[at + i].value);
        let ForwardMode::Learn { .. } = way else { return Statistics::running(running[0], running[1]) };
        let found = Statistics::of_batch(x);
        let [n, _, height, width] = x.dims();
        let away = found.clone().away_from(running, n * height * width);
        tape.away.extend(away.into_iter().enumerate().map(|(i, tensor)| Of { tower: t, parameter: at + i, tensor }));
        found
    }

    /// Dropout of the same units as in the CPU engine, which numbers them by row, column, channel.
    fn dropout(&self, i: usize, t: usize, rate: f32, style: DropoutStyle, x: Tensor<4>, key: Option<DropoutKey>) -> Tensor<4> {
        let Some(key) = key else {
            return if style == DropoutStyle::ScaleAtInference { x * (1.0 - rate) } else { x };
        };
        let [n, channels, height, width] = x.dims();
        let (whole, size) = (self.shapes[i].output.channels, height * width);
        let shape = dropout::Shape { n, features: whole * size, rate, scale: style.in_training(rate) };
        let mut mask = vec![1.0; n * whole * size];
        let context = Context::serial(Isa::detect());
        dropout::apply(&context, &shape, key.of_layer(i), key.first_image, &mut mask);
        let first = if channels < whole { t * channels } else { 0 };
        let mask = write(&mask, [n, height, width, whole], &x.device()).permute([0, 3, 1, 2]);
        x * mask.slice_dim(1, first..first + channels)
    }

    /// All maps of a layer in one tensor, on the first device that holds any.
    pub(crate) fn joined(&self, held: PerDevice) -> Option<Tensor<4>> {
        let device = &self.all[0].device;
        let parts: Vec<Tensor<4>> = held.into_iter().flatten().map(|part| part.to_device(device)).collect();
        if parts.is_empty() { None } else { Some(Tensor::cat(parts, 1)) }
    }

    /// Every tower's part of a parameter.
    pub(crate) fn parts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Parameter> + 'a {
        self.all.iter().flat_map(|tower| &tower.parameters).filter(move |p| p.name == name)
    }
}
