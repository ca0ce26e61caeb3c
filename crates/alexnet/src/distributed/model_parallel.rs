//! Base of engines that shard a net's parameters over ranks.

use super::{Communicator, all_gather_values};
use crate::engine::{BatchShard, Inference, OptimizerStep, ParameterStore, StepStats, Training};
use crate::formats;
use crate::net::Net;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A rank's shard of a net, and its cooperation with the other ranks.
pub trait Shards {
    /// The whole net.
    fn net(&self) -> &Net;

    /// The ranks that hold the shards.
    fn ranks(&self) -> &dyn Communicator;

    /// Logits, as [`Inference::infer`]; all ranks call it together.
    ///
    /// # Errors
    /// Those of [`Inference::infer`], or another rank that failed.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// Training step, as [`Training::train_shard`].
    ///
    /// # Errors
    /// Those of [`Training::train_shard`].
    fn train_shard(&mut self, share: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// Whether a parameter is sharded over ranks.
    fn is_apart(&self, name: &str) -> bool;

    /// Reads this rank's shard of a parameter or of a slot of its optimizer state. The shards of all ranks
    /// concatenated are the whole.
    ///
    /// # Errors
    /// An unknown parameter.
    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>>;

    /// Writes this rank's shard, given the whole parameter or slot of its optimizer state with the correct length.
    ///
    /// # Errors
    /// An unknown parameter.
    fn write(&mut self, name: &str, slot: Option<&str>, whole: &[f32]) -> Result<()>;
}

/// Model-parallel engine built from [`Shards`]. It supports training on shards of a batch and inference, both
/// collective; other engine functions require a whole net.
pub struct ModelParallel<P> {
    parts: P,
    /// Gathered values of sharded parameters and of slots of their state, while gathered.
    whole: BTreeMap<(String, Option<String>), Vec<f32>>,
}

impl<P: Shards> ModelParallel<P> {
    pub(super) fn of(parts: P) -> ModelParallel<P> {
        ModelParallel { parts, whole: BTreeMap::new() }
    }

    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match self.whole.get(&(name.to_string(), slot.map(String::from))) {
            Some(whole) => Ok(whole.clone()),
            None if self.parts.is_apart(name) => Err(Error::Net(format!("{name} is sharded over ranks and was not gathered"))),
            None => self.parts.read(name, slot),
        }
    }

    fn write(&mut self, name: &str, slot: Option<&str>, values: &[f32]) -> Result<()> {
        check_len(self.parts.net(), name, values)?;
        self.whole.clear();
        self.parts.write(name, slot, values)
    }
}

/// Layer part of a name: `fc6` of `fc6.weight`.
pub(super) fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

/// Checks the length of a whole parameter.
fn check_len(net: &Net, name: &str, values: &[f32]) -> Result<()> {
    let shape = formats::parameters(net)?.into_iter().find(|(known, _)| known == name).map(|(_, shape)| shape);
    match shape.map(|shape| shape.iter().product::<usize>()) {
        None => Err(Error::Net(format!("the net has no parameter named {name}"))),
        Some(len) if len != values.len() => Err(Error::Net(format!("{name}: expected {len} values, got {}", values.len()))),
        Some(_) => Ok(()),
    }
}

/// Gathers the ranks' shards of a parameter on rank 0, concatenated.
fn to_first(ranks: &dyn Communicator, part: &[f32], whole: usize) -> Result<Vec<f32>> {
    let lens = all_gather_values(ranks, &part.len())?;
    let first = ranks.rank() == 0;
    let counts: Vec<usize> = (0..ranks.size()).map(|rank| if rank == 0 { part.len() } else { 0 }).collect();
    let from = if first { lens } else { vec![0; ranks.size()] };
    let mut values = vec![0.0; if first { whole } else { 0 }];
    ranks.all_to_all(part, &counts, &mut values, &from)?;
    Ok(values)
}

impl<P: Shards> ParameterStore for ModelParallel<P> {
    fn net(&self) -> &Net {
        self.parts.net()
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.read(name, None)
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.write(name, None, values)
    }
}

impl<P: Shards> Inference for ModelParallel<P> {
    /// Collective: all ranks call it together.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        self.parts.infer(images, logits)
    }

    fn infers_together(&self) -> bool {
        true
    }
}

impl<P: Shards> Training for ModelParallel<P> {
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        if step.optimizer.lars_trust().is_some() {
            let why = "LARS needs the norms of whole layers, but the layers are sharded over ranks; use --parallel data";
            return Err(Error::Invalid(why.into()));
        }
        self.whole.clear();
        self.parts.train_shard(shard, step)
    }

    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>> {
        self.read(name, Some(slot))
    }

    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()> {
        self.write(name, Some(slot), values)
    }

    fn holds_whole_net(&self) -> bool {
        false
    }

    fn gather_parameters(&mut self, slots: &[&str]) -> Result<()> {
        self.whole.clear();
        let (parts, ranks) = (&self.parts, self.parts.ranks());
        for (name, shape) in formats::parameters(parts.net())?.into_iter().filter(|(name, _)| parts.is_apart(name)) {
            let whole = shape.iter().product();
            for slot in [None].into_iter().chain(slots.iter().copied().map(Some)) {
                let values = to_first(ranks, &parts.read(&name, slot)?, whole)?;
                if ranks.rank() == 0 {
                    self.whole.insert((name.clone(), slot.map(String::from)), values);
                }
            }
        }
        Ok(())
    }
}
