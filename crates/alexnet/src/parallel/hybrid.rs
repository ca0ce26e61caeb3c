//! "One weird trick" (Krizhevsky 2014): convolutions data-parallel, fully connected layers model-parallel.
//!
//! Convolutions have 4 % of the weights and most of the work, so each rank does them for its share of the pictures and sums their
//! gradients with the others; of the fully connected layers, which have 96 %, each rank holds some rows and
//! computes them for all pictures (`head.rs`). What is sent of these grows with the batch and not with the weights.

use super::courier;
use super::data::check;
use super::head::{self, Head};
use super::{Communicator, Cut, Share, Spread, all_gather, tell};
use crate::engine::cpu::Precision;
use crate::engine::cpu::segment::Segment;
use crate::engine::{Batch, Engine, Step, Update};
use crate::net::Net;
use crate::weights;
use crate::{Error, Result};
use alexnet_kernels::loss;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An engine of which each rank has a part.
pub struct Hybrid {
    net: Net,
    ranks: Arc<dyn Communicator>,
    cut: Cut,
    trunk: Segment,
    head: Head,
    /// Whole values of the head's parameters and velocities, where and as long as they are together.
    whole: BTreeMap<String, [Vec<f32>; 2]>,
}

impl Hybrid {
    /// This rank's part of an engine for batches of which it takes up to `capacity` pictures; all parameters are zero.
    ///
    /// # Errors
    /// A net whose end is not made of fully connected layers, or what [`Cpu::new`](crate::engine::cpu::Cpu::new) says.
    pub fn new(net: &Net, ranks: Arc<dyn Communicator>, capacity: usize, threads: usize, precision: Precision) -> Result<Hybrid> {
        let (rank, size) = (ranks.rank(), ranks.size());
        let cut = Cut::new(rank, size, None)?;
        let rows = |_, outputs: usize| (0..size).map(|r| outputs * r / size..outputs * (r + 1) / size).collect();
        let trunk = Segment::new(net, 0..head::begin(net)?, false, capacity, threads, precision)?;
        let head = Head::new(net, rank, rows)?;
        Ok(Hybrid { net: net.clone(), ranks, cut, trunk, head, whole: BTreeMap::new() })
    }

    /// Reads a parameter of which all is here, or its velocity.
    fn read(&self, name: &str, velocity: bool) -> Result<Vec<f32>> {
        match (self.whole.get(name), self.head.rows(layer_of(name))) {
            (Some(whole), _) => Ok(whole[usize::from(velocity)].clone()),
            (None, Some(rows)) if self.ranks.size() == 1 => rows.read(name, velocity),
            (None, Some(_)) => Err(apart(name)),
            (None, None) => self.trunk.read(name, velocity),
        }
    }

    fn write(&mut self, name: &str, values: &[f32], velocity: bool) -> Result<()> {
        check_len(&self.net, name, values)?;
        self.whole.clear();
        match self.head.rows_mut(layer_of(name)) {
            Some(rows) => rows.write(name, values, velocity),
            None => self.trunk.write(name, values, velocity),
        }
    }
}

/// `fc6` of `fc6.weight`.
pub(super) fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

/// Says that a parameter lies on several ranks.
pub(super) fn apart(name: &str) -> Error {
    Error::Net(format!("{name} is spread over ranks; bring it together first"))
}

/// Checks the length of a whole parameter.
pub(super) fn check_len(net: &Net, name: &str, values: &[f32]) -> Result<()> {
    let shape = weights::parameters(net)?.into_iter().find(|(known, _)| known == name).map(|(_, shape)| shape);
    match shape.map(|shape| shape.iter().product::<usize>()) {
        None => Err(Error::Net(format!("the net has no parameter named {name}"))),
        Some(len) if len != values.len() => Err(Error::Net(format!("{name} has {len} values, not {}", values.len()))),
        Some(_) => Ok(()),
    }
}

/// What rank 0 gets of the parts that ranks have of a parameter, one after the other.
pub(super) fn to_first(ranks: &dyn Communicator, part: &[f32], whole: usize) -> Result<Vec<f32>> {
    let lens = tell(ranks, &part.len())?;
    let first = ranks.rank() == 0;
    let counts: Vec<usize> = (0..ranks.size()).map(|rank| if rank == 0 { part.len() } else { 0 }).collect();
    let from = if first { lens } else { vec![0; ranks.size()] };
    let mut values = vec![0.0; if first { whole } else { 0 }];
    ranks.exchange(part, &counts, &mut values, &from)?;
    Ok(values)
}

impl Spread for Hybrid {
    fn train_share(&mut self, share: &Share<'_>, rule: &Update) -> Result<Step> {
        check(share, &self.cut)?;
        self.whole.clear();
        let ranks = self.ranks.clone();
        let (own, all) = (share.labels.len(), share.blocks.iter().sum::<usize>());
        let labels: Vec<u32> = tell(&*ranks, &share.labels.to_vec())?.into_iter().flatten().collect();
        // The head sees all pictures, beginning with the first.
        let key = share.dropout.map(|key| crate::engine::DropoutKey { first_picture: 0, ..key });
        let part = self.trunk.forward(share.images, own, share.dropout, true)?;
        let len = self.trunk.output_len();
        let counts: Vec<usize> = share.blocks.iter().map(|n| n * len).collect();
        let mut maps = vec![0.0; all * len];
        all_gather(&*ranks, &part, &counts, &mut maps)?;
        let classes = self.net.classes();
        let (head, trunk) = (&mut self.head, &self.trunk);
        let (step, partial) = trunk.with_context(|context| -> Result<(Step, Vec<f32>)> {
            let logits = head.forward(context, &*ranks, all, &maps, key, false)?;
            let mut dlogits = vec![0.0; all * classes];
            let loss = loss::softmax_cross_entropy(context, all, classes, logits, &labels, 1.0 / all as f32, Some(&mut dlogits));
            let step = Step { loss: (loss.sum / all as f64) as f32, correct: loss.correct };
            Ok((step, head.backward(context, &*ranks, all, &dlogits, key, rule)?))
        })?;
        // To each rank what is added to the gradients of its pictures.
        let mut received = vec![0.0; ranks.size() * own * len];
        ranks.exchange(&partial, &counts, &mut received, &vec![own * len; ranks.size()])?;
        let mut gradient = vec![0.0; own * len];
        for part in received.chunks_exact((own * len).max(1)) {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        let names = learning(&self.net, rule, |layer| self.trunk.has(layer))?;
        let trunk = &mut self.trunk;
        let sums = courier::sum(&*ranks, &self.cut, &names, |visit| {
            if own > 0 {
                trunk.backward(&gradient, own, share.dropout, visit);
            }
        })?;
        for ((name, _), sum) in names.iter().zip(sums) {
            self.trunk.apply(name, &sum, rule)?;
        }
        Ok(step)
    }

    fn infers_together(&self) -> bool {
        true
    }

    fn bring_together(&mut self) -> Result<()> {
        self.whole.clear();
        for (name, shape) in weights::parameters(&self.net)? {
            let Some(rows) = self.head.rows(layer_of(&name)) else { continue };
            let whole = shape.iter().product();
            let values = to_first(&*self.ranks, &rows.read(&name, false)?, whole)?;
            let velocity = to_first(&*self.ranks, &rows.read(&name, true)?, whole)?;
            if self.ranks.rank() == 0 {
                self.whole.insert(name, [values, velocity]);
            }
        }
        Ok(())
    }
}

/// Parameters of some layers that learn by `rule`, with their lengths, in the order in which backward gives their gradients.
pub(super) fn learning(net: &Net, rule: &Update, has: impl Fn(&str) -> bool) -> Result<Vec<(String, usize)>> {
    let all = weights::parameters(net)?.into_iter().rev();
    let learn = all.filter(|(name, _)| rule.rates(name).is_some() && has(layer_of(name)));
    Ok(learn.map(|(name, shape)| (name, shape.iter().product())).collect())
}

/// What an engine of which each rank has a part does not do.
pub(super) fn only_together(what: &str) -> Error {
    Error::Invalid(format!("an engine whose ranks hold parts of it does not {what}; use --parallel data"))
}

impl Engine for Hybrid {
    fn net(&self) -> &Net {
        &self.net
    }

    /// All ranks call this together, each with pictures of its own.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let ranks = self.ranks.clone();
        let own = images.len() / (3 * self.net.image_size * self.net.image_size);
        let all = tell(&*ranks, &own)?;
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

    fn train_step(&mut self, _: &Batch<'_>, _: &Update) -> Result<Step> {
        Err(only_together("train on a batch of one rank"))
    }

    fn gradients(&mut self, _: &Batch<'_>, _: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<Step> {
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

    fn spread(&mut self) -> Option<&mut dyn Spread> {
        Some(self)
    }
}
