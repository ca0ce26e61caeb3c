//! What a step of training learns from, and what it reports.

use alexnet_kernels::random::Key;

/// A batch of images with their labels.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[n, 3, size, size]`.
    pub images: &'a [f32],
    /// `[n]`.
    pub labels: &'a [u32],
    /// Which units dropout takes, or none to leave dropout off.
    pub dropout: Option<DropoutKey>,
}

/// A rank's share of a batch; the whole batch where there is one rank.
#[derive(Debug, Clone, Copy)]
pub struct BatchShard<'a> {
    /// `[n, 3, size, size]`, the share's images.
    pub images: &'a [f32],
    /// `[n]`.
    pub labels: &'a [u32],
    /// Which units dropout takes; `first_picture` is the number of the share's first image within the whole batch.
    pub dropout: Option<DropoutKey>,
    /// How many images each block of the whole batch has, those of all ranks; see [`Partition`](crate::distributed::Partition).
    pub blocks: &'a [usize],
}

impl<'a> BatchShard<'a> {
    /// The share's images as a batch of their own.
    pub fn batch(&self) -> Batch<'a> {
        Batch { images: self.images, labels: self.labels, dropout: self.dropout }
    }
}

/// The units that dropout takes follow from this, from the layer, and from the image's and the unit's number.
#[derive(Debug, Clone, Copy)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The number of the step in the whole run.
    pub step: u64,
    /// Number of the first image within the whole batch, when this is a share of it.
    pub first_picture: u64,
}

impl DropoutKey {
    /// The stream of random numbers of the net's layer number `layer`: unit i of image j is kept by what
    /// [`dropout`](alexnet_kernels::dropout) says of it.
    pub fn of_layer(&self, layer: usize) -> Key {
        Key(self.seed).with(self.step).with(layer as u64)
    }
}

/// Loss and accuracy of one step of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepStats {
    /// Mean softmax cross-entropy over the batch, in nats.
    pub loss: f32,
    /// How many images had their own class first.
    pub correct: usize,
}
