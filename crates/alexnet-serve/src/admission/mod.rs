//! Admission control: bounded memory and fair scheduling of request bodies, work and answers.
//!
//! ```text
//! uploads    bodies: counted as they arrive, dropped when clients stop sending
//! scheduler  decoders, decoding memory, network inputs: scheduled by client and by cost
//! answers    memory of large answers, until clients have read them
//! ```
//!
//! Each stage makes progress without the resources of earlier ones, so deadlock is impossible.

mod answers;
mod scheduler;
mod uploads;

use std::sync::Arc;

use crate::Limits;
use crate::peers::Peers;
pub(crate) use answers::Answers;
pub(crate) use scheduler::{Grant, INPUT, Need, Scheduler, Ticket};
pub(crate) use uploads::{Held, Uploads, too_slow};

/// All admission control of a server.
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

    /// Number of requests in progress.
    pub(crate) fn in_hand(&self) -> usize {
        self.uploads.count() + self.scheduler.count()
    }
}
