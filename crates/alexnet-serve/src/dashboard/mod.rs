//! Dashboard of a training run: a live web page on this machine alone.
//!
//! The page shows the run's status, its report in a frame, and a batch of its images, and has a button that stops the run. It
//! listens on the loopback address, answers no other site's pages (as the server of models), and a stop needs a token that only
//! the page contains.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::api_error::{ApiError, bytes, json};
use crate::origin::Access;
use crate::{Error, routes};

/// A run as its dashboard shows it. Methods are called on other threads than training.
pub trait Run: Send + Sync + 'static {
    /// The state of the run, for the page's script.
    fn status(&self) -> serde_json::Value;

    /// The report as HTML, once there is one.
    fn report(&self) -> Option<String>;

    /// A drawing of some images of the current epoch, as SVG.
    fn images(&self) -> Option<String>;

    /// Stops the run as soon as it can be resumed.
    fn stop(&self);
}

/// Header of a request that stops the run.
const TOKEN: HeaderName = HeaderName::from_static("dashboard-token");
/// Maximum number of open connections; browsers use six.
const CONNECTIONS: usize = 64;
/// Time limit for a header to arrive, and of idle connections.
const HEADER: Duration = Duration::from_secs(20);

/// A dashboard that answers until the process ends.
#[derive(Debug, Clone)]
pub struct Dashboard {
    address: SocketAddr,
    token: String,
}

/// State shared by all connections.
struct Shared {
    run: Arc<dyn Run>,
    access: Access,
    page: String,
    token: String,
}

impl Dashboard {
    /// Starts to answer on a port of the loopback address, on a thread of its own; port 0 selects a free one.
    ///
    /// # Errors
    /// The address cannot be listened on, or the thread cannot be started.
    pub fn start(port: u16, run: Arc<dyn Run>) -> Result<Dashboard, Error> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(|cause| Error::Listen { address, cause })?;
        let (address, token) = (listener.local_addr()?, random());
        let page = include_str!("page.html").replace("{{token}}", &token);
        let shared = Arc::new(Shared { run, access: Access::own(address), page, token: token.clone() });
        let work = move || runtime.block_on(accept(listener, shared));
        std::thread::Builder::new().name("dashboard".into()).spawn(work)?;
        Ok(Dashboard { address, token })
    }

    /// Address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Token of requests that stop the run.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// 128 random bits: the keys of std's hash maps, which the system draws for every process.
fn random() -> String {
    (0..2).map(|_| format!("{:016x}", RandomState::new().build_hasher().finish())).collect()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // More connections are closed at once.
                if let Ok(permit) = open.clone().try_acquire_owned() {
                    let shared = shared.clone();
                    tokio::spawn(async move {
                        serve(stream, shared).await;
                        drop(permit);
                    });
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(shared, request.into_parts().0).await) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEADER);
    // An error ends the connection: the client has disconnected, or does not speak HTTP.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: request::Parts) -> Response<Body> {
    if let Err(refused) = shared.access.check(&request) {
        return refused.into_response();
    }
    let path = request.uri.path();
    if path == "/stop" && request.method == Method::POST {
        return stop(&shared, &request);
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "only POST /stop changes anything").into_response();
    }
    let html = "text/html; charset=utf-8";
    match path {
        "/" => framed(bytes(StatusCode::OK, html, shared.page.clone())),
        "/status" => json(StatusCode::OK, &shared.run.status()),
        "/report" => framed(content(&shared, html, "there is no report yet", |run| run.report()).await),
        "/images" => content(&shared, "image/svg+xml", "no images yet", |run| run.images()).await,
        _ => ApiError::new(StatusCode::NOT_FOUND, "no such page").into_response(),
    }
}

/// Text that takes time to make, so other requests are answered meanwhile.
async fn content(shared: &Shared, kind: &'static str, missing: &str, make: fn(&dyn Run) -> Option<String>) -> Response<Body> {
    let run = shared.run.clone();
    match tokio::task::spawn_blocking(move || make(&*run)).await {
        Ok(Some(text)) => bytes(StatusCode::OK, kind, text),
        Ok(None) => ApiError::new(StatusCode::NOT_FOUND, missing).into_response(),
        Err(_) => ApiError::ours("the program failed to draw this").into_response(),
    }
}

/// Restricts a page to this server, and lets no other site show it in a frame, where its button could be clicked unseen.
fn framed(mut response: Response<Body>) -> Response<Body> {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn stop(shared: &Shared, request: &request::Parts) -> Response<Body> {
    let given = request.headers.get(TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    if !routes::same(given, shared.token.as_bytes()) {
        return ApiError::new(StatusCode::FORBIDDEN, "only the dashboard's own page can stop the run").into_response();
    }
    shared.run.stop();
    json(StatusCode::OK, &serde_json::json!({ "stopping": true }))
}
