//! Floats between GPUs by NCCL, for jobs whose ranks each have one. NOT YET RUN: this has been compiled, and no machine with several
//! GPUs has tried it.
//!
//! Numbers lie in the processor's memory, as every [`Communicator`] has them, and are copied to the GPU and back; short messages, and the
//! name under which NCCL's ranks find each other, go by the communicator that is there already. NCCL and CUDA are loaded when first
//! used, so that the program starts without them.

use alexnet::parallel::{Communicator, Sent};
use alexnet::{Error, Result};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream};
use cudarc::nccl::safe::{Comm, Id};
use std::ffi::c_char;
use std::sync::{Arc, Mutex};

/// A job's ranks, whose floats go by NCCL.
pub struct Nccl {
    /// For all else.
    others: Arc<dyn Communicator>,
    comm: Mutex<Comm>,
    stream: Arc<CudaStream>,
    sent: Sent,
}

// SAFETY: NCCL lets any thread use a communicator, one at a time, which the mutex sees to; `cudarc` makes the device the thread's own
// at each call.
unsafe impl Send for Nccl {}
// SAFETY: as above.
unsafe impl Sync for Nccl {}

fn fail(what: &str, why: &dyn std::fmt::Debug) -> Error {
    Error::Invalid(format!("NCCL: {what}: {why:?}"))
}

impl Nccl {
    /// The same ranks as `others`, each with the GPU of this number on its machine.
    ///
    /// # Errors
    /// No such GPU, or no NCCL.
    pub fn new(others: Arc<dyn Communicator>, device: usize) -> Result<Nccl> {
        let context = CudaContext::new(device).map_err(|why| fail(&format!("GPU {device}"), &why))?;
        let stream = context.default_stream();
        let own = match others.rank() {
            0 => Id::new().map_err(|why| fail("a name for the job", &why))?.internal().map(|byte| byte as u8).to_vec(),
            _ => Vec::new(),
        };
        let name: [u8; 128] = others.broadcast(&own)?.try_into().map_err(|_| fail("the job's name", &"not of 128 bytes"))?;
        let id = Id::uninit(name.map(|byte| byte as c_char));
        let comm = Comm::from_rank(stream.clone(), others.rank(), others.size(), id).map_err(|why| fail("joining", &why))?;
        Ok(Nccl { others, comm: Mutex::new(comm), stream, sent: Sent::default() })
    }

    /// Room on the GPU for each rank's part; an empty part has one float, since nothing has no place there.
    fn room(&self, counts: &[usize]) -> Result<Vec<CudaSlice<f32>>> {
        let make = |&count: &usize| self.stream.alloc_zeros(count.max(1)).map_err(|why| fail("memory of the GPU", &why));
        counts.iter().map(make).collect()
    }
}

impl Communicator for Nccl {
    fn rank(&self) -> usize {
        self.others.rank()
    }

    fn size(&self) -> usize {
        self.others.size()
    }

    fn exchange(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()> {
        assert_eq!(send.len(), counts.iter().sum::<usize>(), "parts of what is sent");
        assert_eq!(receive.len(), from.iter().sum::<usize>(), "parts of what is received");
        self.sent.add((send.len() - counts[self.rank()]) * size_of::<f32>());
        let comm = self.comm.lock().map_err(|_| fail("exchange", &"a thread has panicked in the middle of a call"))?;
        let (mut outgoing, mut incoming) = (self.room(counts)?, self.room(from)?);
        let mut at = 0;
        for (part, &count) in outgoing.iter_mut().zip(counts) {
            if count > 0 {
                self.stream.memcpy_htod(&send[at..at + count], part).map_err(|why| fail("copying to the GPU", &why))?;
            }
            at += count;
        }
        {
            let views: Vec<_> = outgoing.iter().map(CudaSlice::as_view).collect();
            let places: Vec<_> = incoming.iter_mut().map(CudaSlice::as_view_mut).collect();
            // All at once, or two ranks would wait for each other.
            let mut group = comm.group();
            for (rank, (view, place)) in views.into_iter().zip(places).enumerate() {
                if counts[rank] > 0 {
                    group.send(view, rank as i32).map_err(|why| fail("sending", &why))?;
                }
                if from[rank] > 0 {
                    group.recv(place, rank as i32).map_err(|why| fail("receiving", &why))?;
                }
            }
        }
        let mut at = 0;
        for (part, &count) in incoming.iter().zip(from) {
            if count > 0 {
                let to = &mut receive[at..at + count];
                self.stream.memcpy_dtoh(part, to).map_err(|why| fail("copying from the GPU", &why))?;
            }
            at += count;
        }
        self.stream.synchronize().map_err(|why| fail("waiting for the GPU", &why))
    }

    fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.others.gather(message)
    }

    fn sent(&self) -> &Sent {
        &self.sent
    }

    fn as_dyn(&self) -> &dyn Communicator {
        self
    }
}
