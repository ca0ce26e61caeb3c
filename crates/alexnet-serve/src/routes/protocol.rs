//! Health and metadata routes of the Open Inference Protocol.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::Shared;
use crate::api_error::{ApiError, json as json_answer};
use crate::model::ServedModel;
use crate::tensors::{INPUT, LOGITS, PICTURE, PROBABILITIES};

pub(super) async fn server() -> Response {
    let about = json!({ "name": "alexnet", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data", "classification"] });
    json_answer(StatusCode::OK, &about)
}

pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    if *shared.stopping.borrow() {
        return Err(ApiError::busy("the server is shutting down"));
    }
    Ok(json_answer(StatusCode::OK, &json!({ "ready": true })))
}

pub(super) async fn model(State(shared): State<Arc<Shared>>, Path(model): Path<String>) -> Result<Response, ApiError> {
    Ok(json_answer(StatusCode::OK, &about(&*shared.registry.find(Some(&model))?)))
}

pub(super) async fn version(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    check_version(&version)?;
    model(State(shared), Path(name)).await
}

pub(super) async fn model_ready(State(shared): State<Arc<Shared>>, Path(model): Path<String>) -> Result<Response, ApiError> {
    let model = shared.registry.find(Some(&model))?;
    Ok(json_answer(StatusCode::OK, &json!({ "name": model.name, "ready": true })))
}

pub(super) async fn version_ready(
    State(shared): State<Arc<Shared>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    check_version(&version)?;
    model_ready(State(shared), Path(model)).await
}

/// Checks the version: there is only one, the content of the model file.
pub(super) fn check_version(version: &str) -> Result<(), ApiError> {
    if version == "1" {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, format!("no version {version:?} of this model; the only version is 1")))
}

fn about(model: &ServedModel) -> Value {
    let (size, classes) = (model.size(), model.classes.len());
    let output = |name: &str| json!({ "name": name, "datatype": "FP32", "shape": [-1, classes] });
    let files = format!("instead of {INPUT}: {PICTURE}, BYTES, [-1], image files (base64 in JSON)");
    let tensor = json!({ "name": INPUT, "datatype": "FP32", "shape": [-1, 3, size, size] });
    let (input, files) = match model.shares_input() {
        true => (tensor, files),
        false => (
            json!({ "name": PICTURE, "datatype": "BYTES", "shape": [-1] }),
            format!("{PICTURE}: image files (base64 in JSON); the models' preprocessing differs, so there is no {INPUT}"),
        ),
    };
    let mut about = json!({
        "name": model.name,
        "versions": ["1"],
        "platform": "alexnet",
        "inputs": [input],
        "outputs": [output(LOGITS), output(PROBABILITIES)],
        "parameters": {
            "net": model.net.name,
            "picture_input": files,
        },
    });
    if model.count() > 1 {
        let nets: Vec<&str> = model.members().map(|member| member.net.name.as_str()).collect();
        about["parameters"]["ensemble"] = json!(nets);
        about["parameters"]["logits"] = json!("logarithms of the mean probabilities");
    }
    about
}
