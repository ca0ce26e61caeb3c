//! `POST /predict`: what is in pictures.

use std::sync::Arc;

use alexnet::predict::guesses;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::pictures::{Slice, files, logits, within};
use crate::Shared;
use crate::problem::{Problem, json as json_answer};

/// What the address may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    model: Option<String>,
    crops: Option<usize>,
    top: Option<usize>,
}

pub(super) async fn predict(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(options) = options.map_err(|e| Problem::bad(e.body_text()))?;
    let (crops, top) = (options.crops.unwrap_or(1), options.top.unwrap_or(5));
    if crops != 1 && crops != 10 {
        return Err(Problem::bad(format!("crops={crops}: 1 (the centre) or 10 (the paper's corners and centre, mirrored)")));
    }
    if top == 0 {
        return Err(Problem::bad("top=0: ask for at least one answer"));
    }
    let model = shared.registry.find(options.model.as_deref())?;
    let (shared, model) = (&shared, &model);
    let answer = within(shared, request, |headers, whole| async move {
        let files = files(&headers, &whole)?;
        let whole = Arc::new(whole);
        let slices = files.iter().map(|file| Slice::new(&whole, file)).collect();
        let answers = logits(shared, model, slices, crops).await;
        // A request fails when nothing in it can be answered, or the server is at fault.
        let fault = answers.iter().filter_map(|a| a.as_ref().err());
        if let Some(problem) = fault
            .clone()
            .find(|p| p.status.is_server_error())
            .or_else(|| fault.clone().next().filter(|_| fault.count() == answers.len()))
        {
            return Err(problem.clone());
        }
        let one = |logits: &[f32]| -> Value {
            let guesses = guesses(logits, model.classes.len(), top);
            guesses
                .iter()
                .map(|g| json!({ "index": g.index, "label": model.classes[g.index], "probability": g.probability }))
                .collect()
        };
        let pictures: Vec<Value> = files
            .iter()
            .zip(answers)
            .map(|(file, answer)| match answer {
                Ok(logits) => json!({ "name": file.name, "top": one(&logits) }),
                Err(problem) => json!({ "name": file.name, "error": problem.message }),
            })
            .collect();
        Ok(json!({ "model": model.name, "crops": crops, "pictures": pictures }))
    });
    Ok(json_answer(StatusCode::OK, &answer.await?))
}
