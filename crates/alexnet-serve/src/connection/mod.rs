//! Connections: accepted up to a number, given a time for each header, and ended without losing an answer.

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

/// Bytes that are read ahead of a body.
const BUFFER: usize = 64 << 10;
/// Bytes of a header.
const HEADER: usize = 32 << 10;

/// How long a stopping server waits for the first request of a connection: hyper would close it, though the request may be on its way.
const FIRST: Duration = Duration::from_secs(1);

/// Accepts connections, whose requests `answer` answers, until the server is to stop, then waits until all have their answers.
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
        // A client keeps the server waiting in each connection that is closed here; one whose answer is computed stays.
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
            // Out of file handles, or a client gone before it was accepted: others may still be served.
            Some(Err(error)) => {
                log::warn!("a connection could not be accepted: {error}");
                peers.make_room();
                sleep(Duration::from_millis(50)).await;
            }
            None => break,
        }
    }
    // Who has connected already is answered, too.
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

/// Waits until the server is to stop.
async fn stopped(shared: &Shared) {
    wait_for(shared.stopping.clone()).await;
}

async fn wait_for(mut stopping: watch::Receiver<bool>) {
    // Cannot fail: the sender lives as long as the server.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Answers the requests of one connection, one after the other.
async fn serve<A, F>(stream: TcpStream, open: Open, shared: Arc<Shared>, answer: A)
where
    A: Fn(Arc<Peer>, Request<Incoming>) -> F,
    F: Future<Output = Result<Response, Infallible>>,
{
    // Answers are written whole: waiting for more would only delay them.
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
    // After the first, a client has little time to begin a request, or to finish its header.
    let (mut told, mut leaving): (bool, Pin<Box<Sleep>>) = (false, Box::pin(sleep(FIRST)));
    let mut gone: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if !told && stop.as_mut().poll(context).is_ready() {
            told = true;
            // The socket sees this when hyper tries to write again, which it does below.
            peer.stopping.store(true, Ordering::Relaxed);
            leaving.as_mut().reset(Instant::now() + FIRST);
            connection.as_mut().graceful_shutdown();
        }
        // An error ends the connection: the client has gone, or does not speak HTTP, which it has been told.
        if connection.as_mut().poll(context).is_ready() || close.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let (phase, _) = peer.phase();
        let blocked = peer.blocked.load(Ordering::Relaxed);
        if told && phase == Phase::Idle && !blocked && leaving.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // While an answer is computed, a client that has closed its side may wait for it, or have gone: nothing tells. It gets some time.
        if phase != Phase::Working {
            gone = None;
        } else if let Some(gone) = &mut gone {
            return gone.as_mut().poll(context);
        } else if let Poll::Ready(end) = stream.poll_end(context) {
            let mut patience = Box::pin(sleep(limits.stall));
            if end.is_err() || patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            gone = Some(patience);
        }
        Poll::Pending
    })
    .await;
}
