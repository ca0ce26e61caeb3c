//! Engines of which each rank holds a part: what they have in common, whatever the parts are.

use super::{Communicator, all_gather_values};
use crate::engine::{BatchShard, Inference, OptimizerStep, ParameterStore, StepStats, Training};
use crate::formats;
use crate::net::Net;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A rank's part of a net, and how it works together with the others'.
pub trait Shards {
    /// The whole net.
    fn net(&self) -> &Net;

    /// The ranks that have the parts.
    fn ranks(&self) -> &dyn Communicator;

    /// As [`Inference::infer`]; all ranks call it together.
    ///
    /// # Errors
    /// As there, or when another rank is gone.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// As [`Training::train_shard`].
    ///
    /// # Errors
    /// As there.
    fn train_shard(&mut self, share: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// Whether other ranks hold parts of this parameter.
    fn is_apart(&self, name: &str) -> bool;

    /// This rank's part of a parameter, or of a slot of its optimizer's state. One after the other, the ranks' are the whole.
    ///
    /// # Errors
    /// No such parameter.
    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>>;

    /// Writes this rank's part of a whole parameter, or of a slot of its optimizer's state, whose length is right.
    ///
    /// # Errors
    /// No such parameter.
    fn write(&mut self, name: &str, slot: Option<&str>, whole: &[f32]) -> Result<()>;
}

/// An engine made of [`Shards`]. It trains on shares of a batch and infers, all ranks together; what else an engine does takes a
/// whole net.
pub struct ModelParallel<P> {
    parts: P,
    /// Parameters that are apart, and slots of their state, where and as long as they are together.
    whole: BTreeMap<(String, Option<String>), Vec<f32>>,
}

impl<P: Shards> ModelParallel<P> {
    pub(super) fn of(parts: P) -> ModelParallel<P> {
        ModelParallel { parts, whole: BTreeMap::new() }
    }

    fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match self.whole.get(&(name.to_string(), slot.map(String::from))) {
            Some(whole) => Ok(whole.clone()),
            None if self.parts.is_apart(name) => Err(Error::Net(format!("{name} is spread over ranks and was not gathered"))),
            None => self.parts.read(name, slot),
        }
    }

    fn write(&mut self, name: &str, slot: Option<&str>, values: &[f32]) -> Result<()> {
        check_len(self.parts.net(), name, values)?;
        self.whole.clear();
        self.parts.write(name, slot, values)
    }
}

/// `fc6` of `fc6.weight`.
pub(super) fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

/// Checks the length of a whole parameter.
fn check_len(net: &Net, name: &str, values: &[f32]) -> Result<()> {
    let shape = formats::parameters(net)?.into_iter().find(|(known, _)| known == name).map(|(_, shape)| shape);
    match shape.map(|shape| shape.iter().product::<usize>()) {
        None => Err(Error::Net(format!("the net has no parameter named {name}"))),
        Some(len) if len != values.len() => Err(Error::Net(format!("{name} has {len} values, not {}", values.len()))),
        Some(_) => Ok(()),
    }
}

/// What rank 0 gets of the parts that ranks have of a parameter, one after the other.
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
    /// All ranks call this together.
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
            let why = "LARS needs the norms of whole layers, of which each rank holds a part; use --parallel data";
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
