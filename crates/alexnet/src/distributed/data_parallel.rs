//! Data parallelism: every rank has all parameters and takes a shard of each batch. Gradients are summed over ranks,
//! and every rank applies the same update.
//!
//! A reducer thread sums a layer's gradients while backward continues with the layers below. fc8's come first, then
//! fc7's and fc6's, which are 96 % of all parameters and overlap with the convolutions.

use super::model_parallel::layer_of;
use super::reducer::{Bucket, Sum, reduce};
use super::{Communicator, Partition, Room, Tree, all_gather_f64};
use crate::engine::accumulation::{HeldGradients, is_running};
use crate::engine::{
    Batch, BatchShard, DropoutKey, GradientAccumulation, Gradients, Inference, OptimizerStep, ParameterStore, StepStats,
    Training, WeightAveraging,
};
use crate::formats::{self, TensorData};
use crate::net::Net;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// Data-parallel engine: a replica of an engine on each rank.
pub struct DataParallel<E> {
    engine: E,
    ranks: Arc<dyn Communicator>,
    cut: Partition,
    /// Gradient buffers of each parameter, reused between steps.
    room: BTreeMap<String, Vec<Vec<f32>>>,
    /// Scratch memory of the sums.
    sums: Room,
    /// Gradients of a step that is not complete.
    held: HeldGradients,
}

impl<E: Gradients> DataParallel<E> {
    /// Wraps `engine` for batches partitioned by `cut`. Its capacity must be at least the size of this rank's largest
    /// block, and its parameters must be equal on all ranks before training.
    pub fn new(engine: E, ranks: Arc<dyn Communicator>, cut: Partition) -> DataParallel<E> {
        DataParallel { engine, ranks, cut, room: BTreeMap::new(), sums: Room::default(), held: HeldGradients::default() }
    }

    /// The divisor of the mean loss of each of this rank's blocks, and that of the whole batch. It is the number of images,
    /// which every rank knows, or the sum of their class weights, which the ranks exchange; the sum over blocks has a fixed
    /// order.
    fn divisors(&self, share: &BatchShard<'_>) -> Result<(Vec<f64>, f64)> {
        let own = &share.blocks[self.cut.blocks_of(self.cut.rank)];
        if !share.objective.is_weighted() {
            return Ok((own.iter().map(|&n| n as f64).collect(), share.blocks.iter().sum::<usize>() as f64));
        }
        let mut rest = share.labels;
        let parts: Vec<f64> = own
            .iter()
            .map(|&n| {
                let (labels, behind) = rest.split_at(n);
                rest = behind;
                share.objective.divisor(labels)
            })
            .collect();
        let all = all_gather_f64(&*self.ranks, parts.iter().copied())?.iter().sum();
        Ok((parts, all))
    }

    /// Forward and backward of this rank's blocks. Each gradient goes to `reducer` once it is complete. Returns the
    /// loss sum, number of correct images and divisor of the loss of each block.
    fn backward(&mut self, share: &BatchShard<'_>, names: &[String], reducer: &Sender<Bucket>) -> Result<Vec<[f64; 3]>> {
        let blocks = self.cut.blocks_of(self.cut.rank);
        let (parts, all) = self.divisors(share)?;
        let mut trees: Vec<Tree> = names.iter().map(|_| Tree::new(self.cut.blocks)).collect();
        let (mut stats, mut done) = (Vec::new(), 0);
        let image = share.images.len() / share.labels.len().max(1);
        let room = &mut self.room;
        for block in blocks.clone() {
            let n = share.blocks[block];
            let last = block + 1 == blocks.end;
            let mut push = |at: usize, values: Option<Vec<f32>>, room: &mut BTreeMap<String, Vec<Vec<f32>>>| {
                let free = trees[at].push(block, values);
                room.entry(names[at].clone()).or_default().extend(free);
                if last {
                    // If the reducer has failed, it reports the error itself.
                    let branches = std::mem::replace(&mut trees[at], Tree::new(0)).into_branches();
                    let spare = room.get_mut(&names[at]).and_then(Vec::pop);
                    let _ = reducer.send(Bucket { at, branches, spare });
                }
            };
            if n == 0 {
                (0..names.len()).for_each(|at| push(at, None, room));
                stats.push([0.0; 3]);
                continue;
            }
            let weight = (parts[block - blocks.start] / all) as f32;
            let first = |key: DropoutKey| DropoutKey { first_image: key.first_image + done as u64, ..key };
            let batch = Batch {
                images: &share.images[done * image..(done + n) * image],
                labels: &share.labels[done..done + n],
                dropout: share.dropout.map(first),
                objective: share.objective.part(done..done + n),
            };
            let step = self.engine.gradients(&batch, &mut |name, gradient| {
                let Some(at) = names.iter().position(|known| known == name) else { return };
                let mut values = room.get_mut(name).and_then(Vec::pop).unwrap_or_default();
                values.clear();
                values.extend(gradient.iter().map(|g| g * weight));
                push(at, Some(values), room);
            })?;
            let divisor = parts[block - blocks.start];
            stats.push([f64::from(step.loss) * divisor, step.correct as f64, divisor]);
            done += n;
        }
        Ok(stats)
    }

    /// Forward and backward on all ranks' shards; `each` gets every gradient of the whole batch.
    fn reduced(
        &mut self,
        share: &BatchShard<'_>,
        step: &OptimizerStep,
        mut each: impl FnMut(&mut E, &str, &[f32]) -> Result<()>,
    ) -> Result<StepStats> {
        check(share, &self.cut)?;
        let (names, lens): (Vec<String>, Vec<usize>) = learning(self.engine.net(), step, |_| true)?.into_iter().unzip();
        let (ranks, cut) = (self.ranks.clone(), self.cut);
        let stats = std::thread::scope(|scope| {
            let ((give, buckets), (sums, take)) = (channel(), channel());
            let (ranks, cut, lens) = (&*ranks, &cut, &lens);
            let mut room = std::mem::take(&mut self.sums);
            let reducer = scope.spawn(move || reduce(ranks, cut, lens, &buckets, &sums, &mut room).map(|()| room));
            let stats = self.backward(share, &names, &give);
            drop(give);
            for Sum { at, values, free } in take {
                if stats.is_ok() {
                    each(&mut self.engine, &names[at], &values)?;
                    let room = self.room.entry(names[at].clone()).or_default();
                    room.extend(free.into_iter().flatten().chain([values]));
                }
            }
            let carried = reducer.join().unwrap_or_else(|_| Err(Error::Invalid("the gradient reducer thread panicked".into())));
            let stats = stats?;
            self.sums = carried?;
            Ok::<_, Error>(stats)
        })?;
        // Keep two buffers per parameter: the next step needs one for the gradient and one for its sum.
        self.room.values_mut().for_each(|free| free.truncate(2));
        whole_step(&*self.ranks, &stats)
    }
}

/// Parameters that `step` trains among some layers, with their lengths, in the order in which backward produces their
/// gradients.
pub(super) fn learning(net: &Net, step: &OptimizerStep, has: impl Fn(&str) -> bool) -> Result<Vec<(String, usize)>> {
    let all = formats::parameters(net)?.into_iter().rev();
    let learn = all.filter(|(name, _)| step.rates(name).is_some() && has(layer_of(name)));
    Ok(learn.map(|(name, shape)| (name, shape.iter().product())).collect())
}

/// Statistics of the whole batch from the blocks of all ranks.
fn whole_step(ranks: &dyn Communicator, stats: &[[f64; 3]]) -> Result<StepStats> {
    let all = all_gather_f64(ranks, stats.iter().flatten().copied())?;
    let [loss, correct, n] = all
        .as_chunks::<3>()
        .0
        .iter()
        .filter(|block| block[2] > 0.0)
        .fold([0.0; 3], |sum, block| [sum[0] + block[0], sum[1] + block[1], sum[2] + block[2]]);
    Ok(StepStats { loss: (loss / n) as f32, correct: correct as usize })
}

/// Checks that a shard matches the partition and that the batch is not empty.
pub(super) fn check(share: &BatchShard<'_>, cut: &Partition) -> Result<()> {
    let own: Range<usize> = cut.blocks_of(cut.rank);
    let fits = share.blocks.len() == cut.blocks && share.blocks[own].iter().sum::<usize>() == share.labels.len();
    if !fits || share.blocks.iter().all(|&n| n == 0) {
        let (n, blocks) = (share.labels.len(), share.blocks);
        return Err(Error::Net(format!("{n} images do not match rank {}'s shard of blocks of {blocks:?} images", cut.rank)));
    }
    Ok(())
}

impl<E: ParameterStore> ParameterStore for DataParallel<E> {
    fn net(&self) -> &Net {
        self.engine.net()
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.engine.parameter(name)
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.engine.set_parameter(name, values)
    }

    fn share_parameter(&mut self, name: &str, values: &TensorData) -> Result<()> {
        self.engine.share_parameter(name, values)
    }
}

impl<E: Inference> Inference for DataParallel<E> {
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        self.engine.infer(images, logits)
    }
}

impl<E: Gradients> Training for DataParallel<E> {
    fn train_shard(&mut self, share: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.reduced(share, step, |engine, name, gradient| engine.apply(name, gradient, step))
    }

    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>> {
        self.engine.state(name, slot)
    }

    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()> {
        self.engine.set_state(name, slot, values)
    }

    fn prepare_training(&mut self) {
        self.engine.prepare_training();
    }

    fn accumulation(&mut self) -> Option<&mut dyn GradientAccumulation> {
        Some(self)
    }

    /// Each rank averages its replica.
    fn averaging(&mut self) -> Option<&mut dyn WeightAveraging> {
        self.engine.averaging()
    }
}

impl<E: Gradients> GradientAccumulation for DataParallel<E> {
    fn accumulate(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats> {
        let mut held = std::mem::take(&mut self.held);
        let stats = self.reduced(shard, step, |engine, name, gradient| {
            if is_running(name) {
                return engine.apply(name, gradient, step);
            }
            held.add(name, gradient, weight);
            Ok(())
        });
        self.held = held;
        stats
    }

    fn apply_accumulated(&mut self, step: &OptimizerStep, scale: f32, clip_norm: Option<f64>) -> Result<Option<f64>> {
        self.held.apply(&mut self.engine, step, scale, clip_norm)
    }
}
