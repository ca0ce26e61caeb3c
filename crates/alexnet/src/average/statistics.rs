//! Running statistics of batch normalisation, estimated anew on images: those of averaged weights are not the averaged statistics.

use crate::data::loader::Loader;
use crate::engine::{Batch, Gradients, Objective};
use crate::{Error, Result, formats};
use std::collections::BTreeMap;

/// Whether a net's parameter is a running statistic.
fn is_statistic(name: &str) -> bool {
    crate::engine::accumulation::is_running(name)
}

/// Replaces the running statistics of an engine by the mean of those of each batch, as `torch.optim.swa_utils.update_bn` does.
/// Returns the number of batches; 0 if the net has no batch normalisation.
///
/// # Errors
/// No image could be read, or none fits the net.
pub fn estimate_statistics(engine: &mut dyn Gradients, loader: &Loader) -> Result<usize> {
    let parameters = formats::parameters(engine.net())?;
    let names: Vec<_> = parameters.into_iter().filter(|(name, _)| is_statistic(name)).collect();
    // The gradient of a statistic is its difference to the batch's.
    for (name, shape) in &names {
        engine.set_parameter(name, &vec![0.0; shape.iter().product()])?;
    }
    if names.is_empty() {
        return Ok(0);
    }
    let (mut means, mut batches) = (BTreeMap::<String, Vec<f32>>::new(), 0usize);
    for batch in loader.epoch(0, 0).filter(|batch| !batch.labels.is_empty()) {
        batches += 1;
        let objective = Objective { criterion: None, mixed: &[] };
        // Only the statistics matter, so the labels may be those of other classes.
        let labels = vec![0; batch.labels.len()];
        let input = Batch { images: &batch.images, labels: &labels, dropout: None, objective };
        engine.gradients(&input, &mut |name, away| {
            if is_statistic(name) {
                let mean = means.entry(name.to_string()).or_insert_with(|| vec![0.0; away.len()]);
                mean.iter_mut().zip(away).for_each(|(mean, away)| *mean += (-away - *mean) / batches as f32);
            }
        })?;
    }
    if batches == 0 {
        return Err(Error::Invalid("none of the images could be read".into()));
    }
    means.iter().try_for_each(|(name, values)| engine.set_parameter(name, values))?;
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::{Augment, Options};
    use crate::engine::cpu::Cpu;
    use crate::engine::{Inference, ParameterStore, Training, init};
    use crate::image::Preprocess;
    use crate::train::tests::squares;
    use alexnet_testkit::nets::{NORM, RELU, conv, fc, net};

    #[test]
    fn statistics_are_the_mean_of_the_batches() {
        let conv = conv(4, 3, 1, crate::net::Pad::all(1), 1, crate::net::Rounding::Floor);
        let net = net("small", &[("conv1", conv), ("bn1", NORM), ("relu1", RELU), ("fc2", fc(3))]);
        let options = Options { batch: 10, threads: 1, drop_last: true, ..Options::default() };
        let loader = Loader::new(squares(30, &[4]), Preprocess::for_net(&net), Augment::none(), options).unwrap();
        let mut engine = Cpu::new(&net, 10, 1).unwrap();
        init::initialise(&mut engine, 3).unwrap();
        engine.prepare_training();
        assert_eq!(estimate_statistics(&mut engine, &loader).unwrap(), 3);
        // In f64, from the convolution's own outputs.
        let (weights, bias) = (engine.parameter("conv1.weight").unwrap(), engine.parameter("conv1.bias").unwrap());
        let size = net.image_size;
        let pixel = |image: &[f32], c: usize, y: isize, x: isize| {
            let inside = |i: isize| (0..size as isize).contains(&i);
            if inside(y) && inside(x) { f64::from(image[(c * size + y as usize) * size + x as usize]) } else { 0.0 }
        };
        let (mut mean, mut variance) = (0.0, 0.0);
        for batch in loader.epoch(0, 0) {
            let mut values = Vec::new();
            for image in batch.images.chunks(3 * size * size) {
                for (y, x) in (0..size as isize).flat_map(|y| (0..size as isize).map(move |x| (y, x))) {
                    let taps = (0..3).flat_map(|c| (0..3).flat_map(move |i| (0..3).map(move |j| (c, i, j))));
                    let sum = taps.map(|(c, i, j)| {
                        f64::from(weights[(c * 3 + i) * 3 + j]) * pixel(image, c, y + i as isize - 1, x + j as isize - 1)
                    });
                    values.push(sum.sum::<f64>() + f64::from(bias[0]));
                }
            }
            let of_batch = values.iter().sum::<f64>() / values.len() as f64;
            mean += of_batch / 3.0;
            variance += values.iter().map(|v| (v - of_batch).powi(2)).sum::<f64>() / (values.len() - 1) as f64 / 3.0;
        }
        let found = ["bn1.running_mean", "bn1.running_var"].map(|name| f64::from(engine.parameter(name).unwrap()[0]));
        assert!((found[0] - mean).abs() < 1e-5 && (found[1] / variance - 1.0).abs() < 1e-4, "{found:?}, not {mean} {variance}");
        let mut logits = Vec::new();
        engine.infer(&vec![0.0; 3 * size * size], &mut logits).unwrap();
        assert!(logits.iter().all(|logit| logit.is_finite()));
    }
}
