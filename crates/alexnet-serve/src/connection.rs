//! Connections: accepted up to a number, given a time for each header, and ended without losing an answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::routes::{self, answer};
use crate::{Control, Shared};

/// Bytes of a header, and of what is read ahead of a body.
const BUFFER: usize = 64 << 10;

/// How long a stopping server waits for the first request of a connection: hyper would close it, though the request may be on its way.
const FIRST: Duration = Duration::from_secs(1);

/// Accepts connections until the server is to stop, then waits until all have their answers.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let routes = routes::router(shared.clone());
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let most = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    let mut stopping = shared.stopping.clone();
    let take = |stream: TcpStream, place| {
        let (shared, routes) = (shared.clone(), routes.clone());
        tokio::spawn(async move {
            serve(stream, shared, routes).await;
            drop(place);
        });
    };
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = {
            let mut stop = pin!(stopping.wait_for(|stop| *stop));
            let mut next = pin!(listener.accept());
            poll_fn(|context| {
                use std::task::Poll;
                if stop.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                next.as_mut().poll(context).map(Some)
            })
            .await
        };
        match accepted {
            Some(Ok((stream, _))) => take(stream, place),
            // Out of file handles, or a client gone before it was accepted: others may still be served.
            Some(Err(error)) => {
                log::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None => break,
        }
    }
    // Who has connected already is answered, too.
    while let Ok(Ok((stream, _))) = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await {
        if let Ok(place) = places.clone().try_acquire_owned() {
            take(stream, place);
        }
    }
    drop(listener);
    if tokio::time::timeout(shared.limits.grace, places.acquire_many(most)).await.is_err() {
        log::warn!("some answers were not ready within {:?}", shared.limits.grace);
    }
}

/// Answers the requests of one connection, one after the other.
async fn serve(stream: TcpStream, shared: Arc<Shared>, routes: axum::Router) {
    // Answers are written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let mut stopping = shared.stopping.clone();
    let header = shared.limits.header;
    let begun = Arc::new(Notify::new());
    let seen = begun.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        seen.notify_one();
        answer(shared.clone(), routes.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stop = pin!(async {
        // Neither can fail: the sender lives as long as the server, and time is time.
        let _ = stopping.wait_for(|stop| *stop).await;
        let _ = tokio::time::timeout(FIRST, begun.notified()).await;
    });
    let mut told = false;
    // An error ends the connection: the client has gone, or does not speak HTTP, which hyper has told it.
    let _ = poll_fn(|context| {
        if !told && stop.as_mut().poll(context).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
}

/// Lets signals stop the server or load changed models.
pub(crate) fn listen_to_signals(control: Control) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let (mut signals, control) = (signal(kind)?, control.clone());
            tokio::spawn(async move {
                let mut first = true;
                while signals.recv().await.is_some() {
                    if !first {
                        std::process::exit(1);
                    }
                    first = false;
                    control.stop();
                }
            });
        }
        let mut signals = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                control.reload();
            }
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            control.stop();
        }
    });
    Ok(())
}
