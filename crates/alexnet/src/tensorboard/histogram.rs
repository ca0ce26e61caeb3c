//! Histograms of values, as TensorBoard draws their course over a run.

use crate::formats::Message;

/// Number of bins of equal width.
const BINS: usize = 30;

/// The `HistogramProto` of some values; `None` without values, or if one is not finite.
pub(super) fn message(values: &[f32]) -> Option<Message<'static>> {
    let (mut low, mut high, mut sum, mut squares) = (f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.0);
    for &value in values {
        (low, high) = (low.min(value), high.max(value));
        sum += f64::from(value);
        squares += f64::from(value) * f64::from(value);
    }
    if !squares.is_finite() || values.is_empty() {
        return None;
    }
    let (low, high) = (f64::from(low), f64::from(high));
    let mut counts = vec![0u64; if low < high { BINS } else { 1 }];
    let scale = if low < high { BINS as f64 / (high - low) } else { 0.0 };
    for &value in values {
        counts[(((f64::from(value) - low) * scale) as usize).min(BINS - 1)] += 1;
    }
    let limits = (1..=counts.len()).map(|bin| if bin == counts.len() { high } else { low + bin as f64 / scale });
    let packed = |numbers: &mut dyn Iterator<Item = f64>| numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let histogram = Message::default().double(1, low).double(2, high).double(3, values.len() as f64).double(4, sum);
    let histogram = histogram.double(5, squares).text(6, packed(&mut { limits }));
    Some(histogram.text(7, packed(&mut counts.iter().map(|&count| count as f64))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        message(values)?.write(&mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn bins_hold_all_values() {
        let values: Vec<f32> = (0..=60).map(|i| i as f32).collect();
        let bytes = bytes(&values).unwrap();
        let number = |at: usize| f64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        // Five fields of 9 bytes: smallest, largest, number, sum, sum of squares.
        assert_eq!([0, 1, 2, 3, 4].map(|i| number(i * 9 + 1)), [0.0, 60.0, 61.0, 1830.0, 73810.0]);
        // Tag and two bytes of length, then limits 2, 4, ..., 60; and counts of 2, with 3 in the last bin.
        assert_eq!([number(48), number(56), number(48 + 29 * 8)], [2.0, 4.0, 60.0]);
        let counts = 48 + 30 * 8 + 3;
        assert_eq!([number(counts), number(counts + 28 * 8), number(counts + 29 * 8)], [2.0, 2.0, 3.0]);
        assert_eq!(bytes.len(), counts + 30 * 8);
    }

    #[test]
    fn unusual_values_have_one_bin_or_none() {
        assert_eq!(bytes(&[]), None);
        assert_eq!(bytes(&[1.0, f32::NAN]), None);
        assert_eq!(bytes(&[f32::INFINITY]), None);
        assert!(bytes(&[0.0; 7]).is_some() && bytes(&[f32::MAX, f32::MIN]).is_some() && bytes(&[1e-45, 0.0]).is_some());
    }
}
