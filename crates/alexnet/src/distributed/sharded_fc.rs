//! Sharded fully connected layers: each rank holds some rows of every layer, and computes these outputs for all
//! images of the batch (Krizhevsky 2014). Weights are never sent, only inputs and outputs.
//!
//! Between two layers every rank needs all outputs of the first one. In backward, the gradient of a rank's own
//! outputs is the sum of contributions from all ranks.

use super::Communicator;
use crate::engine::shards::{LinearShard, dropout};
use crate::engine::{DropoutKey, OptimizerStep};
use crate::net::{Activation, DropoutStyle, Net, Op};
use crate::{Error, Result};
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::FeatureMap;
use alexnet_kernels::layout;
use std::ops::Range;

/// A linear layer and the layers that follow it.
struct Layer {
    name: String,
    own: LinearShard,
    /// The rows of each rank.
    rows: Vec<Range<usize>>,
    outputs: usize,
    relu: bool,
    /// Dropout after it.
    drops: Vec<Drop>,
}

/// A dropout layer.
#[derive(Debug, Clone, Copy)]
struct Drop {
    /// Index in the net.
    layer: usize,
    rate: f32,
    style: DropoutStyle,
}

/// The fully connected end of a net, including dropout before the first linear layer.
pub(super) struct ShardedFc {
    layers: Vec<Layer>,
    /// Dropout before the first linear layer.
    drops: Vec<Drop>,
    /// Layout of one image's input map.
    map: FeatureMap,
    /// Inputs of each layer in the last forward pass, and the logits.
    seen: Vec<Vec<f32>>,
}

/// Index of the first layer of a net's fully connected end.
pub(super) fn begin(net: &Net) -> Result<usize> {
    let first = net.layers.iter().position(|layer| matches!(layer.op, Op::Linear { .. }));
    let first = first.ok_or_else(|| Error::Net(format!("{}: no fully connected layers to shard", net.name)))?;
    let drops = net.layers[..first].iter().rev().take_while(|layer| matches!(layer.op, Op::Dropout { .. })).count();
    Ok(first - drops)
}

impl ShardedFc {
    /// Creates the sharded layers of `net`; `rows` maps a layer's index and number of outputs to the outputs of each
    /// rank.
    pub(super) fn new(net: &Net, rank: usize, rows: impl Fn(usize, usize) -> Vec<Range<usize>>) -> Result<ShardedFc> {
        let shapes = net.shapes()?;
        let first = begin(net)?;
        let input = shapes[first].input;
        let map = FeatureMap::plain(1, input.size, input.size, input.channels);
        let mut head = ShardedFc { layers: Vec::new(), drops: Vec::new(), map, seen: Vec::new() };
        for (i, layer) in net.layers.iter().enumerate().skip(first) {
            let shape = &shapes[i];
            match layer.op {
                Op::Linear { out, .. } => {
                    let rows = rows(i, out);
                    let own = LinearShard::new(&layer.name, rows[rank].clone(), shape.input.size, shape.input.channels);
                    let name = layer.name.clone();
                    head.layers.push(Layer { name, own, rows, outputs: out, relu: false, drops: Vec::new() });
                }
                Op::Activation { function: Activation::Relu } if !head.layers.is_empty() => {
                    head.layers.iter_mut().next_back().into_iter().for_each(|last| last.relu = true);
                }
                Op::Dropout { rate, style } => {
                    let drop = Drop { layer: i, rate, style };
                    head.layers.last_mut().map_or(&mut head.drops, |last| &mut last.drops).push(drop);
                }
                _ => {
                    let message =
                        "sharding supports only fully connected layers, ReLU and dropout after the first fully connected layer";
                    return Err(Error::Net(format!("{}: layer {}: {message}", net.name, layer.name)));
                }
            }
        }
        Ok(head)
    }

    /// Whether rank `rank` needs the input of layer `i`, or the logits after the last layer.
    fn reads(&self, i: usize, rank: usize) -> bool {
        self.layers.get(i).or(self.layers.last()).is_some_and(|layer| !layer.rows[rank].is_empty())
    }

    /// Logits of `n` images whose maps are `planes` `[n, channels, rows, columns]`, on the ranks that compute some of
    /// them or, if `everywhere`, on all.
    pub(super) fn forward(
        &mut self,
        context: &Context<'_>,
        ranks: &dyn Communicator,
        n: usize,
        planes: &[f32],
        key: Option<DropoutKey>,
        everywhere: bool,
    ) -> Result<&[f32]> {
        let mut x = vec![0.0; planes.len()];
        layout::from_planes(context, planes, FeatureMap { n, ..self.map }, &mut x);
        drop_units(context, &self.drops, key, n, &mut x);
        self.seen.clear();
        for i in 0..self.layers.len() {
            let needs: Vec<bool> =
                (0..ranks.size()).map(|rank| self.reads(i + 1, rank) || (everywhere && i + 1 == self.layers.len())).collect();
            let layer = &mut self.layers[i];
            let own = layer.own.forward(context, n, &x, layer.relu);
            // Send these columns of every image to each rank that needs them.
            let counts: Vec<usize> = needs.iter().map(|&needs| if needs { own.len() } else { 0 }).collect();
            let me = needs[ranks.rank()];
            let from: Vec<usize> = layer.rows.iter().map(|rows| if me { n * rows.len() } else { 0 }).collect();
            let mut parts = vec![0.0; from.iter().sum()];
            let copies = needs.iter().filter(|&&needs| needs).count();
            ranks.all_to_all(&own.repeat(copies), &counts, &mut parts, &from)?;
            let mut y = vec![0.0; n * layer.outputs];
            if me {
                let mut rest = parts.as_slice();
                for rows in &layer.rows {
                    let (part, behind) = rest.split_at(n * rows.len());
                    put_columns(part, rows, layer.outputs, &mut y);
                    rest = behind;
                }
            } else {
                // A rank's own columns are needed in backward.
                put_columns(&own, &layer.own.rows, layer.outputs, &mut y);
            }
            drop_units(context, &layer.drops, key, n, &mut y);
            self.seen.push(std::mem::replace(&mut x, y));
        }
        self.seen.push(x);
        Ok(self.seen.last().map_or(&[], Vec::as_slice))
    }

    /// Backward from the gradient of the logits, `[n, classes]`, which is zero on ranks that do not have it. Updates
    /// all layers and returns this rank's contribution to the gradient of the maps, `[n, channels, rows, columns]`.
    pub(super) fn backward(
        &mut self,
        context: &Context<'_>,
        ranks: &dyn Communicator,
        n: usize,
        dlogits: &[f32],
        key: Option<DropoutKey>,
        step: &OptimizerStep,
    ) -> Result<Vec<f32>> {
        let Some(last) = self.layers.last() else { return Ok(Vec::new()) };
        let mut dy = columns(dlogits, &last.own.rows, last.outputs);
        for i in (0..self.layers.len()).rev() {
            let layer = &mut self.layers[i];
            let mut dx = layer.own.backward(context, n, &self.seen[i], &dy, step);
            if i == 0 {
                drop_units(context, &self.drops, key, n, &mut dx);
                let mut planes = vec![0.0; dx.len()];
                layout::to_planes(context, FeatureMap { n, ..self.map }, &dx, &mut planes);
                return Ok(planes);
            }
            // Send each rank the contributions to the gradients of its outputs, from those ranks that have any.
            let adds: Vec<bool> = layer.rows.iter().map(|rows| !rows.is_empty()).collect();
            let below = &self.layers[i - 1];
            let own = below.own.rows.clone();
            let parts: Vec<Vec<f32>> = below
                .rows
                .iter()
                .map(|rows| if adds[ranks.rank()] { columns(&dx, rows, below.outputs) } else { Vec::new() })
                .collect();
            let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
            let from: Vec<usize> = adds.iter().map(|&adds| if adds { n * own.len() } else { 0 }).collect();
            let mut received = vec![0.0; from.iter().sum()];
            ranks.all_to_all(&parts.concat(), &counts, &mut received, &from)?;
            let mut sum = vec![0.0; n * own.len()];
            for part in received.chunks_exact((n * own.len()).max(1)) {
                sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
            // Dropout identifies units by their index among all outputs.
            let mut wide = vec![0.0; n * below.outputs];
            put_columns(&sum, &own, below.outputs, &mut wide);
            drop_units(context, &below.drops, key, n, &mut wide);
            if below.relu {
                wide.iter_mut().zip(&self.seen[i]).for_each(|(dy, &y)| *dy = if y > 0.0 { *dy } else { 0.0 });
            }
            dy = columns(&wide, &own, below.outputs);
        }
        Ok(Vec::new())
    }

    /// This rank's shard of a layer, if it is sharded.
    pub(super) fn rows(&self, layer: &str) -> Option<&LinearShard> {
        self.layers.iter().find(|l| l.name == layer).map(|l| &l.own)
    }

    /// As [`rows`](Self::rows), mutable.
    pub(super) fn rows_mut(&mut self, layer: &str) -> Option<&mut LinearShard> {
        self.layers.iter_mut().find(|l| l.name == layer).map(|l| &mut l.own)
    }
}

/// Extracts columns of a matrix `[n, width]`.
fn columns(matrix: &[f32], columns: &Range<usize>, width: usize) -> Vec<f32> {
    matrix.chunks_exact(width).flat_map(|row| &row[columns.clone()]).copied().collect()
}

/// Writes columns of a matrix `[n, width]`.
fn put_columns(values: &[f32], columns: &Range<usize>, width: usize, matrix: &mut [f32]) {
    if !columns.is_empty() {
        let rows = matrix.chunks_exact_mut(width).zip(values.chunks_exact(columns.len()));
        rows.for_each(|(row, values)| row[columns.clone()].copy_from_slice(values));
    }
}

/// Applies consecutive dropout layers.
fn drop_units(context: &Context<'_>, drops: &[Drop], key: Option<DropoutKey>, n: usize, values: &mut [f32]) {
    if n == 0 {
        return;
    }
    let features = values.len() / n;
    for &Drop { layer, rate, style } in drops {
        dropout::apply(context, layer, rate, style, key, n, features, values);
    }
}
