//! Dropout: each feature of each image is zeroed with probability `rate`.
//!
//! Whether a feature is kept is a function of the key, the image index and the feature index, so the backward pass regenerates
//! the mask instead of storing it: forward and backward are the same call.

pub mod reference;

use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::random::Key;

/// Shape and settings of a dropout layer on x [N, features].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Number of images.
    pub n: usize,
    /// Features per image.
    pub features: usize,
    /// Drop probability, 0 to 1.
    pub rate: f32,
    /// Factor for kept values: 1 / (1 - rate), or 1.
    pub scale: f32,
}

/// Applies the mask: feature i of image j is kept, times `scale`, iff `key.with(first_picture + j).uniform(i) >= rate`; otherwise
/// it becomes 0.
///
/// # Panics
/// When `x` is shorter than N features.
pub fn apply(context: &Context<'_>, shape: &Shape, key: Key, first_image: u64, x: &mut [f32]) {
    let len = shape.n * shape.features;
    assert!(x.len() >= len, "x has {} floats: {shape:?}", x.len());
    if len == 0 {
        return;
    }
    // A uniform is bits >> 40 over 2^24, so comparing integers is the same: rate * 2^24 is exact.
    let threshold = (f64::from(shape.rate) * f64::from(1 << 24)).ceil() as u64;
    for_each_chunk(context.threads, &mut x[..len], shape.features, |j, x| {
        let key = key.with(first_image.wrapping_add(j as u64));
        context.isa.vectorize(
            #[inline(always)]
            || {
                for (i, x) in x.iter_mut().enumerate() {
                    *x = if key.bits(i as u64) >> 40 >= threshold { *x * shape.scale } else { 0.0 };
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::contexts;

    #[test]
    fn matches_reference() {
        for (i, rate) in [0.0, 0.1, 0.5, 0.3, 1.0 / 16_777_216.0, 0.999_999_94, 1.0].into_iter().enumerate() {
            for features in [1, 7, 64, 1001] {
                let shape = Shape { n: 3, features, rate, scale: 1.7 };
                let x: Vec<f32> = (0..3 * features).map(|i| 1.0 + i as f32).collect();
                let mut expected = x.clone();
                reference::apply(&shape, Key(i as u64), 11, &mut expected);
                for context in contexts() {
                    let mut y = x.clone();
                    apply(&context, &shape, Key(i as u64), 11, &mut y);
                    assert_eq!(y, expected, "{shape:?} {}", context.isa);
                }
            }
        }
    }

    #[test]
    fn drops_the_requested_fraction() {
        let shape = Shape { n: 10, features: 10_000, rate: 0.3, scale: 1.0 / 0.7 };
        let mut x = vec![1.0; 100_000];
        apply(&contexts()[0], &shape, Key(1), 0, &mut x);
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        // Images have different masks, and a batch's second image has the same mask as alone.
        assert_ne!(x[..100], x[10_000..10_100]);
        let mut alone = vec![1.0; 10_000];
        apply(&contexts()[0], &Shape { n: 1, ..shape }, Key(1), 1, &mut alone);
        assert_eq!(alone, x[10_000..20_000]);
    }
}
