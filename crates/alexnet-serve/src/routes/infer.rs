//! `POST /v2/models/NAME/infer`: tensors or image files in, logits or probabilities out.

use std::ops::Range;
use std::sync::Arc;

use alexnet::image::crop::Crops;
use alexnet::predict::top_k;
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
use crate::tensors::{Asked, Input, Output, answer, check_body, estimate, numbers};

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
                let job = Job::of_images(shared, &whole, &files, 1)?;
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

/// Logits of `count` preprocessed images, batched with inputs of other requests. `values` returns some of their numbers.
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
                let need = Need { inputs: part.len(), ..Need::default() };
                let room = job.ticket.turn(need, part.len() as u64 * INPUT).await?;
                let images = values(part.start * len..part.end * len);
                drop((values, coming));
                model.lane.infer(images, part.len(), room).await
            };
            (i, result.await)
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
    let mut probabilities = Vec::new();
    if asked.outputs.iter().any(|output| output.probabilities) {
        probabilities.resize(logits.len(), 0.0);
        for (all, logits) in probabilities.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
            top_k(logits, classes, classes).iter().for_each(|class| all[class.index] = class.probability as f32);
        }
    }
    let values = |output: &Output| if output.probabilities { probabilities.as_slice() } else { logits };
    let answer = answer(&model.name, asked, &model.classes, values).map_err(|e| ApiError::ours(e.to_string()))?;
    let kind = if answer.head.is_some() { "application/octet-stream" } else { "application/json" };
    Ok(Content { kind, bytes: answer.bytes, header: answer.head.map(|length| (HEAD, HeaderValue::from(length))) })
}
