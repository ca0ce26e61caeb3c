//! `POST /v2/models/NAME/infer`: tensors or image files in, logits or probabilities out.

use std::ops::Range;
use std::sync::Arc;

use alexnet::class_match::reorder;
use alexnet::image::crop::Crops;
use alexnet::predict::{interleave, top_k};
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use tokio::task::JoinSet;

use super::images::{Job, logits, within};
use super::reply::{Content, in_turn, reply};
use crate::Shared;
use crate::admission::{INPUT, Need};
use crate::api_error::ApiError;
use crate::model::ServedModel;
use crate::tensors::{Asked, Input, Output, PICTURE, answer, check_body, estimate, numbers};

const HEAD: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(super) async fn infer_version(
    State(shared): State<Arc<Shared>>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    super::protocol::check_version(&version)?;
    infer(State(shared), Path(model), request).await
}

pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let model = shared.registry.find(Some(&model))?;
    let coming = model.lane.coming();
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        let head = match headers.get(HEAD).map(HeaderValue::to_str) {
            Some(Ok(head)) => Some(head.to_string()),
            Some(Err(_)) => return Err(ApiError::bad("Inference-Header-Content-Length is not a number")),
            None => None,
        };
        let (size, length) = (model.size(), whole.bytes.len() as u64);
        let (peer, held) = (whole.peer.clone(), whole.held.clone());
        let deadline = whole.deadline;
        // The actual inputs are not known yet: the length stands for the cost.
        let job = Job::new(shared, &peer, deadline, length)?;
        let read = move || {
            let asked = check_body(&whole.bytes, head.as_deref(), size);
            asked.map(|asked| (asked, whole))
        };
        // The bytes themselves are already counted; numbers in JSON take up to twice as many.
        let (Asked { id, input, outputs }, whole) = in_turn(&job, 2 * length, read).await?.map_err(ApiError::bad)?;
        if !matches!(input, Input::ImageFiles(_)) && !model.shares_input() {
            return Err(ApiError::bad(format!(
                "{} is an ensemble of models with different preprocessing; send image files ({PICTURE}) instead of tensors",
                model.name
            )));
        }
        let n = match &input {
            Input::Tensor(values) => values.len() / model.input_len(),
            Input::Binary(range) => range.len() / (4 * model.input_len()),
            Input::ImageFiles(files) => files.len(),
        };
        let asked = Asked { id, input: Input::ImageFiles(Vec::new()), outputs };
        let most = estimate(&asked, n, &model.classes);
        shared.admission.answers.check(most)?;
        // From here on the slot is held at the actual cost.
        drop(job);
        let (job, logits) = match input {
            Input::Tensor(values) => {
                let job = Job::new(shared, &peer, deadline, n as u64 * INPUT)?;
                drop((whole, coming));
                let logits = tensor(&job, model, n, move |part| values[part].to_vec()).await?;
                (job, logits)
            }
            Input::Binary(bytes) => {
                let job = Job::new(shared, &peer, deadline, n as u64 * INPUT)?;
                drop(coming);
                // Part of the body is converted to numbers when scheduled.
                let values = move |part: Range<usize>| numbers(&whole.bytes[bytes.clone()].as_chunks().0[part]).collect();
                let logits = tensor(&job, model, n, values).await?;
                (job, logits)
            }
            Input::ImageFiles(files) => {
                let files: Vec<Bytes> = files.into_iter().map(Bytes::from).collect();
                let job = Job::of_images(shared, &whole, &files, model.count())?;
                drop((whole, coming));
                let answers = logits(&job, model, files, Crops::Centre).await;
                let logits = answers.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
                (job, logits)
            }
        };
        drop(held);
        let model = model.clone();
        reply(&job, &peer, most, move || respond(&model, &asked, &logits)).await
    })
    .await
}

/// Logits of `count` preprocessed images by each model, `[count, models, classes]`, batched with inputs of other requests. `values` returns some of their numbers.
async fn tensor(
    job: &Job,
    model: &Arc<ServedModel>,
    count: usize,
    values: impl Fn(Range<usize>) -> Vec<f32> + Send + Sync + 'static,
) -> Result<Vec<f32>, ApiError> {
    let len = model.input_len();
    // Half a batch at a time, so that other requests make progress in between.
    let most = model.batch.div_ceil(2).min(job.shared.admission.scheduler.most_inputs());
    let (values, mut tasks) = (Arc::new(values), JoinSet::new());
    let parts = count.div_ceil(most);
    for i in 0..parts {
        let (job, model, values) = (job.clone(), model.clone(), values.clone());
        let coming = model.lane.coming();
        tasks.spawn(async move {
            let part = i * most..count.min((i + 1) * most);
            let result = async {
                let (mut values, mut coming, mut all) = (Some(values), Some(coming), Vec::with_capacity(model.count()));
                for (k, member) in model.members().enumerate() {
                    let need = Need { inputs: part.len(), ..Need::default() };
                    let room = job.ticket.turn(need, part.len() as u64 * INPUT).await?;
                    let images = values.as_ref().map_or_else(Vec::new, |values| values(part.start * len..part.end * len));
                    drop(coming.take());
                    // The last model needs the body no longer.
                    values = values.filter(|_| k + 1 < model.count());
                    let mut logits = member.lane.infer(images, part.len(), room).await?;
                    reorder(&mut logits, &member.outputs);
                    all.push(logits);
                }
                Ok(interleave(&all, model.classes.len()))
            };
            (i, result.await as Result<Vec<f32>, ApiError>)
        });
    }
    // The last of the tasks releases the body.
    drop(values);
    let mut logits = vec![Vec::new(); parts];
    while let Some(done) = tasks.join_next().await {
        let (i, part) = done.map_err(|_| ApiError::ours("the server failed on this request; please report it"))?;
        logits[i] = part?;
    }
    Ok(logits.concat())
}

fn respond(model: &ServedModel, asked: &Asked, logits: &[f32]) -> Result<Content, ApiError> {
    let classes = model.classes.len();
    let (mut probabilities, mut means) = (Vec::new(), Vec::new());
    if model.count() > 1 || asked.outputs.iter().any(|output| output.probabilities) {
        probabilities.resize(logits.len() / model.count(), 0.0);
        // An ensemble has no logits of its own; the logarithms of its probabilities have the same softmax.
        means.resize(if model.count() > 1 { probabilities.len() } else { 0 }, 0.0);
        for (i, logits) in logits.chunks_exact(classes * model.count()).enumerate() {
            for class in top_k(logits, classes, classes) {
                let at = i * classes + class.index;
                probabilities[at] = class.probability as f32;
                if let Some(mean) = means.get_mut(at) {
                    *mean = class.probability.max(f64::MIN_POSITIVE).ln() as f32;
                }
            }
        }
    }
    let logits = if means.is_empty() { logits } else { &means };
    let values = |output: &Output| if output.probabilities { probabilities.as_slice() } else { logits };
    let answer = answer(&model.name, asked, &model.classes, values).map_err(|e| ApiError::ours(e.to_string()))?;
    let kind = if answer.head.is_some() { "application/octet-stream" } else { "application/json" };
    Ok(Content { kind, bytes: answer.bytes, header: answer.head.map(|length| (HEAD, HeaderValue::from(length))) })
}
