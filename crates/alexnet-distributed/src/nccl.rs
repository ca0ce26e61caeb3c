//! Communication by NCCL, with one GPU per rank. NOT YET RUN: this code has been compiled and type-checked, but never
//! tested on a machine with GPUs.
//!
//! A [`Communicator`] works on host memory, so values are copied to the GPU and back. Short messages are sent as
//! bytes in the same way, so that no other library is needed. The 128-byte id that NCCL's ranks share is distributed
//! by MPI if `mpirun` started the job, otherwise through a file ([`Rendezvous`](crate::rendezvous::Rendezvous)). NCCL
//! and CUDA are loaded on first use, so that the program starts without them.

use crate::gather::gather;
use crate::pause;
use crate::rendezvous::BYTES;
use alexnet::distributed::{BytesSent, Communicator};
use alexnet::{Error, Result};
use cudarc::driver::{CudaContext, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, ValidAsZeroBits};
use cudarc::nccl::result::{self, NcclError};
use cudarc::nccl::safe::NcclType;
use cudarc::nccl::sys;
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Timeout for the other ranks' part of an exchange, in case one of them died unnoticed.
const LIMIT: Duration = Duration::from_secs(600);

/// Ranks that communicate by NCCL.
pub(crate) struct Nccl {
    rank: usize,
    size: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Allows one exchange at a time, from any thread; `None` after one has failed.
    turn: Mutex<Option<Handle>>,
    sent: BytesSent,
}

/// NCCL communicator.
struct Handle(sys::ncclComm_t);

// SAFETY: NCCL allows any thread to use a communicator, one at a time, which the mutex guarantees.
unsafe impl Send for Handle {}

impl Drop for Handle {
    /// Also cancels pending GPU work, without waiting.
    fn drop(&mut self) {
        // SAFETY: NCCL created the communicator, and it is no longer used. A failure cannot be handled here.
        let _ = unsafe { result::comm_abort(self.0) };
    }
}

fn fail(what: &str, why: &dyn std::fmt::Debug) -> Error {
    Error::Invalid(format!("NCCL: {what}: {why:?}"))
}

/// Error with NCCL's result code.
fn code(what: &str) -> impl Fn(NcclError) -> Error {
    move |NcclError(code)| fail(what, &code)
}

/// Checks that the required libraries are installed; `cudarc` panics otherwise.
///
/// # Errors
/// The missing library, and what to do.
pub(crate) fn check() -> Result<()> {
    // SAFETY: loads a library, if present, whose initialisation does not affect this program.
    let (cuda, nccl) = unsafe { (cudarc::driver::sys::is_culib_present(), sys::is_culib_present()) };
    let missing = match (cuda, nccl) {
        (true, true) => return Ok(()),
        (false, _) => "libcuda, part of NVIDIA's driver (check with nvidia-smi)",
        (true, false) => "libnccl.so.2 (NVIDIA's package libnccl2)",
    };
    Err(Error::Invalid(format!(
        "--communicator nccl: this machine has no {missing}; install it, or omit the option and use mpirun"
    )))
}

/// Creates the id of a new job, which its ranks share.
pub(crate) fn name() -> Result<[u8; BYTES]> {
    let id = result::get_uniqueid().map_err(code("creating the job id"))?;
    Ok(id.internal.map(|byte| byte as u8))
}

impl Nccl {
    /// Joins as rank `rank` of `size`, all with the same `name`, using the local GPU `local`, by default `rank`
    /// modulo the number of GPUs.
    ///
    /// # Errors
    /// A missing GPU, or ranks that cannot connect.
    pub(crate) fn join(rank: usize, size: usize, local: Option<usize>, name: [u8; BYTES]) -> Result<Nccl> {
        let gpus = CudaContext::device_count().map_err(|why| fail("counting GPUs", &why))?.max(0) as usize;
        if gpus == 0 {
            return Err(Error::Invalid("--communicator nccl: this machine has no GPU".into()));
        }
        // NCCL rejects two ranks on one GPU, and CUDA an index that is too large.
        let number = local.unwrap_or(rank % gpus);
        let context = CudaContext::new(number).map_err(|why| fail(&format!("GPU {number} of {gpus}"), &why))?;
        let stream = context.default_stream();
        let id = sys::ncclUniqueId { internal: name.map(|byte| byte as c_char) };
        let mut handle = MaybeUninit::uninit();
        // SAFETY: NCCL writes the handle, which is read only if the call succeeded.
        let handle = unsafe {
            result::comm_init_rank(handle.as_mut_ptr(), size as i32, id, rank as i32).map_err(code("joining the other ranks"))?;
            handle.assume_init()
        };
        Ok(Nccl { rank, size, context, stream, turn: Mutex::new(Some(Handle(handle))), sent: BytesSent::default() })
    }

    /// Sends each rank its part of `send` and receives one from each.
    fn swap<T: NcclType + DeviceRepr + ValidAsZeroBits + Copy>(
        &self,
        send: &[T],
        counts: &[usize],
        receive: &mut [T],
        from: &[usize],
    ) -> Result<()> {
        assert_eq!(send.len(), counts.iter().sum::<usize>(), "parts of what is sent");
        assert_eq!(receive.len(), from.iter().sum::<usize>(), "parts of what is received");
        self.sent.add((send.len() - counts[self.rank]) * size_of::<T>());
        let mut turn = self.turn.lock().map_err(|_| fail("exchange", &"a thread panicked during a call"))?;
        let Some(handle) = turn.as_ref() else { return Err(fail("exchange", &"an earlier exchange failed")) };
        self.context.bind_to_thread().map_err(|why| fail("the GPU", &why))?;
        // GPU allocations must not be empty.
        let room = |len: usize| self.stream.alloc_zeros::<T>(len.max(1)).map_err(|why| fail("allocating GPU memory", &why));
        let (mut outgoing, mut incoming) = (room(send.len())?, room(receive.len())?);
        if !send.is_empty() {
            self.stream.memcpy_htod(send, &mut outgoing).map_err(|why| fail("copying to the GPU", &why))?;
        }
        let done = {
            let (to, _to) = outgoing.device_ptr(&self.stream);
            let (into, _into) = incoming.device_ptr_mut(&self.stream);
            self.begin::<T>(handle, (to, counts), (into, from)).and_then(|()| self.wait(handle))
        };
        if done.is_err() {
            // Otherwise freeing the memory would wait forever.
            *turn = None;
        }
        done?;
        if !receive.is_empty() {
            self.stream.memcpy_dtoh(&incoming, receive).map_err(|why| fail("copying from the GPU", &why))?;
        }
        self.stream.synchronize().map_err(|why| fail("waiting for the GPU", &why))
    }

    /// Enqueues all messages of an exchange as one group, to avoid deadlock. Each side is a GPU address and the
    /// lengths of its parts.
    fn begin<T: NcclType>(
        &self,
        handle: &Handle,
        (mut to, counts): (u64, &[usize]),
        (mut into, from): (u64, &[usize]),
    ) -> Result<()> {
        let stream = self.stream.cu_stream() as sys::cudaStream_t;
        result::group_start().map_err(code("starting an exchange"))?;
        let mut put = Ok(());
        for rank in 0..self.size {
            let (count, come) = (counts[rank], from[rank]);
            // SAFETY: the parts are contiguous in GPU memory of their total length.
            unsafe {
                if put.is_ok() && count > 0 {
                    let sent = result::send(to as *const c_void, count, T::as_nccl_type(), rank as i32, handle.0, stream);
                    put = sent.map(drop).map_err(code("sending"));
                }
                if put.is_ok() && come > 0 {
                    let received = result::recv(into as *mut c_void, come, T::as_nccl_type(), rank as i32, handle.0, stream);
                    put = received.map(drop).map_err(code("receiving"));
                }
            }
            to += (count * size_of::<T>()) as u64;
            into += (come * size_of::<T>()) as u64;
        }
        let ended = result::group_end().map(drop).map_err(code("an exchange"));
        put.and(ended)
    }

    /// Waits for the GPU, and meanwhile polls NCCL for a failed rank.
    fn wait(&self, handle: &Handle) -> Result<()> {
        let event = self.stream.record_event(None).map_err(|why| fail("the GPU", &why))?;
        let began = Instant::now();
        let mut turns = 0u32;
        while !event.try_is_complete().map_err(|why| fail("an exchange", &why))? {
            let mut state = sys::ncclResult_t::ncclSuccess;
            // SAFETY: the handle is valid, and NCCL writes one value.
            let asked = unsafe { sys::ncclCommGetAsyncError(handle.0, &raw mut state) };
            if let Some(bad) = [asked, state].into_iter().find(|&code| code != sys::ncclResult_t::ncclSuccess) {
                return Err(fail("another rank or the network failed", &bad));
            }
            if began.elapsed() > LIMIT {
                return Err(fail("an exchange", &format_args!("no answer from another rank in {} s", LIMIT.as_secs())));
            }
            turns += 1;
            pause(turns);
        }
        Ok(())
    }
}

impl Communicator for Nccl {
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
