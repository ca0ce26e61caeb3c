//! HTTP server for AlexNet models: a web page, a JSON API, the Open Inference Protocol and Prometheus metrics.
//!
//! ```text
//! connection  header, body within limits of time, size and rate     tokio, one thread
//! admission   memory and scheduling, fair among clients, or 503     (bounds memory under any load)
//! image       decode, resize, crop: the code of `alexnet predict`   blocking threads, one per core
//! batcher     batches of received inputs through the network        one thread per model, the only one to use its engine
//! ```
//!
//! A request keeps the model that it started with, so a reload loses no request: new weights get a second engine for later
//! requests, and the first ends with its last answer. The result for an image is bit-identical regardless of the rest of the
//! batch.

mod admission;
mod api_error;
mod batcher;
mod body;
mod connection;
pub mod dashboard;
mod index;
mod metrics;
mod model;
mod multipart;
mod origin;
mod pace;
mod peers;
mod registry;
mod routes;
mod tensors;
mod unless;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Engine, Precision};
use alexnet::formats::Model;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::admission::Admission;
pub use crate::index::IndexFile;
use crate::metrics::Metrics;
pub use crate::multipart::parts;
use crate::origin::Access;
use crate::peers::Peers;
use crate::registry::Registry;
pub use crate::tensors::{Asked, Input, check_body};

/// Factory of engines: creates the engine of a model for a maximum batch size. It may move the parameters out of the model.
pub type Engines = Arc<dyn Fn(&mut Model, usize) -> alexnet::Result<Box<dyn Engine + Send>> + Send + Sync>;

/// Settings of a server.
#[derive(Clone)]
pub struct Settings {
    /// At least one model; the first is the default for requests that name none.
    pub models: Vec<ModelFile>,
    /// Address to listen on. Port 0 selects a free port: see [`Server::address`].
    pub address: SocketAddr,
    /// Factory of the models' engines.
    pub engines: Engines,
    /// Number of decoding threads; 0 means one per core.
    pub threads: usize,
    /// Batching of inputs.
    pub batching: Batching,
    /// Resource limits of requests.
    pub limits: Limits,
    /// Token required in `Authorization: Bearer ...`, if any.
    pub token: Option<String>,
    /// Accepted host names besides this machine's; a server listening on loopback rejects all others. `*` accepts any.
    pub allow_hosts: Vec<String>,
    /// Origins of cross-site requests to accept, such as `https://example.org`; `*` accepts any.
    pub allow_origins: Vec<String>,
    /// Interval of checks for changed model files; zero disables them.
    pub watch: Duration,
}

/// Factory of CPU engines. The result for an image is bit-identical regardless of the rest of the batch.
pub fn cpu_engines(precision: Precision, threads: usize) -> Engines {
    Arc::new(move |model, batch| {
        let mut engine = Cpu::new(&model.net, batch, threads)?.with_precision(precision)?.batch_invariant();
        alexnet::engine::load_model(model, &mut engine)?;
        model.tensors.clear();
        Ok(Box::new(engine))
    })
}

impl Settings {
    /// Serves `models` on the CPU at 127.0.0.1:8080, within the usual limits.
    pub fn new(models: Vec<ModelFile>) -> Settings {
        Settings {
            models,
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            engines: cpu_engines(Precision::F32, 0),
            threads: 0,
            batching: Batching { max: 32, delay: Duration::from_millis(1) },
            limits: Limits::default(),
            token: None,
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            watch: Duration::from_secs(1),
        }
    }
}

impl ModelFile {
    /// A model file of any format, without an index.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> ModelFile {
        ModelFile { name: name.into(), path: path.into(), others: Vec::new(), net: None, index: None }
    }
}

/// A model to serve, and its name in requests.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Model file, in any format that `alexnet` reads.
    pub path: PathBuf,
    /// Further models of an ensemble, whose probabilities are averaged with those of the first; all must have its classes.
    pub others: Vec<PathBuf>,
    /// Preset in the file, if the file does not specify it.
    pub net: Option<String>,
    /// Feature index for similarity search.
    pub index: Option<IndexFile>,
}

/// Batching of inputs from different requests.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Maximum number of inputs per batch.
    pub max: usize,
    /// Time an input waits for others while other requests are on their way.
    pub delay: Duration,
}

/// Resource limits of requests, and their maximum number.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum body size of a request in bytes.
    pub body: usize,
    /// Maximum pixels per image; the images of a request may have four times as many in total. Determines the decoding memory.
    pub pixels: u64,
    /// Maximum answer size in bytes.
    pub answer: usize,
    /// Time limit for a header to arrive, and of idle connections.
    pub header: Duration,
    /// Time limit from a request's header to its answer; slower bodies and answers are dropped.
    pub time: Duration,
    /// Time a client may pause while it sends a body or reads an answer; beyond that it must keep up the rate.
    pub stall: Duration,
    /// Minimum average transfer rate of a client in bytes per second.
    pub rate: u32,
    /// Maximum number of requests receiving their body, and of requests in progress; further ones get 503.
    pub requests: usize,
    /// Maximum open connections; idle ones are closed to make room.
    pub connections: usize,
    /// Time limit for pending answers on shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 16 << 20,
            pixels: 25_000_000,
            answer: 32 << 20,
            header: Duration::from_secs(20),
            time: Duration::from_secs(30),
            stall: Duration::from_secs(5),
            rate: 8 << 10,
            requests: 256,
            connections: 1024,
            grace: Duration::from_secs(30),
        }
    }
}

/// Errors that prevent a server from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model cannot be read or used.
    #[error(transparent)]
    Model(#[from] alexnet::Error),
    /// Invalid settings.
    #[error("{0}")]
    Settings(String),
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {cause}; choose another --port, or 0 for any free port")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Any other error of the system.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// State shared by all handlers.
struct Shared {
    registry: Registry,
    admission: Admission,
    metrics: Arc<Metrics>,
    token: Option<String>,
    access: Access,
    peers: Arc<Peers>,
    limits: Limits,
    /// True once the server is to stop.
    stopping: watch::Receiver<bool>,
}

/// A listening server with its models loaded, which starts to answer in [`Server::run`].
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    control: Control,
    reload: mpsc::Receiver<()>,
    watch: Duration,
}

/// Handle that stops a server, or makes it check its model files, from any thread or signal handler.
#[derive(Clone)]
pub struct Control {
    stop: Arc<watch::Sender<bool>>,
    reload: mpsc::Sender<()>,
}

impl Control {
    /// Stops the server: accepted requests are answered, then [`Server::run`] returns.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Reloads models whose files have changed.
    pub fn reload(&self) {
        // A full channel means that a reload is already pending.
        let _ = self.reload.try_send(());
    }
}

impl Server {
    /// Loads the models and starts to listen.
    ///
    /// # Errors
    /// A model cannot be read, settings are invalid, or the address cannot be listened on.
    pub fn start(settings: Settings) -> Result<Server, Error> {
        check(&settings)?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Decoders, plus two threads for short tasks that skip the scheduler and for model loading. Each thread takes memory.
        runtime.enable_all().thread_name("http").max_blocking_threads(threads + 2);
        let runtime = runtime.build()?;
        let metrics = Arc::new(Metrics::default());
        let limits = &settings.limits;
        let peers = Peers::new(limits.connections, limits.stall);
        let admission = Admission::new(limits, settings.batching.max, threads, peers.clone());
        let registry = Registry::load(&settings, metrics.clone())?;
        let address = settings.address;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(|cause| Error::Listen { address, cause })?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let (reload, asked) = mpsc::channel(1);
        let control = Control { stop: Arc::new(stop), reload };
        let Settings { token, limits, watch, allow_hosts, allow_origins, .. } = settings;
        let access = Access::new(address, &allow_hosts, &allow_origins);
        let shared = Arc::new(Shared { registry, admission, metrics, token, access, peers, limits, stopping });
        Ok(Server { runtime, listener, address, shared, control, reload: asked, watch })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handle that stops the server.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Answers requests until [`Control::stop`], SIGTERM or SIGINT; a second signal exits at once. SIGHUP reloads changed models.
    ///
    /// # Errors
    /// Signal handlers cannot be installed.
    pub fn run(self) -> Result<(), Error> {
        let Server { runtime, listener, shared, control, reload, watch, .. } = self;
        runtime.block_on(async {
            connection::listen_to_signals(control)?;
            tokio::spawn(registry::keep_fresh(shared.clone(), reload, watch));
            let (routes, state) = (routes::router(shared.clone()), shared.clone());
            let answer = move |peer, request| routes::answer(state.clone(), routes.clone(), peer, request);
            connection::accept(listener, shared, answer).await;
            Ok(())
        })
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let fail = |message: String| Err(Error::Settings(message));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if settings.models.is_empty() {
        return fail("a server needs at least one model".into());
    }
    for (i, ModelFile { name, others, index, .. }) in settings.models.iter().enumerate() {
        if !others.is_empty() && index.is_some() {
            return fail(format!(
                "the model {name} is an ensemble, whose models have no common features: an index needs a single model"
            ));
        }
        if name.is_empty() || !name.chars().all(plain) {
            return fail(format!("the name {name:?} is not valid in a URL: use letters, digits, -, _ and . (--model NAME=FILE)"));
        }
        if settings.models[..i].iter().any(|other| other.name == *name) {
            return fail(format!("two models have the name {name}; give each its own (--model NAME=FILE)"));
        }
    }
    if !(1..=4096).contains(&settings.batching.max) {
        return fail(format!("invalid batch size {}: use 1 to 4096", settings.batching.max));
    }
    let limits = &settings.limits;
    if limits.body == 0
        || limits.pixels == 0
        || limits.requests == 0
        || limits.connections == 0
        || limits.time.is_zero()
        || limits.header.is_zero()
        || limits.stall.is_zero()
        || limits.answer == 0
        || limits.rate == 0
    {
        return fail("a limit of 0 would block every request".into());
    }
    if settings.token.as_ref().is_some_and(|token| token.is_empty() || !token.bytes().all(|b| (0x21..=0x7e).contains(&b))) {
        return fail("the token must be one line of printable characters without spaces".into());
    }
    Ok(())
}
