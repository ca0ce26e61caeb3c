//! Replies built within their reserved memory.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use tokio::task::spawn_blocking;

use super::images::Job;
use crate::admission::Need;
use crate::api_error::{ApiError, bytes};
use crate::peers::Peer;

/// Size up to which replies are built at once; larger ones are scheduled.
const QUICK: usize = 64 << 10;

/// A reply before its conversion to HTTP.
pub(super) struct Content {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl Content {
    pub(super) fn json(value: &impl serde::Serialize) -> Result<Content, ApiError> {
        let bytes = serde_json::to_vec(value).map_err(|error| ApiError::ours(error.to_string()))?;
        Ok(Content { kind: "application/json", bytes, header: None })
    }

    pub(super) fn png(bytes: Vec<u8>) -> Content {
        Content { kind: "image/png", bytes, header: None }
    }
}

/// Builds a reply of up to `size` bytes.
pub(super) async fn reply(
    job: &Job,
    peer: &Arc<Peer>,
    size: usize,
    build: impl FnOnce() -> Result<Content, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let memory = job.shared.admission.answers.reserve(peer, size).await?;
    let content = if size <= QUICK { build()? } else { in_turn(job, size as u64, build).await?? };
    let mut response = bytes(StatusCode::OK, content.kind, memory.hold(content.bytes));
    if let Some((name, value)) = content.header {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// Work size in bytes up to which no scheduling is needed.
const LIGHT: u64 = 2 << 20;

/// Runs blocking work on a separate thread when scheduled, with the given amount of memory.
pub(super) async fn in_turn<T: Send + 'static>(
    job: &Job,
    memory: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let need = Need { decoders: 1, memory, inputs: 0 };
    let grant = if memory > LIGHT { Some(job.ticket.turn(need, memory).await?) } else { None };
    let work = move || {
        let _grant = grant;
        work()
    };
    spawn_blocking(work).await.map_err(|_| ApiError::ours("the server failed on this request; please report it"))
}
