//! Engines of which each rank holds a part: what they have in common, whatever the parts are.

use super::{BatchShard, Communicator, DistributedEngine, all_gather_values};
use crate::engine::{Batch, Engine, StepStats, Update};
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

    /// As [`Engine::infer`]; all ranks call it together.
    ///
    /// # Errors
    /// As there, or when another rank is gone.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// As [`DistributedEngine::train_shard`].
    ///
    /// # Errors
    /// As there.
    fn train_shard(&mut self, share: &BatchShard<'_>, rule: &Update) -> Result<StepStats>;

    /// Whether other ranks hold parts of this parameter.
    fn is_apart(&self, name: &str) -> bool;

    /// This rank's part of a parameter, or of its velocity. One after the other, the ranks' are the whole.
    ///
    /// # Errors
    /// No such parameter.
    fn read(&self, name: &str, velocity: bool) -> Result<Vec<f32>>;

    /// Writes this rank's part of a whole parameter, or velocity, whose length is right.
    ///
    /// # Errors
    /// No such parameter.
    fn write(&mut self, name: &str, whole: &[f32], velocity: bool) -> Result<()>;
}

/// An engine made of [`Shards`]. It trains on shares of a batch and infers, all ranks together; what else an engine does takes a
/// whole net.
pub struct ModelParallel<P> {
    parts: P,
    /// Whole values and velocities of parameters that are apart, where and as long as they are together.
    whole: BTreeMap<String, [Vec<f32>; 2]>,
}

impl<P: Shards> ModelParallel<P> {
    pub(super) fn of(parts: P) -> ModelParallel<P> {
        ModelParallel { parts, whole: BTreeMap::new() }
    }

    fn read(&self, name: &str, velocity: bool) -> Result<Vec<f32>> {
        match self.whole.get(name) {
            Some(whole) => Ok(whole[usize::from(velocity)].clone()),
            None if self.parts.is_apart(name) => Err(Error::Net(format!("{name} is spread over ranks; bring it together first"))),
            None => self.parts.read(name, velocity),
        }
    }

    fn write(&mut self, name: &str, values: &[f32], velocity: bool) -> Result<()> {
        check_len(self.parts.net(), name, values)?;
        self.whole.clear();
        self.parts.write(name, values, velocity)
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

/// What such an engine does not do.
fn only_together(what: &str) -> Error {
    Error::Invalid(format!("an engine whose ranks hold parts of it does not {what}; use --parallel data"))
}

impl<P: Shards> DistributedEngine for ModelParallel<P> {
    fn train_shard(&mut self, share: &BatchShard<'_>, rule: &Update) -> Result<StepStats> {
        if rule.lars_trust.is_some() {
            return Err(only_together("know the norms of whole layers, by which LARS goes"));
        }
        self.whole.clear();
        self.parts.train_shard(share, rule)
    }

    fn infers_together(&self) -> bool {
        true
    }

    fn gather_parameters(&mut self) -> Result<()> {
        self.whole.clear();
        let (parts, ranks) = (&self.parts, self.parts.ranks());
        for (name, shape) in formats::parameters(parts.net())?.into_iter().filter(|(name, _)| parts.is_apart(name)) {
            let whole = shape.iter().product();
            let values = to_first(ranks, &parts.read(&name, false)?, whole)?;
            let velocity = to_first(ranks, &parts.read(&name, true)?, whole)?;
            if ranks.rank() == 0 {
                self.whole.insert(name, [values, velocity]);
            }
        }
        Ok(())
    }
}

impl<P: Shards> Engine for ModelParallel<P> {
    fn net(&self) -> &Net {
        self.parts.net()
    }

    /// All ranks call this together.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        self.parts.infer(images, logits)
    }

    fn train_step(&mut self, _: &Batch<'_>, _: &Update) -> Result<StepStats> {
        Err(only_together("train on a batch of one rank"))
    }

    fn gradients(&mut self, _: &Batch<'_>, _: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats> {
        Err(only_together("show gradients"))
    }

    fn apply(&mut self, _: &str, _: &[f32], _: &Update) -> Result<()> {
        Err(only_together("take gradients"))
    }

    fn input_gradient(&mut self, _: &[f32], _: &[u32]) -> Result<Vec<f32>> {
        Err(only_together("tell the gradient of its input"))
    }

    fn activation(&mut self, _: &[f32], _: &str) -> Result<Vec<f32>> {
        Err(only_together("tell what layers give"))
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.read(name, false)
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.write(name, values, false)
    }

    fn velocity(&self, name: &str) -> Result<Vec<f32>> {
        self.read(name, true)
    }

    fn set_velocity(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.write(name, values, true)
    }

    fn distributed(&mut self) -> Option<&mut dyn DistributedEngine> {
        Some(self)
    }
}
