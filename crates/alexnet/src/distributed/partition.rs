//! Whose images are whose: a batch is cut into blocks, and each rank takes a run of them.
//!
//! As many blocks as ranks is the cheapest. A fixed number of blocks makes a training the same to the bit on any number of
//! ranks up to it: what is added up within a block and over blocks then never depends on who does it.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How batches are cut, and which part of them a rank takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Which rank.
    pub rank: usize,
    /// Of how many.
    pub size: usize,
    /// Blocks of each batch, at least as many as ranks.
    pub blocks: usize,
}

impl Partition {
    /// The whole batch in one piece.
    pub const WHOLE: Partition = Partition { rank: 0, size: 1, blocks: 1 };

    /// A rank's cut of batches into `blocks`, or as many as ranks where none are given.
    ///
    /// # Errors
    /// Fewer blocks than ranks.
    pub fn new(rank: usize, size: usize, blocks: Option<usize>) -> Result<Partition> {
        let blocks = blocks.unwrap_or(size);
        if blocks < size || rank >= size {
            let message = format!("{size} ranks for batches cut into {blocks} blocks; take at most {blocks} ranks");
            return Err(Error::Invalid(message));
        }
        Ok(Partition { rank, size, blocks })
    }

    /// Images of the largest block of a batch of `n`; a rank computes one block after the other.
    pub fn capacity(&self, n: usize) -> usize {
        n.div_ceil(self.blocks).max(1)
    }

    /// The blocks of rank `rank`.
    pub fn blocks_of(&self, rank: usize) -> Range<usize> {
        self.blocks * rank / self.size..self.blocks * (rank + 1) / self.size
    }

    /// This rank's blocks of a batch of `n`: where each lies in it.
    pub fn own(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let blocks = self.blocks;
        self.blocks_of(self.rank).map(move |block| n * block / blocks..n * (block + 1) / blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_one_rank_whatever_the_numbers() {
        for size in 1..=8 {
            for blocks in [None, Some(8), Some(11)] {
                for n in [0, 1, 5, 8, 31, 128] {
                    let cuts = (0..size).map(|rank| Partition::new(rank, size, blocks).unwrap());
                    let pictures: Vec<usize> = cuts.flat_map(|cut| cut.own(n).flatten().collect::<Vec<_>>()).collect();
                    assert_eq!(pictures, (0..n).collect::<Vec<_>>(), "{size} ranks, {blocks:?} blocks, {n} images");
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
