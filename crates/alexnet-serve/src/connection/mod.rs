//! Connections: accepted up to a maximum number, with header time limits, and closed without losing an answer.

mod signals;
mod socket;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};

pub(crate) use self::signals::listen as listen_to_signals;
use self::socket::{Socket, Stream};
use crate::Shared;
use crate::pace::Pace;
use crate::peers::{Open, Peer, Phase};
use crate::unless::unless;

/// Read-ahead of a body in bytes.
const BUFFER: usize = 64 << 10;
/// Maximum header size in bytes.
const HEADER: usize = 32 << 10;

/// Time that a stopping server waits for a connection's first request, which may be on its way when hyper would close the
/// connection.
const FIRST: Duration = Duration::from_secs(1);

/// Accepts connections and answers their requests by `answer` until shutdown, then waits for pending answers.
pub(crate) async fn accept<A, F>(listener: TcpListener, shared: Arc<Shared>, answer: A)
where
    A: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let peers = shared.peers.clone();
    let take = |stream: TcpStream, open| {
        tokio::spawn(serve(stream, open, shared.clone(), answer.clone()));
    };
    loop {
        // Connections whose client keeps the server waiting are closed here; those with an answer in progress stay.
        if peers.count() >= peers.most {
            let closed = peers.closed.notified();
            peers.make_room();
            let waited = unless(stopped(&shared), timeout(Duration::from_millis(50), closed)).await;
            if waited.is_none() {
                break;
            }
            continue;
        }
        match unless(stopped(&shared), listener.accept()).await {
            Some(Ok((stream, address))) => take(stream, peers.open(address.ip())),
            // Out of file handles, or the client disconnected before it was accepted: continue with others.
            Some(Err(error)) => {
                log::warn!("failed to accept a connection: {error}");
                peers.make_room();
                sleep(Duration::from_millis(50)).await;
            }
            None => break,
        }
    }
    // Clients already connected are answered too.
    while let Ok(Ok((stream, address))) = timeout(Duration::from_millis(1), listener.accept()).await {
        if peers.count() < peers.most {
            take(stream, peers.open(address.ip()));
        }
    }
    drop(listener);
    let end = Instant::now() + shared.limits.grace;
    loop {
        let closed = peers.closed.notified();
        if peers.count() == 0 {
            return;
        }
        if timeout_at(end, closed).await.is_err() {
            log::warn!("some answers were not ready within {:?}", shared.limits.grace);
            return;
        }
    }
}

/// Waits for shutdown.
async fn stopped(shared: &Shared) {
    wait_for(shared.stopping.clone()).await;
}

async fn wait_for(mut stopping: watch::Receiver<bool>) {
    // Cannot fail, since the sender lives as long as the server.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Answers the requests of one connection in order.
async fn serve<A, F>(stream: TcpStream, open: Open, shared: Arc<Shared>, answer: A)
where
    A: Fn(Arc<Peer>, Request<Incoming>) -> F,
    F: Future<Output = Result<Response, Infallible>>,
{
    // Answers are written whole, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let limits = shared.limits;
    let stopping = shared.stopping.clone();
    let (stream, peer) = (Stream::new(stream), open.peer.clone());
    let socket = Socket::new(stream.clone(), peer.clone(), Pace::new(limits.stall, limits.rate));
    let begun = Arc::new(Notify::new());
    let (seen, of_request) = (begun.clone(), peer.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        seen.notify_one();
        answer(of_request.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .half_close(true)
        .max_buf_size(BUFFER)
        .max_header_size(HEADER)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let mut stop = pin!(async {
        wait_for(stopping).await;
        let _ = timeout(FIRST, begun.notified()).await;
    });
    let mut close = pin!(peer.close.notified());
    // After the first request, a client has little time to begin another one or to finish its header.
    let (mut stopping, mut leaving): (bool, Pin<Box<Sleep>>) = (false, Box::pin(sleep(FIRST)));
    let mut patience_left: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            // The socket notices this when hyper tries to write again, below.
            peer.stopping.store(true, Ordering::Relaxed);
            leaving.as_mut().reset(Instant::now() + FIRST);
            connection.as_mut().graceful_shutdown();
        }
        // An error ends the connection: the client has disconnected, or does not speak HTTP and has received an error.
        if connection.as_mut().poll(context).is_ready() || close.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let (phase, _) = peer.phase();
        let blocked = peer.blocked.load(Ordering::Relaxed);
        if stopping && phase == Phase::Idle && !blocked && leaving.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // While an answer is computed, a client that has closed its side may still wait for it or have disconnected, which is
        // indistinguishable; it gets some time.
        if phase != Phase::Working {
            patience_left = None;
        } else if let Some(patience) = &mut patience_left {
            return patience.as_mut().poll(context);
        } else if let Poll::Ready(end) = stream.poll_end(context) {
            let mut patience = Box::pin(sleep(limits.stall));
            if end.is_err() || patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            patience_left = Some(patience);
        }
        Poll::Pending
    })
    .await;
}
