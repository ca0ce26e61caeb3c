//! A request's body, read whole within limits.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::admission::Place;
use crate::problem::Problem;
use crate::{Limits, Shared};

/// A body in memory, and the place that it takes there.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    _place: Place,
}

/// Takes a place and reads the body, until `deadline`.
pub(crate) async fn read(shared: &Shared, headers: &HeaderMap, body: Body, deadline: Instant) -> Result<Whole, Problem> {
    let limits = &shared.limits;
    let announced = match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok().and_then(|text| text.parse::<u64>().ok()),
        None => None,
    };
    let refuse = |problem: Problem, body: Body| {
        // Who waits to be told to go on sends nothing.
        if !headers.contains_key(header::EXPECT) {
            tokio::spawn(discard(body, limits.body));
        }
        Err(problem)
    };
    if announced.is_some_and(|length| length > limits.body as u64) {
        return refuse(too_large(limits), body);
    }
    let place = match shared.admission.admit(announced.map_or(limits.body, |length| length as usize)) {
        Ok(place) => place,
        Err(problem) => return refuse(problem, body),
    };
    let mut body = body;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(Problem::bad(format!("the body ends too early: {error}"))),
            Ok(None) => return Ok(Whole { bytes, _place: place }),
            Err(_) => {
                let message = format!("the body did not arrive within {:?}; send a smaller picture", limits.time);
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits.body {
            return refuse(too_large(limits), body);
        }
        bytes.extend_from_slice(&data);
    }
}

fn too_large(limits: &Limits) -> Problem {
    let message = format!("the body has more than {} bytes; send smaller or fewer pictures", limits.body);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// How long, and how many times the largest body, a refused body is read and thrown away.
const PATIENCE: (Duration, usize) = (Duration::from_secs(5), 4);

/// Reads on for a while: a client that still sends would meet a closed connection and might never see its answer.
pub(crate) async fn discard(mut body: Body, most: usize) {
    let mut left = most.saturating_mul(PATIENCE.1);
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) else { return };
            left = rest;
        }
    };
    // Time over: the connection is closed.
    let _ = tokio::time::timeout(PATIENCE.0, all).await;
}
