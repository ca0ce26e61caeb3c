//! Request bodies in memory: counted as their bytes arrive, so that an announced length takes nothing.
//!
//! Where memory or places run out, bodies whose clients have stopped sending are given up first. A body that is being sent waits
//! (its bytes stay with the client), except the oldest, so that there is always one that gets on. But it waits as well for complete
//! bodies, whose requests need nothing of the others: else one after the other would be the oldest, and all be in memory.
//! Small bodies have a reserve.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::Limits;
use crate::api_error::ApiError;
use crate::pace::Pace;

/// All bodies together, and those of which only a part has arrived.
pub(crate) struct Uploads {
    inner: Mutex<Inner>,
    /// Memory has been released, or a body has been given up.
    changed: Notify,
    /// Bytes for all bodies.
    most: usize,
    /// Further bytes for bodies of up to `small` bytes.
    reserve: usize,
    small: usize,
    /// Bodies that may arrive at the same time.
    places: usize,
    stall: Duration,
    rate: u32,
}

#[derive(Default)]
struct Inner {
    /// Bytes of arriving and of complete bodies.
    held: usize,
    /// Of these, those of complete bodies.
    complete: usize,
    /// By number, which grows: the first is the oldest.
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

    /// Bodies that are arriving.
    pub(crate) fn count(&self) -> usize {
        self.lock().arriving.len()
    }

    /// How long a client may pause while others need what its body takes.
    fn patience(&self) -> Duration {
        self.stall / 50
    }

    /// A place for a body whose bytes are about to arrive.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Upload, ApiError> {
        let mut inner = self.lock();
        if inner.arriving.len() >= self.places && !inner.give_up_stalled(self.patience(), None) {
            return Err(ApiError::busy("all places are taken; try again in a second"));
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
    /// Gives up the largest body whose client has been behind the minimum rate for so long. `false` if there is none.
    fn give_up_stalled(&mut self, patience: Duration, except: Option<u64>) -> bool {
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

/// A body that is arriving.
pub(crate) struct Upload {
    uploads: Arc<Uploads>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Upload {
    /// The server waits for bytes from now on, until the returned time at most.
    pub(crate) fn wait(&self) -> Instant {
        let mut inner = self.uploads.lock();
        inner.arriving.get_mut(&self.number).map_or_else(Instant::now, |body| body.pace.wait())
    }

    /// Finishes when the body has been given up for others.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Counts bytes that have arrived, and waits until there is room for them. An error means that the body has been given up.
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
                // A body is no larger than `most`, so that the oldest always gets on once the complete ones have gone.
                if held + count <= most || oldest && complete + body.bytes + count <= uploads.most {
                    body.bytes += count;
                    inner.held += count;
                    return Ok(());
                }
                if inner.give_up_stalled(uploads.patience(), Some(self.number)) {
                    continue;
                }
            }
            // Another client may stall in the meantime, which nothing reports.
            let _ = timeout(Duration::from_millis(50), changed).await;
        }
    }

    /// The body is complete: it takes memory until the result is dropped, but no place.
    pub(crate) fn complete(self) -> Held {
        let mut inner = self.uploads.lock();
        let bytes = inner.arriving.remove(&self.number).map_or(0, |body| body.bytes);
        inner.complete += bytes;
        drop(inner);
        self.uploads.changed.notify_waiters();
        Held { uploads: self.uploads.clone(), bytes }
    }
}

/// What a client reads whose body has been given up.
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
    fn bodies_at_work_keep_the_oldest_that_arrives_waiting() {
        let limits = Limits::default();
        let uploads = Uploads::new(&limits);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _time = runtime.enter();
        let first = uploads.begin().unwrap();
        poll(pin!(first.add(limits.body))).expect("room").unwrap();
        // It is not the oldest, and waits.
        let second = uploads.begin().unwrap();
        assert!(poll(pin!(second.add(limits.body))).is_none());
        // It is the oldest now, and waits for the complete one, as twelve others would.
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
