//! Batch normalisation (Ioffe and Szegedy 2015) over all images and pixels of each channel.
//!
//! y = w (x - mean) / sqrt(variance + eps) + b
//!
//! The variance is the biased one (divided by the number of values m); [`unbiased`] divides by m - 1. Backward, with h = (x -
//! mean) / sqrt(variance + eps):
//!
//! db = sum of dy, dw = sum of dy h, dx = w / sqrt(variance + eps) (dy - db / m - h dw / m)
//!
//! Each sum is split by images and channels at positions fixed by the shape, and its parts are added in order, so that the bits
//! do not depend on threads.

pub mod reference;

use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::feature_map::FeatureMap;
use crate::rows::{check_same, for_each_row, mask_row, row};

/// Channels per task: two cache lines.
const CHANNELS: usize = 32;
/// Number of parts into which the images are split for summation, if there are as many.
const PARTS: usize = 8;

/// Per-channel normalisation parameters; each slice has C values.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// The mean.
    pub mean: &'a [f32],
    /// The biased variance.
    pub variance: &'a [f32],
    /// The weight, gamma.
    pub weight: &'a [f32],
    /// The bias, beta.
    pub bias: &'a [f32],
    /// Constant added to the variance.
    pub eps: f32,
}

impl Norm<'_> {
    fn check(&self, c: usize) {
        let lens = [self.mean.len(), self.variance.len(), self.weight.len(), self.bias.len()];
        assert_eq!(lens, [c; 4], "a normalisation of {c} channels");
    }

    /// 1 / sqrt(variance + eps) of each channel.
    fn inverse(&self) -> Vec<f32> {
        let inverse = |&variance: &f32| (1.0 / (f64::from(variance) + f64::from(self.eps)).sqrt()) as f32;
        self.variance.iter().map(inverse).collect()
    }
}

/// Number of values per channel.
fn values(map: FeatureMap) -> f64 {
    (map.n * map.h * map.w) as f64
}

/// Unbiased variance of a map's channel. A single value has none; it keeps its biased one, 0.
pub fn unbiased(map: FeatureMap, variance: f32) -> f32 {
    let m = values(map);
    (f64::from(variance) * m / (m - 1.0).max(1.0)) as f32
}

/// Computes two sums over images and pixels for each channel. `add(n, y, first, a, b)` adds row y's terms of the channels
/// starting at `first`, as many as `a` and `b` have lanes. Rows are summed in f32, their sums in f64.
fn sums(
    context: &Context<'_>,
    map: FeatureMap,
    add: impl Fn(usize, usize, usize, &mut [f32; CHANNELS], &mut [f32; CHANNELS]) + Sync,
) -> Vec<[f64; 2]> {
    let blocks = map.c.div_ceil(CHANNELS);
    let images = map.n.div_ceil(PARTS).max(1);
    let parts = map.n.div_ceil(images);
    let mut partial = vec![[0.0f64; 2]; parts * blocks * CHANNELS];
    for_each_chunk(context.threads, &mut partial, CHANNELS, |task, totals| {
        let (part, first) = (task / blocks, task % blocks * CHANNELS);
        context.isa.vectorize(
            #[inline(always)]
            || {
                for n in part * images..map.n.min((part + 1) * images) {
                    for y in 0..map.h {
                        let (mut a, mut b) = ([0.0f32; CHANNELS], [0.0f32; CHANNELS]);
                        add(n, y, first, &mut a, &mut b);
                        for ((total, a), b) in totals.iter_mut().zip(a).zip(b) {
                            *total = [total[0] + f64::from(a), total[1] + f64::from(b)];
                        }
                    }
                }
            },
        );
    });
    let mut sums = vec![[0.0f64; 2]; blocks * CHANNELS];
    for partial in partial.chunks_exact(blocks * CHANNELS) {
        for (sum, partial) in sums.iter_mut().zip(partial) {
            *sum = [sum[0] + partial[0], sum[1] + partial[1]];
        }
    }
    sums.truncate(map.c);
    sums
}

/// The mean and the variance of each channel.
///
/// The variance is computed around the mean, not as the difference of two large sums.
///
/// # Panics
/// When a slice's length is not C, or `x` is too short.
pub fn statistics(context: &Context<'_>, x_map: FeatureMap, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    assert_eq!((mean.len(), variance.len()), (x_map.c, x_map.c), "statistics of {x_map:?}");
    let m = values(x_map).max(1.0);
    let found = sums(
        context,
        x_map,
        #[inline(always)]
        |n, y, first, a, _| {
            for pixel in row(x_map, x, n, y).chunks_exact(x_map.c) {
                for (a, &x) in a.iter_mut().zip(&pixel[first..]) {
                    *a += x;
                }
            }
        },
    );
    mean.iter_mut().zip(found).for_each(|(mean, [sum, _])| *mean = (sum / m) as f32);
    let mean = &*mean;
    let found = sums(
        context,
        x_map,
        #[inline(always)]
        |n, y, first, a, b| {
            for pixel in row(x_map, x, n, y).chunks_exact(x_map.c) {
                for (((a, b), &x), &mean) in a.iter_mut().zip(b.iter_mut()).zip(&pixel[first..]).zip(&mean[first..]) {
                    let away = x - mean;
                    *a += away * away;
                    *b += away;
                }
            }
        },
    );
    // The mean was rounded, so the deviations do not quite add up to zero.
    variance.iter_mut().zip(found).for_each(|(variance, [squares, away])| *variance = ((squares - away * away / m) / m) as f32);
}

/// Normalises `x`, optionally with a ReLU on the output.
///
/// # Panics
/// When maps differ, or a slice's length does not fit.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &Context<'_>,
    norm: &Norm<'_>,
    x_map: FeatureMap,
    x: &[f32],
    relu: bool,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    norm.check(x_map.c);
    check_same("batch normalisation", x_map, x.len(), y_map, y.len());
    let scale: Vec<f32> = norm.inverse().iter().zip(norm.weight).map(|(inverse, weight)| inverse * weight).collect();
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    for_each_row(context.threads, y_map, y, |n, h, y| {
        let x = row(x_map, x, n, h);
        context.isa.vectorize(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(x_map.c).zip(y.chunks_exact_mut(x_map.c)) {
                    let channels = x.iter().zip(norm.mean).zip(&scale).zip(norm.bias);
                    for (y, (((&x, &mean), &scale), &bias)) in y.iter_mut().zip(channels) {
                        let value = (x - mean) * scale + bias;
                        // Not `max`, which would turn NaN into a number.
                        *y = if value < least { least } else { value };
                    }
                }
            },
        );
    });
}

/// The gradients of weights and biases.
///
/// # Panics
/// When maps differ, or a slice's length does not fit.
#[allow(clippy::too_many_arguments)]
pub fn backward_weights(
    context: &Context<'_>,
    norm: &Norm<'_>,
    x_map: FeatureMap,
    x: &[f32],
    dy_map: FeatureMap,
    dy: &[f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    norm.check(x_map.c);
    check_same("gradient of a batch normalisation", x_map, x.len(), dy_map, dy.len());
    assert_eq!((dweight.len(), dbias.len()), (x_map.c, x_map.c), "gradients of {x_map:?}");
    let mean = norm.mean;
    let found = sums(
        context,
        x_map,
        #[inline(always)]
        |n, y, first, a, b| {
            let pixels = row(x_map, x, n, y).chunks_exact(x_map.c).zip(row(dy_map, dy, n, y).chunks_exact(x_map.c));
            for (x, dy) in pixels {
                let channels = x[first..].iter().zip(&dy[first..]).zip(&mean[first..]);
                for ((a, b), ((&x, &dy), &mean)) in a.iter_mut().zip(b.iter_mut()).zip(channels) {
                    *a += dy;
                    *b += dy * (x - mean);
                }
            }
        },
    );
    let gradients = dbias.iter_mut().zip(dweight).zip(found).zip(norm.inverse());
    for (((dbias, dweight), [sum, with_x]), inverse) in gradients {
        (*dbias, *dweight) = (sum as f32, (with_x * f64::from(inverse)) as f32);
    }
}

/// Gradient of the input from that of the output. With `batch`, mean and variance are those of `x` itself and depend on it, and
/// `(dweight, dbias)` come from [`backward_weights`]; with `None` they are fixed. `mask`: `x` is the output of a ReLU.
///
/// # Panics
/// When maps differ, or a slice's length does not fit.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    context: &Context<'_>,
    norm: &Norm<'_>,
    x_map: FeatureMap,
    x: &[f32],
    batch: Option<(&[f32], &[f32])>,
    dy_map: FeatureMap,
    dy: &[f32],
    mask: bool,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    norm.check(x_map.c);
    check_same("gradient of a batch normalisation", x_map, x.len(), dx_map, dx.len());
    check_same("gradient of a batch normalisation", x_map, x.len(), dy_map, dy.len());
    let (inverse, m) = (norm.inverse(), values(x_map) as f32);
    let scale: Vec<f32> = inverse.iter().zip(norm.weight).map(|(inverse, weight)| inverse * weight).collect();
    // dx = scale (dy - shift - slope (x - mean)).
    let zeros = vec![0.0; x_map.c];
    let (dweight, dbias) = batch.unwrap_or((&zeros, &zeros));
    let shift: Vec<f32> = dbias.iter().map(|dbias| dbias / m).collect();
    let slope: Vec<f32> = dweight.iter().zip(&inverse).map(|(dweight, inverse)| dweight * inverse / m).collect();
    let mask = mask.then_some((x_map, x));
    for_each_row(context.threads, dx_map, dx, |n, h, dx| {
        let (x, dy) = (row(x_map, x, n, h), row(dy_map, dy, n, h));
        context.isa.vectorize(
            #[inline(always)]
            || {
                let pixels = x.chunks_exact(x_map.c).zip(dy.chunks_exact(x_map.c));
                for (dx, (x, dy)) in dx.chunks_exact_mut(x_map.c).zip(pixels) {
                    let channels = x.iter().zip(dy).zip(norm.mean).zip(&scale).zip(&shift).zip(&slope);
                    for (dx, (((((&x, &dy), &mean), &scale), &shift), &slope)) in dx.iter_mut().zip(channels) {
                        *dx = scale * (dy - shift - slope * (x - mean));
                    }
                }
                mask_row(mask, n, h, dx);
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_map::Sides;
    use crate::isa::Isa;
    use crate::rows::testing::{assert_near, border, check_differences, contexts, inside, inside_of, random};

    const EPS: f32 = 1e-3;

    fn maps() -> Vec<FeatureMap> {
        let sizes = [(2, 1, 1, 3), (3, 3, 2, 19), (17, 2, 3, 32), (1, 4, 5, 35), (9, 6, 5, 64), (12, 1, 1, 70)];
        sizes.into_iter().enumerate().map(|(i, (n, h, w, c))| FeatureMap { n, h, w, c, border: border(i) }).collect()
    }

    fn draw(c: usize, key: u64) -> Vec<f32> {
        random(FeatureMap::plain(1, 1, 1, c), key, 2.0)
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn matches_reference() {
        for (i, x_map) in maps().into_iter().enumerate() {
            let with = |i| FeatureMap { border: border(i), ..x_map };
            let (y_map, dx_map, dy_map, c) = (with(i), with(i + 1), with(i + 2), x_map.c);
            // Far from zero, where a difference of sums of squares would lose all digits.
            let mut x = random(x_map, i as u64, 3.0);
            x.iter_mut().for_each(|x| *x += 50.0);
            let (dy, weight, bias) = (random(dy_map, 100 + i as u64, 1.0), draw(c, 7), draw(c, 8));
            let (x64, dy64) = (inside_of(x_map, &x), inside_of(dy_map, &dy));
            let (w64, b64, eps) = (wide(&weight), wide(&bias), f64::from(EPS));
            let (mean64, variance64) = reference::statistics(c, &x64);
            let y64 = reference::forward(&x64, &w64, &b64, eps);
            let [dx64, dw64, db64] = reference::backward(&x64, &w64, eps, &dy64);
            let mut first: Option<Vec<Vec<u32>>> = None;
            for context in contexts() {
                let what = format!("{x_map:?} {}", context.isa);
                let (mut mean, mut variance) = (vec![f32::NAN; c], vec![f32::NAN; c]);
                statistics(&context, x_map, &x, &mut mean, &mut variance);
                assert_near(&what, &wide(&mean), &mean64, 1e-6);
                assert_near(&what, &wide(&variance), &variance64, 1e-6);
                let norm = Norm { mean: &mean, variance: &variance, weight: &weight, bias: &bias, eps: EPS };
                let mut y = vec![f32::NAN; y_map.len()];
                forward(&context, &norm, x_map, &x, false, y_map, &mut y);
                // The mean, near 50, has a precision of only 4e-6.
                assert_near(&what, &inside(y_map, &y), &y64, 2e-5);
                let mut clipped = vec![f32::NAN; y_map.len()];
                forward(&context, &norm, x_map, &x, true, y_map, &mut clipped);
                assert!(y.iter().zip(&clipped).all(|(y, clipped)| y.max(0.0) == *clipped), "{what}");
                let (mut dw, mut db) = (vec![f32::NAN; c], vec![f32::NAN; c]);
                backward_weights(&context, &norm, x_map, &x, dy_map, &dy, &mut dw, &mut db);
                assert_near(&what, &wide(&dw), &dw64, 2e-5);
                assert_near(&what, &wide(&db), &db64, 1e-6);
                let mut dx = vec![f32::NAN; dx_map.len()];
                backward(&context, &norm, x_map, &x, Some((&dw, &db)), dy_map, &dy, false, dx_map, &mut dx);
                // Fixed statistics: linear, with each channel's slope.
                let mut fixed = vec![f32::NAN; dx_map.len()];
                backward(&context, &norm, x_map, &x, None, dy_map, &dy, false, dx_map, &mut fixed);
                let slope = |c: usize| w64[c] / (variance64[c] + eps).sqrt();
                let line: Vec<f64> = dy64.iter().enumerate().map(|(i, dy)| dy * slope(i % c)).collect();
                assert_near(&what, &inside(dx_map, &fixed), &line, 1e-5);
                // In a channel with few values, the subtracted terms leave almost nothing of the gradient.
                let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
                let dx_tolerance = 1e-4 * (largest(&line) / largest(&dx64)).max(1.0);
                assert_near(&what, &inside(dx_map, &dx), &dx64, dx_tolerance);
                // Output of a ReLU.
                let low: Vec<f32> = x.iter().map(|x| x - 50.0).collect();
                backward(&context, &norm, x_map, &low, None, dy_map, &dy, true, dx_map, &mut fixed);
                let low = inside_of(x_map, &low);
                let masked: Vec<f64> = line.iter().zip(low).map(|(&g, x)| if x > 0.0 { g } else { 0.0 }).collect();
                assert_near(&what, &inside(dx_map, &fixed), &masked, 1e-5);
                let bits = [mean, variance, y, dw, db, dx].map(|v| v.into_iter().map(f32::to_bits).collect());
                match &first {
                    None => first = Some(bits.into()),
                    Some(first) => assert!(first.iter().eq(&bits), "{what}: other bits"),
                }
            }
        }
    }

    #[test]
    fn gradients_match_differences() {
        for (i, map) in maps().into_iter().enumerate() {
            let map = FeatureMap { border: Sides::default(), n: map.n.min(4), ..map };
            let (x, dy) = (inside(map, &random(map, i as u64, 3.0)), inside(map, &random(map, 50 + i as u64, 1.0)));
            // Two similar values have almost no variance, where finite differences are useless.
            let eps = 0.1;
            let (weight, bias) = (wide(&draw(map.c, 7)), wide(&draw(map.c, 8)));
            let [dx, dw, db] = reference::backward(&x, &weight, eps, &dy);
            let what = format!("{map:?}");
            check_differences(&what, &x, &dy, &dx, |x| reference::forward(x, &weight, &bias, eps));
            check_differences(&what, &weight, &dy, &dw, |weight| reference::forward(&x, weight, &bias, eps));
            check_differences(&what, &bias, &dy, &db, |bias| reference::forward(&x, &weight, bias, eps));
        }
    }

    #[test]
    fn by_hand() {
        // Values 1, 3, 5, 7: mean 4, variance 5, and 20 / 3 when divided by three.
        let map = FeatureMap::plain(2, 1, 2, 1);
        let context = Context::serial(Isa::detect());
        let (mut mean, mut variance) = ([0.0], [0.0]);
        let x = [1.0, 3.0, 5.0, 7.0];
        statistics(&context, map, &x, &mut mean, &mut variance);
        assert_eq!((mean, variance), ([4.0], [5.0]));
        assert!((unbiased(map, 5.0) - 20.0 / 3.0).abs() < 1e-6);
        assert_eq!(unbiased(FeatureMap::plain(1, 1, 1, 1), 0.0), 0.0);
        // 4 more than the variance: divided by 3, times 6, plus 1.
        let norm = Norm { mean: &mean, variance: &variance, weight: &[6.0], bias: &[1.0], eps: 4.0 };
        let mut y = [0.0; 4];
        forward(&context, &norm, map, &x, false, map, &mut y);
        assert_eq!(y, [-5.0, -1.0, 3.0, 7.0]);
        // All values equal: no variance, and no infinity.
        statistics(&context, map, &[2.0; 4], &mut mean, &mut variance);
        assert_eq!((mean, variance), ([2.0], [0.0]));
    }
}
