//! AlexNet over HTTP: a page to drop images on, JSON for programs, the Open Inference Protocol, figures for Prometheus.
//!
//! ```text
//! connection  header, body within limits of time, size and rate     tokio, one thread
//! admission   memory and turns, fair among clients, or 503          (so that memory is bounded whatever the load)
//! image     decode, resize, crop: the code of `alexnet predict`   blocking threads, one a core
//! engine      batches of what has arrived, through the network      one thread a model, which alone touches its engine
//! ```
//!
//! A request keeps the model that it began with, so that new weights lose none: they are a second engine that later requests find,
//! and the first ends with its last answer. An image's answer has the same bits whatever is beside it in the batch.

mod admission;
mod api_error;
mod batcher;
mod body;
mod connection;
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

/// Makes the engine that answers for a model, for batches of up to so many images. It may take the parameters out of the model.
pub type Engines = Arc<dyn Fn(&mut Model, usize) -> alexnet::Result<Box<dyn Engine + Send>> + Send + Sync>;

/// What a server serves, and within which limits.
#[derive(Clone)]
pub struct Settings {
    /// At least one; the first answers where a request names none.
    pub models: Vec<ModelFile>,
    /// Where to listen. Port 0 takes any that is free: see [`Server::address`].
    pub address: SocketAddr,
    /// What runs the models.
    pub engines: Engines,
    /// Threads of decoding; 0 is one a core.
    pub threads: usize,
    /// How inputs are put together.
    pub batching: Batching,
    /// What a request may take.
    pub limits: Limits,
    /// What `Authorization: Bearer ...` must say, if anything.
    pub token: Option<String>,
    /// Host names that requests may be for, beside those of this machine; where it listens on loopback, others are refused. `*`
    /// for any.
    pub allow_hosts: Vec<String>,
    /// Origins of other sites' pages that may send requests, such as `https://example.org`; `*` for any.
    pub allow_origins: Vec<String>,
    /// How often to look whether a model file has changed; zero: never.
    pub watch: Duration,
}

/// Engines on the CPU. An image has the same answer, to the last bit, whatever is beside it in a batch.
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
        ModelFile { name: name.into(), path: path.into(), net: None, index: None }
    }
}

/// A model and the name under which it is asked for.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The file, of any format that `alexnet` reads.
    pub path: PathBuf,
    /// The preset that it is, where the file does not tell.
    pub net: Option<String>,
    /// Images that it knows, among which the nearest are found.
    pub index: Option<IndexFile>,
}

/// How inputs from different requests are put together.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most inputs that go through the network together.
    pub max: usize,
    /// How long an input waits for others, while other requests are on their way.
    pub delay: Duration,
}

/// What a request may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Pixels of an image; a request's images may have four times as many together. Memory for decoding follows from it.
    pub pixels: u64,
    /// Bytes of an answer.
    pub answer: usize,
    /// For a header to arrive, and for a connection to lie idle.
    pub header: Duration,
    /// From a request's header to its answer; a body that comes slower, or an answer that takes longer, is given up.
    pub time: Duration,
    /// How long a client may pause while it sends a body or reads an answer; beyond that it must keep up the rate.
    pub stall: Duration,
    /// Bytes a second that a client must send or read on average.
    pub rate: u32,
    /// Requests whose bodies arrive, and as many again at work; more are answered 503.
    pub requests: usize,
    /// Open connections; for more, idle ones are closed.
    pub connections: usize,
    /// How long a stopping server waits for the answers that it owes.
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

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model that cannot be read or used.
    #[error(transparent)]
    Model(#[from] alexnet::Error),
    /// Settings that cannot work.
    #[error("{0}")]
    Settings(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; choose another --port, or 0 for any that is free")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The system refuses something else.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// What the handlers share.
struct Shared {
    registry: Registry,
    admission: Admission,
    metrics: Arc<Metrics>,
    token: Option<String>,
    access: Access,
    peers: Arc<Peers>,
    limits: Limits,
    /// True once it is to stop.
    stopping: watch::Receiver<bool>,
}

/// A server that listens and has its models loaded, but answers only in [`Server::run`].
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    control: Control,
    reload: mpsc::Receiver<()>,
    watch: Duration,
}

/// Stops a server, or makes it look at its model files, from any thread or signal.
#[derive(Clone)]
pub struct Control {
    stop: Arc<watch::Sender<bool>>,
    reload: mpsc::Sender<()>,
}

impl Control {
    /// Answers what has been taken, then ends [`Server::run`].
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Loads models anew from files that have changed.
    pub fn reload(&self) {
        // A full channel means that this is about to happen.
        let _ = self.reload.try_send(());
    }
}

impl Server {
    /// Loads the models and begins to listen.
    ///
    /// # Errors
    /// A model that cannot be read, settings that cannot work, an address that cannot be listened on.
    pub fn start(settings: Settings) -> Result<Server, Error> {
        check(&settings)?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Decoders, and two for work that is too light to wait for its turn, or loads models. Each thread keeps memory.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Answers requests until it is told to stop: by [`Control::stop`], SIGTERM or SIGINT; a second signal ends the program at
    /// once. SIGHUP loads changed models.
    ///
    /// # Errors
    /// When signals cannot be received.
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
    for (i, ModelFile { name, .. }) in settings.models.iter().enumerate() {
        if name.is_empty() || !name.chars().all(plain) {
            return fail(format!(
                "the name {name:?} cannot stand in an address: use letters, digits, -, _ and . (--model NAME=FILE)"
            ));
        }
        if settings.models[..i].iter().any(|other| other.name == *name) {
            return fail(format!("two models have the name {name}; give each its own (--model NAME=FILE)"));
        }
    }
    if !(1..=4096).contains(&settings.batching.max) {
        return fail(format!("batches of {}: use 1 to 4096", settings.batching.max));
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
        return fail("a limit of 0 would let nothing through".into());
    }
    if settings.token.as_ref().is_some_and(|token| token.is_empty() || !token.bytes().all(|b| (0x21..=0x7e).contains(&b))) {
        return fail("the token must be one line of printable characters without spaces".into());
    }
    Ok(())
}
