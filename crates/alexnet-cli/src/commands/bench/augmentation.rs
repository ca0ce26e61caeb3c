//! Speed of a recipe's augmentation, from decoded images to mixed batches.

use std::sync::Arc;
use std::time::Instant;

use alexnet::data::Dataset;
use alexnet::data::loader::{Loader, Options};
use alexnet::image::{Draft, Image, Preprocess};
use alexnet::net::Net;
use alexnet::train::recipe::Recipe;

use super::Load;

/// Images in memory, of two classes.
struct Decoded {
    images: Vec<Image>,
    classes: [String; 2],
}

impl Dataset for Decoded {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, i: usize) -> u32 {
        (i % 2) as u32
    }

    fn name(&self, _: usize) -> &str {
        "image"
    }

    fn image(&self, i: usize) -> alexnet::Result<Image> {
        Ok(self.images[i].clone())
    }
}

/// Images per second through the loader when they are cached: cropped, augmented, normalised and mixed. Without colour noise.
pub(super) fn rate(originals: &[Draft], recipe: &Recipe, net: &Net, load: &Load) -> anyhow::Result<f64> {
    let images: Vec<Image> = originals.iter().map(|draft| draft.image.clone()).collect();
    let source: Arc<dyn Dataset> = Arc::new(Decoded { images, classes: ["a", "b"].map(String::from) });
    let preprocess = Preprocess { jpeg: alexnet::image::JpegDecoding::Exact, ..recipe.preprocess(net) };
    let options = Options { batch: load.batch, threads: load.machine.threads, ..Options::default() };
    let loader = Loader::new(source, preprocess, recipe.augment(None), options)?;
    let count = |epoch| loader.epoch(epoch, 0).map(|batch| batch.indices.len()).sum::<usize>();
    // The first epoch fills the cache.
    let (mut done, _) = (0, count(0));
    let start = Instant::now();
    // Mixing may be off in the last epochs of the recipe.
    let epochs = (0..recipe.epochs.max(2) as u64 / 2).cycle();
    for epoch in epochs {
        done += count(epoch);
        if start.elapsed().as_secs_f64() >= load.seconds / 2.0 {
            break;
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
