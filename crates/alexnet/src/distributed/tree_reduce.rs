//! Tree reduction: sums over ranks in a fixed order.
//!
//! Floating-point sums depend on their order, and a library's all-reduce chooses it by the number of ranks. Here the
//! order is a binary tree over the blocks of a batch ([`Partition`]): the two halves are summed, then added to each
//! other. A rank sums its own subtrees locally. Of the rest, each rank sums one part for all (a reduce-scatter), then
//! the parts are all-gathered. Each float therefore travels at most twice if ranks hold whole subtrees, as in a ring
//! all-reduce.

use super::{Communicator, Partition};
use crate::Result;
use std::ops::Range;

/// Floats summed at a time: a round needs twice these 4 MB of memory. (Tests take many rounds.)
const ROUND: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// Minimum number of floats that each rank sums in a round: with many ranks, smaller messages would cost more than
/// their contents.
const PART: usize = ROUND / 16;

/// Floats that `size` ranks sum in a round.
pub(super) fn round(size: usize) -> usize {
    ROUND.max(size * PART)
}

/// Partial sums of one rank's blocks: its largest subtrees.
#[derive(Debug)]
pub struct Tree {
    blocks: usize,
    /// Subtrees in order; `None` if all of its blocks are empty, which counts as zeros.
    branches: Vec<(Range<usize>, Option<Vec<f32>>)>,
}

impl Tree {
    /// Creates an empty tree for a batch of `blocks` blocks.
    pub fn new(blocks: usize) -> Tree {
        Tree { blocks, branches: Vec::new() }
    }

    /// Adds the block with index `block`, which must be the next one. Returns freed buffers.
    pub fn push(&mut self, block: usize, values: Option<Vec<f32>>) -> Vec<Vec<f32>> {
        let mut free = Vec::new();
        self.branches.push((block..block + 1, values));
        while let [.., (left, _), (right, _)] = self.branches.as_slice()
            && is_fork(self.blocks, left, right)
        {
            let Some((right, b)) = self.branches.pop() else { break };
            let Some((left, a)) = self.branches.pop() else { break };
            let sum = match (a, b) {
                (Some(mut a), Some(b)) => {
                    a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
                    free.push(b);
                    Some(a)
                }
                // Equivalent to adding zeros, which turns -0 into 0.
                (Some(mut a), None) | (None, Some(mut a)) => {
                    a.iter_mut().for_each(|a| *a += 0.0);
                    Some(a)
                }
                (None, None) => None,
            };
            self.branches.push((left.start..right.end, sum));
        }
        free
    }

    /// The subtrees' values, first to last.
    pub fn into_branches(self) -> Vec<Option<Vec<f32>>> {
        self.branches.into_iter().map(|(_, values)| values).collect()
    }
}

/// Block index that separates the two halves of a subtree.
fn middle(branch: &Range<usize>) -> usize {
    branch.start.midpoint(branch.end)
}

/// Whether two ranges of blocks are the halves of a subtree.
fn is_fork(blocks: usize, left: &Range<usize>, right: &Range<usize>) -> bool {
    let mut branch = 0..blocks;
    while branch.len() > 1 {
        let at = middle(&branch);
        if branch.start == left.start && branch.end == right.end && at == left.end && at == right.start {
            return true;
        }
        branch = if left.start < at { branch.start..at } else { at..branch.end };
    }
    false
}

/// The largest subtrees within a range of blocks, in order.
fn branches_of(branch: Range<usize>, run: &Range<usize>, found: &mut Vec<Range<usize>>) {
    if branch.is_empty() || branch.end <= run.start || run.end <= branch.start {
        return;
    }
    if run.start <= branch.start && branch.end <= run.end {
        return found.push(branch);
    }
    let at = middle(&branch);
    branches_of(branch.start..at, run, found);
    branches_of(at..branch.end, run, found);
}

/// Scratch memory of a sum, reused between sums: allocating fresh memory costs more than adding.
#[derive(Debug, Default)]
pub struct Room {
    send: Vec<f32>,
    received: Vec<f32>,
    sum: Vec<f32>,
    spare: Vec<Vec<f32>>,
}

/// Sums the subtrees of all ranks, whose blocks are those of `cut`. `branches` are this rank's, from [`Tree`].
///
/// # Errors
/// Another rank that failed.
///
/// # Panics
/// If a subtree's length differs from that of `out`.
pub fn sum_of_trees(
    ranks: &dyn Communicator,
    cut: &Partition,
    branches: &[Option<Vec<f32>>],
    out: &mut [f32],
    room: &mut Room,
) -> Result<()> {
    let known: Vec<Vec<Range<usize>>> = (0..cut.size)
        .map(|rank| {
            let mut found = Vec::new();
            branches_of(0..cut.blocks, &cut.blocks_of(rank), &mut found);
            found
        })
        .collect();
    let own = branches.len();
    debug_assert_eq!(known[cut.rank].len(), own, "branches of rank {}", cut.rank);
    let Room { send, received, sum, spare } = room;
    let round = round(cut.size);
    for first in (0..out.len()).step_by(round) {
        let len = round.min(out.len() - first);
        let part = |rank: usize| len * rank / cut.size..len * (rank + 1) / cut.size;
        send.clear();
        for rank in 0..cut.size {
            for branch in branches {
                let part = part(rank);
                match branch {
                    Some(values) => send.extend_from_slice(&values[first + part.start..first + part.end]),
                    None => send.extend(std::iter::repeat_n(0.0, part.len())),
                }
            }
        }
        let counts: Vec<usize> = (0..cut.size).map(|rank| own * part(rank).len()).collect();
        let mine = part(cut.rank).len();
        let from: Vec<usize> = known.iter().map(|branches| branches.len() * mine).collect();
        received.resize(from.iter().sum(), 0.0);
        ranks.all_to_all(send, &counts, received, &from)?;
        // The subtrees in order, each as long as this rank's part.
        let found: Vec<Range<usize>> = known.iter().flatten().cloned().collect();
        sum.resize(mine, 0.0);
        add(0..cut.blocks, &found, received, sum, spare);
        let counts: Vec<usize> = (0..cut.size).map(|rank| part(rank).len()).collect();
        gather_by(ranks, sum, &counts, &mut out[first..first + len], send)?;
    }
    Ok(())
}

/// Writes the sum of a subtree's values to `out`. `found` are the subtrees stored in `values`, each as long as `out`.
fn add(branch: Range<usize>, found: &[Range<usize>], values: &[f32], out: &mut [f32], spare: &mut Vec<Vec<f32>>) {
    let len = out.len();
    if let Some(at) = found.iter().position(|known| *known == branch) {
        return out.copy_from_slice(&values[at * len..(at + 1) * len]);
    }
    let at = middle(&branch);
    add(branch.start..at, found, values, out, spare);
    let mut right = spare.pop().unwrap_or_default();
    right.resize(len, 0.0);
    add(at..branch.end, found, values, &mut right, spare);
    out.iter_mut().zip(&right).for_each(|(sum, value)| *sum += value);
    spare.push(right);
}

/// Sums `values` over all ranks; the result is bitwise equal on all of them.
///
/// # Errors
/// Another rank that failed.
pub fn all_reduce(ranks: &dyn Communicator, values: &mut [f32]) -> Result<()> {
    let cut = Partition { rank: ranks.rank(), size: ranks.size(), blocks: ranks.size() };
    sum_of_trees(ranks, &cut, &[Some(values.to_vec())], values, &mut Room::default())
}

/// Concatenates the parts of all ranks, of the lengths in `counts`, into `out`.
///
/// # Errors
/// Another rank that failed.
///
/// # Panics
/// If the lengths do not match the slices.
pub fn all_gather(ranks: &dyn Communicator, part: &[f32], counts: &[usize], out: &mut [f32]) -> Result<()> {
    gather_by(ranks, part, counts, out, &mut Vec::new())
}

/// As [`all_gather`], with a scratch buffer for the data to send.
fn gather_by(ranks: &dyn Communicator, part: &[f32], counts: &[usize], out: &mut [f32], send: &mut Vec<f32>) -> Result<()> {
    send.clear();
    (0..ranks.size()).for_each(|_| send.extend_from_slice(part));
    ranks.all_to_all(send, &vec![part.len(); ranks.size()], out, counts)
}

#[cfg(test)]
mod tests {
    use super::super::in_process;
    use super::*;
    use alexnet_kernels::random::Key;

    /// Values of block `block`; some blocks are empty.
    fn values(block: usize, len: usize) -> Option<Vec<f32>> {
        (block != 5).then(|| (0..len).map(|i| Key(block as u64).normal(i as u64)).collect())
    }

    fn sum(size: usize, blocks: usize, len: usize) -> Vec<f32> {
        let sums = in_process::run(size, |ranks| {
            let cut = Partition::new(ranks.rank(), size, Some(blocks)).unwrap();
            let mut tree = Tree::new(blocks);
            for block in cut.blocks_of(cut.rank) {
                tree.push(block, values(block, len));
            }
            let mut out = vec![0.0; len];
            sum_of_trees(&ranks, &cut, &tree.into_branches(), &mut out, &mut Room::default()).unwrap();
            out
        });
        assert!(sums.iter().all(|other| *other == sums[0]), "{size} ranks have different sums");
        sums.into_iter().next().unwrap()
    }

    #[test]
    fn sums_are_bitwise_equal_on_any_number_of_ranks() {
        for (blocks, len) in [(8, 1000), (8, 3), (11, 257), (8, ROUND + 77)] {
            let alone = sum(1, blocks, len);
            let exact = |i: usize| (0..blocks).filter_map(|b| values(b, len)).map(|v| f64::from(v[i])).sum::<f64>();
            assert!((0..len.min(1000)).all(|i| (f64::from(alone[i]) - exact(i)).abs() < 2e-6));
            for size in 2..=8.min(blocks) {
                if len < ROUND || size == 3 {
                    let many = sum(size, blocks, len);
                    assert!(many.iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{size} ranks, {blocks} blocks");
                }
            }
        }
    }

    #[test]
    fn whole_subtrees_send_as_much_as_a_ring() {
        let (len, size) = (1200, 4);
        let sent = in_process::run(size, |ranks| {
            ranks.all_reduce(&mut vec![1.0; len]).unwrap();
            ranks.sent().bytes() as usize
        });
        assert_eq!(sent, [2 * (size - 1) * len / size * size_of::<f32>(); 4]);
    }
}
