//! Occlusion sensitivity: Zeiler and Fergus 2013, section 4.2.

use super::Heatmap;
use crate::engine::Inference;
use crate::predict::log_probabilities;
use crate::{Error, Result};
use serde::Serialize;

/// Settings of the occluding patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Patch size (rows and columns) in pixels of the crop.
    pub patch: usize,
    /// Stride of the patch in pixels.
    pub stride: usize,
    /// Occluded images per batch.
    pub batch: usize,
}

impl Options {
    /// Default settings: a seventh of the image, with a quarter of that as stride: 32 and 8 pixels at 224.
    pub fn for_size(size: usize) -> Options {
        let patch = (size / 7).max(1);
        Options { patch, stride: (patch / 4).max(1), batch: 16 }
    }
}

/// Effect of occlusion on a class probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Occlusion {
    /// The class under test.
    pub class: usize,
    /// Its probability without occlusion.
    pub probability: f64,
    /// Patch size (rows and columns) in pixels.
    pub patch: usize,
    /// First row, and first column, of each patch position; the patch visits all of `places x places`.
    pub places: Vec<usize>,
    /// Probability with the patch at each position, in row-major order.
    pub hidden: Vec<f64>,
    /// For each pixel, the mean loss of probability over the patches that cover it; negative where occlusion helps.
    pub heat: Heatmap,
}

/// Occludes every part of one tensor `[3, size, size]` in turn with the mean colour (zero after preprocessing).
///
/// # Errors
/// An engine error, an empty patch or one larger than the image, or a stride or batch of 0.
pub fn occlusion(engine: &mut dyn Inference, tensor: &[f32], class: usize, options: &Options) -> Result<Occlusion> {
    let (size, classes) = (engine.net().image_size, engine.net().classes());
    let Options { patch, stride, batch } = *options;
    if patch == 0 || patch > size || stride == 0 || batch == 0 {
        return Err(Error::Invalid(format!(
            "invalid occlusion: a patch of {patch} pixels with stride {stride} on images of {size} x {size}"
        )));
    }
    if class >= classes {
        return Err(Error::Invalid(format!("class {class} is out of range: the net has {classes} classes, numbered from 0")));
    }
    let mut logits = Vec::new();
    let mut probabilities = |engine: &mut dyn Inference, images: &[f32]| -> Result<Vec<f64>> {
        engine.infer(images, &mut logits)?;
        Ok(logits.chunks_exact(classes).map(|logits| log_probabilities(logits, classes)[class].exp()).collect())
    };
    let probability = probabilities(engine, tensor)?[0];
    let mut places: Vec<usize> = (0..=size - patch).step_by(stride).collect();
    // The far edge is covered too, whatever the stride.
    if places.last() != Some(&(size - patch)) {
        places.push(size - patch);
    }
    let all: Vec<(usize, usize)> = places.iter().flat_map(|&y| places.iter().map(move |&x| (y, x))).collect();
    let mut hidden = Vec::with_capacity(all.len());
    let mut images = Vec::new();
    for some in all.chunks(batch) {
        images.clear();
        for &(top, left) in some {
            let start = images.len();
            images.extend_from_slice(tensor);
            for row in
                images[start..].chunks_exact_mut(size).enumerate().filter(|(y, _)| (top..top + patch).contains(&(y % size)))
            {
                row.1[left..left + patch].fill(0.0);
            }
        }
        hidden.extend(probabilities(engine, &images)?);
    }
    let (mut sums, mut counts) = (vec![0.0f64; size * size], vec![0u32; size * size]);
    for (&(top, left), hidden) in all.iter().zip(&hidden) {
        for y in top..top + patch {
            for i in y * size + left..y * size + left + patch {
                sums[i] += probability - hidden;
                counts[i] += 1;
            }
        }
    }
    // A stride larger than the patch leaves pixels that are never covered.
    let values = sums.iter().zip(&counts).map(|(sum, &n)| if n == 0 { 0.0 } else { (sum / f64::from(n)) as f32 }).collect();
    Ok(Occlusion { class, probability, patch, places, hidden, heat: Heatmap { rows: size, columns: size, values } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::tests::{SIDE, image, stripes};

    #[test]
    fn occluding_the_object_lowers_its_probability_and_the_other_raises_it() {
        let mut engine = stripes();
        let options = Options { patch: 12, stride: 4, batch: 7 };
        let found = occlusion(&mut engine, &image(true, true), 0, &options).unwrap();
        assert_eq!(found.places, [0, 4, 8, 12, 16, 20, 24, 28]);
        let at = |top: usize, left: usize| found.hidden[top / 4 * 8 + left / 4];
        assert!(at(4, 4) < found.probability - 0.2, "{} of {}", at(4, 4), found.probability);
        assert!(at(24, 24) > found.probability + 0.2, "{} of {}", at(24, 24), found.probability);
        assert!((at(4, 24) - found.probability).abs() < 1e-6);
        let (row, column) = found.heat.hottest();
        assert!((4..16).contains(&row) && (4..16).contains(&column), "({row}, {column})");
        assert!(found.heat.values[30 * SIDE + 30] < 0.0);
    }

    #[test]
    fn every_pixel_is_covered_and_invalid_patches_are_rejected() {
        let mut engine = stripes();
        let image = image(true, false);
        let found = occlusion(&mut engine, &image, 0, &Options { patch: 9, stride: 7, batch: 3 }).unwrap();
        assert_eq!(found.places, [0, 7, 14, 21, 28, 31]);
        let whole = occlusion(&mut engine, &image, 0, &Options { patch: SIDE, stride: 1, batch: 3 }).unwrap();
        assert!(whole.heat.values.iter().all(|&v| (v - whole.heat.values[0]).abs() < 1e-7 && v > 0.1));
        for (patch, stride) in [(0, 1), (SIDE + 1, 1), (5, 0)] {
            assert!(occlusion(&mut engine, &image, 0, &Options { patch, stride, batch: 3 }).is_err());
        }
    }
}
