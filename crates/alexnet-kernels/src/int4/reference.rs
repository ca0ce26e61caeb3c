//! Reference rounding of weights to 4 bits and back.

use super::{GROUP, MIDDLE, NIBBLES, WORDS, Weights};
use crate::bf16::Bf16;
use crate::linear::Shape;
use crate::weight_layout::PANEL;

/// For each group of 32 inputs of an output, in packed order, the best of several scales by exhaustive trial, with an integer
/// from -8 to 7 in place of each weight. [`Weights`] may choose another scale that is equally good.
pub fn rounded(shape: &Shape, w: &[f32]) -> Vec<f32> {
    let filters = shape.filters();
    let mut rounded = vec![0.0; w.len()];
    for k in 0..shape.outputs {
        for first in (0..shape.inputs).step_by(GROUP) {
            let group: Vec<usize> = (first..shape.inputs.min(first + GROUP)).map(|i| filters.packed_index(k, i, 0, 0)).collect();
            let extreme = group.iter().map(|&at| w[at]).fold(0.0, |most: f32, w| if w.abs() > most.abs() { w } else { most });
            let with = |scale: f32| {
                group.iter().map(move |&at| if scale == 0.0 { 0.0 } else { (w[at] / scale).round().clamp(-8.0, 7.0) * scale })
            };
            let error = |scale: f32| with(scale).zip(&group).map(|(a, &at)| f64::from(a - w[at]).powi(2)).sum::<f64>();
            let scales = (50..=110).map(|percent| Bf16::new(extreme / -8.0 * percent as f32 / 100.0).to_f32());
            let best = scales.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or_default();
            group.iter().zip(with(best)).for_each(|(&at, value)| rounded[at] = value);
        }
    }
    rounded
}

/// Dequantised weights, in packed order.
pub fn values(shape: &Shape, w: &Weights) -> Vec<f32> {
    let filters = shape.filters();
    let mut values = vec![0.0; filters.packed_len()];
    let groups = shape.inputs.div_ceil(GROUP);
    for k in 0..shape.outputs {
        let (panel, lane) = (k / PANEL, k % PANEL);
        for i in 0..shape.inputs {
            let words = &w.words[(panel * groups + i / GROUP) * WORDS..][..WORDS];
            let within = i % GROUP;
            let byte = words[within / 8 * PANEL + lane].to_le_bytes()[within % 4];
            let nibble = if within % 8 < 4 { byte & 0xF } else { byte >> 4 };
            let halves = words[NIBBLES + lane % (PANEL / 2)];
            let scale = f32::from_bits(if lane < PANEL / 2 { halves << 16 } else { halves & 0xFFFF_0000 });
            values[filters.packed_index(k, i, 0, 0)] = scale * (i32::from(nibble) - MIDDLE) as f32;
        }
    }
    values
}
