//! "One weird trick" (Krizhevsky 2014): convolutions data-parallel, fully connected layers model-parallel.
//!
//! Convolutions have 4 % of the weights and most of the work, so each rank runs them on its shard of the images and
//! sums the gradients with the others. Fully connected layers have 96 % of the weights, so each rank holds some of
//! their rows and computes them for all images (`sharded_fc.rs`). Their traffic grows with the batch and not with the
//! weights.

use super::data_parallel::{check, learning};
use super::model_parallel::{ModelParallel, Shards, layer_of};
use super::reducer;
use super::sharded_fc::{self, ShardedFc};
use super::{Communicator, Partition, all_gather, all_gather_values};
use crate::engine::shards::Segment;
use crate::engine::{BatchShard, DropoutKey, MixedLabel, Objective, OptimizerStep, Precision, StepStats};
use crate::net::Net;
use crate::{Error, Result};
use std::sync::Arc;

/// Hybrid-parallel engine: replicated convolutions, sharded fully connected layers.
pub type Hybrid = ModelParallel<HybridShards>;

/// A rank's shard of a [`Hybrid`] engine.
pub struct HybridShards {
    net: Net,
    ranks: Arc<dyn Communicator>,
    cut: Partition,
    trunk: Segment,
    head: ShardedFc,
}

impl Hybrid {
    /// Creates this rank's shard of an engine, for up to `capacity` images per rank; all parameters are zero.
    ///
    /// # Errors
    /// A net that does not end in fully connected layers or that does not fit into memory.
    pub fn new(net: &Net, ranks: Arc<dyn Communicator>, capacity: usize, threads: usize, precision: Precision) -> Result<Hybrid> {
        if net.has_batch_norm() {
            let message = format!("{}: batch normalisation is not supported in hybrid parallel; use --parallel data", net.name);
            return Err(Error::Net(message));
        }
        let (rank, size) = (ranks.rank(), ranks.size());
        let cut = Partition::new(rank, size, None)?;
        let rows = |_, outputs: usize| (0..size).map(|r| outputs * r / size..outputs * (r + 1) / size).collect();
        let trunk = Segment::new(net, 0..sharded_fc::begin(net)?, false, capacity, threads, precision)?;
        let head = ShardedFc::new(net, rank, rows)?;
        Ok(ModelParallel::of(HybridShards { net: net.clone(), ranks, cut, trunk, head }))
    }
}

/// Labels and second labels of all ranks' images.
fn all_targets(ranks: &dyn Communicator, own: &BatchShard<'_>) -> Result<(Vec<u32>, Vec<MixedLabel>)> {
    let seconds: Vec<(u32, f32)> = own.objective.mixed.iter().map(|second| (second.label, second.share)).collect();
    let (labels, seconds): (Vec<_>, Vec<_>) = all_gather_values(ranks, &(own.labels.to_vec(), seconds))?.into_iter().unzip();
    let second = |(label, share)| MixedLabel { label, share };
    Ok((labels.concat(), seconds.into_iter().flatten().map(second).collect()))
}

impl Shards for HybridShards {
    fn net(&self) -> &Net {
        &self.net
    }

    fn ranks(&self) -> &dyn Communicator {
        &*self.ranks
    }

    /// Each rank infers its own images.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let ranks = self.ranks.clone();
        let own = images.len() / (3 * self.net.image_size * self.net.image_size);
        let all = all_gather_values(&*ranks, &own)?;
        let part = self.trunk.forward(images, own, None, false)?;
        let len = self.trunk.output_len();
        let counts: Vec<usize> = all.iter().map(|n| n * len).collect();
        let n = all.iter().sum::<usize>();
        let mut maps = vec![0.0; n * len];
        all_gather(&*ranks, &part, &counts, &mut maps)?;
        let head = &mut self.head;
        let found =
            self.trunk.with_context(|context| head.forward(context, &*ranks, n, &maps, None, true).map(<[f32]>::to_vec))?;
        let first = all[..ranks.rank()].iter().sum::<usize>();
        let classes = self.net.classes();
        logits.clear();
        logits.extend_from_slice(&found[first * classes..(first + own) * classes]);
        Ok(())
    }

    fn train_shard(&mut self, share: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        check(share, &self.cut)?;
        let ranks = self.ranks.clone();
        let (own, all) = (share.labels.len(), share.blocks.iter().sum::<usize>());
        let (labels, mixed) = all_targets(&*ranks, share)?;
        let objective = Objective { mixed: &mixed, ..share.objective };
        objective.check(all, self.net.classes())?;
        // The fully connected layers see all images, starting with the first.
        let key = share.dropout.map(|key| DropoutKey { first_image: 0, ..key });
        let part = self.trunk.forward(share.images, own, share.dropout, true)?;
        let len = self.trunk.output_len();
        let counts: Vec<usize> = share.blocks.iter().map(|n| n * len).collect();
        let mut maps = vec![0.0; all * len];
        all_gather(&*ranks, &part, &counts, &mut maps)?;
        let classes = self.net.classes();
        let (head, trunk) = (&mut self.head, &self.trunk);
        let (stats, partial) = trunk.with_context(|context| -> Result<(StepStats, Vec<f32>)> {
            let logits = head.forward(context, &*ranks, all, &maps, key, false)?;
            let mut dlogits = vec![0.0; all * classes];
            let stats = objective.evaluate(context, classes, logits, &labels, 1.0, &mut dlogits);
            Ok((stats, head.backward(context, &*ranks, all, &dlogits, key, step)?))
        })?;
        // Send each rank the contributions to the gradients of its images.
        let mut received = vec![0.0; ranks.size() * own * len];
        ranks.all_to_all(&partial, &counts, &mut received, &vec![own * len; ranks.size()])?;
        let mut gradient = vec![0.0; own * len];
        for part in received.chunks_exact((own * len).max(1)) {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        let names = learning(&self.net, step, |layer| self.trunk.has(layer))?;
        let trunk = &mut self.trunk;
        let sums = reducer::sum(&*ranks, &self.cut, &names, |visit| {
            if own > 0 {
                trunk.backward(&gradient, own, share.dropout, visit);
            }
        })?;
        for ((name, _), sum) in names.iter().zip(sums) {
            self.trunk.apply(name, &sum, step)?;
        }
        Ok(stats)
    }

    fn is_apart(&self, name: &str) -> bool {
        self.ranks.size() > 1 && self.head.rows(layer_of(name)).is_some()
    }

    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match self.head.rows(layer_of(name)) {
            Some(rows) => rows.read(name, slot),
            None => self.trunk.read(name, slot),
        }
    }

    fn write(&mut self, name: &str, slot: Option<&str>, whole: &[f32]) -> Result<()> {
        match self.head.rows_mut(layer_of(name)) {
            Some(rows) => rows.write(name, slot, whole),
            None => self.trunk.write(name, slot, whole),
        }
    }
}
