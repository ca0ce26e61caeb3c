//! AugMix (Hendrycks et al. 2020), with torchvision's defaults.

use super::canvas::{Canvas, pixel};
use super::operation::Space;
use super::policy::random_operation;
use super::warp::Interpolation;
use alexnet_kernels::random::Key;

/// Number of chains.
const WIDTH: usize = 3;
/// Maximum number of operations in a chain.
const DEPTH: u64 = 3;
/// Number of magnitudes that are drawn from, the weakest.
const SEVERITY: u64 = 3;

/// Sub-stream of the chains; the numbers of the key itself are the weights.
const CHAIN: u64 = 1;

/// Replaces the image by a random mean of itself and chains of operations on it.
pub(super) fn apply(canvas: &mut Canvas, key: Key, interpolation: Interpolation) {
    // Beta(1, 1) is uniform; Dirichlet(1, ...) is a vector of exponential variables over their sum.
    let own = key.uniform(0);
    let exponential: [f32; WIDTH] = std::array::from_fn(|i| -(1.0 - key.uniform(1 + i as u64)).ln());
    let sum = exponential.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    // Red, green and blue one after the other.
    let count = canvas.pixels.len();
    let mut mean = vec![0.0f32; 3 * count];
    add(&mut mean, canvas, own);
    let mut chain = canvas.clone();
    for (i, weight) in exponential.iter().enumerate() {
        let key = key.with(CHAIN).with(i as u64);
        chain.pixels.copy_from_slice(&canvas.pixels);
        for step in 0..1 + key.below(0, DEPTH) {
            let key = key.with(step);
            random_operation(Space::AugMix, key, |_| key.below(1, SEVERITY) as usize).apply(&mut chain, interpolation);
        }
        add(&mut mean, &chain, (1.0 - own) * weight / sum);
    }
    let (red, others) = mean.split_at(count);
    let (green, blue) = others.split_at(count);
    let pixels = &mut canvas.pixels;
    canvas.isa.vectorize(
        #[inline(always)]
        || {
            for (((p, &red), &green), &blue) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
                *p = pixel([red, green, blue]);
            }
        },
    );
}

/// Adds the levels of an image times `weight`.
fn add(mean: &mut [f32], canvas: &Canvas, weight: f32) {
    canvas.isa.vectorize(
        #[inline(always)]
        || {
            for (c, plane) in mean.chunks_exact_mut(canvas.pixels.len().max(1)).enumerate() {
                for (mean, p) in plane.iter_mut().zip(&canvas.pixels) {
                    *mean += (p >> (8 * c) & 255) as i32 as f32 * weight;
                }
            }
        },
    );
}
