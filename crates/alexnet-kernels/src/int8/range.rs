//! Calibration of the range covered by 256 byte values.

use super::QuantParams;
use crate::simd::nearest_byte;

/// Number of candidate fractions of the whole range.
const SHARES: usize = 24;
/// Smallest candidate fraction.
const LEAST: f32 = 0.2;
/// Maximum number of values considered, evenly spread.
const LOOKED_AT: usize = 1 << 18;

/// The quantisation of values with the smallest mean squared error: a few large values may be clipped so that the many small ones
/// are resolved better.
///
/// Non-negative values use all bytes above zero. Constant zeros get a step of 1.
pub fn best(values: &[f32]) -> QuantParams {
    let step = values.len().div_ceil(LOOKED_AT).max(1);
    let (mut low, mut high) = (0.0f32, 0.0f32);
    for &value in values.iter().filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low == high {
        return QuantParams { scale: 1.0, zero: 0 };
    }
    let tried = (0..SHARES).map(|i| {
        let share = 1.0 - (1.0 - LEAST) * i as f32 / SHARES as f32;
        let q = covering(low * share, high * share);
        let error = |&value: &f32| f64::from(q.value(q.quantise(value)) - value).powi(2);
        let all: f64 = values.iter().step_by(step).filter(|value| value.is_finite()).map(error).sum();
        (q, all)
    });
    // The first of the best: the widest.
    tried.reduce(|best, next| if next.1 < best.1 { next } else { best }).map_or(covering(low, high), |(q, _)| q)
}

/// The quantisation that covers a range including zero.
fn covering(low: f32, high: f32) -> QuantParams {
    let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
    QuantParams { scale, zero: nearest_byte(-low / scale) }
}
