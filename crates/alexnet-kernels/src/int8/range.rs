//! Calibration: the range of a map that 256 bytes should cover.

use super::QuantParams;
use crate::simd::nearest_byte;

/// Shares of the whole range that are tried.
const SHARES: usize = 24;
/// The smallest of them.
const LEAST: f32 = 0.2;
/// Values that are looked at, at most, evenly spread.
const LOOKED_AT: usize = 1 << 18;

/// The quantisation of some values that changes them least, in the mean of squares: a few large values may be cut off so that the
/// many small ones are told apart better.
///
/// Values that are never below zero get all bytes above it. Constant zeros get a step of 1.
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

/// The quantisation that covers a range with zero in it.
fn covering(low: f32, high: f32) -> QuantParams {
    let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
    QuantParams { scale, zero: nearest_byte(-low / scale) }
}
