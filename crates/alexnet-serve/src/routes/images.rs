//! Images of a request: extraction, decoding and inference.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use alexnet::class_match::reorder;
use alexnet::image::crop::Crops;
use alexnet::image::decode::{self, DecodeLimits, Header, MAX_PIXELS, decode_with};
use alexnet::image::{Image, Preprocess};
use alexnet::predict;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use tokio::task::{JoinSet, spawn_blocking};

use crate::admission::{Grant, INPUT, Need, Ticket};
use crate::api_error::ApiError;
use crate::body::{self, Whole};
use crate::model::ServedModel;
use crate::peers::Peer;
use crate::tensors::MOST_IMAGES;
use crate::{Shared, multipart};

/// Total pixels of a request's images, as a multiple of the largest single image.
const IMAGES: u64 = 4;

/// An image within a body.
pub(super) struct File {
    /// File name given by the client.
    pub(super) name: Option<String>,
    range: Range<usize>,
}

/// Extracts the images of a body: the body itself, or the files of a form.
pub(super) fn files(headers: &HeaderMap, whole: &Whole) -> Result<Vec<File>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.trim_start().get(..10).is_some_and(|media| media.eq_ignore_ascii_case("multipart/")) {
        if whole.bytes.is_empty() {
            return Err(ApiError::bad("the body is empty; send an image, or a form with images (curl --data-binary @FILE)"));
        }
        return Ok(vec![File { name: None, range: 0..whole.bytes.len() }]);
    }
    let start = whole.bytes.as_ptr() as usize;
    let parts = multipart::parts(kind, &whole.bytes).map_err(ApiError::bad)?;
    let files: Vec<File> = parts
        .into_iter()
        .filter(|part| !part.content.is_empty())
        .map(|part| {
            let from = part.content.as_ptr() as usize - start;
            File { name: part.file.or(part.name), range: from..from + part.content.len() }
        })
        .collect();
    match files.len() {
        0 => Err(ApiError::bad("the form has no images (curl -F image=@FILE)")),
        n if n > MOST_IMAGES => {
            let message = format!("{n} images in one request; send {MOST_IMAGES} at most");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        _ => Ok(files),
    }
}

/// The only image of a request; `wanted` completes the error message.
pub(super) fn only<'a>(files: &'a [File], wanted: &str) -> Result<&'a File, ApiError> {
    match files {
        [file] => Ok(file),
        _ => Err(ApiError::bad(format!("{} images; send exactly one{wanted}", files.len()))),
    }
}

/// Runs the handler of a request without a body, within the limits.
pub(super) async fn within_time<T>(
    shared: &Arc<Shared>,
    peer: &Peer,
    cost: u64,
    work: impl AsyncFnOnce(&Job) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let deadline = Instant::now() + shared.limits.time;
    let job = Job::new(shared, peer, deadline, cost)?;
    match tokio::time::timeout_at(deadline.into(), work(&job)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::busy(format!("no answer within {:?}; try again", shared.limits.time))),
    }
}

/// Runs the handler of a request with a body, within the limits.
pub(super) async fn within<F: Future<Output = Result<T, ApiError>>, T>(
    shared: &Arc<Shared>,
    request: Request<Body>,
    work: impl FnOnce(HeaderMap, Whole) -> F,
) -> Result<T, ApiError> {
    let deadline = Instant::now() + shared.limits.time;
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Arc<Peer>>().cloned().ok_or_else(|| ApiError::ours("a request without a connection"))?;
    let whole = body::read(shared, &parts.headers, body, peer, deadline).await?;
    match tokio::time::timeout_at(deadline.into(), work(parts.headers, whole)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::busy(format!("no answer within {:?}; try again, or send fewer images", shared.limits.time))),
    }
}

/// An admitted request: its slot, and the context that its tasks need.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) ticket: Arc<Ticket>,
    deadline: Instant,
}

impl Job {
    /// Admits a request of this cost, in units of a pixel.
    pub(super) fn new(shared: &Arc<Shared>, peer: &Peer, deadline: Instant, cost: u64) -> Result<Job, ApiError> {
        let ticket = Arc::new(shared.admission.scheduler.enter(peer.client, cost)?);
        Ok(Job { shared: shared.clone(), ticket, deadline })
    }

    /// Admits a request with images, each of which becomes the given number of network inputs.
    pub(super) fn of_images<B: AsRef<[u8]>>(
        shared: &Arc<Shared>,
        whole: &Whole,
        images: &[B],
        inputs: usize,
    ) -> Result<Job, ApiError> {
        let pixels = images.iter().map(|image| pixels(shared, image.as_ref())).fold(0, u64::saturating_add);
        let most = shared.limits.pixels.saturating_mul(IMAGES);
        if pixels > most {
            let message = format!("the images have {pixels} pixels in total, more than {most}; send fewer or smaller images");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        let cost = pixels.saturating_add((images.len() * inputs) as u64 * INPUT);
        Job::new(shared, &whole.peer, whole.deadline, cost)
    }
}

/// Decoding cost according to an image's header. Rejected images cost nothing.
fn pixels(shared: &Shared, image: &[u8]) -> u64 {
    match decode::header(image).map(|header| header.pixels()) {
        Some(pixels) if pixels <= shared.limits.pixels => pixels,
        _ => 0,
    }
}

/// Decodes an image on a separate thread when scheduled, resized if there is a `preprocess`, and applies `finish` to it there. The result holds resources for the
/// given number of network inputs.
pub(super) async fn decoded<T: Send + 'static>(
    job: &Job,
    bytes: impl AsRef<[u8]> + Send + 'static,
    inputs: usize,
    preprocess: Option<Arc<Preprocess>>,
    finish: impl FnOnce(&Image) -> alexnet::Result<T> + Send + 'static,
) -> Result<(T, Grant), ApiError> {
    let (shared, deadline) = (&job.shared, job.deadline);
    let header = decode::header(bytes.as_ref());
    let available = shared.admission.scheduler.memory();
    let (pixels, memory) = match header {
        Some(header) if header.pixels() > shared.limits.pixels => return Err(too_many_pixels(header, shared.limits.pixels)),
        Some(header) if header.memory() > available => {
            let (needs, has) = (header.memory() / 1_000_000, available / 1_000_000);
            return Err(ApiError::unanswerable(format!(
                "{} x {} pixels of this kind need up to {needs} MB for decoding, more than {has} MB; send a smaller image, or a \
                 baseline JPEG, or start the server with a larger --max-pixels",
                header.width, header.height
            )));
        }
        Some(header) => (header.pixels(), header.memory()),
        // Unknown format: the decoder rejects it, or decodes what it can.
        None => (0, available),
    };
    let need = Need { decoders: 1, memory, inputs };
    let grant = job.ticket.turn(need, pixels + inputs as u64 * INPUT).await?;
    let limits = DecodeLimits { max_pixels: shared.limits.pixels, deadline: Some(deadline) };
    let metrics = shared.metrics.clone();
    let work = move || {
        let mut grant = grant;
        let start = Instant::now();
        let image = match &preprocess {
            Some(preprocess) => decode::resized(bytes.as_ref(), preprocess, &limits),
            None => decode_with(bytes.as_ref(), &limits),
        };
        let result = image.and_then(|image| finish(&image));
        drop(bytes);
        grant.keep_inputs();
        metrics.decode.observe(start.elapsed().as_secs_f64());
        (result, grant)
    };
    match spawn_blocking(work).await {
        Ok((Ok(result), grant)) => Ok((result, grant)),
        Ok((Err(error), _)) => Err(ApiError::unanswerable(error.to_string())),
        Err(_) => Err(ApiError::ours("the server failed on this image; please report it")),
    }
}

fn too_many_pixels(header: Header, most: u64) -> ApiError {
    let Header { width, height, bytes_per_pixel } = header;
    let megapixels = header.pixels().div_ceil(1_000_000);
    let larger = match header.pixels() {
        pixels if pixels > MAX_PIXELS => String::new(),
        _ => format!(
            ", or start the server with --max-pixels {megapixels}000000 (decoding then takes up to {} MB)",
            megapixels * bytes_per_pixel
        ),
    };
    let message =
        format!("the header claims {width} x {height} pixels, more than the limit of {most}; send a smaller image{larger}");
    ApiError::unanswerable(message)
}

/// The part of a body that is one image.
#[derive(Clone)]
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

/// Crops of an image as network inputs.
fn inputs(image: &Image, preprocess: &Preprocess, crops: Crops) -> Vec<f32> {
    let mut tensor = Vec::new();
    predict::crop_tensors(image, preprocess, crops, &mut tensor);
    tensor
}

/// Logits of each image's crops by each model, `[models, crops, classes]`, in order.
pub(super) async fn logits<B: AsRef<[u8]> + Clone + Send + 'static>(
    job: &Job,
    model: &Arc<ServedModel>,
    files: Vec<B>,
    crops: Crops,
) -> Vec<Result<Vec<f32>, ApiError>> {
    if model.others.is_empty() {
        return of_one(job, model, files, crops).await;
    }
    let mut answers = of_one(job, model, files.clone(), crops).await;
    for other in &model.others {
        for (answer, more) in answers.iter_mut().zip(of_one(job, other, files.clone(), crops).await) {
            match (&mut *answer, more) {
                (Ok(logits), Ok(mut more)) => {
                    reorder(&mut more, &other.outputs);
                    logits.append(&mut more);
                }
                (Ok(_), Err(problem)) => *answer = Err(problem),
                (Err(_), _) => {}
            }
        }
    }
    answers
}

/// Logits of each image's crops by one model, `[crops, classes]`, in order.
async fn of_one<B: AsRef<[u8]> + Send + 'static>(
    job: &Job,
    model: &Arc<ServedModel>,
    files: Vec<B>,
    crops: Crops,
) -> Vec<Result<Vec<f32>, ApiError>> {
    let mut answers: Vec<_> = files.iter().map(|_| Err(ApiError::ours("the server failed on this image"))).collect();
    // All tasks are cancelled when the client disconnects or time runs out.
    let mut tasks = JoinSet::new();
    for (i, bytes) in files.into_iter().enumerate() {
        let (job, model) = (job.clone(), model.clone());
        let coming = model.lane.coming();
        tasks.spawn(async move {
            let result = async {
                let preprocess = model.preprocess.clone();
                let how = Some(preprocess.clone());
                let (images, room) =
                    decoded(&job, bytes, crops.count(), how, move |image| Ok(inputs(image, &preprocess, crops))).await?;
                drop(coming);
                model.lane.infer(images, crops.count(), room).await
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
