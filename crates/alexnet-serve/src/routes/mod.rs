//! HTTP routes.

mod explain;
mod images;
mod infer;
mod predict;
mod protocol;
mod reply;
mod similar;
mod table;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use serde_json::json;
use tower_service::Service;

use crate::api_error::{ApiError, bytes, json as json_answer};
use crate::body::discard;
use crate::metrics::Gauges;
use crate::peers::{Peer, Phase};
use crate::{Shared, model::ServedModel};

const PAGE: &str = include_str!("../page.html");

/// Router with all routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    table::router()
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "no such route; /openapi.json lists all routes"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this route does not support the method; see /openapi.json")
        })
        .with_state(shared)
}

/// Answers one request of a connection, and counts it.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    mut routes: Router,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let start = Instant::now();
    peer.set(Phase::Working);
    let route = table::label(request.uri().path());
    let (mut parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    let preflight = shared.access.is_preflight(&parts);
    let checked = shared.access.check(&parts).and_then(|()| if preflight { Ok(()) } else { check_token(&shared, &parts) });
    let mut response = match checked {
        Ok(()) if preflight => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => {
            parts.extensions.insert(peer.clone());
            in_json(routes.call(Request::from_parts(parts, Body::new(body))).await?).await
        }
        Err(problem) => {
            tokio::spawn(discard(Body::new(body), shared.limits.body));
            problem.into_response()
        }
    };
    shared.access.allow(&headers, &mut response, preflight);
    peer.set(Phase::Idle);
    shared.metrics.answered(route, response.status().as_u16());
    shared.metrics.duration.observe(start.elapsed().as_secs_f64());
    Ok(response)
}

/// Converts axum's plain-text errors to JSON.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let reason = status.canonical_reason().unwrap_or("error");
    ApiError::new(status, if text.is_empty() { reason } else { &text }).into_response()
}

/// Checks the token. The page, which asks for it, and the health routes are public.
fn check_token(shared: &Shared, request: &request::Parts) -> Result<(), ApiError> {
    let open = matches!(request.uri.path(), "/" | "/v2/health/live" | "/v2/health/ready");
    let Some(token) = shared.token.as_deref().filter(|_| !open || request.method == Method::POST) else { return Ok(()) };
    let given = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.split_at_checked(7)).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    match given {
        Some((_, given)) if same(given, token.as_bytes()) => Ok(()),
        Some(_) => Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid token")),
        None => Err(ApiError::new(StatusCode::UNAUTHORIZED, "missing token; send the header Authorization: Bearer TOKEN")),
    }
}

/// Compares two texts in constant time.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

async fn page() -> Response {
    let mut response = bytes(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    // The page is self-contained: nothing else is fetched, whatever an image's name contains.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' blob: data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Description of the models, for the page.
async fn models(State(shared): State<Arc<Shared>>) -> Response {
    let about = |model: Arc<ServedModel>| {
        let layers: Vec<_> = match model.net.shapes() {
            // An ensemble has none to look into.
            Ok(_) if model.count() > 1 => Vec::new(),
            Ok(shapes) => shapes
                .into_iter()
                .map(|s| json!({ "name": s.name, "channels": s.output.channels, "size": s.output.size, "weight": s.weight }))
                .collect(),
            Err(_) => Vec::new(),
        };
        // Null, "names" or "pictures": the available display of similar images.
        let similar = model.index.as_ref().map(|index| if index.has_images() { "pictures" } else { "names" });
        json!({
            "name": model.name, "net": model.net.name, "image_size": model.size(), "classes": model.classes, "layers": layers,
            "similar": similar, "models": model.count(),
        })
    };
    let models: Vec<_> = shared.registry.all().into_iter().map(about).collect();
    json_answer(StatusCode::OK, &json!({ "models": models, "max_body": shared.limits.body }))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let waiting = shared.registry.all().into_iter().map(|model| (model.name.clone(), model.waiting())).collect();
    let text = shared.metrics.text(&Gauges { in_hand: shared.admission.in_hand(), waiting });
    bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}
