//! The two towers of 2012 on two ranks (paper, section 3.2): each holds half of every layer's kernels and maps, for all images.
//!
//! [`Net::towers`] determines where a tower needs the other's maps. The segments in between are computed locally, and
//! each is an ordinary net of half the width, except that its first layer may read more channels. No parameter is on
//! both ranks, so only maps and their gradients are sent, not the gradients of parameters.

use super::model_parallel::{ModelParallel, Shards, layer_of};
use super::sharded_fc::{self, ShardedFc};
use super::{Communicator, all_gather_f64};
use crate::engine::shards::Segment;
use crate::engine::{BatchShard, DropoutKey, OptimizerStep, Precision, StepStats};
use crate::net::towers::Crossing;
use crate::net::{BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use crate::{Error, Result};
use std::sync::Arc;

/// Layers that a tower computes without the other.
struct Piece {
    segment: Segment,
    /// Maps of the other tower that the first layer reads.
    crossing: Crossing,
    /// Values of an input map, and the number of these maps in both towers together.
    map_in: usize,
    maps_in: usize,
    /// Values of an output map.
    map_out: usize,
}

/// Model-parallel engine of two ranks, each of which is a tower.
pub type Towers = ModelParallel<Tower>;

/// One of the two towers.
pub struct Tower {
    net: Net,
    ranks: Arc<dyn Communicator>,
    pieces: Vec<Piece>,
    head: ShardedFc,
}

impl Towers {
    /// Creates this rank's tower for batches of up to `capacity` images, which both ranks read; all parameters are
    /// zero.
    ///
    /// # Errors
    /// A number of ranks other than two, a net that cannot be split into two towers, or one that does not end in
    /// fully connected layers.
    pub fn new(net: &Net, ranks: Arc<dyn Communicator>, capacity: usize, threads: usize, precision: Precision) -> Result<Towers> {
        if ranks.size() != 2 {
            return Err(Error::Invalid(format!("towers require two ranks (mpirun -n 2), got {}", ranks.size())));
        }
        let (plan, shapes) = (net.towers()?, net.shapes()?);
        let end = sharded_fc::begin(net)?;
        let mut begins: Vec<usize> = (1..end)
            .filter(|&i| plan[i].crossing != Crossing::Nothing || matches!(plan[i - 1].crossing, Crossing::Edge(_)))
            .collect();
        begins.insert(0, 0);
        let ends = begins.iter().skip(1).copied().chain([end]);
        let piece = |(begin, end): (usize, usize)| -> Result<Piece> {
            let (input, output) = (shapes[begin].input, shapes[end - 1].output);
            let crossing = plan[begin].crossing;
            let layers = net.layers[begin..end].iter().map(half).collect::<Result<Vec<Layer>>>()?;
            let (half_net, first) = if begin == 0 {
                (Net { name: net.name.clone(), image_size: net.image_size, layers }, 0)
            } else {
                // Placeholder for all earlier layers: it never runs, and outputs maps of the right size and number.
                let entry = stand_in(reads(crossing, input.channels));
                (Net { name: net.name.clone(), image_size: input.size, layers: [vec![entry], layers].concat() }, 1)
            };
            let all = half_net.layers.len();
            Ok(Piece {
                segment: Segment::new(&half_net, first..all, begin > 0, capacity, threads, precision)?,
                crossing,
                map_in: input.size * input.size,
                maps_in: input.channels,
                map_out: output.size * output.size,
            })
        };
        let pieces = begins.iter().copied().zip(ends).map(piece).collect::<Result<Vec<Piece>>>()?;
        let rows = |layer: usize, outputs: usize| (0..2).map(|tower| plan[layer].outputs(tower, outputs)).collect();
        let head = ShardedFc::new(net, ranks.rank(), rows)?;
        Ok(ModelParallel::of(Tower { net: net.clone(), ranks, pieces, head }))
    }
}

impl Tower {
    /// The maps of both towers that the fully connected layers read, for `n` images: `[n, channels, rows, columns]`.
    fn maps(&mut self, images: &[f32], n: usize, key: Option<DropoutKey>, train: bool) -> Result<Vec<f32>> {
        let (ranks, tower) = (self.ranks.clone(), self.ranks.rank());
        let mut own = images.to_vec();
        for piece in &mut self.pieces {
            let half = piece.maps_in / 2;
            let input = match piece.crossing {
                Crossing::Nothing => own,
                Crossing::Whole => beside(&*ranks, &own, half, half, piece.map_in, n)?,
                Crossing::Edge(maps) => beside(&*ranks, &own, half, maps, piece.map_in, n)?,
            };
            own = piece.segment.forward(&input, n, key, train)?;
            if let Crossing::Edge(maps) = piece.crossing {
                // Drop the outputs computed from the other tower's maps.
                let skip = if tower == 0 { 0 } else { maps };
                own = channels(&own, half + maps, skip, half, piece.map_out);
            }
        }
        let map = self.pieces.last().map_or(1, |last| last.map_out);
        let half = own.len() / (n * map).max(1);
        beside(&*ranks, &own, half, half, map, n)
    }

    /// Backward from this tower's contribution to the gradient of the maps that the fully connected layers read.
    fn maps_backward(&mut self, partial: &[f32], n: usize, key: Option<DropoutKey>, step: &OptimizerStep) -> Result<()> {
        let (ranks, tower) = (self.ranks.clone(), self.ranks.rank());
        let map = self.pieces.last().map_or(1, |last| last.map_out);
        let half = partial.len() / (n * map).max(1) / 2;
        let mut own = beside_backward(&*ranks, partial, half, half, map, n)?;
        for piece in self.pieces.iter_mut().rev() {
            let half = piece.maps_in / 2;
            if let Crossing::Edge(maps) = piece.crossing {
                let zeros = vec![0.0; n * maps * piece.map_out];
                let (mine, none) = ((own.as_slice(), half), (zeros.as_slice(), maps));
                let [first, second] = if tower == 0 { [mine, none] } else { [none, mine] };
                own = interleave(first, second, piece.map_out, n);
            }
            let mut gradients = Vec::new();
            let below =
                piece.segment.backward(&own, n, key, &mut |name, gradient| gradients.push((name.to_string(), gradient.to_vec())));
            for (name, gradient) in gradients {
                piece.segment.apply(&name, &gradient, step)?;
            }
            let Some(below) = below else { break };
            own = match piece.crossing {
                Crossing::Nothing => below,
                Crossing::Whole => beside_backward(&*ranks, &below, half, half, piece.map_in, n)?,
                Crossing::Edge(maps) => beside_backward(&*ranks, &below, half, maps, piece.map_in, n)?,
            };
        }
        Ok(())
    }
}

/// The layer with half as many kernels; the caller sets what it reads.
fn half(layer: &Layer) -> Result<Layer> {
    let (mut layer, half) = (layer.clone(), layer.op.groups_of_tower());
    match &mut layer.op {
        Op::Conv { out, groups, .. } => (*out, *groups) = (*out / 2, half),
        Op::Lrn { columns, .. } => *columns = half,
        Op::Dropout { .. } => {
            let message = "towers do not support dropout before the fully connected layers";
            return Err(Error::Net(format!("layer {}: {message}", layer.name)));
        }
        _ => {}
    }
    Ok(layer)
}

/// A layer with `maps` output maps of the size of its input.
fn stand_in(maps: usize) -> Layer {
    let op = Op::Conv {
        out: maps,
        kernel: 1,
        stride: 1,
        pad: Pad::all(0),
        groups: 1,
        rounding: Rounding::Floor,
        weight_init: WeightInit::Normal(0.0),
        bias_init: BiasInit::Constant(0.0),
    };
    Layer { name: "both towers' maps".into(), op }
}

/// Number of maps that a tower reads of a layer with `maps` maps.
fn reads(crossing: Crossing, maps: usize) -> usize {
    match crossing {
        Crossing::Nothing => maps / 2,
        Crossing::Whole => maps,
        Crossing::Edge(edge) => maps / 2 + edge,
    }
}

/// Extracts `count` of `all` maps of each image, after the first `skip`.
fn channels(planes: &[f32], all: usize, skip: usize, count: usize, map: usize) -> Vec<f32> {
    planes.chunks_exact((all * map).max(1)).flat_map(|image| &image[skip * map..(skip + count) * map]).copied().collect()
}

/// Concatenates the maps of each image from two sources; the numbers are maps per image.
fn interleave((a, maps_a): (&[f32], usize), (b, maps_b): (&[f32], usize), map: usize, n: usize) -> Vec<f32> {
    (0..n)
        .flat_map(|i| [&a[i * maps_a * map..][..maps_a * map], &b[i * maps_b * map..][..maps_b * map]])
        .flatten()
        .copied()
        .collect()
}

/// Exchanges the same number of values with the other tower.
fn swap(ranks: &dyn Communicator, send: &[f32]) -> Result<Vec<f32>> {
    let counts = if ranks.rank() == 0 { [0, send.len()] } else { [send.len(), 0] };
    let mut received = vec![0.0; send.len()];
    ranks.all_to_all(send, &counts, &mut received, &counts)?;
    Ok(received)
}

/// Concatenates this tower's `half` maps with the adjacent `edge` maps of the other tower, which may be all of them.
fn beside(ranks: &dyn Communicator, own: &[f32], half: usize, edge: usize, map: usize, n: usize) -> Result<Vec<f32>> {
    let first = ranks.rank() == 0;
    let near = channels(own, half, if first { half - edge } else { 0 }, edge, map);
    let other = swap(ranks, &near)?;
    let (own, other) = ((own, half), (other.as_slice(), edge));
    Ok(if first { interleave(own, other, map, n) } else { interleave(other, own, map, n) })
}

/// Backward of [`beside`]: the gradient of this tower's maps, including the other tower's contribution for the maps
/// that it has read.
fn beside_backward(ranks: &dyn Communicator, all: &[f32], half: usize, edge: usize, map: usize, n: usize) -> Result<Vec<f32>> {
    let first = ranks.rank() == 0;
    let (mine, others) = if first { (0, half) } else { (edge, 0) };
    let mut own = channels(all, half + edge, mine, half, map);
    let received = swap(ranks, &channels(all, half + edge, others, edge, map))?;
    let near = if first { half - edge } else { 0 };
    for i in 0..n {
        let to = &mut own[(i * half + near) * map..][..edge * map];
        to.iter_mut().zip(&received[i * edge * map..]).for_each(|(sum, value)| *sum += value);
    }
    Ok(own)
}

impl Shards for Tower {
    fn net(&self) -> &Net {
        &self.net
    }

    fn ranks(&self) -> &dyn Communicator {
        &*self.ranks
    }

    /// Both ranks have the same images.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let n = images.len() / (3 * self.net.image_size * self.net.image_size);
        let ranks = self.ranks.clone();
        let maps = self.maps(images, n, None, false)?;
        let head = &mut self.head;
        *logits = self.pieces[0]
            .segment
            .with_context(|context| head.forward(context, &*ranks, n, &maps, None, true).map(<[f32]>::to_vec))?;
        Ok(())
    }

    /// Both ranks have all images of the batch.
    fn train_shard(&mut self, share: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        let n = share.labels.len();
        if share.blocks != [n] || n == 0 {
            return Err(Error::Net(format!("got {n} images, but each tower requires the whole batch of {:?}", share.blocks)));
        }
        let (ranks, classes, key) = (self.ranks.clone(), self.net.classes(), share.dropout);
        share.objective.check(n, classes)?;
        let maps = self.maps(share.images, n, key, true)?;
        let (head, first) = (&mut self.head, &self.pieces[0].segment);
        let (stats, partial) = first.with_context(|context| -> Result<([f64; 2], Vec<f32>)> {
            let logits = head.forward(context, &*ranks, n, &maps, key, false)?;
            let (mut dlogits, mut stats) = (vec![0.0; n * classes], [0.0; 2]);
            if ranks.rank() == 0 {
                let step = share.objective.evaluate(context, classes, logits, share.labels, 1.0, &mut dlogits);
                stats = [f64::from(step.loss), step.correct as f64];
            }
            Ok((stats, head.backward(context, &*ranks, n, &dlogits, key, step)?))
        })?;
        self.maps_backward(&partial, n, key, step)?;
        let stats = all_gather_f64(&*ranks, stats)?;
        Ok(StepStats { loss: stats[0] as f32, correct: stats[1] as usize })
    }

    fn is_apart(&self, _: &str) -> bool {
        true
    }

    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match (self.head.rows(layer_of(name)), self.pieces.iter().find(|piece| piece.segment.has(layer_of(name)))) {
            (Some(rows), _) => rows.read(name, slot),
            (None, Some(piece)) => piece.segment.read(name, slot),
            (None, None) => Err(Error::Net(format!("the net has no parameter named {name}"))),
        }
    }

    fn write(&mut self, name: &str, slot: Option<&str>, whole: &[f32]) -> Result<()> {
        if let Some(rows) = self.head.rows_mut(layer_of(name)) {
            return rows.write(name, slot, whole);
        }
        let (tower, half) = (self.ranks.rank(), whole.len() / 2);
        let piece = self.pieces.iter_mut().find(|piece| piece.segment.has(layer_of(name)));
        let piece = piece.ok_or_else(|| Error::Net(format!("the net has no parameter named {name}")))?;
        piece.segment.write(name, slot, &whole[tower * half..(tower + 1) * half])
    }
}
