//! Saliency maps: the gradient of a class's logit with respect to the image.
//!
//! Plain: Simonyan, Vedaldi and Zisserman 2013. Guided: Springenberg et al. 2014. Smoothed: Smilkov et al. 2017 (SmoothGrad).

use super::{Heatmap, one_class};
use crate::draw::contact_sheet::Cell;
use crate::engine::{Inspection, ReluGradient};
use crate::image::{Channels, Image};
use crate::{Error, Result};
use alexnet_kernels::random::Key;

/// Settings of the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Backward rule of ReLUs.
    pub relu: ReluGradient,
    /// SmoothGrad settings: the mean over noisy copies of the image.
    pub smooth: Option<Smooth>,
}

/// Settings of SmoothGrad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smooth {
    /// Number of noisy copies; the authors see little change beyond 50.
    pub samples: usize,
    /// Standard deviation of the noise, as a fraction of the image's value range; the authors recommend 0.1 to 0.2.
    pub noise: f32,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Smooth {
    fn default() -> Self {
        Smooth { samples: 25, noise: 0.15, seed: 0 }
    }
}

/// Noisy copies per batch.
const TOGETHER: usize = 8;

/// Computes the gradient of the logit of `class` with respect to one tensor, `[3, size, size]`.
///
/// # Errors
/// An engine error, no samples, or a noise level that is not positive and finite.
pub fn gradient(engine: &mut dyn Inspection, tensor: &[f32], class: usize, options: &Options) -> Result<Vec<f32>> {
    let classes = engine.net().classes();
    let Some(Smooth { samples, noise, seed }) = options.smooth else {
        let weights = one_class(class, classes, 1)?;
        return Ok(engine.layer_gradient(tensor, None, &weights, options.relu)?.gradient);
    };
    if samples == 0 || !noise.is_finite() || noise <= 0.0 {
        return Err(Error::Invalid(format!("invalid SmoothGrad settings: {samples} samples with noise {noise}")));
    }
    let (low, high) = tensor.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let deviation = noise * (high - low);
    let mut sum = vec![0.0f64; tensor.len()];
    for first in (0..samples).step_by(TOGETHER) {
        let n = TOGETHER.min(samples - first);
        let noisy = |sample: usize| {
            let key = Key(seed).with(sample as u64);
            tensor.iter().enumerate().map(move |(i, &value)| value + deviation * key.normal(i as u64))
        };
        let images: Vec<f32> = (first..first + n).flat_map(noisy).collect();
        let found = engine.layer_gradient(&images, None, &one_class(class, classes, n)?, options.relu)?.gradient;
        for gradient in found.chunks_exact(tensor.len()) {
            sum.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += f64::from(g));
        }
    }
    Ok(sum.into_iter().map(|sum| (sum / samples as f64) as f32).collect())
}

/// The largest magnitude over the three colours at each pixel.
pub fn heat(gradient: &[f32], size: usize) -> Heatmap {
    let pixels = size * size;
    let largest = |i: usize| (0..3).map(|c| gradient[c * pixels + i].abs()).fold(0.0, f32::max);
    Heatmap { rows: size, columns: size, values: (0..pixels).map(largest).collect() }
}

/// The gradient in colour: grey is zero; a reddish pixel means that more red would raise the class's score. `channels` is the
/// colour order of the net's input.
pub fn image(gradient: &[f32], size: usize, channels: Channels) -> Image {
    let pixels = size * size;
    let mut sorted: Vec<f32> = gradient.iter().map(|g| g.abs()).collect();
    sorted.sort_by(f32::total_cmp);
    // As in `Heatmap::clipped_shares`: outliers would leave the rest grey.
    let range = sorted[(sorted.len() - 1) * 995 / 1000].max(f32::MIN_POSITIVE);
    let plane = |colour: usize| if channels == Channels::Bgr { 2 - colour } else { colour };
    let level = |i: usize, colour: usize| {
        let share = (gradient[plane(colour) * pixels + i] / range).clamp(-1.0, 1.0);
        (127.5 + 127.5 * share).round() as u8
    };
    let rgb = (0..pixels).flat_map(|i| [0, 1, 2].map(|colour| level(i, colour))).collect();
    Image { width: size, height: size, rgb }
}

/// Three images: the network input, the heatmap, and the gradient in colour.
pub fn cells(seen: &Image, gradient: &[f32], size: usize, channels: Channels) -> Vec<Cell> {
    use crate::draw::{INK, colormap as colours};
    let heat = heat(gradient, size);
    let map = colours::image(&heat.clipped_shares(), size, size, colours::colour);
    vec![
        Cell::photograph(seen.clone()).line("network input", INK),
        Cell::photograph(map).line("gradient magnitude", INK),
        Cell::photograph(image(gradient, size, channels)).line("gradient (grey is zero)", INK),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Inference;
    use crate::explain::tests::{SIDE, stripes};
    use crate::selftest::formula::uniform;

    const PLAIN: Options = Options { relu: ReluGradient::Plain, smooth: None };

    #[test]
    fn saliency_matches_the_finite_difference_of_the_logit() {
        let mut engine = stripes();
        let tensor = uniform(3, 3 * SIDE * SIDE, 1.0);
        for class in [0, 1] {
            let gradient = gradient(&mut engine, &tensor, class, &PLAIN).unwrap();
            // Single pixels, and random directions that all lead uphill: with others, contributions would nearly cancel out, and
            // ReLUs and pools that switch along the way would be as large as the sum.
            let mut checks = 0;
            let mut logit = |moved: &[f32]| {
                let mut logits = Vec::new();
                engine.infer(moved, &mut logits).unwrap();
                f64::from(logits[class])
            };
            for direction in 0..6 {
                let along = if direction < 3 {
                    let far = uniform(40 + direction, tensor.len(), 1.0);
                    far.iter().zip(&gradient).map(|(far, g)| far.abs() * g.signum()).collect()
                } else {
                    let mut one = vec![0.0; tensor.len()];
                    one[1000 + 517 * direction as usize] = 1.0;
                    one
                };
                let step = if direction < 3 { 1e-3 } else { 1e-2 };
                let moved = |by: f32| tensor.iter().zip(&along).map(|(t, d)| t + by * d).collect::<Vec<f32>>();
                let expected = (logit(&moved(step)) - logit(&moved(-step))) / f64::from(2.0 * step);
                let found: f64 = gradient.iter().zip(&along).map(|(&g, &d)| f64::from(g) * f64::from(d)).sum();
                let largest = f64::from(gradient.iter().fold(0.0f32, |m, g| m.max(g.abs())));
                assert!(
                    (found - expected).abs() < 0.05 * largest + 0.02 * expected.abs(),
                    "{direction}: {found}, not {expected}"
                );
                checks += usize::from(expected.abs() > 0.05 * largest);
            }
            assert!(checks >= 4, "only {checks} directions are informative");
        }
    }

    #[test]
    fn smoothing_with_little_noise_equals_the_gradient_and_is_seeded() {
        let mut engine = stripes();
        let tensor = uniform(3, 3 * SIDE * SIDE, 1.0);
        let plain = gradient(&mut engine, &tensor, 0, &PLAIN).unwrap();
        let mut smooth = |samples, noise, seed| {
            let options = Options { smooth: Some(Smooth { samples, noise, seed }), ..PLAIN };
            gradient(&mut engine, &tensor, 0, &options)
        };
        let off = |other: &[f32]| plain.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        let norm = off(&vec![0.0; plain.len()]);
        assert!(off(&smooth(3, 1e-6, 1).unwrap()) < 1e-2 * norm);
        let noisy = smooth(9, 0.2, 1).unwrap();
        assert!(off(&noisy) > 0.1 * norm);
        assert_eq!(noisy, smooth(9, 0.2, 1).unwrap());
        assert_ne!(noisy, smooth(9, 0.2, 2).unwrap());
        assert!(smooth(0, 0.2, 1).is_err() && smooth(1, f32::NAN, 1).is_err());
    }

    #[test]
    fn the_heatmap_uses_the_strongest_colour() {
        let gradient = [1.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(heat(&gradient, 2).values, [3.0, 0.0, 0.0, 0.5]);
        let image = image(&gradient, 2, Channels::Bgr);
        // Red, green and blue of pixel 0 are 0, -3 and 1; only the strongest value exceeds the range of colours.
        assert_eq!(image.rgb[..3], [128, 0, 255]);
    }
}
