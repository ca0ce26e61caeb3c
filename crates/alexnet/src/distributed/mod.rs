//! Distributed training: collectives, and engines that are spread over ranks.
//!
//! Each rank takes a share of the work.
//!
//! A [`Communicator`] is all that the rest knows of the machinery below: MPI (crate `alexnet-distributed`), threads of one process
//! ([`in_process`], for tests), or a single process ([`SingleProcess`]). `tree_reduce` adds numbers up over ranks in an order that is fixed by the work
//! and not by who does it, `partition` says whose work is whose, [`data_parallel`] trains on shares of each batch,
//! [`hybrid`] also shares the weights of fully connected layers, [`towers`] halves the net as in 2012; these two are made of
//! [`model_parallel`].

pub mod cost_model;
pub mod data_parallel;
pub mod hybrid;
pub mod in_process;
mod message;
pub mod model_parallel;
mod parallel;
mod partition;
mod reducer;
mod sharded_fc;
pub mod towers;
mod tree_reduce;

pub(crate) use message::all_gather_f64;
pub use message::{all_gather_values, broadcast_value};
pub use parallel::Parallel;
pub use partition::Partition;
pub use tree_reduce::{Room, Tree, all_gather, all_reduce, sum_of_trees};

use crate::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// What ranks say to each other. All ranks make the same calls in the same order, one at a time, from any thread.
///
/// Everything is made of two kinds of exchange, so that sums have an order of our own whatever the library below prefers.
pub trait Communicator: Send + Sync {
    /// Which of the ranks this is, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Gives each rank a part of `send`, one after the other as long as `counts` says, and takes a part from each, which lie
    /// in `receive` one after the other as long as `from` says. What `from[r]` is here must be what `counts` of rank r says.
    ///
    /// # Errors
    /// When another rank is gone.
    ///
    /// # Panics
    /// When the lengths do not add up.
    fn all_to_all(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()>;

    /// Gathers a short message of each rank on all ranks, in the order of ranks.
    ///
    /// # Errors
    /// When another rank is gone.
    fn all_gather_bytes(&self, message: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The account of what this rank has sent to others.
    fn sent(&self) -> &BytesSent;

    /// Adds `values` up over all ranks, in the order of ranks.
    ///
    /// # Errors
    /// When another rank is gone.
    fn all_reduce(&self, values: &mut [f32]) -> Result<()> {
        all_reduce(self.as_dyn(), values)
    }

    /// Rank 0's message, on all ranks.
    ///
    /// # Errors
    /// When another rank is gone.
    fn broadcast(&self, message: &[u8]) -> Result<Vec<u8>> {
        let all = self.all_gather_bytes(if self.rank() == 0 { message } else { &[] })?;
        all.into_iter().next().ok_or_else(|| Error::Invalid("no ranks".into()))
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// When another rank is gone.
    fn barrier(&self) -> Result<()> {
        self.all_gather_bytes(&[]).map(|_| ())
    }

    /// Itself, for the functions of this module.
    fn as_dyn(&self) -> &dyn Communicator;
}

/// Counts the bytes that a rank sends to others.
#[derive(Debug, Default)]
pub struct BytesSent(AtomicU64);

impl BytesSent {
    /// Takes note of bytes.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One process by itself.
#[derive(Debug, Default)]
pub struct SingleProcess(BytesSent);

impl Communicator for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_to_all(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()> {
        assert_eq!((counts, from), ([send.len()].as_slice(), [receive.len()].as_slice()), "all that one rank has is its own");
        receive.copy_from_slice(send);
        Ok(())
    }

    fn all_gather_bytes(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![message.to_vec()])
    }

    fn sent(&self) -> &BytesSent {
        &self.0
    }

    fn as_dyn(&self) -> &dyn Communicator {
        self
    }
}
