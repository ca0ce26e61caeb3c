//! Partition of a batch: it is split into blocks, and each rank takes a contiguous range of them.
//!
//! One block per rank is the cheapest. With a fixed number of blocks, training is bitwise equal on any number of
//! ranks up to it, because sums within and over blocks do not depend on which rank computes them.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How batches are split, and which part a rank takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Index of the rank.
    pub rank: usize,
    /// Number of ranks.
    pub size: usize,
    /// Blocks of each batch, at least the number of ranks.
    pub blocks: usize,
}

impl Partition {
    /// The whole batch in one block on one rank.
    pub const WHOLE: Partition = Partition { rank: 0, size: 1, blocks: 1 };

    /// A rank's partition of batches into `blocks`, by default one per rank.
    ///
    /// # Errors
    /// Fewer blocks than ranks.
    pub fn new(rank: usize, size: usize, blocks: Option<usize>) -> Result<Partition> {
        let blocks = blocks.unwrap_or(size);
        if blocks < size || rank >= size {
            let message = format!("{size} ranks cannot share {blocks} blocks; use at most {blocks} ranks");
            return Err(Error::Invalid(message));
        }
        Ok(Partition { rank, size, blocks })
    }

    /// Size of the largest block of a batch of `n`; a rank computes one block at a time.
    pub fn capacity(&self, n: usize) -> usize {
        n.div_ceil(self.blocks).max(1)
    }

    /// The blocks of a given rank.
    pub fn blocks_of(&self, rank: usize) -> Range<usize> {
        self.blocks * rank / self.size..self.blocks * (rank + 1) / self.size
    }

    /// Index ranges of this rank's blocks in a batch of `n`.
    pub fn own(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let blocks = self.blocks;
        self.blocks_of(self.rank).map(move |block| n * block / blocks..n * (block + 1) / blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_belongs_to_exactly_one_rank() {
        for size in 1..=8 {
            for blocks in [None, Some(8), Some(11)] {
                for n in [0, 1, 5, 8, 31, 128] {
                    let cuts = (0..size).map(|rank| Partition::new(rank, size, blocks).unwrap());
                    let images: Vec<usize> = cuts.flat_map(|cut| cut.own(n).flatten().collect::<Vec<_>>()).collect();
                    assert_eq!(images, (0..n).collect::<Vec<_>>(), "{size} ranks, {blocks:?} blocks, {n} images");
                }
            }
        }
        assert!(Partition::new(0, 9, Some(8)).unwrap_err().to_string().contains("at most 8 ranks"));
    }

    #[test]
    fn blocks_do_not_depend_on_ranks() {
        let blocks = |size: usize| -> Vec<Range<usize>> {
            (0..size).flat_map(|rank| Partition::new(rank, size, Some(8)).unwrap().own(33).collect::<Vec<_>>()).collect()
        };
        assert_eq!(blocks(1).len(), 8);
        assert!((2..=8).all(|size| blocks(size) == blocks(1)));
    }
}
