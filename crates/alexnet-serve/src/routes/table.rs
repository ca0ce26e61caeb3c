//! Table of all routes. The router and the route labels of the metrics derive from it, and a test compares it with `openapi.json`.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{explain, infer, metrics, models, page, predict, protocol, similar};
use crate::Shared;
use crate::api_error::bytes;

/// The OpenAPI description of the routes.
const OPENAPI: &str = include_str!("../openapi.json");

/// A route: a path, its method and its handler.
struct Route {
    path: &'static str,
    method: MethodFilter,
    /// The label of its requests in the metrics.
    label: &'static str,
    handler: fn(MethodFilter) -> MethodRouter<Arc<Shared>>,
}

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;

const fn route(
    method: MethodFilter,
    path: &'static str,
    label: &'static str,
    handler: fn(MethodFilter) -> MethodRouter<Arc<Shared>>,
) -> Route {
    Route { path, method, label, handler }
}

const ROUTES: &[Route] = &[
    route(GET, "/", "/", |method| on(method, page)),
    route(POST, "/predict", "/predict", |method| on(method, predict::predict)),
    route(POST, "/explain", "/explain", |method| on(method, explain::explain)),
    route(GET, "/filters", "/filters", |method| on(method, explain::filters)),
    route(POST, "/similar", "/similar", |method| on(method, similar::similar)),
    route(GET, "/indexed", "/indexed", |method| on(method, similar::indexed)),
    route(GET, "/models", "/models", |method| on(method, models)),
    route(GET, "/metrics", "/metrics", |method| on(method, metrics)),
    route(GET, "/openapi.json", "/openapi.json", |method| {
        on(method, async || bytes(StatusCode::OK, "application/json", OPENAPI))
    }),
    route(GET, "/v2", "/v2", |method| on(method, protocol::server)),
    route(GET, "/v2/", "/v2", |method| on(method, protocol::server)),
    route(GET, "/v2/health/live", "/v2/health", |method| on(method, async || StatusCode::OK)),
    route(GET, "/v2/health/ready", "/v2/health", |method| on(method, protocol::ready)),
    route(GET, "/v2/models/{name}", "/v2/models", |method| on(method, protocol::model)),
    route(GET, "/v2/models/{name}/ready", "/v2/health", |method| on(method, protocol::model_ready)),
    route(POST, "/v2/models/{name}/infer", "/v2/infer", |method| on(method, infer::infer)),
    route(GET, "/v2/models/{name}/versions/{version}", "/v2/models", |method| on(method, protocol::version)),
    route(GET, "/v2/models/{name}/versions/{version}/ready", "/v2/health", |method| on(method, protocol::version_ready)),
    route(POST, "/v2/models/{name}/versions/{version}/infer", "/v2/infer", |method| on(method, infer::infer_version)),
];

/// Router of the table's routes, without fallbacks.
pub(super) fn router() -> Router<Arc<Shared>> {
    ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)(route.method)))
}

/// Route label of a request in the metrics. A raw path could be anything, and fill the memory.
pub(super) fn label(path: &str) -> &'static str {
    ROUTES.iter().find(|route| matches(route.path, path)).map_or("other", |route| route.label)
}

/// Whether a path matches a pattern, in which `{...}` stands for any one segment.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut segments, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (segments.next(), parts.next()) {
            (None, None) => return true,
            (Some(segment), Some(part)) if segment == part || (segment.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_names_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let described: BTreeSet<(String, String)> = paths
            .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())))
            .collect();
        // Of the protocol's several spellings of a route, the document has the shortest.
        let shortest = |path: &str| match path.replace("/versions/{version}", "").trim_end_matches('/') {
            "" => "/".to_string(),
            path => path.to_string(),
        };
        let method = |route: &Route| if route.method == GET { "GET" } else { "POST" };
        let routed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|route| (shortest(route.path), method(route).to_string())).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn labels_are_few_whatever_is_asked_for() {
        for (path, expected) in [
            ("/", "/"),
            ("/predict", "/predict"),
            ("/v2/", "/v2"),
            ("/v2/models/a/infer", "/v2/infer"),
            ("/v2/models/a/versions/1/infer", "/v2/infer"),
            ("/v2/models/a/ready", "/v2/health"),
            ("/v2/models/a", "/v2/models"),
            ("/v2/models/", "other"),
            ("/predict/", "other"),
            ("/wp-admin", "other"),
        ] {
            assert_eq!(label(path), expected, "{path}");
        }
    }
}
