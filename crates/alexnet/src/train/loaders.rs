//! Loaders of a run, from a recipe and images: preprocessing, mean image, principal components of colours.

use super::recipe::Recipe;
use crate::data::Dataset;
use crate::data::loader::{self, Augment, Loader};
use crate::distributed::Partition;
use crate::image::pca_noise::Pca;
use crate::image::{Channels, Image, Mean, Preprocess, crop};
use crate::net::Net;
use crate::{Error, Result};
use std::sync::Arc;

/// Maximum number of images for the mean image and the principal components: more barely change them, and 1,000 images of 256 x
/// 256 are 200 MB.
const SAMPLE: usize = 1_000;

/// Loaders and preprocessing of a run.
pub struct Loaders {
    /// Random batches of the training images.
    pub train: Loader,
    /// The validation images, if any.
    pub val: Option<Loader>,
    /// Preprocessing shared by both.
    pub preprocess: Preprocess,
}

impl Loaders {
    /// Restricts the loaders to a rank's part of each batch.
    #[must_use]
    pub fn with_cut(self, cut: Partition) -> Loaders {
        Loaders { train: self.train.with_cut(cut), val: self.val.map(|val| val.with_cut(cut)), ..self }
    }
}

/// Creates loaders for a recipe. `preprocess`, if given, replaces the recipe's (fine-tuning keeps the model's). `threads` decode,
/// 0: one per core. The same images and seed give the same loaders.
///
/// # Errors
/// No images, fewer than two classes, or no readable image if a mean is needed.
pub fn loaders(
    recipe: &Recipe,
    net: &Net,
    preprocess: Option<Preprocess>,
    train: &Arc<dyn Dataset>,
    val: &Arc<dyn Dataset>,
    seed: u64,
    threads: usize,
) -> Result<Loaders> {
    if train.classes().len() < 2 {
        return Err(Error::Invalid("training needs at least two classes".into()));
    }
    let options = loader::Options {
        batch: recipe.batch.min(train.len()).max(1),
        seed,
        threads,
        drop_last: recipe.drop_last,
        views: recipe.views,
        sampling: recipe.sampling,
        ..Default::default()
    };
    let given = preprocess.is_some();
    let mut preprocess = preprocess.unwrap_or_else(|| recipe.preprocess(net));
    let wants_mean = recipe.wants_mean_image() && !given;
    let mut pca = None;
    if wants_mean || recipe.colour.is_some() {
        let probe = Loader::new(train.clone(), preprocess.clone(), Augment::none(), options.clone())?;
        let sample = probe.sample(SAMPLE);
        if sample.is_empty() {
            return Err(Error::Invalid("none of the training images could be read".into()));
        }
        pca = recipe.colour.map(|_| Pca::of(&sample));
        if wants_mean {
            preprocess.mean = mean_image(&sample, &preprocess);
        }
    }
    let augment = recipe.augment(pca.as_ref());
    let val = if val.is_empty() {
        None
    } else {
        Some(Loader::sequential(val.clone(), preprocess.clone(), crate::image::crop::Crops::Centre, options.clone())?)
    };
    Ok(Loaders { train: Loader::new(train.clone(), preprocess.clone(), augment, options)?, val, preprocess })
}

/// Mean of the central squares of resized images, in the scale and channel order of `preprocess`; subtracted at its centre as in
/// the 2012 code.
fn mean_image(sample: &[Image], preprocess: &Preprocess) -> Mean {
    let size = preprocess.resize.side();
    let mut sums = vec![0u64; 3 * size * size];
    for image in sample {
        let window = crop::centre(image.height, image.width, size);
        for y in 0..size {
            let start = ((window.top + y) * image.width + window.left) * 3;
            for (x, pixel) in image.rgb[start..start + 3 * size].as_chunks::<3>().0.iter().enumerate() {
                for (colour, &value) in pixel.iter().enumerate() {
                    let channel = if preprocess.channels == Channels::Bgr { 2 - colour } else { colour };
                    sums[(channel * size + y) * size + x] += u64::from(value);
                }
            }
        }
    }
    let scale = f64::from(preprocess.scale) / sample.len() as f64;
    Mean::Image { size, values: Arc::new(sums.iter().map(|&sum| (sum as f64 * scale) as f32).collect()), centre: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{JpegDecoding, Resize};

    #[test]
    fn the_mean_image_averages_central_squares_in_channel_order() {
        let wide = Image { width: 4, height: 2, rgb: (0..24).collect() };
        let square = Image { width: 2, height: 2, rgb: vec![10; 12] };
        let preprocess = Preprocess {
            resize: Resize::ShortSide(2),
            crop: 2,
            channels: Channels::Bgr,
            scale: 0.5,
            mean: Mean::Channel([0.0; 3]),
            std: [1.0; 3],
            jpeg: JpegDecoding::Exact,
        };
        let Mean::Image { size: 2, values, centre: true } = mean_image(&[wide, square], &preprocess) else {
            panic!("another kind of mean")
        };
        // Columns 1 and 2 of the wide one: blue is 5, 8 / 17, 20; halved twice with 10: (5 + 10) / 4 and so on.
        assert_eq!(values[..4], [3.75, 4.5, 6.75, 7.5]);
        assert_eq!(values[8..], [3.25, 4.0, 6.25, 7.0]);
    }
}
