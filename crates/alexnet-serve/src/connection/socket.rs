//! Connection socket with features that hyper lacks: a minimum rate for reading clients, and errors with a body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::pace::Pace;
use crate::peers::Peer;

/// Time a client may pause while it reads an answer of a stopping server.
const STOPPING: Duration = Duration::from_secs(1);

/// The stream, shared with the watcher of client disconnects.
#[derive(Clone)]
pub(super) struct Stream(Arc<Mutex<TcpStream>>);

impl Stream {
    pub(super) fn new(stream: TcpStream) -> Stream {
        Stream(Arc::new(Mutex::new(stream)))
    }

    fn lock(&self) -> MutexGuard<'_, TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns ready with `Ok` once the client has closed its side, with an error once the connection is broken.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        match ready!(self.lock().poll_peek(context, &mut ReadBuf::new(&mut byte))) {
            Ok(0) => Poll::Ready(Ok(())),
            // The next request has already arrived.
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Socket that hyper reads from and writes to.
pub(super) struct Socket {
    stream: Stream,
    peer: Arc<Peer>,
    pace: Pace,
    /// Deadline for the client to read something.
    deadline: Pin<Box<Sleep>>,
    /// Replacement of hyper's error response, and the number of bytes already sent.
    error: (Vec<u8>, usize),
}

impl Socket {
    pub(super) fn new(stream: Stream, peer: Arc<Peer>, pace: Pace) -> Socket {
        Socket { stream, peer, pace, deadline: Box::pin(sleep_until(Instant::now())), error: (Vec::new(), 0) }
    }

    /// Tries to write within the client's time limit.
    fn write_some(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.stream.lock()).poll_write_vectored(context, parts);
        if let Poll::Ready(result) = result {
            self.pace.moved(*result.as_ref().unwrap_or(&0));
            self.peer.blocked.store(false, Ordering::Relaxed);
            return Poll::Ready(result);
        }
        self.peer.blocked.store(true, Ordering::Relaxed);
        if self.peer.stopping.load(Ordering::Relaxed) {
            self.pace.limit(STOPPING);
        }
        let until = self.pace.wait();
        if self.deadline.deadline() != until {
            self.deadline.as_mut().reset(until);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }

    /// Sends the rest of an error response.
    fn send_error(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.error.1 < self.error.0.len() {
            let (text, sent) = (std::mem::take(&mut self.error.0), self.error.1);
            let result = self.write_some(context, &[IoSlice::new(&text[sent..])]);
            self.error.0 = text;
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.error.1 += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send_error(context))?;
        if let Some(text) = parts.first().and_then(|part| with_body(part)) {
            let length = parts[0].len();
            self.error = (text, 0);
            // hyper counts its own bytes; the rest is sent by the flush that follows.
            let _ = self.send_error(context)?;
            return Poll::Ready(Ok(length));
        }
        self.write_some(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_error(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_error(context))?;
        Pin::new(&mut *self.stream.lock()).poll_shutdown(context)
    }
}

/// Adds a JSON body to an error response that hyper generates for an invalid request: a status of 400 or above without a body.
/// The routes' own errors all have one.
fn with_body(head: &[u8]) -> Option<Vec<u8>> {
    if !head.starts_with(b"HTTP/1.") || head.get(8..10) != Some(b" 4") {
        return None;
    }
    let head = std::str::from_utf8(head.strip_suffix(b"\r\n\r\n")?).ok()?;
    if head.contains("\r\n\r\n") || !head.lines().any(|line| line == "content-length: 0") {
        return None;
    }
    let status = head.lines().next()?;
    let message = match status.get(9..12)? {
        "431" => "the header is too long; send fewer or shorter header lines",
        "414" => "the URL is too long",
        _ => "not a valid HTTP/1.1 request; check the request line and the header lines",
    };
    let body = serde_json::json!({ "error": message }).to_string();
    let rest: String =
        head.lines().skip(1).filter(|line| *line != "content-length: 0").map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    Some(format!("{status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{rest}\r\n{body}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyper_errors_get_a_body() {
        let plain =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: today\r\n\r\n";
        let text = String::from_utf8(with_body(plain).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 ") && head.contains("connection: close") && head.ends_with("date: today"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && !head.contains("content-length: 0"));
        assert!(body.starts_with("{\"error\":\"the header is too long"));
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nmore\r\n\r\n",
        ] {
            assert_eq!(with_body(other.as_bytes()), None, "{other}");
        }
    }
}
