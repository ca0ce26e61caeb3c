//! Quantisation of weights to bytes.

use super::QuantParams;
use crate::context::Context;
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::weight_layout::{Filters, PANEL};

/// 8-bit weights of a layer, packed for tiles, with the parameters that convert their sums to outputs.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    /// [group][panel][run][word][32], four bytes per word; each run of adjacent inputs is padded with zeros to whole words.
    pub(super) words: Vec<u32>,
    /// Per output, panel by panel.
    pub(super) factors: Vec<f32>,
    pub(super) offsets: Vec<f32>,
    /// Weights per run.
    pub(super) run: usize,
    /// Words of a panel.
    pub(super) panel_words: usize,
}

impl Weights {
    /// Quantises packed weights `w` to bytes, the largest of each output to 127. Runs are a kernel's whole rows, or pixels with
    /// groups.
    ///
    /// # Panics
    /// When a slice has another length than the filters say.
    pub fn new(context: &Context<'_>, filters: &Filters, w: &[f32], bias: &[f32], input: QuantParams) -> Weights {
        assert_eq!((w.len(), bias.len()), (filters.packed_len(), filters.k), "weights and biases of {filters:?}");
        let run = if filters.groups == 1 { filters.s * filters.c } else { filters.c };
        let stretch_words = run.div_ceil(4);
        let panel_words = filters.depth() / run * stretch_words * PANEL;
        let all_panels = filters.groups * filters.panels();
        let mut words = vec![0; all_panels * panel_words];
        let (mut factors, mut offsets) = (vec![0.0; all_panels * PANEL], vec![0.0; all_panels * PANEL]);
        let (all_factors, all_offsets) = (DisjointSlices::new(&mut factors), DisjointSlices::new(&mut offsets));
        for_each_chunk(context.threads, &mut words, panel_words, |panel, words| {
            let w = &w[panel * filters.depth() * PANEL..][..filters.depth() * PANEL];
            let mut largest = [0.0f32; PANEL];
            for line in w.chunks_exact(PANEL) {
                largest.iter_mut().zip(line).for_each(|(largest, w)| *largest = largest.max(w.abs()));
            }
            let scales = largest.map(|largest| if largest > 0.0 { largest / 127.0 } else { 1.0 });
            let byte = |value: f32, lane: usize| (value / scales[lane]).round() as i8;
            let mut sums = [0i32; PANEL];
            for (words, lines) in words.chunks_exact_mut(stretch_words * PANEL).zip(w.chunks_exact(run * PANEL)) {
                for (word, lines) in words.chunks_exact_mut(PANEL).zip(lines.chunks(4 * PANEL)) {
                    for (lane, word) in word.iter_mut().enumerate() {
                        let mut bytes = [0; 4];
                        for (to, line) in bytes.iter_mut().zip(lines.chunks_exact(PANEL)) {
                            let value = byte(line[lane], lane);
                            sums[lane] += i32::from(value);
                            *to = value.cast_unsigned();
                        }
                        *word = u32::from_le_bytes(bytes);
                    }
                }
            }
            // SAFETY: each panel's own.
            let (factors, offsets) =
                unsafe { (all_factors.slice(panel * PANEL, PANEL), all_offsets.slice(panel * PANEL, PANEL)) };
            let (group, within) = (panel / filters.panels(), panel % filters.panels() * PANEL);
            for lane in 0..(filters.group_outputs() - within).min(PANEL) {
                factors[lane] = input.scale * scales[lane];
                let bias = bias[group * filters.group_outputs() + within + lane];
                offsets[lane] = bias - f32::from(input.zero) * sums[lane] as f32 * factors[lane];
            }
        });
        Weights { words, factors, offsets, run, panel_words }
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
