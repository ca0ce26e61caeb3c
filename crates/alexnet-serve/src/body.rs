//! Request bodies, read completely within the limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout_at;

use crate::admission::{Held, too_slow};
use crate::api_error::ApiError;
use crate::peers::{Peer, Phase};
use crate::unless::unless;
use crate::{Limits, Shared};

/// A body in memory.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    /// Memory of the body, kept by everything derived from it.
    pub(crate) held: Arc<Held>,
    /// Connection of the request.
    pub(crate) peer: Arc<Peer>,
    /// Deadline of the answer.
    pub(crate) deadline: Instant,
}

/// Reads the body until `deadline`.
pub(crate) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    peer: Arc<Peer>,
    deadline: Instant,
) -> Result<Whole, ApiError> {
    let limits = &shared.limits;
    let announced = match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok().and_then(|text| text.parse::<u64>().ok()),
        None => None,
    };
    let refuse = |problem: ApiError, body: Body| {
        // A client that waits for `100 Continue` sends nothing.
        if !headers.contains_key(header::EXPECT) {
            tokio::spawn(discard(body, limits.body));
        }
        Err(problem)
    };
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let message = "compressed bodies are not supported; send the body uncompressed";
        return refuse(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message), body);
    }
    if announced.is_some_and(|length| length > limits.body as u64) {
        return refuse(too_large(limits), body);
    }
    let upload = match shared.admission.uploads.begin() {
        Ok(upload) => upload,
        Err(problem) => return refuse(problem, body),
    };
    peer.set(Phase::Receiving);
    let mut body = body;
    let mut blocks = Blocks::default();
    loop {
        let until = upload.wait().min(deadline.into());
        let frame = match unless(upload.given_up(), timeout_at(until, body.frame())).await {
            Some(Ok(Some(Ok(frame)))) => frame,
            Some(Ok(Some(Err(error)))) => return Err(ApiError::bad(format!("the body is incomplete: {error}"))),
            Some(Ok(None)) => break,
            Some(Err(_)) => return Err(too_late(limits)),
            None => return refuse(too_slow(), body),
        };
        let Ok(data) = frame.into_data() else { continue };
        if blocks.len() + data.len() > limits.body {
            return refuse(too_large(limits), body);
        }
        match timeout_at(deadline.into(), upload.add(data.len())).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => return refuse(problem, body),
            Err(_) => return refuse(ApiError::busy("no memory for this body; try again"), body),
        }
        blocks.add(&data);
    }
    peer.set(Phase::Working);
    Ok(Whole { bytes: blocks.join(), held: Arc::new(upload.complete()), peer, deadline })
}

/// Received bytes in blocks. Memory grows with them, whatever the announced length or chunk sizes, and dropped bodies leave no
/// large holes in the heap.
#[derive(Default)]
struct Blocks {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

/// Block size in bytes.
const BLOCK: usize = 64 << 10;

impl Blocks {
    fn len(&self) -> usize {
        self.full.len() * BLOCK + self.last.len()
    }

    fn add(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(BLOCK - self.last.len()));
            self.last.extend_from_slice(now);
            data = later;
            if self.last.len() == BLOCK {
                self.full.push(std::mem::take(&mut self.last));
            }
        }
    }

    fn join(self) -> Vec<u8> {
        if self.full.is_empty() {
            return self.last;
        }
        let mut all = Vec::with_capacity(self.len());
        // Each block is freed once it has been copied.
        self.full.into_iter().for_each(|block| all.extend_from_slice(&block));
        all.extend_from_slice(&self.last);
        all
    }
}

fn too_late(limits: &Limits) -> ApiError {
    let message = format!(
        "the body did not arrive in time: the limits are {:?} in total and {:?} below {} bytes/s; send a smaller image",
        limits.time, limits.stall, limits.rate
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
}

fn too_large(limits: &Limits) -> ApiError {
    let message = format!("the body has more than {} bytes; send smaller or fewer images", limits.body);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// Time limit, and multiple of the largest body, for reading and discarding a rejected body.
const PATIENCE: (Duration, usize) = (Duration::from_secs(5), 4);

/// Continues to read for a while: a client still sending to a closed connection might never see its answer.
pub(crate) async fn discard(mut body: Body, most: usize) {
    let mut left = most.saturating_mul(PATIENCE.1);
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) else { return };
            left = rest;
        }
    };
    // Time is up: close the connection.
    let _ = tokio::time::timeout(PATIENCE.0, all).await;
}
