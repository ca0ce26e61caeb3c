//! What keeps memory bounded and turns fair whatever the load: bodies, the work of requests, and answers.
//!
//! ```text
//! uploads    bodies: counted as they arrive, given up where clients stop sending
//! scheduler  decoders, memory of decoding, inputs of the network: in turns, by client and by cost
//! answers    memory of large answers, until their clients have read them
//! ```
//!
//! Each needs nothing of those before it to get on, so that none can wait for another for ever.

mod answers;
mod scheduler;
mod uploads;

use std::sync::Arc;

use crate::Limits;
use crate::peers::Peers;
pub(crate) use answers::Answers;
pub(crate) use scheduler::{Grant, INPUT, Need, Scheduler, Ticket};
pub(crate) use uploads::{Held, Uploads, too_slow};

/// All of it.
pub(crate) struct Admission {
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) answers: Answers,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, batch: usize, threads: usize, peers: Arc<Peers>) -> Admission {
        Admission {
            uploads: Uploads::new(limits),
            scheduler: Scheduler::new(limits, batch, threads),
            answers: Answers::new(limits, peers),
        }
    }

    /// Requests in hand now.
    pub(crate) fn in_hand(&self) -> usize {
        self.uploads.count() + self.scheduler.count()
    }
}
