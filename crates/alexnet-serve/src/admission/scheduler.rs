//! Fair scheduler of decoders, decoding memory and network inputs.
//!
//! Clients take turns. Among the tasks of one client, every other turn goes to the cheapest (by the resources its request has
//! used so far), the others to the oldest: small requests overtake large ones, and large ones still make progress. If more
//! requests wait than there are slots, the most expensive one is rejected, possibly the new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::Limits;
use crate::api_error::ApiError;

/// Cost of one network input. A decoded pixel costs 1: a megapixel takes about as long as AlexNet on one image.
pub(crate) const INPUT: u64 = 1 << 20;
/// Maximum cost of small requests, such as one photograph, which may use the reserve of inputs.
const SMALL: u64 = 14 * INPUT;
/// Number of tasks that may overtake the oldest one while resources for it are lacking.
const PASSING: u32 = 16;

/// Resources that a task needs at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Threads for decoding or other CPU work outside the network.
    pub(crate) decoders: usize,
    /// Memory in bytes while those threads work.
    pub(crate) memory: u64,
    /// Network inputs, held until they have been computed.
    pub(crate) inputs: usize,
}

/// Scheduler of all tasks.
pub(crate) struct Scheduler {
    inner: Mutex<Inner>,
    /// Total resources.
    total: Need,
    /// Inputs reserved for small requests.
    reserve: usize,
    /// Maximum number of requests in progress.
    places: usize,
}

struct Inner {
    free: Need,
    /// Waiting tasks in order of arrival.
    waiting: Vec<Waiting>,
    /// Requests in progress.
    requests: usize,
    next: u64,
    /// Clients with requests in progress: their number, and the time of the client's last turn.
    clients: HashMap<IpAddr, (usize, u64)>,
    turns: u64,
    /// Whether the next turn is the oldest task's, for tasks without and with inputs.
    by_age: [bool; 2],
    /// Number of turns for which the oldest task has been waiting for resources.
    passed: u32,
}

struct Waiting {
    request: Arc<Request>,
    need: Need,
    cost: u64,
    reply: oneshot::Sender<Grant>,
}

struct Request {
    number: u64,
    client: IpAddr,
    /// Estimated total cost.
    cost: u64,
    /// Cost so far.
    used: AtomicU64,
}

impl Scheduler {
    pub(crate) fn new(limits: &Limits, batch: usize, threads: usize) -> Arc<Scheduler> {
        // One batch in the network and one being filled, at least ten crops, plus half a batch for small requests.
        let reserve = batch.div_ceil(2);
        let total = Need { decoders: threads, memory: decode_memory(limits), inputs: (2 * batch).max(16) + reserve };
        let inner = Inner {
            free: total,
            waiting: Vec::new(),
            requests: 0,
            next: 0,
            clients: HashMap::new(),
            turns: 0,
            by_age: [false; 2],
            passed: 0,
        };
        Arc::new(Scheduler { inner: Mutex::new(inner), total, reserve, places: limits.requests })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of requests in progress.
    pub(crate) fn count(&self) -> usize {
        self.lock().requests
    }

    /// Decoding memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.total.memory
    }

    /// Maximum number of inputs per task.
    pub(crate) fn most_inputs(&self) -> usize {
        self.total.inputs - self.reserve
    }

    /// Admits a request of this cost. If all slots are taken, the most expensive waiting request loses its slot if it is more
    /// expensive than this one.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr, cost: u64) -> Result<Ticket, ApiError> {
        let mut given_up = Vec::new();
        let mut inner = self.lock();
        if inner.requests >= self.places {
            let dearest = inner.waiting.iter().max_by_key(|waiting| waiting.request.cost).map(|waiting| waiting.request.clone());
            let Some(dearest) = dearest.filter(|request| request.cost > cost) else {
                return Err(ApiError::busy("the server is at capacity; try again in a second"));
            };
            let keep;
            (given_up, keep) =
                std::mem::take(&mut inner.waiting).into_iter().partition(|waiting| Arc::ptr_eq(&waiting.request, &dearest));
            inner.waiting = keep;
        }
        inner.requests += 1;
        inner.clients.entry(client).or_default().0 += 1;
        let number = inner.next;
        inner.next += 1;
        drop(inner);
        // Its tasks fail, and so does the request.
        drop(given_up);
        let request = Arc::new(Request { number, client, cost, used: AtomicU64::new(0) });
        Ok(Ticket { scheduler: self.clone(), request })
    }

    /// Grants free resources to the next tasks.
    fn pump(self: &Arc<Self>) {
        loop {
            let mut inner = self.lock();
            inner.waiting.retain(|waiting| !waiting.reply.is_closed());
            let Some(at) = self.choose(&mut inner) else { return };
            let Waiting { request, need, cost, reply } = inner.waiting.remove(at);
            inner.free = inner.free.minus(need);
            inner.turns += 1;
            let turns = inner.turns;
            if let Some((_, last)) = inner.clients.get_mut(&request.client) {
                *last = turns;
            }
            drop(inner);
            request.used.fetch_add(cost, Ordering::Relaxed);
            // Without the lock, since a grant that nobody receives returns its resources.
            let small = request.cost <= SMALL;
            let _ = reply.send(Grant { scheduler: self.clone(), held: need, small });
        }
    }

    /// The next task, if resources suffice.
    fn choose(&self, inner: &mut Inner) -> Option<usize> {
        let fits = |waiting: &Waiting| {
            let reserve = if waiting.request.cost <= SMALL { 0 } else { self.reserve };
            let (need, free) = (waiting.need, inner.free);
            let inputs = need.inputs == 0 || need.inputs + reserve <= free.inputs;
            need.decoders <= free.decoders && need.memory <= free.memory && inputs
        };
        let oldest = inner.waiting.iter().min_by_key(|waiting| waiting.request.number)?;
        if fits(oldest) {
            inner.passed = 0;
        } else if inner.passed >= PASSING {
            return None;
        }
        // Tasks with and without inputs alternate separately; otherwise one kind could always get the turns of the oldest.
        let first = usize::from(inner.turns.is_multiple_of(2));
        let (at, class) = [first, 1 - first].into_iter().find_map(|class| {
            let by_cost = !inner.by_age[class];
            let key = |waiting: &Waiting| {
                let Request { number, client, ref used, .. } = *waiting.request;
                let last = inner.clients.get(&client).map_or(0, |(_, last)| *last);
                let cost = if by_cost { used.load(Ordering::Relaxed) + waiting.cost } else { 0 };
                (last, cost, number)
            };
            let of_class = |waiting: &Waiting| usize::from(waiting.need.inputs > 0) == class && fits(waiting);
            let fitting = inner.waiting.iter().enumerate().filter(|(_, waiting)| of_class(waiting));
            fitting.min_by_key(|(_, waiting)| key(waiting)).map(|(at, _)| (at, class))
        })?;
        inner.by_age[class] = !inner.by_age[class];
        if !inner.waiting.iter().min_by_key(|waiting| waiting.request.number).is_some_and(fits) {
            inner.passed += 1;
        }
        Some(at)
    }
}

/// Decoding memory: twice the largest permitted image, since rotation needs a copy.
fn decode_memory(limits: &Limits) -> u64 {
    limits.pixels.saturating_mul(6).saturating_add(8 << 20)
}

impl Need {
    fn minus(self, other: Need) -> Need {
        Need { decoders: self.decoders - other.decoders, memory: self.memory - other.memory, inputs: self.inputs - other.inputs }
    }

    fn plus(self, other: Need) -> Need {
        Need { decoders: self.decoders + other.decoders, memory: self.memory + other.memory, inputs: self.inputs + other.inputs }
    }
}

/// Slot of an admitted request.
pub(crate) struct Ticket {
    scheduler: Arc<Scheduler>,
    request: Arc<Request>,
}

impl Ticket {
    /// Waits until a task of this request is scheduled. Its needs are capped at the total resources.
    pub(crate) async fn turn(&self, need: Need, cost: u64) -> Result<Grant, ApiError> {
        let total = self.scheduler.total;
        let need = Need {
            decoders: need.decoders.min(total.decoders),
            memory: need.memory.min(total.memory),
            inputs: need.inputs.min(self.scheduler.most_inputs()),
        };
        let (reply, granted) = oneshot::channel();
        self.scheduler.lock().waiting.push(Waiting { request: self.request.clone(), need, cost, reply });
        self.scheduler.pump();
        granted.await.map_err(|_| ApiError::busy("displaced by cheaper requests; try again, or send fewer or smaller images"))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.scheduler.lock();
        inner.requests -= 1;
        if let Some((count, _)) = inner.clients.get_mut(&self.request.client) {
            *count -= 1;
            if *count == 0 {
                inner.clients.remove(&self.request.client);
            }
        }
    }
}

/// Resources of a task, released on drop.
pub(crate) struct Grant {
    scheduler: Arc<Scheduler>,
    held: Need,
    /// Whether the task belongs to a small request.
    pub(crate) small: bool,
}

impl Grant {
    /// Releases everything but the inputs.
    pub(crate) fn keep_inputs(&mut self) {
        let rest = Need { inputs: 0, ..self.held };
        self.release(rest);
    }

    fn release(&mut self, what: Need) {
        self.held = self.held.minus(what);
        let mut inner = self.scheduler.lock();
        inner.free = inner.free.plus(what);
        drop(inner);
        self.scheduler.pump();
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.release(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    fn scheduler(requests: usize) -> Arc<Scheduler> {
        Scheduler::new(&Limits { requests, pixels: 1 << 20, ..Limits::default() }, 8, 2)
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn decoder(memory: u64) -> Need {
        Need { decoders: 1, memory, inputs: 1 }
    }

    #[test]
    fn small_requests_overtake_large_ones_without_starving_them() {
        let scheduler = scheduler(100);
        let large: Vec<Ticket> = (0..20).map(|_| scheduler.enter(CLIENT, 50 * INPUT).unwrap()).collect();
        let mut waiting: Vec<_> = large.iter().map(|ticket| Box::pin(ticket.turn(decoder(0), 50 * INPUT))).collect();
        let mut held: Vec<Grant> = waiting.iter_mut().filter_map(|turn| poll(turn.as_mut())?.ok()).collect();
        assert_eq!(held.len(), 2);
        let small = scheduler.enter(CLIENT, 2 * INPUT).unwrap();
        let mut small = pin!(small.turn(decoder(0), 2 * INPUT));
        assert!(poll(small.as_mut()).is_none());
        // Two turns: one for the cheapest and one for the oldest.
        held.clear();
        let _small = poll(small.as_mut()).expect("its turn").unwrap();
        waiting.drain(..2);
        assert_eq!(waiting.iter_mut().position(|turn| poll(turn.as_mut()).is_some()), Some(0));
    }

    #[test]
    fn clients_take_turns() {
        let scheduler = scheduler(100);
        let other = IpAddr::from([127, 0, 0, 2]);
        let tickets: Vec<Ticket> =
            [CLIENT, CLIENT, CLIENT, CLIENT, other].map(|client| scheduler.enter(client, INPUT).unwrap()).into();
        let mut turns: Vec<_> = tickets.iter().map(|ticket| Box::pin(ticket.turn(decoder(0), INPUT))).collect();
        let mut held: Vec<_> = turns[..2].iter_mut().filter_map(|turn| poll(turn.as_mut())).collect();
        assert!(turns[2..].iter_mut().all(|turn| poll(turn.as_mut()).is_none()));
        drop(held.remove(0));
        // The next turn belongs to the other client, although it arrived last.
        assert!(poll(turns[4].as_mut()).is_some());
    }

    #[test]
    fn the_most_expensive_request_loses_its_slot() {
        let scheduler = scheduler(3);
        let _working: Vec<_> = (0..2).map(|_| scheduler.enter(CLIENT, 9).unwrap()).collect();
        let mut held: Vec<_> = _working.iter().map(|ticket| Box::pin(ticket.turn(decoder(0), 9))).collect();
        let _held: Vec<_> = held.iter_mut().map(|turn| poll(turn.as_mut()).unwrap()).collect();
        let expensive = scheduler.enter(CLIENT, 1000).unwrap();
        let mut turn = pin!(expensive.turn(decoder(0), 100));
        assert!(poll(turn.as_mut()).is_none());
        assert!(scheduler.enter(CLIENT, 1000).is_err());
        let _cheap = scheduler.enter(CLIENT, 10).unwrap();
        assert!(poll(turn.as_mut()).expect("an end").is_err());
    }

    #[test]
    fn cancelled_tasks_release_all_resources() {
        let scheduler = scheduler(3);
        {
            let ticket = scheduler.enter(CLIENT, 1).unwrap();
            let mut held = Box::pin(ticket.turn(Need { decoders: 2, memory: u64::MAX, inputs: 99 }, 1));
            let mut grant = poll(held.as_mut()).unwrap().unwrap();
            let mut late = Box::pin(ticket.turn(decoder(1), 1));
            assert!(poll(late.as_mut()).is_none());
            grant.keep_inputs();
            // Granted, but never polled again.
            drop(late);
        }
        let inner = scheduler.lock();
        assert_eq!((inner.free, inner.requests, inner.clients.len()), (scheduler.total, 0, 0));
    }
}
