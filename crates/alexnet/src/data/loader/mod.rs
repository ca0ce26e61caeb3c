//! Data loader: batches of a data set, prepared ahead of training.
//!
//! A batch depends on (seed, epoch, batch number) alone: the order of an epoch's images is a permutation keyed by seed and epoch,
//! and an image's augmentation is keyed by seed, epoch and image. The number of threads therefore has no effect, and a run
//! resumes after any batch with the bits of an uninterrupted one.
//!
//! One thread per epoch fills batches with a thread pool that decodes and augments; one finished batch waits while the next is
//! filled, so at most three batches are in memory (one is the consumer's).

mod augment;
mod batch_iter;
mod cache;
mod mix;
mod sampling;
#[cfg(test)]
mod tests;

pub use augment::{Augment, Crop};
pub use batch_iter::BatchIter;
use batch_iter::Place;
pub use mix::Mix;
pub use sampling::Sampling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use alexnet_kernels::random::Key;

use self::cache::ImageCache;
use self::sampling::Balanced;
use super::Dataset;
use crate::distributed::Partition;
use crate::engine::MixedLabel;
use crate::image::crop::Crops;
use crate::image::decode::{self, DecodeLimits, Scale, scale_before, scale_before_crop};
use crate::image::{Image, Preprocess, Resize};
use crate::{Error, Result};

/// Purposes of the random number streams.
const ORDER: u64 = 1;
const AUGMENT: u64 = 2;
const SAMPLE: u64 = 3;
const MIX: u64 = 4;

/// Options of a loader; the default suits training.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Batch size.
    pub batch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads for decoding and augmentation; 0: one per core.
    pub threads: usize,
    /// Memory for caching decoded images in bytes; `None`: see [`default_memory`].
    pub memory: Option<u64>,
    /// Whether to drop the last, smaller batch of an epoch, unless it is the only one.
    pub drop_last: bool,
    /// Number of epochs after which an image's augmentations repeat, so that derived values can be cached; 0: never.
    pub views: usize,
    /// Selection of an epoch's images in training.
    pub sampling: Sampling,
}

impl Default for Options {
    fn default() -> Self {
        Options { batch: 128, seed: 0, threads: 0, memory: None, drop_last: true, views: 0, sampling: Sampling::Uniform }
    }
}

/// A quarter of the system's free memory, at most 4 GiB; 1 GiB if unknown.
pub fn default_memory() -> u64 {
    cache::free_memory().map_or(1 << 30, |free| (free / 4).min(4 << 30))
}

/// A batch of images, ready for the engine.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, crop, crop]`, or for ten crops `[n * 10, 3, crop, crop]`, with the ten crops of an image in succession.
    pub images: Vec<f32>,
    /// Label of each of the n images.
    pub labels: Vec<u32>,
    /// Second label of each of the n images; empty if no image is mixed.
    pub mixed: Vec<MixedLabel>,
    /// Source index of each of the n images.
    pub indices: Vec<u32>,
    /// Number of images in each of the [`Partition`]'s own blocks.
    pub parts: Vec<usize>,
    /// Images of this batch that could not be decoded, with reasons. The other fields exclude them.
    pub broken: Vec<(u32, String)>,
    home: Option<Home>,
}

/// Pool of buffers for reuse.
type Home = Arc<Mutex<Vec<Vec<f32>>>>;

impl Batch {
    /// A batch without images of the loader.
    pub(crate) fn new(images: Vec<f32>, labels: Vec<u32>, indices: Vec<u32>, broken: Vec<(u32, String)>) -> Batch {
        Batch { images, parts: vec![labels.len()], labels, mixed: Vec::new(), indices, broken, home: None }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(mut home) = self.home.as_ref().and_then(|home| home.lock().ok()) {
            home.push(std::mem::take(&mut self.images));
        }
    }
}

/// Selection of crops.
#[derive(Debug, Clone, PartialEq)]
enum Views {
    /// One random crop per image, in random order.
    Random(Box<Augment>),
    /// The same crops of each image, in the source's order.
    Fixed(Crops),
}

impl Views {
    /// Number of crops per image.
    fn crops(&self) -> usize {
        match self {
            Views::Random(_) => 1,
            Views::Fixed(crops) => crops.count(),
        }
    }
}

/// Loader of a data set's batches; one serves a whole run. Clones share their images and threads.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

/// State shared by the threads of all epochs.
struct Shared {
    source: Arc<dyn Dataset>,
    preprocess: Preprocess,
    views: Views,
    /// Classes of [`Sampling::Balanced`].
    balanced: Option<Balanced>,
    options: Options,
    cut: Partition,
    kept: ImageCache,
    home: Home,
    pool: rayon::ThreadPool,
}

impl Loader {
    /// Creates a training loader: reshuffled every epoch, augmented.
    ///
    /// # Errors
    /// The source is empty, the preprocessing or augmentation is invalid, or threads cannot be started.
    pub fn new(source: Arc<dyn Dataset>, preprocess: Preprocess, augment: Augment, options: Options) -> Result<Loader> {
        augment.check().map_err(Error::Invalid)?;
        Self::build(source, preprocess, Views::Random(Box::new(augment)), options)
    }

    /// Creates an evaluation loader: every image once in the source's order, as its centre crop or, with `ten_crops`, the ten of
    /// [`crop::ten`](crate::image::crop::ten). The last batch may be smaller, whatever the options.
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
        let balances = options.sampling == Sampling::Balanced && matches!(views, Views::Random(_));
        let balanced = balances.then(|| Balanced::new(&*source));
        let cut = Partition::WHOLE;
        Ok(Loader { shared: Arc::new(Shared { source, preprocess, views, balanced, options, cut, kept, home, pool }) })
    }

    /// Restricts the loader to a rank's part of each batch. The cache budget is shared with the other ranks.
    ///
    /// # Panics
    /// While an epoch is in progress.
    #[must_use]
    pub fn with_cut(mut self, cut: Partition) -> Loader {
        let shared = Arc::get_mut(&mut self.shared).expect("no epoch in progress");
        shared.cut = cut;
        shared.kept.share(cut.size as u64);
        self
    }

    /// The part of each batch that the loader returns.
    pub fn cut(&self) -> Partition {
        self.shared.cut
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        self.shared.batches()
    }

    /// Iterator over the batches of epoch `epoch`, starting at batch `from_batch`. Dropping it stops its threads.
    pub fn epoch(&self, epoch: u64, from_batch: usize) -> BatchIter {
        self.epoch_at(epoch, epoch, from_batch)
    }

    /// As [`epoch`](Self::epoch), with the mixing of the recipe's epoch `mixed_as`: the one to which a run by the clock, whose
    /// epochs are more or fewer than the recipe's, has come.
    pub fn epoch_at(&self, epoch: u64, mixed_as: u64, from_batch: usize) -> BatchIter {
        BatchIter::start(self.shared.clone(), Place { epoch, view: self.view(epoch), mixed_as, from_batch })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.shared.source.len()
    }

    /// Label of an image.
    pub(crate) fn label(&self, image: u32) -> u32 {
        self.shared.source.label(image as usize)
    }

    /// Number of distinct views of an image over all epochs; `None` if every epoch has a new one.
    pub fn views(&self) -> Option<usize> {
        match &self.shared.views {
            Views::Random(augment) if augment.is_fixed() => Some(1),
            Views::Fixed(_) => Some(1),
            Views::Random(_) => Some(self.shared.options.views).filter(|&views| views > 0),
        }
    }

    /// The [view](Self::views) shown in an epoch; the epoch's own number if views never repeat.
    pub fn view(&self, epoch: u64) -> u64 {
        self.views().map_or(epoch, |views| epoch % views as u64)
    }

    /// Image indices of each batch of an epoch, in order.
    pub fn plan(&self, epoch: u64) -> Vec<Vec<u32>> {
        let order = self.shared.order(epoch);
        order.chunks(self.shared.options.batch).take(self.batches()).map(<[u32]>::to_vec).collect()
    }

    /// Whether the images of a batch are mixed with each other.
    pub fn mixes(&self) -> bool {
        matches!(&self.shared.views, Views::Random(augment) if augment.mix.is_on())
    }

    /// Loads the given images as an epoch shows them, without prefetching and without mixing.
    pub fn load(&self, epoch: u64, indices: &[u32]) -> Batch {
        let views = vec![self.view(epoch); indices.len()];
        let (own, blocks) = (0..indices.len(), &[indices.len()]);
        batch_iter::fill(
            &self.shared,
            &batch_iter::Wanted { views: &views, indices, own, blocks, blend: None },
            &AtomicBool::new(false),
        )
    }

    /// Up to `count` resized images, the same for equal source and seed, for means and principal components. Broken images are
    /// skipped.
    pub fn sample(&self, count: usize) -> Vec<Image> {
        use rayon::prelude::*;
        let shared = &self.shared;
        let order = Key(shared.options.seed).with(SAMPLE).permutation(shared.source.len());
        let indices: Vec<u32> = order.into_iter().take(count).collect();
        let resized = |&i: &u32| guarded(|| shared.resized(i as usize)).ok().map(|image| (*image).clone());
        shared.pool.install(|| indices.par_iter().filter_map(resized).collect())
    }
}

impl Shared {
    fn batches(&self) -> usize {
        let (n, batch) = (self.source.len(), self.options.batch);
        if self.options.drop_last { (n / batch).max(1) } else { n.div_ceil(batch) }
    }

    /// Image indices of an epoch in order.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let (key, n) = (Key(self.options.seed).with(ORDER).with(epoch), self.source.len());
        match (&self.views, &self.balanced) {
            (Views::Random(_), Some(classes)) => classes.order(key, n),
            (Views::Random(_), None) => key.permutation(n),
            (Views::Fixed(_), _) => (0..n as u32).collect(),
        }
    }

    /// The view of each image of an epoch in `order`, which has this `view`.
    fn views_of(&self, order: &[u32], view: u64) -> Vec<u64> {
        // Views that repeat after some epochs are also those of repeated images.
        if self.balanced.is_some() && self.options.views == 0 {
            sampling::views(order, view, self.source.len())
        } else {
            vec![view; order.len()]
        }
    }

    /// The mixing of a batch of an epoch.
    fn blend(&self, place: &Place, batch: usize) -> Option<mix::Blend> {
        let Views::Random(augment) = &self.views else { return None };
        let key = Key(self.options.seed).with(MIX).with(place.epoch).with(batch as u64);
        augment.mix.draw(key, place.mixed_as, self.preprocess.crop)
    }

    fn crops_per_image(&self) -> usize {
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
                if augment.crops_originals() && augment.short_side().is_none() && !self.preprocess.jpeg.is_exact() {
                    return self.fill_scaled(augment, key, i as usize, out);
                }
                let image = if augment.crops_originals() { self.original(i as usize) } else { self.resized(i as usize) }?;
                augment.write(&self.preprocess, &image, key, out);
            }
            Views::Fixed(crops) => self.resized(i as usize)?.crops(&self.preprocess, *crops, out),
        }
        Ok(())
    }

    /// Writes a random area of image `i`, decoded at the scale that the area allows.
    fn fill_scaled(&self, augment: &Augment, key: Key, i: usize, out: &mut [f32]) -> Result<(), String> {
        let crop = self.preprocess.crop;
        let scale = |height, width| scale_before_crop(augment.area(height, width, key), crop);
        // Only full images are cached: the next area may need another scale.
        let full = match self.kept.kept(i).filter(|image| scale(image.height, image.width) == Scale::Full) {
            Some(image) => image,
            None => match self.source.file(i)? {
                Some(bytes) => {
                    let draft = decode::draft(&bytes, &DecodeLimits::default(), &scale)?;
                    if draft.scale != Scale::Full {
                        let area = augment.area(draft.height, draft.width, key);
                        augment.write_area(&self.preprocess, &draft.resized_area(area, crop), key, out);
                        return Ok(());
                    }
                    self.kept.get(i, || Ok(draft.image))?
                }
                None => self.original(i)?,
            },
        };
        augment.write(&self.preprocess, &full, key, out);
        Ok(())
    }

    fn resized(&self, i: usize) -> Result<Arc<Image>, String> {
        let originals = matches!(&self.views, Views::Random(augment) if augment.crops_originals());
        if originals && self.short_side().is_none() && self.preprocess.jpeg.is_exact() {
            return self.original(i).map(|image| Arc::new(image.resized_as(self.preprocess.resize)));
        }
        let make = || Ok(super::resized(&*self.source, i, &self.preprocess)?);
        if originals { make().map(Arc::new) } else { self.kept.get(i, make) }
    }

    fn original(&self, i: usize) -> Result<Arc<Image>, String> {
        self.kept.get(i, || match self.short_side() {
            Some(side) => self.reduced(i, side),
            None => Ok(self.source.image(i)?),
        })
    }

    /// Short side to which larger originals are reduced before random areas are cropped.
    fn short_side(&self) -> Option<usize> {
        if let Views::Random(augment) = &self.views { augment.short_side() } else { None }
    }

    /// Image `i`, reduced to a short side of `side` pixels if it is larger.
    fn reduced(&self, i: usize, side: usize) -> Result<Image, String> {
        let is_larger = |height: usize, width: usize| height.min(width) > side;
        let how = Resize::ShortSide(side);
        if !self.preprocess.jpeg.is_exact()
            && let Some(bytes) = self.source.file(i)?
        {
            let scale = |height, width| if is_larger(height, width) { scale_before(how, height, width) } else { Scale::Full };
            let draft = decode::draft(&bytes, &DecodeLimits::default(), &scale)?;
            return Ok(if is_larger(draft.height, draft.width) { draft.resized_as(how) } else { draft.image });
        }
        let image = self.source.image(i)?;
        Ok(if is_larger(image.height, image.width) { image.resized_as(how) } else { image })
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the program panicked on it; please report this image".into()))
}
