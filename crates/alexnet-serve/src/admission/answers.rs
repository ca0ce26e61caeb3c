//! Memory budget of large answers, reserved before they are built and released once sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::Limits;
use crate::api_error::ApiError;
use crate::peers::{Peer, Peers};

/// Unit of the memory budget in bytes.
const UNIT: usize = 1024;
/// Size up to which answers are not counted: all connections together hold at most 16 MiB of them.
const SMALL: usize = 16 << 10;
/// Time a client may take to read a large answer while another one waits for memory.
const PATIENCE: Duration = Duration::from_millis(500);

/// Memory budget of all large answers.
pub(crate) struct Answers {
    memory: Arc<Semaphore>,
    /// Maximum size of an answer in bytes.
    most: usize,
    peers: Arc<Peers>,
}

impl Answers {
    pub(crate) fn new(limits: &Limits, peers: Arc<Peers>) -> Answers {
        let units = (limits.answer + limits.answer / 2).div_ceil(UNIT).min(u32::MAX as usize / 2);
        Answers { memory: Arc::new(Semaphore::new(units)), most: limits.answer, peers }
    }

    /// Rejects an answer that would be too large.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= self.most {
            return Ok(());
        }
        let message = format!(
            "the answer could take {bytes} bytes, more than {}; request fewer outputs or images, or binary data",
            self.most
        );
        Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
    }

    /// Reserves memory for an answer of up to `bytes`. If none is left, clients that do not read their answers are disconnected.
    pub(crate) async fn reserve(&self, peer: &Arc<Peer>, bytes: usize) -> Result<Reserved, ApiError> {
        self.check(bytes)?;
        if bytes <= SMALL {
            return Ok(Reserved { memory: None, peer: peer.clone() });
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        loop {
            match timeout(Duration::from_millis(100), self.memory.clone().acquire_many_owned(units)).await {
                Ok(Ok(memory)) => {
                    peer.large_answers.fetch_add(1, Ordering::Relaxed);
                    return Ok(Reserved { memory: Some(memory), peer: peer.clone() });
                }
                Ok(Err(_)) => return Err(ApiError::busy("the server is shutting down")),
                Err(_) => self.peers.close_slow_reader(PATIENCE),
            }
        }
    }
}

/// Reserved memory of one answer.
pub(crate) struct Reserved {
    memory: Option<OwnedSemaphorePermit>,
    peer: Arc<Peer>,
}

impl Reserved {
    /// Wraps the answer so that it holds its memory until sent or dropped.
    pub(crate) fn hold(mut self, content: Vec<u8>) -> Bytes {
        if let Some(memory) = &mut self.memory {
            let spare = memory.num_permits().saturating_sub(content.capacity().div_ceil(UNIT));
            drop(memory.split(spare));
        }
        Bytes::from_owner(Owned { content, _memory: self })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.memory.is_some() {
            self.peer.large_answers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Owned {
    content: Vec<u8>,
    _memory: Reserved,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}
