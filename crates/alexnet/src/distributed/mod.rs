//! Distributed training: each rank takes a part of the work and exchanges its results with the others.
//!
//! A [`Communicator`] abstracts the transport: MPI (crate `alexnet-distributed`), threads of one process
//! ([`in_process`], for tests), or a single process ([`SingleProcess`]). `tree_reduce` sums over ranks in an order
//! that depends only on the work, not on the ranks; `partition` assigns work to ranks; [`data_parallel`] trains on
//! shards of each batch; [`hybrid`] also shards the weights of fully connected layers; [`towers`] splits the net in
//! halves as in 2012. The last two are built on [`model_parallel`].

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

/// Communication between ranks. All ranks make the same calls in the same order, one at a time, from any thread.
///
/// Everything is built on two exchange primitives, so that the summation order does not depend on the underlying
/// library.
pub trait Communicator: Send + Sync {
    /// Index of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Exchanges data between all ranks. `send` holds the parts for each rank in order, of the lengths in `counts`;
    /// `receive` gets the parts of each rank in order, of the lengths in `from`. `from[r]` on this rank must equal
    /// the entry for this rank in `counts` of rank r.
    ///
    /// # Errors
    /// Another rank that failed.
    ///
    /// # Panics
    /// If the lengths do not match the slices.
    fn all_to_all(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()>;

    /// Sends a short message to all ranks, and returns the messages of all ranks in rank order.
    ///
    /// # Errors
    /// Another rank that failed.
    fn all_gather_bytes(&self, message: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// Counter of the bytes that this rank has sent to others.
    fn sent(&self) -> &BytesSent;

    /// Sums `values` over all ranks, in rank order.
    ///
    /// # Errors
    /// Another rank that failed.
    fn all_reduce(&self, values: &mut [f32]) -> Result<()> {
        all_reduce(self.as_dyn(), values)
    }

    /// Broadcasts rank 0's message to all ranks.
    ///
    /// # Errors
    /// Another rank that failed.
    fn broadcast(&self, message: &[u8]) -> Result<Vec<u8>> {
        let all = self.all_gather_bytes(if self.rank() == 0 { message } else { &[] })?;
        all.into_iter().next().ok_or_else(|| Error::Invalid("no ranks".into()))
    }

    /// Waits until all ranks have reached this call.
    ///
    /// # Errors
    /// Another rank that failed.
    fn barrier(&self) -> Result<()> {
        self.all_gather_bytes(&[]).map(|_| ())
    }

    /// This communicator as a trait object, for the functions of this module.
    fn as_dyn(&self) -> &dyn Communicator;
}

/// Counter of the bytes that a rank sends to others.
#[derive(Debug, Default)]
pub struct BytesSent(AtomicU64);

impl BytesSent {
    /// Adds to the count.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Total number of bytes.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Communicator of a single process.
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
