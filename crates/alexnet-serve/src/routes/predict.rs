//! `POST /predict`: classification of images.

use std::sync::Arc;

use alexnet::image::crop::Crops;
use alexnet::predict::{ClassScore, top_k};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::images::{File, Job, Slice, files, logits, within};
use super::reply::{Content, reply};
use crate::Shared;
use crate::api_error::ApiError;
use crate::model::ServedModel;

/// Query parameters of `/predict`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    model: Option<String>,
    crops: Option<usize>,
    top: Option<usize>,
}

#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    crops: usize,
    #[serde(rename = "pictures")]
    images: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Best<'a>>>,
}

#[derive(Serialize)]
struct Best<'a> {
    index: usize,
    label: &'a str,
    probability: f64,
}

pub(super) async fn predict(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|e| ApiError::bad(e.body_text()))?;
    let (crops, top) = (options.crops.unwrap_or(1), options.top.unwrap_or(5));
    let Some(crops) = Crops::of_count(crops) else {
        return Err(ApiError::bad(format!(
            "crops={crops}: expected 1 (centre) or 10 (the paper's corners and centre, mirrored)"
        )));
    };
    if top == 0 {
        return Err(ApiError::bad("top=0: expected at least 1"));
    }
    let model = shared.registry.find(options.model.as_deref())?;
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        let files = files(&headers, &whole)?;
        let peer = whole.peer.clone();
        let size = size(model, &files, top);
        shared.admission.answers.check(size)?;
        let whole = Arc::new(whole);
        let slices: Vec<Slice> = files.iter().map(|file| Slice::new(&whole, file)).collect();
        let job = Job::of_images(shared, &whole, &slices, crops.count() * model.count())?;
        drop(whole);
        let answers = logits(&job, model, slices, crops).await;
        // A request fails only if no image in it can be answered, or on a server error.
        let fault = answers.iter().filter_map(|a| a.as_ref().err());
        if let Some(problem) = fault
            .clone()
            .find(|p| p.status.is_server_error())
            .or_else(|| fault.clone().next().filter(|_| fault.count() == answers.len()))
        {
            return Err(problem.clone());
        }
        let model = model.clone();
        reply(&job, &peer, size, move || write(&model, crops.count(), top, &files, &answers)).await
    })
    .await
}

/// Upper bound of the memory that the answer takes while being built.
fn size(model: &ServedModel, files: &[File], top: usize) -> usize {
    let names: usize = files.iter().map(|file| 6 * file.name.as_ref().map_or(0, String::len) + 1200).sum();
    // A control character takes six bytes in JSON, plus 40 bytes in memory.
    names + files.len() * top.min(model.classes.len()) * (6 * model.longest_class() + 70 + 40)
}

fn write(
    model: &ServedModel,
    crops: usize,
    top: usize,
    files: &[File],
    answers: &[Result<Vec<f32>, ApiError>],
) -> Result<Content, ApiError> {
    let best = |ClassScore { index, probability }| Best { index, label: &model.classes[index], probability };
    let top = |logits: &[f32]| top_k(logits, model.classes.len(), top).into_iter().map(best).collect();
    let mut images = Vec::with_capacity(files.len());
    for (file, answer) in files.iter().zip(answers) {
        let (top, error) = match answer {
            Ok(logits) => (Some(top(logits)), None),
            Err(problem) => (None, Some(problem.message.as_str())),
        };
        images.push(Entry { name: file.name.as_deref(), error, top });
    }
    Content::json(&Answer { model: &model.name, crops, images })
}
