//! Inputs and results of a training step.

use super::Objective;
use alexnet_kernels::random::Key;

/// A batch of images with their labels.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[n, 3, size, size]`.
    pub images: &'a [f32],
    /// `[n]`.
    pub labels: &'a [u32],
    /// Key that determines the dropped units; `None` disables dropout.
    pub dropout: Option<DropoutKey>,
    /// Loss.
    pub objective: Objective<'a>,
}

/// A rank's shard of a batch; the whole batch with a single rank.
#[derive(Debug, Clone, Copy)]
pub struct BatchShard<'a> {
    /// `[n, 3, size, size]`, the shard's images.
    pub images: &'a [f32],
    /// `[n]`.
    pub labels: &'a [u32],
    /// Key that determines the dropped units; `first_picture` is the index of the shard's first image within the
    /// whole batch.
    pub dropout: Option<DropoutKey>,
    /// Loss, with the second labels of the shard's images.
    pub objective: Objective<'a>,
    /// Number of images in each block of the whole batch, over all ranks; see
    /// [`Partition`](crate::distributed::Partition).
    pub blocks: &'a [usize],
}

impl<'a> BatchShard<'a> {
    /// The shard's images as a batch.
    pub fn batch(&self) -> Batch<'a> {
        Batch { images: self.images, labels: self.labels, dropout: self.dropout, objective: self.objective }
    }
}

/// Key of dropout's random numbers. Together with the layer, image index and unit index it determines the dropped
/// units.
#[derive(Debug, Clone, Copy)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The step's number within the whole run.
    pub step: u64,
    /// Index of the first image within the whole batch, if this is a shard of it.
    pub first_image: u64,
}

impl DropoutKey {
    /// Random stream of the net's layer at index `layer`; [`dropout`](alexnet_kernels::dropout) maps it to the units
    /// kept in each image.
    pub fn of_layer(&self, layer: usize) -> Key {
        Key(self.seed).with(self.step).with(layer as u64)
    }
}

/// Loss and accuracy of one training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepStats {
    /// Mean loss over the batch: cross-entropy in nats, unless the [`Objective`] is another one.
    pub loss: f32,
    /// Number of images whose label has the highest logit; of mixed images, the label with the larger share.
    pub correct: usize,
}
