//! What ranks say to each other by NCCL, each with a GPU of its own. NOT YET RUN: this has been compiled and type-checked, and no
//! machine with GPUs has tried it.
//!
//! Numbers lie in the processor's memory, as every [`Communicator`] has them, and are copied to the GPU and back; short messages go as bytes
//! in the same way, so that no other library is needed. The 128 bytes under which NCCL's ranks find each other are handed over by MPI
//! where `mpirun` started the job, or else by a file ([`Rendezvous`](crate::rendezvous::Rendezvous)). NCCL and CUDA are loaded when first used, so that
//! the program starts without them.

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

/// How long a rank waits for the others' part of an exchange: one of them has died, and nobody has told this one.
const LIMIT: Duration = Duration::from_secs(600);

/// A job's ranks, which talk by NCCL.
pub(crate) struct Nccl {
    rank: usize,
    size: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// One exchange at a time, from whichever thread; none after one has failed.
    turn: Mutex<Option<Handle>>,
    sent: BytesSent,
}

/// NCCL's side of it.
struct Handle(sys::ncclComm_t);

// SAFETY: NCCL lets any thread use a communicator, one at a time, which the mutex sees to.
unsafe impl Send for Handle {}

impl Drop for Handle {
    /// Also ends what is under way on the GPU, and waits for nobody.
    fn drop(&mut self) {
        // SAFETY: NCCL made it, and nobody uses it any more. There is nothing to do about a failure.
        let _ = unsafe { result::comm_abort(self.0) };
    }
}

fn fail(what: &str, why: &dyn std::fmt::Debug) -> Error {
    Error::Invalid(format!("NCCL: {what}: {why:?}"))
}

/// What NCCL says; `cudarc` itself only tells that it failed.
fn code(what: &str) -> impl Fn(NcclError) -> Error {
    move |NcclError(code)| fail(what, &code)
}

/// Whether the libraries are there, without which `cudarc` panics.
///
/// # Errors
/// Which one is not, and what to do.
pub(crate) fn check() -> Result<()> {
    // SAFETY: loads a library, if it is there, whose beginning does nothing to this program.
    let (cuda, nccl) = unsafe { (cudarc::driver::sys::is_culib_present(), sys::is_culib_present()) };
    let missing = match (cuda, nccl) {
        (true, true) => return Ok(()),
        (false, _) => "libcuda, which comes with NVIDIA's driver (nvidia-smi shows whether it is there)",
        (true, false) => "libnccl.so.2 (package libnccl2 of NVIDIA)",
    };
    Err(Error::Invalid(format!(
        "--communicator nccl: this machine has no {missing}; without it, leave the option out and use mpirun"
    )))
}

/// A name for a new job, under which its ranks find each other.
pub(crate) fn name() -> Result<[u8; BYTES]> {
    let id = result::get_uniqueid().map_err(code("a name for the job"))?;
    Ok(id.internal.map(|byte| byte as u8))
}

impl Nccl {
    /// Rank `rank` of `size`, all of which give the same `name`, with a GPU of this machine: number `local`, or `rank` in turn.
    ///
    /// # Errors
    /// No such GPU, or ranks that do not find each other.
    pub(crate) fn join(rank: usize, size: usize, local: Option<usize>, name: [u8; BYTES]) -> Result<Nccl> {
        let gpus = CudaContext::device_count().map_err(|why| fail("counting GPUs", &why))?.max(0) as usize;
        if gpus == 0 {
            return Err(Error::Invalid("--communicator nccl: this machine has no GPU".into()));
        }
        // NCCL refuses two ranks on one GPU, so a number that is too large is for it to complain about.
        let number = local.unwrap_or(rank % gpus);
        let context = CudaContext::new(number).map_err(|why| fail(&format!("GPU {number} of {gpus}"), &why))?;
        let stream = context.default_stream();
        let id = sys::ncclUniqueId { internal: name.map(|byte| byte as c_char) };
        let mut handle = MaybeUninit::uninit();
        // SAFETY: NCCL writes the handle, which is read only if it says that it did.
        let handle = unsafe {
            result::comm_init_rank(handle.as_mut_ptr(), size as i32, id, rank as i32).map_err(code("joining the other ranks"))?;
            handle.assume_init()
        };
        Ok(Nccl { rank, size, context, stream, turn: Mutex::new(Some(Handle(handle))), sent: BytesSent::default() })
    }

    /// Gives each rank its part of `send` and takes one from each.
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
        let mut turn = self.turn.lock().map_err(|_| fail("exchange", &"a thread has panicked in the middle of a call"))?;
        let Some(handle) = turn.as_ref() else { return Err(fail("exchange", &"one before it has failed")) };
        self.context.bind_to_thread().map_err(|why| fail("the GPU", &why))?;
        // Nothing has no place on the GPU.
        let room = |len: usize| self.stream.alloc_zeros::<T>(len.max(1)).map_err(|why| fail("memory of the GPU", &why));
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
            // Or freeing the memory would wait for what never ends.
            *turn = None;
        }
        done?;
        if !receive.is_empty() {
            self.stream.memcpy_dtoh(&incoming, receive).map_err(|why| fail("copying from the GPU", &why))?;
        }
        self.stream.synchronize().map_err(|why| fail("waiting for the GPU", &why))
    }

    /// Puts all messages of an exchange on the GPU's list at once, or two ranks would wait for each other. Each side is an address on the
    /// GPU and how much of it is whose.
    fn begin<T: NcclType>(
        &self,
        handle: &Handle,
        (mut to, counts): (u64, &[usize]),
        (mut into, from): (u64, &[usize]),
    ) -> Result<()> {
        let stream = self.stream.cu_stream() as sys::cudaStream_t;
        result::group_start().map_err(code("beginning an exchange"))?;
        let mut put = Ok(());
        for rank in 0..self.size {
            let (count, come) = (counts[rank], from[rank]);
            // SAFETY: the parts lie one after the other in memory of the GPU that is as long as they are together.
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

    /// Waits for the GPU, and looks meanwhile whether NCCL has lost another rank.
    fn wait(&self, handle: &Handle) -> Result<()> {
        let event = self.stream.record_event(None).map_err(|why| fail("the GPU", &why))?;
        let began = Instant::now();
        let mut turns = 0u32;
        while !event.try_is_complete().map_err(|why| fail("an exchange", &why))? {
            let mut state = sys::ncclResult_t::ncclSuccess;
            // SAFETY: the handle is whole, and NCCL writes one value.
            let asked = unsafe { sys::ncclCommGetAsyncError(handle.0, &raw mut state) };
            if let Some(bad) = [asked, state].into_iter().find(|&code| code != sys::ncclResult_t::ncclSuccess) {
                return Err(fail("another rank is gone, or the network is", &bad));
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
