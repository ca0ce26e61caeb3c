//! Memory layout of weights: panels of 32 outputs.
//!
//! A file stores a convolution's weights as [K, C/groups, R, S]. For one kernel position and input channel, the kernels need the
//! weights of many outputs side by side, to fill a vector register. Weights are therefore stored as
//!
//! ```text
//! [group][panel of 32 outputs][R][S][C/groups][32]
//! ```
//!
//! and so are their gradients and momentum: an update works element by element, independent of the layout. Lanes past the last
//! output are zero, and stay zero under any update that maps (0, 0, 0) to 0.
//!
//! A linear layer is a convolution whose kernel covers the whole map: its file order [out, (C, H, W)] is [K, C, R, S], and its
//! packed order traverses the map as [H, W, C], channels last, like the map in memory.

use crate::buffer::LINE;
use crate::executor::{DisjointSlices, Executor, for_each_chunk};
use crate::simd::prefetch;

/// Outputs in a panel: two AVX-512 registers.
pub const PANEL: usize = 32;

/// Shape of a layer's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Outputs of all groups, K; a multiple of `groups`.
    pub k: usize,
    /// Input channels per kernel, C / groups.
    pub c: usize,
    /// Kernel rows, R.
    pub r: usize,
    /// Kernel columns, S.
    pub s: usize,
    /// Groups.
    pub groups: usize,
}

impl Filters {
    /// The weights of a linear layer on a plain vector.
    pub fn linear(outputs: usize, inputs: usize) -> Self {
        Filters { k: outputs, c: inputs, r: 1, s: 1, groups: 1 }
    }

    /// The weights of a linear layer on a flattened map of `h` rows, `w` columns and `c` channels.
    pub fn linear_on_map(outputs: usize, h: usize, w: usize, c: usize) -> Self {
        Filters { k: outputs, c, r: h, s: w, groups: 1 }
    }

    /// Outputs of one group.
    pub fn group_outputs(&self) -> usize {
        self.k / self.groups
    }

    /// Panels of one group.
    pub fn panels(&self) -> usize {
        self.group_outputs().div_ceil(PANEL)
    }

    /// Weights per output, R S C/groups: the length of the sum behind one output value.
    pub fn depth(&self) -> usize {
        self.r * self.s * self.c
    }

    /// Number of weights in file order.
    pub fn len(&self) -> usize {
        self.k * self.depth()
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Floats in packed order, including unused lanes.
    pub fn packed_len(&self) -> usize {
        self.groups * self.panels() * self.depth() * PANEL
    }

    /// Packed index of the weight of output `k` (counted over all groups), channel `c` of its group, row `r`, column `s`.
    pub fn packed_index(&self, k: usize, c: usize, r: usize, s: usize) -> usize {
        let (group, k) = (k / self.group_outputs(), k % self.group_outputs());
        let panel = group * self.panels() + k / PANEL;
        (((panel * self.r + r) * self.s + s) * self.c + c) * PANEL + k % PANEL
    }

    /// Packs from file order [K, C/groups, R, S], on all threads.
    ///
    /// # Panics
    /// When a slice's length is not [`len`](Self::len), or [`packed_len`](Self::packed_len).
    pub fn pack(&self, threads: &dyn Executor, file: &[f32], packed: &mut [f32]) {
        assert_eq!((file.len(), packed.len()), (self.len(), self.packed_len()), "weights and packed weights of {self:?}");
        let (depth, outputs) = (self.depth(), self.group_outputs());
        for_each_chunk(threads, packed, depth * PANEL, |panel, packed| {
            let first = panel % self.panels() * PANEL;
            let lanes = PANEL.min(outputs - first);
            let file = &file[(panel / self.panels() * outputs + first) * depth..][..lanes * depth];
            let mut block: Block = [[0.0; PANEL]; COLUMNS];
            self.blocks(|column, lines| {
                for (lane, row) in file.chunks_exact(depth).enumerate() {
                    prefetch(row.as_ptr().wrapping_add(column + AHEAD), COLUMNS);
                    block.iter_mut().zip(&row[column..]).for_each(|(line, value)| line[lane] = *value);
                }
                lines.iter().zip(&block).for_each(|(line, values)| packed[*line..line + PANEL].copy_from_slice(values));
            });
        });
    }

    /// Unpacks to file order [K, C/groups, R, S], on all threads.
    ///
    /// # Panics
    /// When a slice's length is not [`packed_len`](Self::packed_len), or [`len`](Self::len).
    pub fn unpack(&self, threads: &dyn Executor, packed: &[f32], file: &mut [f32]) {
        assert_eq!((file.len(), packed.len()), (self.len(), self.packed_len()), "weights and packed weights of {self:?}");
        let (depth, outputs, panels) = (self.depth(), self.group_outputs(), self.panels());
        let file = DisjointSlices::new(file);
        threads.run(self.groups * panels, &|panel| {
            let first = panel % panels * PANEL;
            let lanes = PANEL.min(outputs - first);
            // SAFETY: each panel's outputs are its own.
            let file = unsafe { file.slice((panel / panels * outputs + first) * depth, lanes * depth) };
            let packed = &packed[panel * depth * PANEL..][..depth * PANEL];
            let mut block: Block = [[0.0; PANEL]; COLUMNS];
            self.blocks(|column, lines| {
                lines.iter().zip(&mut block).for_each(|(line, values)| values.copy_from_slice(&packed[*line..line + PANEL]));
                for (lane, row) in file.chunks_exact_mut(depth).enumerate() {
                    prefetch(row.as_ptr().wrapping_add(column + AHEAD), COLUMNS);
                    row[column..].iter_mut().zip(&block[..lines.len()]).for_each(|(value, line)| *value = line[lane]);
                }
            });
        });
    }

    /// Splits the columns of a panel's rows in file order into runs of a cache line, and passes to `work` the start of each run
    /// and the start of each of its columns in the packed panel.
    ///
    /// Rows in file order are often a multiple of 4 KiB apart, and so are lines in packed order (32 KiB in fc6, whose columns
    /// traverse the map), and compete for the same cache sets. A whole line of each is therefore read, transposed in a [`Block`],
    /// and written whole: value by value, fc6 took 100 ms to pack on Zen 4, this way 41 (36 to unpack).
    fn blocks(&self, mut work: impl FnMut(usize, &[usize])) {
        let (places, depth) = (self.r * self.s, self.depth());
        let mut lines = [0; COLUMNS];
        for column in (0..depth).step_by(COLUMNS) {
            let count = COLUMNS.min(depth - column);
            for (i, line) in lines[..count].iter_mut().enumerate() {
                let (channel, place) = ((column + i) / places, (column + i) % places);
                *line = (place * self.c + channel) * PANEL;
            }
            work(column, &lines[..count]);
        }
    }
}

/// Floats in a cache line.
const COLUMNS: usize = LINE;

/// Prefetch distance of rows in file order, which are too many streams for the hardware prefetcher.
const AHEAD: usize = 2 * COLUMNS;

/// Weights of a panel's outputs at some columns of file order.
type Block = [[f32; PANEL]; COLUMNS];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Serial;

    #[test]
    fn packing_round_trips_and_leaves_unused_lanes_zero() {
        for filters in [
            Filters { k: 10, c: 3, r: 2, s: 5, groups: 2 },
            Filters { k: 96, c: 3, r: 11, s: 11, groups: 1 },
            Filters { k: 66, c: 4, r: 1, s: 3, groups: 1 },
            Filters::linear(33, 7),
            Filters::linear_on_map(5, 2, 3, 4),
        ] {
            let file: Vec<f32> = (1..=filters.len()).map(|i| i as f32).collect();
            let mut packed = vec![f32::NAN; filters.packed_len()];
            filters.pack(&Serial, &file, &mut packed);
            assert_eq!(packed.iter().filter(|&&v| v != 0.0).count(), filters.len());
            let mut values = file.iter();
            for i in 0..filters.len() {
                let (k, c, r, s) =
                    (i / filters.depth(), i / filters.s / filters.r % filters.c, i / filters.s % filters.r, i % filters.s);
                assert_eq!(values.next(), Some(&packed[filters.packed_index(k, c, r, s)]), "{filters:?}");
            }
            let mut back = vec![f32::NAN; filters.len()];
            filters.unpack(&Serial, &packed, &mut back);
            assert_eq!(file, back);
        }
    }

    #[test]
    fn a_linear_layer_on_a_map_reads_it_channels_last() {
        let filters = Filters::linear_on_map(1, 2, 2, 3);
        let file: Vec<f32> = (0..12).map(|i| i as f32).collect(); // (c, h, w)
        let mut packed = vec![0.0; filters.packed_len()];
        filters.pack(&Serial, &file, &mut packed);
        let lane_0: Vec<f32> = packed.iter().step_by(PANEL).copied().collect(); // (h, w, c)
        assert_eq!(lane_0, [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    }
}
