//! Memory of large answers: reserved before they are built, released when they have been sent.

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

/// Memory is counted in units of this many bytes.
const UNIT: usize = 1024;
/// Smaller answers are not counted: all connections together hold 16 MiB of them.
const SMALL: usize = 16 << 10;
/// How long a client may take for a large answer while another one waits for the memory.
const PATIENCE: Duration = Duration::from_millis(500);

/// Memory of all large answers together.
pub(crate) struct Answers {
    memory: Arc<Semaphore>,
    /// Bytes of one answer.
    most: usize,
    peers: Arc<Peers>,
}

impl Answers {
    pub(crate) fn new(limits: &Limits, peers: Arc<Peers>) -> Answers {
        let units = (limits.answer + limits.answer / 2).div_ceil(UNIT).min(u32::MAX as usize / 2);
        Answers { memory: Arc::new(Semaphore::new(units)), most: limits.answer, peers }
    }

    /// Refuses an answer that would be too large.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= self.most {
            return Ok(());
        }
        let message = format!(
            "the answer could have {bytes} bytes, more than {}; ask for less, for fewer images, or for binary data",
            self.most
        );
        Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
    }

    /// Memory for an answer of up to `bytes`. Clients that do not read theirs lose them when others wait.
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
                Ok(Err(_)) => return Err(ApiError::busy("the server stops")),
                Err(_) => self.peers.close_slow_reader(PATIENCE),
            }
        }
    }
}

/// Memory of one answer.
pub(crate) struct Reserved {
    memory: Option<OwnedSemaphorePermit>,
    peer: Arc<Peer>,
}

impl Reserved {
    /// The answer, which holds its memory until it has been sent or dropped.
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
