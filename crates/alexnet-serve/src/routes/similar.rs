//! `POST /similar` and `GET /indexed`: similarity search in the model's index.

use std::sync::Arc;

use alexnet::draw::encode;
use alexnet::explain::View;
use alexnet::features::nearest;
use alexnet::image::Image;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::explain::INPUTS;
use super::images::{Job, Slice, decoded, files, only, within, within_time};
use crate::Shared;
use crate::admission::{INPUT, Need};
use crate::api_error::{ApiError, bytes, json as json_answer};
use crate::batcher::{finite_logits, not_finite};
use crate::index::Index;
use crate::model::ServedModel;
use crate::peers::Peer;

/// Query parameters of `/similar`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    model: Option<String>,
    top: Option<usize>,
}

/// Maximum number of results.
const MOST: usize = 64;

fn index(model: &ServedModel) -> Result<Arc<Index>, ApiError> {
    model.single("/similar")?;
    let none =
        || ApiError::new(StatusCode::NOT_FOUND, format!("{} has no index; start the server with --index FILE", model.name));
    model.index.clone().ok_or_else(none)
}

pub(super) async fn similar(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|e| ApiError::bad(e.body_text()))?;
    let top = options.top.unwrap_or(6);
    if !(1..=MOST).contains(&top) {
        return Err(ApiError::bad(format!("top={top}: expected 1 to {MOST}")));
    }
    let model = shared.registry.find(options.model.as_deref())?;
    let index = index(&model)?;
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        let files = files(&headers, &whole)?;
        let whole = Arc::new(whole);
        let slice = Slice::new(&whole, only(&files, " as the query")?);
        let job = Job::of_images(shared, &whole, &[&slice], INPUTS)?;
        drop(whole);
        let preprocess = model.preprocess.clone();
        let how = preprocess.clone();
        let look = move |image: &Image| Ok(View::centre(image, &preprocess).tensor);
        let (tensor, room) = decoded(&job, slice, INPUTS, Some(how), look).await?;
        let asked = index.clone();
        let near = model.lane.ask(move |engine| {
            let _room = room;
            if finite_logits(engine, &tensor)?.is_none() {
                return Ok(None);
            }
            let maps = engine.activation(&tensor, asked.taken.layer())?;
            nearest(&asked.table, &asked.taken.features(&maps), top).map(Some)
        });
        let finite = |near: &Vec<alexnet::features::Near>| near.iter().all(|near| near.distance.is_finite());
        let near = near.await?.filter(finite).ok_or_else(not_finite)?;
        let table = &index.table;
        let one = |near: alexnet::features::Near| {
            json!({ "row": near.row, "name": table.names[near.row], "label": table.labels[near.row], "distance": near.distance })
        };
        let nearest: Vec<Value> = near.into_iter().map(one).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "model": model.name, "layer": table.about.layer, "nearest": nearest })))
    })
    .await
}

/// Query parameters of `/indexed`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    model: Option<String>,
    row: usize,
}

/// Thumbnail of an indexed image.
pub(super) async fn indexed(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Arc<Peer>>,
    options: Result<Query<Row>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|e| ApiError::bad(e.body_text()))?;
    let model = shared.registry.find(options.model.as_deref())?;
    let index = index(&model)?;
    let (row, rows) = (options.row, index.table.names.len());
    if row >= rows || !index.has_images() {
        let reason = if row >= rows {
            format!("no row {row} in an index of {rows}")
        } else {
            "this index has no images, only names".into()
        };
        return Err(ApiError::new(StatusCode::NOT_FOUND, reason));
    }
    within_time(&shared, &peer, INDEXED, async |job| {
        // The image's size is unknown, so two at a time.
        let memory = shared.admission.scheduler.memory() / 2;
        let grant = job.ticket.turn(Need { decoders: 1, memory, inputs: 0 }, INDEXED).await?;
        let work = move || {
            let _grant = grant;
            index.image(row).map(|image| encode::png(&image))
        };
        match spawn_blocking(work).await {
            Ok(Ok(png)) => {
                let memory = shared.admission.answers.reserve(&peer, png.len()).await?;
                Ok(bytes(StatusCode::OK, "image/png", memory.hold(png)))
            }
            Ok(Err(error)) => {
                Err(ApiError::new(StatusCode::NOT_FOUND, format!("the image of row {row} cannot be read: {error}")))
            }
            Err(_) => Err(ApiError::ours("the server failed on an image of its index; please report it")),
        }
    })
    .await
}

/// Cost of reading an indexed image.
const INDEXED: u64 = 4 * INPUT;
