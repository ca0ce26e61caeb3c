//! Calibration for int8: activation ranges of each layer's input, measured on images.

use crate::data::loader::Loader;
use crate::engine::Calibration;
use crate::formats::{ActivationRanges, QuantParams};
use crate::{Error, Result};

/// Runs up to `images` images of a loader in f32 and averages the best ranges of its batches. Batches must fit the engine. The
/// order is the loader's, so the same images give the same ranges.
///
/// # Errors
/// An engine error, or no readable image.
pub fn calibrate(engine: &mut dyn Calibration, loader: &Loader, images: usize) -> Result<ActivationRanges> {
    let (mut batches, mut seen) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        if !batch.labels.is_empty() {
            seen += batch.labels.len();
            batches.push(engine.calibrate(&batch.images)?);
        }
        if seen >= images {
            break;
        }
    }
    let Some(first) = batches.first() else {
        return Err(Error::Invalid("none of the images could be read".into()));
    };
    let mean = |of: &dyn Fn(&ActivationRanges) -> f32| batches.iter().map(of).sum::<f32>() / batches.len() as f32;
    let range = |name: &str| {
        let scale = mean(&|ranges| ranges[name].scale);
        // The averaged minimum determines the zero point.
        let below = mean(&|ranges| ranges[name].scale * f32::from(ranges[name].zero));
        QuantParams { scale, zero: (below / scale).round().clamp(0.0, 255.0) as u8 }
    };
    Ok(first.keys().map(|name| (name.clone(), range(name))).collect())
}
