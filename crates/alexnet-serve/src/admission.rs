//! What keeps memory bounded whatever the load: places for requests, for the bytes of their bodies, for decoders, and for inputs
//! of the network.
//!
//! A request that finds no place is refused at once, before its body is read. One that has been let in is answered: it waits for
//! decoders and inputs, whose holders need nothing more and so always come to an end.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;
use crate::problem::Problem;

/// Bodies of so many times the largest size may be in memory together.
const BODIES: usize = 16;
/// Bodies are counted in units of this many bytes.
const UNIT: usize = 1024;

/// The places.
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    inputs: Arc<Semaphore>,
    most_requests: usize,
    most_inputs: usize,
}

/// The place of a request and its body.
pub(crate) struct Place {
    _request: OwnedSemaphorePermit,
    _body: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, batch: usize, threads: usize) -> Admission {
        // Four batches: one in the network, one that fills up, and what is being decoded for the next. At least ten crops.
        let most_inputs = (4 * batch).max(16);
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Admission {
            requests: semaphore(limits.requests),
            bodies: semaphore(BODIES * limits.body.div_ceil(UNIT)),
            decoders: semaphore(threads),
            inputs: semaphore(most_inputs),
            most_requests: limits.requests,
            most_inputs,
        }
    }

    /// A place for a request whose body has up to `bytes`.
    pub(crate) fn admit(&self, bytes: usize) -> Result<Place, Problem> {
        let full = || Problem::busy("all places are taken; try again in a second");
        let request = self.requests.clone().try_acquire_owned().map_err(|_| full())?;
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let body = self.bodies.clone().try_acquire_many_owned(units).map_err(|_| full())?;
        Ok(Place { _request: request, _body: body })
    }

    /// Waits until it is a picture's turn to be decoded.
    pub(crate) async fn decoder(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.decoders.clone().acquire_owned().await.map_err(|_| Problem::busy("the server stops"))
    }

    /// Waits for room for `count` inputs, which must be no more than [`most_inputs`](Self::most_inputs).
    pub(crate) async fn inputs(&self, count: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.inputs.clone().acquire_many_owned(count).await.map_err(|_| Problem::busy("the server stops"))
    }

    /// The most inputs that are in memory together.
    pub(crate) fn most_inputs(&self) -> usize {
        self.most_inputs
    }

    /// Requests in hand now.
    pub(crate) fn in_hand(&self) -> usize {
        self.most_requests.saturating_sub(self.requests.available_permits())
    }
}
