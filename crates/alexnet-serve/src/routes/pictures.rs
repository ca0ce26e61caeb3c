//! Pictures of a request, through decoding and the network.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use alexnet::image::{Picture, Preprocess, decode};
use alexnet::predict;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use tokio::task::{JoinSet, spawn_blocking};

use crate::body::{self, Whole};
use crate::model::Loaded;
use crate::problem::Problem;
use crate::{Shared, multipart};

/// Most pictures of one request.
const MOST: usize = 64;

/// A picture within a body.
pub(super) struct File {
    /// As the client calls it.
    pub(super) name: Option<String>,
    range: Range<usize>,
}

/// The pictures of a body: it is one, or a form has some.
pub(super) fn files(headers: &HeaderMap, whole: &Whole) -> Result<Vec<File>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.trim_start().get(..10).is_some_and(|media| media.eq_ignore_ascii_case("multipart/")) {
        if whole.bytes.is_empty() {
            return Err(Problem::bad("the body is empty; send a picture, or a form with pictures (curl --data-binary @FILE)"));
        }
        return Ok(vec![File { name: None, range: 0..whole.bytes.len() }]);
    }
    let start = whole.bytes.as_ptr() as usize;
    let parts = multipart::parts(kind, &whole.bytes).map_err(Problem::bad)?;
    let files: Vec<File> = parts
        .into_iter()
        .filter(|part| !part.content.is_empty())
        .map(|part| {
            let from = part.content.as_ptr() as usize - start;
            File { name: part.file.or(part.name), range: from..from + part.content.len() }
        })
        .collect();
    match files.len() {
        0 => Err(Problem::bad("the form has no pictures (curl -F picture=@FILE)")),
        n if n > MOST => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{n} pictures in one request; send {MOST} at most")))
        }
        _ => Ok(files),
    }
}

/// The only picture of a request; `wanted` tells what it is sent for.
pub(super) fn only<'a>(files: &'a [File], wanted: &str) -> Result<&'a File, Problem> {
    match files {
        [file] => Ok(file),
        _ => Err(Problem::bad(format!("{} pictures; send one{wanted}", files.len()))),
    }
}

/// Runs what answers a request with a body, within the limits.
pub(super) async fn within<F: Future<Output = Result<T, Problem>>, T>(
    shared: &Arc<Shared>,
    request: Request<Body>,
    work: impl FnOnce(HeaderMap, Whole) -> F,
) -> Result<T, Problem> {
    let deadline = tokio::time::Instant::now() + shared.limits.time;
    let (parts, body) = request.into_parts();
    let whole = body::read(shared, &parts.headers, body, deadline).await?;
    match tokio::time::timeout_at(deadline, work(parts.headers, whole)).await {
        Ok(result) => result,
        Err(_) => Err(Problem::busy(format!("no answer within {:?}; try again, or send fewer pictures", shared.limits.time))),
    }
}

/// Decodes a picture on a thread of its own, when it is its turn, and lets `finish` make something of it there.
pub(super) async fn decoded<T: Send + 'static>(
    shared: &Shared,
    bytes: impl AsRef<[u8]> + Send + 'static,
    finish: impl FnOnce(&Picture) -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    let turn = shared.admission.decoder().await?;
    let (max_pixels, time, metrics) = (shared.limits.pixels, shared.limits.time, shared.metrics.clone());
    let work = move || {
        let _turn = turn;
        let start = Instant::now();
        let limits = decode::DecodeLimits { max_pixels, deadline: Some(start + time) };
        let result = decode::decode_with(bytes.as_ref(), &limits).and_then(|picture| finish(&picture));
        metrics.decode.observe(start.elapsed().as_secs_f64());
        result
    };
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
        Err(_) => Err(Problem::ours("the server failed on this picture; please report it")),
    }
}

/// The part of a body that is one picture.
pub(super) struct Slice(pub(super) Arc<Whole>, Range<usize>);

impl Slice {
    pub(super) fn new(whole: &Arc<Whole>, file: &File) -> Slice {
        Slice(whole.clone(), file.range.clone())
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes[self.1.clone()]
    }
}

/// What the network sees of a picture.
fn inputs(picture: &Picture, preprocess: &Preprocess, crops: usize) -> Result<Vec<f32>, String> {
    let mut images = Vec::new();
    predict::inputs(picture, preprocess, crops, &mut images).map_err(|e| e.to_string())?;
    Ok(images)
}

/// Logits of each picture's crops, `[crops, classes]`, in order.
pub(super) async fn logits<B: AsRef<[u8]> + Send + 'static>(
    shared: &Arc<Shared>,
    model: &Arc<Loaded>,
    files: Vec<B>,
    crops: usize,
) -> Vec<Result<Vec<f32>, Problem>> {
    let mut answers: Vec<_> = files.iter().map(|_| Err(Problem::ours("the server failed on this picture"))).collect();
    // Given up together when the client goes, or the time is over.
    let mut tasks = JoinSet::new();
    for (i, bytes) in files.into_iter().enumerate() {
        let (shared, model) = (shared.clone(), model.clone());
        let coming = model.lane.coming();
        tasks.spawn(async move {
            let result = async {
                let room = shared.admission.inputs(crops).await?;
                let preprocess = model.preprocess.clone();
                let images = decoded(&shared, bytes, move |picture| inputs(picture, &preprocess, crops)).await?;
                drop(coming);
                model.lane.infer(images, crops, room).await
            };
            (i, result.await)
        });
    }
    while let Some(done) = tasks.join_next().await {
        if let Ok((i, result)) = done {
            answers[i] = result;
        }
    }
    answers
}
