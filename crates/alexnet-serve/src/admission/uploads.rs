//! Memory budget of request bodies, counted as bytes arrive, so that an announced length alone reserves nothing.
//!
//! When memory or slots run out, bodies of stalled clients are dropped first. A body being sent waits (its bytes stay with the
//! client), except the oldest one, so there is always one that makes progress. But even the oldest waits for complete bodies,
//! whose requests need nothing from the others: otherwise one after the other would become the oldest, and all would be in
//! memory. Small bodies have a reserve.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::Limits;
use crate::api_error::ApiError;
use crate::pace::Pace;

/// All bodies in memory, complete or arriving.
pub(crate) struct Uploads {
    inner: Mutex<Inner>,
    /// Notification of released memory or a dropped body.
    changed: Notify,
    /// Memory for all bodies in bytes.
    most: usize,
    /// Additional memory for bodies of up to `small` bytes.
    reserve: usize,
    small: usize,
    /// Maximum number of bodies arriving at the same time.
    places: usize,
    stall: Duration,
    rate: u32,
}

#[derive(Default)]
struct Inner {
    /// Bytes of arriving and complete bodies.
    held: usize,
    /// Bytes of complete bodies.
    complete: usize,
    /// Arriving bodies by ascending number; the first is the oldest.
    arriving: BTreeMap<u64, Arriving>,
    next: u64,
}

struct Arriving {
    bytes: usize,
    pace: Pace,
    given_up: Arc<Notify>,
}

impl Uploads {
    pub(crate) fn new(limits: &Limits) -> Arc<Uploads> {
        Arc::new(Uploads {
            inner: Mutex::default(),
            changed: Notify::new(),
            most: limits.body.max(8 << 20),
            reserve: limits.body.max(4 << 20),
            small: (limits.body / 16).max(64 << 10),
            places: limits.requests,
            stall: limits.stall,
            rate: limits.rate,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of arriving bodies.
    pub(crate) fn count(&self) -> usize {
        self.lock().arriving.len()
    }

    /// Time a client may pause while others need the memory of its body.
    fn patience(&self) -> Duration {
        self.stall / 50
    }

    /// Reserves a slot for a body about to arrive.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Upload, ApiError> {
        let mut inner = self.lock();
        if inner.arriving.len() >= self.places && !inner.drop_stalled(self.patience(), None) {
            return Err(ApiError::busy("the server is at capacity; try again in a second"));
        }
        let number = inner.next;
        inner.next += 1;
        let given_up = Arc::new(Notify::new());
        let pace = Pace::new(self.stall, self.rate);
        inner.arriving.insert(number, Arriving { bytes: 0, pace, given_up: given_up.clone() });
        Ok(Upload { uploads: self.clone(), number, given_up })
    }
}

impl Inner {
    /// Drops the largest body whose client has been below the minimum rate for `patience`. Returns `false` if there is none.
    fn drop_stalled(&mut self, patience: Duration, except: Option<u64>) -> bool {
        let stalled = self.arriving.iter().filter(|(number, body)| Some(**number) != except && body.pace.behind() >= patience);
        let Some(number) = stalled.max_by_key(|(_, body)| (body.bytes, body.pace.behind())).map(|(number, _)| *number) else {
            return false;
        };
        if let Some(body) = self.arriving.remove(&number) {
            self.held -= body.bytes;
            body.given_up.notify_one();
        }
        true
    }
}

/// An arriving body.
pub(crate) struct Upload {
    uploads: Arc<Uploads>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Upload {
    /// Starts waiting for bytes, until the returned time at most.
    pub(crate) fn wait(&self) -> Instant {
        let mut inner = self.uploads.lock();
        inner.arriving.get_mut(&self.number).map_or_else(Instant::now, |body| body.pace.wait())
    }

    /// Completes when the body has been dropped in favour of others.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Counts arrived bytes, and waits until they fit into memory. An error means that the body has been dropped.
    pub(crate) async fn add(&self, count: usize) -> Result<(), ApiError> {
        let uploads = &self.uploads;
        let mut arrived = count;
        loop {
            let changed = uploads.changed.notified();
            {
                let mut inner = uploads.lock();
                let (held, complete) = (inner.held, inner.complete);
                let oldest = inner.arriving.keys().next() == Some(&self.number);
                let body = inner.arriving.get_mut(&self.number).ok_or_else(too_slow)?;
                body.pace.moved(std::mem::take(&mut arrived));
                let most = if body.bytes + count <= uploads.small { uploads.most + uploads.reserve } else { uploads.most };
                // A body is no larger than `most`, so the oldest always proceeds once the complete ones are gone.
                if held + count <= most || oldest && complete + body.bytes + count <= uploads.most {
                    body.bytes += count;
                    inner.held += count;
                    return Ok(());
                }
                if inner.drop_stalled(uploads.patience(), Some(self.number)) {
                    continue;
                }
            }
            // Another client may stall meanwhile, without a notification.
            let _ = timeout(Duration::from_millis(50), changed).await;
        }
    }

    /// Marks the body as complete: it keeps its memory until the result is dropped, but releases its slot.
    pub(crate) fn complete(self) -> Held {
        let mut inner = self.uploads.lock();
        let bytes = inner.arriving.remove(&self.number).map_or(0, |body| body.bytes);
        inner.complete += bytes;
        drop(inner);
        self.uploads.changed.notify_waiters();
        Held { uploads: self.uploads.clone(), bytes }
    }
}

/// Error for a client whose body has been dropped.
pub(crate) fn too_slow() -> ApiError {
    ApiError::busy("the body arrives too slowly while others wait; try again")
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut inner = self.uploads.lock();
        if let Some(body) = inner.arriving.remove(&self.number) {
            inner.held -= body.bytes;
        }
        drop(inner);
        self.uploads.changed.notify_waiters();
    }
}

/// Memory of a complete body.
pub(crate) struct Held {
    uploads: Arc<Uploads>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.uploads.lock();
        inner.held -= self.bytes;
        inner.complete -= self.bytes;
        drop(inner);
        self.uploads.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn complete_bodies_block_the_oldest_arriving_one() {
        let limits = Limits::default();
        let uploads = Uploads::new(&limits);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _time = runtime.enter();
        let first = uploads.begin().unwrap();
        poll(pin!(first.add(limits.body))).expect("room").unwrap();
        // It is not the oldest, so it waits.
        let second = uploads.begin().unwrap();
        assert!(poll(pin!(second.add(limits.body))).is_none());
        // It is the oldest now, but waits for the complete body, as twelve others would.
        let complete = first.complete();
        assert!(poll(pin!(second.add(limits.body))).is_none());
        let small = uploads.begin().unwrap();
        poll(pin!(small.add(uploads.small))).expect("room").unwrap();
        drop(complete);
        poll(pin!(second.add(limits.body - uploads.small))).expect("room").unwrap();
        poll(pin!(second.add(uploads.small))).expect("room").unwrap();
        drop((second, small));
        let inner = uploads.lock();
        assert_eq!((inner.held, inner.complete, inner.arriving.len()), (0, 0, 0));
    }
}
