//! Reference byte layers: dequantised values, multiplied and summed in f64.

use super::QuantParams;
use crate::weight_layout::Filters;

/// Packed weights rounded as [`Weights`](super::Weights) rounds them, and back to floats.
pub fn rounded(filters: &Filters, w: &[f32]) -> Vec<f32> {
    let mut rounded = vec![0.0; w.len()];
    for k in 0..filters.k {
        let all = || (0..filters.c).flat_map(|c| (0..filters.r).flat_map(move |r| (0..filters.s).map(move |s| (c, r, s))));
        let at = |(c, r, s)| filters.packed_index(k, c, r, s);
        let largest = all().map(|place| w[at(place)].abs()).fold(0.0, f32::max);
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        for place in all() {
            rounded[at(place)] = (w[at(place)] / scale).round() * scale;
        }
    }
    rounded
}

/// Dequantised bytes.
pub fn values(q: QuantParams, bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| q.value(byte)).collect()
}
