//! Open connections, and the selection of those to close when there are too many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Minimum idle time before a connection is closed in favour of a new one.
const IDLE: Duration = Duration::from_millis(100);

/// Registry of open connections.
pub(crate) struct Peers {
    open: Mutex<BTreeMap<u64, Arc<Peer>>>,
    pub(super) most: usize,
    /// Time a connection may keep the server waiting within a request while others need its slot.
    patience: Duration,
    /// Notification of a closed connection.
    pub(super) closed: Notify,
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No request has begun, or its header is incomplete; the last answer may still be in transit.
    Idle,
    /// The server waits for the body of a request.
    Receiving,
    /// The server computes an answer.
    Working,
}

/// A registered connection.
pub(crate) struct Peer {
    /// Client identity: an IPv4 address, or the network of an IPv6 address.
    pub(crate) client: IpAddr,
    phase: Mutex<(Phase, Instant)>,
    /// The client does not read what it is sent.
    pub(super) blocked: AtomicBool,
    /// Answers that hold memory of [`Answers`](crate::admission::Answers).
    pub(crate) large_answers: AtomicUsize,
    /// The server is stopping: the client has less time to continue reading.
    pub(super) stopping: AtomicBool,
    /// The connection is to be closed in favour of others.
    pub(super) close: Notify,
}

impl Peer {
    fn new(address: IpAddr) -> Peer {
        let client = match address {
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => mapped.into(),
                // An IPv6 client owns at least a /64 network.
                None => (u128::from(address) >> 64 << 64).to_be_bytes().into(),
            },
            address => address,
        };
        Peer {
            client,
            phase: Mutex::new((Phase::Idle, Instant::now())),
            blocked: AtomicBool::new(false),
            large_answers: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            close: Notify::new(),
        }
    }

    pub(crate) fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now());
    }

    /// The phase and its duration.
    pub(super) fn phase(&self) -> (Phase, Duration) {
        let (phase, since) = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        (phase, since.elapsed())
    }
}

impl Peers {
    pub(crate) fn new(most: usize, stall: Duration) -> Arc<Peers> {
        Arc::new(Peers { open: Mutex::default(), most, patience: stall / 5, closed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Peer>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of open connections.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Registers a connection until the result is dropped.
    pub(super) fn open(self: &Arc<Self>, address: IpAddr) -> Open {
        let peer = Arc::new(Peer::new(address));
        let mut open = self.lock();
        let number = open.last_key_value().map_or(0, |(number, _)| number + 1);
        open.insert(number, peer.clone());
        Open { peers: self.clone(), number, peer }
    }

    /// Closes a connection that keeps the server waiting: preferably an idle one, of the client with the most connections, the
    /// longest idle first.
    pub(super) fn make_room(&self) {
        let open = self.lock();
        let mut counts = HashMap::<IpAddr, usize>::new();
        open.values().for_each(|peer| *counts.entry(peer.client).or_default() += 1);
        let rank = |peer: &Arc<Peer>| {
            let (phase, age) = peer.phase();
            let blocked = peer.blocked.load(Ordering::Relaxed);
            let (rank, patience) = match phase {
                Phase::Working => return None,
                Phase::Idle if !blocked => (0, IDLE),
                _ => (1, self.patience),
            };
            (age >= patience).then(|| (rank, Reverse(counts[&peer.client]), Reverse(age)))
        };
        if let Some((_, peer)) = open.values().filter_map(|peer| Some((rank(peer)?, peer))).min_by_key(|(rank, _)| *rank) {
            peer.close.notify_one();
        }
    }

    /// Closes the connection whose client has been reading a large answer for the longest time, if longer than `patience`.
    pub(crate) fn close_slow_reader(&self, patience: Duration) {
        let open = self.lock();
        let reading = open.values().filter(|peer| peer.large_answers.load(Ordering::Relaxed) > 0);
        let aged = reading.filter_map(|peer| match peer.phase() {
            (Phase::Idle, age) if age >= patience => Some((age, peer)),
            _ => None,
        });
        if let Some((_, peer)) = aged.max_by_key(|(age, _)| *age) {
            peer.close.notify_one();
        }
    }
}

/// Registration of an open connection.
pub(super) struct Open {
    peers: Arc<Peers>,
    number: u64,
    pub(super) peer: Arc<Peer>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.peers.lock().remove(&self.number);
        self.peers.closed.notify_waiters();
    }
}
