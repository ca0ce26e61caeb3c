//! Dynamic batcher: the thread that owns a model's engine, collects inputs into batches and runs the network.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use alexnet::engine::Engine;
use tokio::sync::oneshot;

use crate::Batching;
use crate::admission::Grant;
use crate::api_error::ApiError;
use crate::metrics::Metrics;

/// Inputs whose logits are requested.
struct Job {
    /// `[count, 3, size, size]`.
    images: Vec<f32>,
    count: usize,
    reply: oneshot::Sender<Result<Vec<f32>, String>>,
    since: Instant,
    /// Reserved resources of these inputs, held until they are computed.
    room: Grant,
}

/// Any other task that uses the engine.
type Task = Box<dyn FnOnce(&mut dyn Engine) + Send>;

enum Work {
    Infer(Job),
    Task(Task),
}

/// Handle of a model's engine thread, which ends when the last handle is dropped.
pub(crate) struct Batcher {
    work: Sender<Work>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Requests being read or decoded.
    coming: AtomicUsize,
    /// Inputs waiting for the engine.
    waiting: AtomicUsize,
}

/// Marker of a request on its way to the engine, for which a batch may wait.
pub(crate) struct InFlight(Arc<State>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Batcher {
    /// Starts the thread. The engines of all models take `turn`s, since two at once would only share the cores.
    pub(crate) fn start(
        engine: Box<dyn Engine + Send>,
        batching: Batching,
        metrics: Arc<Metrics>,
        turn: Arc<Mutex<()>>,
    ) -> std::io::Result<Batcher> {
        let (work, received) = channel();
        let state = Arc::new(State::default());
        let runner = Runner {
            engine,
            batching,
            metrics,
            turn,
            state: state.clone(),
            received,
            left: VecDeque::new(),
            after_large: false,
            batch: Vec::new(),
            logits: Vec::new(),
        };
        std::thread::Builder::new().name("engine".into()).spawn(move || runner.run())?;
        Ok(Batcher { work, state })
    }

    /// Announces a request on its way.
    pub(crate) fn coming(&self) -> InFlight {
        self.state.coming.fetch_add(1, Ordering::Relaxed);
        InFlight(self.state.clone())
    }

    /// Number of inputs waiting for the engine.
    pub(crate) fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::Relaxed)
    }

    /// Computes logits `[count, classes]` of `count` inputs.
    pub(crate) async fn infer(&self, images: Vec<f32>, count: usize, room: Grant) -> Result<Vec<f32>, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.state.waiting.fetch_add(count, Ordering::Relaxed);
        let job = Job { images, count, reply, since: Instant::now(), room };
        self.work.send(Work::Infer(job)).map_err(|_| ApiError::ours(ENDED))?;
        let logits = answer.await.map_err(|_| ApiError::ours(ENDED))?.map_err(ApiError::ours)?;
        finite(&logits)?;
        Ok(logits)
    }

    /// Runs `task` with the engine and returns its result.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut dyn Engine) -> alexnet::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |engine: &mut dyn Engine| {
            if !reply.is_closed() {
                let result = catch_unwind(AssertUnwindSafe(|| task(engine)));
                // Nobody waits for the result any more.
                let _ = reply.send(result.map_err(|_| FAILED.to_string()).and_then(|r| r.map_err(|e| e.to_string())));
            }
        });
        self.work.send(Work::Task(task)).map_err(|_| ApiError::ours(ENDED))?;
        answer.await.map_err(|_| ApiError::ours(ENDED))?.map_err(ApiError::ours)
    }
}

/// Rejects values that are not finite: JSON cannot represent them, and they are meaningless.
pub(crate) fn finite(values: &[f32]) -> Result<(), ApiError> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(not_finite())
}

/// Checks that the network's output for one input is finite. A layer within may have turned non-finite values into zeros.
pub(crate) fn finite_logits(engine: &mut dyn Engine, input: &[f32]) -> alexnet::Result<Option<Vec<f32>>> {
    let mut logits = Vec::new();
    engine.infer(input, &mut logits)?;
    Ok(logits.iter().all(|logit| logit.is_finite()).then_some(logits))
}

/// 422: an input for which the network has no finite output.
pub(crate) fn not_finite() -> ApiError {
    ApiError::unanswerable("the model's output for this input is not finite: the input values are too large")
}

const ENDED: &str = "the engine has stopped; please report this";
const FAILED: &str = "the engine failed on this request; please report it";

struct Runner {
    engine: Box<dyn Engine + Send>,
    batching: Batching,
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
    state: Arc<State>,
    received: Receiver<Work>,
    /// Received work that has not been scheduled yet.
    left: VecDeque<Work>,
    /// Whether the last work belonged to a large request.
    after_large: bool,
    /// Concatenated inputs of several requests, reused so that no batch allocates.
    batch: Vec<f32>,
    logits: Vec<f32>,
}

impl Runner {
    fn run(mut self) {
        while let Some(work) = self.next() {
            match work {
                Work::Task(task) => {
                    self.after_large = true;
                    let turn = self.turn.clone();
                    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    task(&mut *self.engine);
                    self.engine.release_gradient_memory();
                }
                Work::Infer(first) => {
                    let jobs = self.gather(first);
                    self.after_large = jobs.iter().any(|job| !job.room.small);
                    self.compute(jobs);
                }
            }
        }
    }

    /// Selects the oldest work, or after a large request the oldest job of a small one, which therefore waits for at most one
    /// batch.
    fn next(&mut self) -> Option<Work> {
        self.left.extend(self.received.try_iter());
        let small = |work: &Work| matches!(work, Work::Infer(job) if job.room.small);
        let at = if self.after_large { self.left.iter().position(small) } else { None };
        self.left.remove(at.unwrap_or(0)).or_else(|| self.received.recv().ok())
    }

    /// Collects the first job and others that fit into its batch, already received or arriving within the delay while requests
    /// are on their way. Large requests fill half of a batch, and none at all if small ones have just waited for them.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let until = first.since + self.batching.delay;
        let most = self.batching.max;
        let most_large = if self.after_large && first.room.small { 0 } else { most.div_ceil(2) };
        let mut count = first.count;
        let mut large = if first.room.small { 0 } else { first.count };
        let mut jobs = vec![first];
        loop {
            let mut at = 0;
            while let Some(work) = self.left.get(at) {
                let fits = |job: &Job| count + job.count <= most && (job.room.small || large + job.count <= most_large);
                if !matches!(work, Work::Infer(job) if fits(job)) {
                    at += 1;
                } else if let Some(Work::Infer(job)) = self.left.remove(at) {
                    count += job.count;
                    large += if job.room.small { 0 } else { job.count };
                    jobs.push(job);
                }
            }
            let alone = self.state.coming.load(Ordering::Relaxed) == 0;
            let wait = if alone { std::time::Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
            // Other work would wait for this batch.
            if count >= most || !self.left.is_empty() {
                return jobs;
            }
            match self.received.recv_timeout(wait) {
                Ok(work) => self.left.push_back(work),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return jobs,
            }
        }
    }

    fn compute(&mut self, mut jobs: Vec<Job>) {
        let waited: usize = jobs.iter().map(|job| job.count).sum();
        self.state.waiting.fetch_sub(waited, Ordering::Relaxed);
        // A client that has disconnected needs no answer.
        jobs.retain(|job| !job.reply.is_closed());
        let count: usize = jobs.iter().map(|job| job.count).sum();
        if count == 0 {
            return;
        }
        let turn = self.turn.clone();
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        jobs.iter().for_each(|job| self.metrics.wait.observe(start.saturating_duration_since(job.since).as_secs_f64()));
        let images = match jobs.as_slice() {
            [job] => &job.images,
            _ => {
                self.batch.clear();
                jobs.iter().for_each(|job| self.batch.extend_from_slice(&job.images));
                &self.batch
            }
        };
        let (engine, logits) = (&mut self.engine, &mut self.logits);
        let result = catch_unwind(AssertUnwindSafe(|| engine.infer(images, logits)));
        self.metrics.batch.observe(count as f64);
        self.metrics.compute.observe(start.elapsed().as_secs_f64());
        let error = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(FAILED.to_string()),
        };
        let classes = self.logits.len() / count;
        let mut at = 0;
        for job in jobs {
            let answer = match &error {
                Some(error) => Err(error.clone()),
                None => Ok(self.logits[at * classes..(at + job.count) * classes].to_vec()),
            };
            at += job.count;
            // The client has just disconnected.
            let _ = job.reply.send(answer);
        }
    }
}
