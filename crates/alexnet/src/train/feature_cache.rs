//! Cache of frozen layers' features, computed once per image.
//!
//! Frozen layers give the same output for the same pixels, so a step may start behind them, up to the first layer that learns or
//! uses dropout. This needs recurring images: without augmentation, or with a recipe's `views`, after which augmentations repeat.
//! Cached features are bit-identical to computed ones, so the available memory affects only the time. Either everything is cached
//! or nothing.

use super::loaders::Loaders;
use crate::data::loader::{self, Loader};
use crate::distributed::SingleProcess;
use crate::engine::Training;
use crate::engine::split::SplitEngine;
use crate::eval::{self, Report};
use crate::net::{Net, Op};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Feature cache of a run.
pub(super) struct FeatureCache {
    /// The last layer that is not recomputed.
    after: String,
    train: Kept,
    val: Kept,
}

/// Plan for a run's frozen layers, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// No leading layers are frozen.
    Nothing,
    /// Frozen layers run in every step, with the reason.
    Always(&'static str),
    /// Features are cached.
    Keep {
        /// The last layer that is not recomputed.
        after: String,
        /// Number of views of each training image.
        views: usize,
        /// Total size in bytes.
        bytes: u64,
    },
    /// Frozen layers run in every step, because the cache would not fit into memory.
    NoRoom {
        /// Required memory in bytes.
        bytes: u64,
        /// Available memory in bytes.
        room: u64,
    },
}

/// The layer after which features are cached: no layer up to it learns, uses dropout or depends on the batch, and none with
/// weights lies between it and the first that does. Of these, the one with the fewest values, since an average pool may expand
/// one value to 36; of equals the last.
fn cut<'a>(net: &'a Net, rates: &BTreeMap<String, f32>) -> Result<Option<(usize, &'a str)>> {
    let frozen = |name: &str| rates.get(name) == Some(&0.0);
    let constant = net.layers.iter().take_while(|layer| match layer.op {
        Op::Conv { .. } | Op::LocalConv { .. } | Op::Linear { .. } => frozen(&layer.name),
        Op::MaxPool { .. } | Op::AvgPool { .. } | Op::AdaptiveAvgPool { .. } => true,
        Op::Lrn { .. } | Op::SpatialNorm { .. } | Op::Activation { .. } => true,
        _ => false,
    });
    let count = constant.count();
    // Without weights before it, nothing is saved.
    let Some(weights) = net.layers[..count].iter().rposition(|layer| frozen(&layer.name)) else { return Ok(None) };
    let shapes = net.shapes()?;
    let fewest = (weights..count).rev().min_by_key(|&i| shapes[i].output.len());
    Ok(fewest.map(|i| (i, net.layers[i].name.as_str())))
}

impl Plan {
    /// Plans the cache with a memory budget of `room` bytes. `able`: whether the engine can resume from intermediate activations.
    pub fn new(net: &Net, rates: &BTreeMap<String, f32>, loaders: &Loaders, able: bool, room: u64) -> Result<Plan> {
        let Some((index, after)) = cut(net, rates)? else { return Ok(Plan::Nothing) };
        if loaders.train.mixes() {
            return Ok(Plan::Always("mixup and CutMix mix the images of each batch"));
        }
        let Some(views) = loaders.train.views() else {
            return Ok(Plan::Always("augmentation differs in every epoch; --views N makes it repeat"));
        };
        if !able {
            return Ok(Plan::Always("this device cannot resume from intermediate activations"));
        }
        let images = loaders.train.images() * views + loaders.val.as_ref().map_or(0, Loader::images);
        let bytes = (images * net.shapes()?[index].output.len() * size_of::<f32>()) as u64;
        Ok(if bytes > room { Plan::NoRoom { bytes, room } } else { Plan::Keep { after: after.into(), views, bytes } })
    }
}

impl FeatureCache {
    /// Creates the planned cache, still empty.
    pub(super) fn new(plan: &Plan, loaders: &Loaders) -> Option<FeatureCache> {
        let Plan::Keep { after, views, .. } = plan else { return None };
        let val = loaders.val.as_ref().map_or(0, Loader::images);
        let (train, val) = (Kept::new(loaders.train.images() * views), Kept::new(val));
        Some(FeatureCache { after: after.clone(), train, val })
    }

    /// The layer after which a step starts.
    pub(super) fn after(&self) -> &str {
        &self.after
    }

    /// Loads the given training images of `epoch`, with features instead of pixels.
    pub(super) fn batch(
        &mut self,
        engine: &mut dyn Training,
        loader: &Loader,
        epoch: u64,
        indices: &[u32],
    ) -> Result<loader::Batch> {
        self.train.batch(split(engine)?, &self.after, loader, epoch, indices)
    }

    /// As [`eval::evaluate`], with one crop.
    pub(super) fn evaluate(
        &mut self,
        engine: &mut dyn Training,
        loader: &Loader,
        classes: &[String],
        mut go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Report> {
        let engine = split(engine)?;
        let mut plan = loader.plan(0).into_iter();
        let mut next = |logits: &mut Vec<f32>| {
            let Some(indices) = plan.next() else { return Ok(None) };
            let batch = self.val.batch(engine, &self.after, loader, 0, &indices)?;
            if !batch.labels.is_empty() {
                engine.infer_after(&self.after, &batch.images, logits)?;
            }
            Ok(Some(batch))
        };
        eval::of_batches(&SingleProcess::default(), &mut next, classes, eval::Options::default(), &mut go_on)
    }
}

/// The engine, which supports splitting according to the plan.
pub(super) fn split(engine: &mut dyn Training) -> Result<&mut dyn SplitEngine> {
    engine.split().ok_or_else(|| Error::Invalid("this device cannot resume from intermediate activations".into()))
}

/// State of one view of an image.
enum Slot {
    Empty,
    Features(Box<[f32]>),
    Broken(String),
}

/// Slots for each view of each image: view v of image i is at v * images + i.
struct Kept {
    slots: Vec<Slot>,
}

impl Kept {
    fn new(len: usize) -> Kept {
        Kept { slots: (0..len).map(|_| Slot::Empty).collect() }
    }

    fn batch(
        &mut self,
        engine: &mut dyn SplitEngine,
        after: &str,
        loader: &Loader,
        epoch: u64,
        indices: &[u32],
    ) -> Result<loader::Batch> {
        let first = loader.view(epoch) as usize * loader.images();
        let missing: Vec<u32> =
            indices.iter().copied().filter(|&i| matches!(self.slots[first + i as usize], Slot::Empty)).collect();
        if !missing.is_empty() {
            let loaded = loader.load(epoch, &missing);
            if !loaded.indices.is_empty() {
                let features = engine.features(&loaded.images, after)?;
                for (&i, features) in loaded.indices.iter().zip(features.chunks(features.len() / loaded.indices.len())) {
                    self.slots[first + i as usize] = Slot::Features(features.into());
                }
            }
            for (i, reason) in &loaded.broken {
                self.slots[first + *i as usize] = Slot::Broken(reason.clone());
            }
        }
        let (mut images, mut labels, mut whole, mut broken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &i in indices {
            match &self.slots[first + i as usize] {
                Slot::Features(features) => {
                    images.extend_from_slice(features);
                    labels.push(loader.label(i));
                    whole.push(i);
                }
                Slot::Broken(reason) => broken.push((i, reason.clone())),
                Slot::Empty => return Err(Error::Invalid("the loader lost an image".into())),
            }
        }
        Ok(loader::Batch::new(images, labels, whole, broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::presets::by_name;
    use crate::train::param_groups;

    #[test]
    fn the_cache_point_is_the_smallest_layer_before_the_first_that_learns_or_drops() {
        let last = |net: &str, size: usize, frozen: &str| {
            let net = by_name(net).unwrap().with_image_size(size);
            let rates = param_groups::of_list(&net, frozen).unwrap().into_iter().map(|name| (name, 0.0)).collect();
            cut(&net, &rates).unwrap().map(|(_, name)| name.to_string())
        };
        let of = |net, frozen| last(net, 227, frozen).unwrap_or_default();
        assert_eq!(of("torchvision", "conv1-conv5"), "avgpool");
        assert_eq!(of("torchvision", "conv1-fc7"), "avgpool");
        assert_eq!(of("torchvision", "conv1-conv2"), "pool2");
        assert_eq!(of("torchvision", "conv1,conv3"), "pool1");
        // Caffe's dropout comes after fc6.
        assert_eq!(of("caffenet", "conv1-fc7"), "relu6");
        assert_eq!(last("torchvision", 227, "conv2-fc7"), None);
        // 256 values of pool5, which the average pool expands to 9,216.
        assert_eq!(last("torchvision", 64, "conv1-conv5").unwrap(), "pool5");
    }
}
