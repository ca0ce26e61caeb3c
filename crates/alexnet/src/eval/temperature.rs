//! Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
//!
//! One number T, fitted on validation images, divides all logits. It makes the probabilities match the accuracy and leaves the
//! ranking of the classes as it is. A model takes T into the parameters of its last layer, so that every engine, precision and
//! file format gives the calibrated probabilities.

use super::Calibration;
use crate::data::loader::Loader;
use crate::engine::Inference;
use crate::formats::Model;
use crate::net::{Activation, Op};
use crate::predict::{log_probabilities, ranking};
use crate::{Error, Result, memory};
use rayon::prelude::*;
use serde::Serialize;

/// Least and greatest temperature. Beyond them there is no optimum: the images are all right, or no better than chance.
pub const LIMITS: [f64; 2] = [0.01, 100.0];

/// Logits of labelled images.
#[derive(Debug, Clone, Default)]
pub struct Logits {
    /// `[images, classes]`.
    pub values: Vec<f32>,
    /// True class of each image.
    pub labels: Vec<u32>,
    /// Source indices of unreadable images, with reasons.
    pub broken: Vec<(u32, String)>,
}

/// Runs the images of a sequential loader with one crop through a net. `progress` receives the number of images done.
///
/// # Errors
/// An engine error, no readable image, or more logits than there is memory for.
pub fn collect_logits(
    engine: &mut dyn Inference,
    loader: &Loader,
    classes: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Logits> {
    let images = loader.images();
    memory::check(4 * images as u128 * classes as u128, || format!("the logits of {images} images of {classes} classes"))?;
    let (mut all, mut logits) = (Logits::default(), Vec::new());
    for mut batch in loader.epoch(0, 0) {
        all.broken.append(&mut batch.broken);
        if !batch.labels.is_empty() {
            engine.infer(&batch.images, &mut logits)?;
            all.values.extend_from_slice(&logits);
            all.labels.extend_from_slice(&batch.labels);
        }
        progress(all.labels.len() + all.broken.len());
    }
    match all.broken.first() {
        Some((_, reason)) if all.labels.is_empty() => {
            Err(Error::Invalid(format!("none of the {images} images could be read: {reason}")))
        }
        _ => Ok(all),
    }
}

/// A fitted temperature, and the model's confidence without and with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Temperature {
    /// The temperature: above 1 for an overconfident model.
    pub temperature: f64,
    /// Whether it is one of the [`LIMITS`], since there is no optimum within.
    pub at_limit: bool,
    /// Number of images.
    pub images: usize,
    /// Fraction of correct predictions, the same before and after.
    pub top1: f64,
    /// Confidence before.
    pub before: Confidence,
    /// Confidence after.
    pub after: Confidence,
}

/// How well probabilities match outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confidence {
    /// Mean negative log-likelihood (cross-entropy) in nats.
    pub nll: f64,
    /// Expected calibration error, of [`BINS`](super::BINS) bins.
    pub ece: f64,
}

impl Temperature {
    /// Fits the temperature that minimises the negative log-likelihood.
    ///
    /// # Errors
    /// Logits that are not finite.
    pub fn fit(logits: &Logits, classes: usize) -> Result<Temperature> {
        if logits.values.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::Invalid("the model produced logits that are not finite".into()));
        }
        let [least, greatest] = LIMITS;
        let slope = |scale: f64| derivatives(logits, classes, scale);
        // The loss is convex in the scale 1 / T. Newton's steps, kept within a bracket of the root of its slope.
        let (mut low, mut high, mut scale) = (1.0 / greatest, 1.0 / least, 1.0);
        let at_limit = if slope(low).0 >= 0.0 {
            scale = low;
            true
        } else if slope(high).0 <= 0.0 {
            scale = high;
            true
        } else {
            for _ in 0..100 {
                let (first, second) = slope(scale);
                if first > 0.0 {
                    high = scale
                } else {
                    low = scale
                }
                let newton = scale - first / second;
                let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
                let done = (next - scale).abs() <= 1e-12 * scale;
                scale = next;
                if done {
                    break;
                }
            }
            false
        };
        let (before, right) = confidence(logits, classes, 1.0);
        let (after, _) = confidence(logits, classes, scale);
        let images = logits.labels.len();
        Ok(Temperature { temperature: 1.0 / scale, at_limit, images, top1: right as f64 / images.max(1) as f64, before, after })
    }
}

/// Images per task. Sums are in a fixed order, whatever the number of threads.
const TOGETHER: usize = 256;

/// First and second derivative of the mean loss by the scale: the mean and variance of each image's logits under its own
/// probabilities.
fn derivatives(logits: &Logits, classes: usize, scale: f64) -> (f64, f64) {
    let of_image = |logits: &[f32], label: u32| {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Relative to the largest logit, which changes neither derivative.
        let relative = |logit: f32| f64::from(logit) - f64::from(largest);
        let (mut all, mut mean, mut square) = (0.0, 0.0, 0.0);
        for z in logits.iter().map(|&logit| relative(logit)) {
            let weight = (scale * z).exp();
            all += weight;
            mean += weight * z;
            square += weight * z * z;
        }
        let mean = mean / all;
        (mean - relative(logits[label as usize]), square / all - mean * mean)
    };
    let chunks = logits.values.par_chunks(TOGETHER * classes).zip(logits.labels.par_chunks(TOGETHER));
    let sums: Vec<(f64, f64)> = chunks
        .map(|(values, labels)| {
            let images = values.chunks_exact(classes).zip(labels);
            images.map(|(logits, &label)| of_image(logits, label)).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        })
        .collect();
    let n = logits.labels.len().max(1) as f64;
    let sum = sums.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (sum.0 / n, sum.1 / n)
}

/// The confidence with logits multiplied by `scale`, and the number of correct predictions.
fn confidence(logits: &Logits, classes: usize, scale: f64) -> (Confidence, usize) {
    let (mut nll, mut right, mut answers) = (0.0, 0, Vec::with_capacity(logits.labels.len()));
    for (values, &label) in logits.values.chunks_exact(classes).zip(&logits.labels) {
        // The ranking is that of the logits themselves, also where scaled ones round to equal numbers.
        let first = ranking(&log_probabilities(values, classes))[0];
        let scaled: Vec<f64> = values.iter().map(|&logit| f64::from(logit) * scale).collect();
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let norm = largest + scaled.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
        nll += norm - scaled[label as usize];
        right += usize::from(first == label as usize);
        answers.push(((scaled[first] - norm).exp(), first == label as usize));
    }
    (Confidence { nll: nll / logits.labels.len().max(1) as f64, ece: Calibration::of(answers).ece }, right)
}

/// Divides a model's logits by a temperature: the weights and biases of its last layer with parameters. The model records it.
///
/// # Errors
/// A net whose logits do not scale with that layer.
pub fn divide_by(model: &mut Model, temperature: f64) -> Result<()> {
    let scales = |op: &Op| {
        matches!(
            op,
            Op::MaxPool { .. }
                | Op::AvgPool { .. }
                | Op::AdaptiveAvgPool { .. }
                | Op::Dropout { .. }
                | Op::Activation { function: Activation::Relu }
        )
    };
    let layer = model.net.layers.iter().rev().find(|layer| !scales(&layer.op));
    let name = match layer {
        Some(layer) if matches!(layer.op, Op::Linear { .. } | Op::Conv { .. }) => &layer.name,
        _ => {
            return Err(Error::Invalid(
                "the net does not end in a linear layer or a convolution, which could take a temperature".into(),
            ));
        }
    };
    for part in ["weight", "bias"] {
        let values = model.tensors.get_mut(&format!("{name}.{part}"));
        let values = values.ok_or_else(|| Error::Invalid(format!("the model lacks the parameter {name}.{part}")))?;
        *values = values.iter().map(|&value| (f64::from(value) / temperature) as f32).collect();
    }
    model.temperature = Some(model.temperature.unwrap_or(1.0) * temperature);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::tests::{image, model_file};

    #[test]
    fn two_classes_have_a_closed_form() {
        // Three of four images right at a distance of 5: the best probability is 3/4, so 5 / T = ln 3.
        let logits = Logits { values: [5.0, 0.0].repeat(4), labels: vec![0, 0, 1, 0], broken: Vec::new() };
        let found = Temperature::fit(&logits, 2).unwrap();
        assert!((found.temperature - 5.0 / 3f64.ln()).abs() < 1e-9, "{found:?}");
        assert!(!found.at_limit && found.top1 == 0.75 && found.after.ece < 1e-9 && found.before.ece > 0.2, "{found:?}");
    }

    #[test]
    fn the_temperature_is_that_of_pytorch() {
        // torch.optim.LBFGS and the authors' ECELoss on the same logits in double precision.
        let (images, classes) = (300, 7);
        let logit = |i: usize, c: usize| ((i * 7919 + c * 104_729 + 13) % 1000) as f32 / 100.0;
        let label = |i: usize| ((i * 31 + 7) % 97) % classes;
        let values = (0..images).flat_map(|i| (0..classes).map(move |c| logit(i, c) + if c == label(i) { 3.0 } else { 0.0 }));
        let logits =
            Logits { values: values.collect(), labels: (0..images).map(|i| label(i) as u32).collect(), ..Default::default() };
        let found = Temperature::fit(&logits, classes).unwrap();
        let expected = [3.009848273, 2.202948703, 1.541423091, 0.384963974, 0.207030693, 0.43];
        let numbers = [found.temperature, found.before.nll, found.after.nll, found.before.ece, found.after.ece, found.top1];
        for (found, expected) in numbers.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{numbers:?}");
        }
    }

    #[test]
    fn without_an_optimum_the_limit_is_reported() {
        let all = |label| Logits { values: [5.0, 0.0].repeat(4), labels: vec![label; 4], broken: Vec::new() };
        let [right, wrong] = [0, 1].map(|label| Temperature::fit(&all(label), 2).unwrap());
        assert!(right.at_limit && (right.temperature - LIMITS[0]).abs() < 1e-12, "{right:?}");
        assert!(wrong.at_limit && (wrong.temperature - LIMITS[1]).abs() < 1e-12, "{wrong:?}");
        let nan = Logits { values: vec![f32::NAN, 0.0], labels: vec![0], broken: Vec::new() };
        assert!(Temperature::fit(&nan, 2).is_err());
    }

    #[test]
    fn a_calibrated_model_file_gives_the_softmax_of_divided_logits() {
        let folder = tempfile::tempdir().unwrap();
        let path = model_file(folder.path());
        let mut model = crate::formats::read(&path).unwrap();
        assert_eq!(model.temperature, None);
        divide_by(&mut model, 2.5).unwrap();
        let after = folder.path().join("after.safetensors");
        crate::formats::write(&after, &model).unwrap();
        assert_eq!(crate::formats::read(&after).unwrap().temperature, Some(2.5));
        let [before, after] = [&path, &after].map(|path| Classifier::open(path).unwrap().predict(&image(1)).unwrap());
        let weights: Vec<f64> = before.probabilities().iter().map(|p| (p.ln() / 2.5).exp()).collect();
        let all: f64 = weights.iter().sum();
        for (found, weight) in after.probabilities().iter().zip(&weights) {
            assert!((found - weight / all).abs() < 1e-6, "{found}, not {}", weight / all);
        }
        // A second calibration adds to the first.
        divide_by(&mut model, 0.4).unwrap();
        assert!((model.temperature.unwrap() - 1.0).abs() < 1e-12);
    }
}
