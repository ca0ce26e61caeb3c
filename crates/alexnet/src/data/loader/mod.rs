//! From a source to batches, ahead of the training that takes them.
//!
//! A batch follows from (seed, epoch, number of the batch) alone: the order of an epoch's images is a permutation keyed
//! by seed and epoch, and an image's augmentation is keyed by seed, epoch and image. So the number of threads changes
//! nothing, and a run goes on after any batch with the bits of an uninterrupted one.
//!
//! One thread per epoch fills batches, with its own pool of threads to decode and augment; one finished batch waits
//! while the next is filled, so at most three batches are in memory (one is the consumer's).

mod augment;
mod batch_iter;
mod cache;

pub use augment::Augment;
pub use batch_iter::BatchIter;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use alexnet_kernels::random::Key;

use self::cache::ImageCache;
use super::Dataset;
use crate::distributed::Partition;
use crate::image::crop::Crops;
use crate::image::{Image, Preprocess};
use crate::{Error, Result};

/// Which stream of random numbers serves which purpose.
const ORDER: u64 = 1;
const AUGMENT: u64 = 2;
const SAMPLE: u64 = 3;

/// What else a loader should know; the default suits training.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Images in a batch.
    pub batch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads that decode and augment; 0: one a core.
    pub threads: usize,
    /// Images are kept in memory once decoded, up to this many bytes in all; `None`: see [`default_memory`].
    pub memory: Option<u64>,
    /// Whether the last, smaller batch of an epoch is left out, unless it is the only one.
    pub drop_last: bool,
    /// After how many epochs an image's random changes come again, so that what is computed from them can be kept; 0: never.
    pub views: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { batch: 128, seed: 0, threads: 0, memory: None, drop_last: true, views: 0 }
    }
}

/// A quarter of the memory that the system has free now, at most 4 GiB; 1 GiB where it does not say.
pub fn default_memory() -> u64 {
    cache::free_memory().map_or(1 << 30, |free| (free / 4).min(4 << 30))
}

/// Images of a batch, ready for the engine.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, crop, crop]`, or for ten crops `[n * 10, 3, crop, crop]`, the ten of an image one after the other.
    pub images: Vec<f32>,
    /// Label of each of the n images.
    pub labels: Vec<u32>,
    /// Index in the source of each of the n images.
    pub pictures: Vec<u32>,
    /// How many of the n images each of the [`Partition`]'s own blocks has.
    pub parts: Vec<usize>,
    /// Images that should be here but could not be decoded, and why. They are in none of the other fields.
    pub broken: Vec<(u32, String)>,
    home: Option<Home>,
}

/// Where the buffers of used batches wait to be used again.
type Home = Arc<Mutex<Vec<Vec<f32>>>>;

impl Batch {
    /// A batch of something else than the loader's own images.
    pub(crate) fn new(images: Vec<f32>, labels: Vec<u32>, pictures: Vec<u32>, broken: Vec<(u32, String)>) -> Batch {
        Batch { images, parts: vec![labels.len()], labels, pictures, broken, home: None }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(mut home) = self.home.as_ref().and_then(|home| home.lock().ok()) {
            home.push(std::mem::take(&mut self.images));
        }
    }
}

/// How images are turned into the crops of a batch.
#[derive(Debug, Clone, PartialEq)]
enum Views {
    /// One random crop an image, in random order.
    Random(Augment),
    /// The same crops of each image, in the source's order.
    Fixed(Crops),
}

impl Views {
    /// Crops of each image.
    fn crops(&self) -> usize {
        match self {
            Views::Random(_) => 1,
            Views::Fixed(crops) => crops.count(),
        }
    }
}

/// Makes batches of a source's images; one serves a whole run.
pub struct Loader {
    shared: Arc<Shared>,
}

/// What the threads of all epochs share.
struct Shared {
    source: Arc<dyn Dataset>,
    preprocess: Preprocess,
    views: Views,
    options: Options,
    cut: Partition,
    kept: ImageCache,
    home: Home,
    pool: rayon::ThreadPool,
}

impl Loader {
    /// Batches for training: shuffled anew in each epoch, augmented.
    ///
    /// # Errors
    /// When the source is empty, or the preprocessing or augmentation cannot work, or threads cannot be started.
    pub fn new(source: Arc<dyn Dataset>, preprocess: Preprocess, augment: Augment, options: Options) -> Result<Loader> {
        augment.check().map_err(Error::Invalid)?;
        Self::build(source, preprocess, Views::Random(augment), options)
    }

    /// Batches for evaluation: every image once in the source's order, its centre crop or, with `ten_crops`, the ten
    /// of [`crop::ten`]. The last batch may be smaller, whatever the options say.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sequential(source: Arc<dyn Dataset>, preprocess: Preprocess, crops: Crops, options: Options) -> Result<Loader> {
        Self::build(source, preprocess, Views::Fixed(crops), Options { drop_last: false, ..options })
    }

    fn build(source: Arc<dyn Dataset>, preprocess: Preprocess, views: Views, options: Options) -> Result<Loader> {
        preprocess.check()?;
        if source.is_empty() {
            return Err(Error::Invalid("no images to load".into()));
        }
        if options.batch == 0 {
            return Err(Error::Invalid("a batch of 0 images".into()));
        }
        let crops_each = views.crops();
        let floats = [options.batch, crops_each, 3, preprocess.crop, preprocess.crop].map(|n| n as u128).iter().product::<u128>();
        crate::memory::check(4 * floats, || format!("a batch of {} images of {} pixels", options.batch, preprocess.crop))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|i| format!("loader-{i}"))
            .build()
            .map_err(|error| Error::Invalid(format!("cannot start the loader's threads: {error}")))?;
        let kept = ImageCache::new(source.len(), options.memory.unwrap_or_else(default_memory));
        let home = Home::default();
        Ok(Loader { shared: Arc::new(Shared { source, preprocess, views, options, cut: Partition::WHOLE, kept, home, pool }) })
    }

    /// The same loader for a rank that takes only its part of each batch. Its memory is shared with the other ranks'.
    ///
    /// # Panics
    /// While an epoch is under way.
    #[must_use]
    pub fn with_cut(mut self, cut: Partition) -> Loader {
        let shared = Arc::get_mut(&mut self.shared).expect("no epoch under way");
        shared.cut = cut;
        shared.kept.share(cut.size as u64);
        self
    }

    /// Which part of each batch it gives.
    pub fn cut(&self) -> Partition {
        self.shared.cut
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        self.shared.batches()
    }

    /// The batches of epoch number `epoch`, beginning with number `from_batch`. Dropping the iterator stops its threads.
    pub fn epoch(&self, epoch: u64, from_batch: usize) -> BatchIter {
        BatchIter::start(self.shared.clone(), epoch, self.view(epoch), from_batch)
    }

    /// Number of images.
    pub fn pictures(&self) -> usize {
        self.shared.source.len()
    }

    /// Label of an image.
    pub(crate) fn label(&self, picture: u32) -> u32 {
        self.shared.source.label(picture as usize)
    }

    /// How many views of an image there are over all epochs; none where there is a new one in each.
    pub fn views(&self) -> Option<usize> {
        match &self.shared.views {
            Views::Random(Augment::None) | Views::Fixed(_) => Some(1),
            Views::Random(_) => Some(self.shared.options.views).filter(|&views| views > 0),
        }
    }

    /// Which of its [`views`](Self::views) an epoch shows; the epoch's own number where they never come again.
    pub fn view(&self, epoch: u64) -> u64 {
        self.views().map_or(epoch, |views| epoch % views as u64)
    }

    /// The images of each batch of an epoch, in order.
    pub fn plan(&self, epoch: u64) -> Vec<Vec<u32>> {
        let order = self.shared.order(epoch);
        order.chunks(self.shared.options.batch).take(self.batches()).map(<[u32]>::to_vec).collect()
    }

    /// These images as an epoch shows them, now: nothing runs ahead.
    pub fn load(&self, epoch: u64, pictures: &[u32]) -> Batch {
        batch_iter::fill(&self.shared, self.view(epoch), pictures, &[pictures.len()], &AtomicBool::new(false))
    }

    /// Up to `count` resized images, the same ones whenever source and seed are the same: for means and principal
    /// components. Broken images are left out.
    pub fn sample(&self, count: usize) -> Vec<Image> {
        use rayon::prelude::*;
        let shared = &self.shared;
        let order = Key(shared.options.seed).with(SAMPLE).permutation(shared.source.len());
        let pictures: Vec<u32> = order.into_iter().take(count).collect();
        let resized = |&i: &u32| guarded(|| shared.resized(i as usize)).ok().map(|picture| (*picture).clone());
        shared.pool.install(|| pictures.par_iter().filter_map(resized).collect())
    }
}

impl Shared {
    fn batches(&self) -> usize {
        let (n, batch) = (self.source.len(), self.options.batch);
        if self.options.drop_last { (n / batch).max(1) } else { n.div_ceil(batch) }
    }

    /// The images of an epoch in order.
    fn order(&self, epoch: u64) -> Vec<u32> {
        match self.views {
            Views::Random(_) => Key(self.options.seed).with(ORDER).with(epoch).permutation(self.source.len()),
            Views::Fixed(_) => (0..self.source.len() as u32).collect(),
        }
    }

    fn crops_per_picture(&self) -> usize {
        self.views.crops()
    }

    /// Writes the crops of a view of image `i` into `out`. A panic becomes an error of this image.
    fn fill(&self, view: u64, i: u32, out: &mut [f32]) -> Result<(), String> {
        guarded(|| self.fill_unguarded(view, i, out))
    }

    fn fill_unguarded(&self, view: u64, i: u32, out: &mut [f32]) -> Result<(), String> {
        match &self.views {
            Views::Random(augment) => {
                let key = Key(self.options.seed).with(AUGMENT).with(view).with(i.into());
                let picture = if augment.crops_originals() { self.original(i as usize) } else { self.resized(i as usize) }?;
                augment.write(&self.preprocess, &picture, key, out);
            }
            Views::Fixed(crops) => self.resized(i as usize)?.crops(&self.preprocess, *crops, out),
        }
        Ok(())
    }

    fn resized(&self, i: usize) -> Result<Arc<Image>, String> {
        if matches!(&self.views, Views::Random(augment) if augment.crops_originals()) {
            return self.original(i).map(|picture| Arc::new(picture.resized_as(self.preprocess.resize)));
        }
        self.kept.get(i, || Ok(self.source.picture(i)?.resized_as(self.preprocess.resize)))
    }

    fn original(&self, i: usize) -> Result<Arc<Image>, String> {
        self.kept.get(i, || Ok(self.source.picture(i)?))
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the program failed on it; please report this image".into()))
}
