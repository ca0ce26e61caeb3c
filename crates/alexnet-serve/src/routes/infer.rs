//! `POST /v2/models/NAME/infer`: tensors or picture files in, logits or probabilities out.

use std::sync::Arc;

use alexnet::predict::guesses;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::task::{JoinSet, spawn_blocking};

use super::pictures::{logits, within};
use crate::Shared;
use crate::model::Loaded;
use crate::problem::{Problem, bytes};
use crate::tensors::{Asked, Input, Output, answer, check_body};

const HEAD: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(super) async fn infer_version(
    State(shared): State<Arc<Shared>>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    super::protocol::check_version(&version)?;
    infer(State(shared), Path(model), request).await
}

pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let model = shared.registry.find(Some(&model))?;
    let coming = model.lane.coming();
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not read; send it as it is"));
        }
        let head = match headers.get(HEAD).map(HeaderValue::to_str) {
            Some(Ok(head)) => Some(head.to_string()),
            Some(Err(_)) => return Err(Problem::bad("Inference-Header-Content-Length is no number")),
            None => None,
        };
        let size = model.size();
        let asked = blocking(move || check_body(&whole.bytes, head.as_deref(), size)).await?.map_err(Problem::bad)?;
        let Asked { id, input, outputs } = asked;
        let logits = match input {
            Input::Tensor(values) => {
                drop(coming);
                tensor(shared, model, values).await?
            }
            Input::Pictures(files) => {
                drop(coming);
                let answers = logits(shared, model, files, 1).await;
                answers.into_iter().collect::<Result<Vec<_>, _>>()?.concat()
            }
        };
        let asked = Asked { id, input: Input::Pictures(Vec::new()), outputs };
        let model = model.clone();
        blocking(move || respond(&model, &asked, &logits)).await?
    })
    .await
}

/// Logits of preprocessed pictures, through the network in batches beside those of others.
async fn tensor(shared: &Arc<Shared>, model: &Arc<Loaded>, values: Vec<f32>) -> Result<Vec<f32>, Problem> {
    let (len, most) = (model.input_len(), model.batch.min(shared.admission.most_inputs()));
    if values.len() <= most * len {
        let count = values.len() / len;
        let room = shared.admission.inputs(count).await?;
        return model.lane.infer(values, count, room).await;
    }
    let (values, mut tasks) = (Arc::new(values), JoinSet::new());
    let parts = values.len().div_ceil(most * len);
    for i in 0..parts {
        let (shared, model, values) = (shared.clone(), model.clone(), values.clone());
        tasks.spawn(async move {
            let range = i * most * len..values.len().min((i + 1) * most * len);
            let count = range.len() / len;
            let result = async {
                let room = shared.admission.inputs(count).await?;
                model.lane.infer(values[range].to_vec(), count, room).await
            };
            (i, result.await)
        });
    }
    let mut logits = vec![Vec::new(); parts];
    while let Some(done) = tasks.join_next().await {
        let (i, part) = done.map_err(|_| Problem::ours("the server failed on this request; please report it"))?;
        logits[i] = part?;
    }
    Ok(logits.concat())
}

/// Work that would hold up other connections: a picture's tensor is 600 KB.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|_| Problem::ours("the server failed on this request; please report it"))
}

fn respond(model: &Loaded, asked: &Asked, logits: &[f32]) -> Result<Response, Problem> {
    let classes = model.classes.len();
    let values = |output: &Output| {
        if !output.probabilities {
            return logits.to_vec();
        }
        let mut all = vec![0.0; logits.len()];
        for (all, logits) in all.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
            guesses(logits, classes, classes).iter().for_each(|guess| all[guess.index] = guess.probability as f32);
        }
        all
    };
    let answer = answer(&model.name, asked, &model.classes, values).map_err(|e| Problem::ours(e.to_string()))?;
    let kind = if answer.head.is_some() { "application/octet-stream" } else { "application/json" };
    let mut response = bytes(StatusCode::OK, kind, answer.bytes);
    if let Some(length) = answer.head {
        response.headers_mut().insert(HEAD, HeaderValue::from(length));
    }
    Ok(response)
}
