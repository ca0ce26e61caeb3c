//! All processes of an MPI job, connected by point-to-point messages. (Open MPI 4.1.4's `MPI_Ialltoallv` was seen to
//! hang after a call in which one rank had nothing to send or receive.)

use crate::gather::gather;
use crate::pause;
use alexnet::distributed::{BytesSent, Communicator};
use alexnet::{Error, Result};
use mpi::Threading;
use mpi::datatype::Equivalence;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{Request, Scope};
use mpi::topology::{Communicator as _, SimpleCommunicator};
use std::sync::Mutex;

/// The job's ranks. Dropping it finalizes MPI, which all ranks must do.
pub(crate) struct World {
    /// Allows one exchange at a time, from any thread.
    turn: Mutex<Universe>,
    rank: usize,
    size: usize,
    sent: BytesSent,
}

impl World {
    /// Initialises MPI, once per process.
    pub(crate) fn join() -> Result<World> {
        let fail = |why: &str| Error::Invalid(format!("MPI: {why}"));
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or_else(|| fail("was already initialised"))?;
        if threading < Threading::Serialized {
            return Err(fail("this library does not support MPI_THREAD_SERIALIZED"));
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        Ok(World { turn: Mutex::new(universe), rank, size, sent: BytesSent::default() })
    }

    /// Sends each rank its part of `send` and receives one from each.
    fn swap<T: Equivalence + Copy>(&self, send: &[T], counts: &[usize], receive: &mut [T], from: &[usize]) -> Result<()> {
        assert_eq!(send.len(), counts.iter().sum::<usize>(), "parts of what is sent");
        assert_eq!(receive.len(), from.iter().sum::<usize>(), "parts of what is received");
        // MPI counts are i32.
        if let Some(count) = counts.iter().chain(from).find(|&&count| i32::try_from(count).is_err()) {
            return Err(Error::Invalid(format!("MPI: a message of {count} values is too long; use a smaller --batch")));
        }
        self.sent.add((send.len() - counts[self.rank]) * size_of::<T>());
        let universe = self.turn.lock().map_err(|_| Error::Invalid("MPI: a thread panicked during a call".into()))?;
        let world: SimpleCommunicator = universe.world();
        mpi::request::scope(|scope| {
            // Messages between two ranks arrive in the order sent, so they need no tags.
            let mut under_way = Vec::with_capacity(2 * self.size);
            let mut rest = receive;
            let mut own = Default::default();
            for (rank, &count) in from.iter().enumerate() {
                let (part, behind) = rest.split_at_mut(count);
                rest = behind;
                if rank == self.rank {
                    own = part;
                } else if count > 0 {
                    under_way.push(world.process_at_rank(rank as i32).immediate_receive_into(scope, part));
                }
            }
            let mut rest = send;
            for (rank, &count) in counts.iter().enumerate() {
                let (part, behind) = rest.split_at(count);
                rest = behind;
                if rank == self.rank {
                    own.copy_from_slice(part);
                } else if count > 0 {
                    under_way.push(world.process_at_rank(rank as i32).immediate_send(scope, part));
                }
            }
            wait(under_way);
        });
        Ok(())
    }
}

/// Waits without occupying the processor of the compute thread; MPI's own wait spins.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut under_way: Vec<Request<'a, D, S>>) {
    let mut turns = 0u32;
    loop {
        under_way = under_way.into_iter().filter_map(|request| request.test().err()).collect();
        if under_way.is_empty() {
            return;
        }
        turns += 1;
        pause(turns);
    }
}

/// Terminates all processes of the job.
pub(crate) fn abort() -> ! {
    SimpleCommunicator::world().abort(1)
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_to_all(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()> {
        self.swap(send, counts, receive, from)
    }

    fn all_gather_bytes(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        gather(self.size, message, |send, counts, receive, from| self.swap(send, counts, receive, from))
    }

    fn sent(&self) -> &BytesSent {
        &self.sent
    }

    fn as_dyn(&self) -> &dyn Communicator {
        self
    }
}
