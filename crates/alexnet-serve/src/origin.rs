//! Protection against foreign web pages, since a browser sends requests for every page that its user visits.
//!
//! A page of another site can submit a form to this server, and another site's name can be made to resolve to it (DNS rebinding),
//! so that the browser treats answers as that site's own. Non-browser programs send none of the rejected headers.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request};
use axum::response::Response;

use crate::api_error::ApiError;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Accepted host names and origins.
pub(crate) struct Access {
    /// Whether names other than this machine's are rejected.
    checks_host: bool,
    /// Additional host names in lower case; `*` for any.
    hosts: Vec<String>,
    /// Accepted origins of cross-site requests, such as `https://example.org`; `*` for any.
    origins: Vec<String>,
    /// What the messages of rejections advise: the options of the server.
    advice: [&'static str; 2],
}

impl Access {
    /// Access from this machine's own pages only, for a page without options.
    pub(crate) fn own(address: SocketAddr) -> Access {
        Access { advice: [""; 2], ..Access::new(address, &[], &[]) }
    }

    pub(crate) fn new(address: SocketAddr, hosts: &[String], origins: &[String]) -> Access {
        let hosts: Vec<String> = hosts.iter().map(|host| name(host)).collect();
        let checks_host = (address.ip().is_loopback() || !hosts.is_empty()) && !hosts.iter().any(|host| host == "*");
        let origins = origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        let advice = ["; start the server with --allow-host NAME", "; start the server with --allow-origin ORIGIN"];
        Access { checks_host, hosts, origins, advice }
    }

    /// Rejects requests from another site's page, or for another site's host name.
    pub(crate) fn check(&self, request: &request::Parts) -> Result<(), ApiError> {
        let headers = &request.headers;
        let hosts = headers.get_all(header::HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let hosts: Vec<String> = hosts.chain(request.uri.authority().map(ToString::to_string)).collect();
        if let Some(host) = hosts.iter().map(|host| name(host)).find(|host| self.checks_host && !self.is_own(host)) {
            let host: String = host.chars().take(100).collect();
            let message = format!("requests for the host {host:?} are not accepted{}", self.advice[0]);
            return Err(ApiError::new(StatusCode::FORBIDDEN, message));
        }
        if self.allowed_origin(headers).is_some() {
            return Ok(());
        }
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let foreign = match (text(&FETCH_SITE), text(&header::ORIGIN)) {
            (Some(site), _) => site.eq_ignore_ascii_case("cross-site"),
            // Browsers without that header, or plain HTTP.
            (None, Some(origin)) => {
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                !hosts.iter().any(|host| authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)))
            }
            (None, None) => false,
        };
        // A link on another site may lead to the page.
        let link = request.method == Method::GET && request.uri.path() == "/" && text(&FETCH_MODE) == Some("navigate");
        if foreign && !link {
            let message = format!("requests from other sites' pages are not accepted{}", self.advice[1]);
            return Err(ApiError::new(StatusCode::FORBIDDEN, message));
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = literal.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        loopback || host == "localhost" || host.ends_with(".localhost") || self.hosts.iter().any(|own| own == host)
    }

    /// The accepted cross-site origin of a request.
    fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.origins.iter().any(|own| *own == text || own == "*").then_some(origin)
    }

    /// Whether the request is a CORS preflight of an accepted page.
    pub(crate) fn is_preflight(&self, request: &request::Parts) -> bool {
        request.method == Method::OPTIONS
            && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed_origin(&request.headers).is_some()
    }

    /// Adds the headers that let an accepted page read an answer.
    pub(crate) fn allow(&self, asked: &HeaderMap, response: &mut Response, preflight: bool) {
        if self.origins.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self.allowed_origin(asked) else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if preflight {
            let (methods, names) = ("GET, POST", "authorization, content-type, inference-header-content-length");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        } else {
            let names = "image-area, inference-header-content-length, retry-after";
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(names));
        }
    }
}

/// Host name without port, in lower case.
fn name(host: &str) -> String {
    let host = host.trim();
    let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
    host[..end.unwrap_or(host.len())].trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn check(access: &Access, method: &str, headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(Request::builder().method(method).uri("/"), |all, (name, value)| all.header(*name, *value));
        access.check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn foreign_host_names_are_rejected_on_loopback() {
        let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (own, all) = (SocketAddr::from(([127, 0, 0, 1], 80)), SocketAddr::from(([0, 0, 0, 0], 80)));
        let access = Access::new(own, &strings(&["Box.example:8080"]), &[]);
        for (host, fine) in [
            ("localhost", true),
            ("LOCALHOST:1234", true),
            ("localhost.", true),
            ("a.localhost:1", true),
            ("127.0.0.1:80", true),
            ("127.1.2.3", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]", true),
            ("box.example", true),
            ("x", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[::2]", false),
            ("192.168.0.1", false),
            ("", false),
        ] {
            assert_eq!(check(&access, "GET", &[("host", host)]), fine, "{host}");
        }
        assert!(!check(&access, "GET", &[("host", "localhost"), ("host", "evil.example")]));
        assert!(check(&access, "GET", &[]));
        assert!(check(&Access::new(all, &[], &[]), "GET", &[("host", "anything.example")]));
        assert!(!check(&Access::new(all, &strings(&["a.example"]), &[]), "GET", &[("host", "b.example")]));
        assert!(check(&Access::new(own, &strings(&["*"]), &[]), "GET", &[("host", "b.example")]));
    }

    #[test]
    fn cross_site_requests_are_rejected_unless_allowed() {
        let own = SocketAddr::from(([127, 0, 0, 1], 80));
        let access = Access::new(own, &[], &["https://good.example/".to_string()]);
        let sent = |method, headers: &[(&str, &str)]| check(&access, method, &[&[("host", "localhost:80")], headers].concat());
        assert!(!sent("POST", &[("sec-fetch-site", "cross-site")]));
        assert!(!sent("GET", &[("sec-fetch-site", "cross-site")]));
        assert!(!sent("POST", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(sent("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(sent("POST", &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:80")]));
        assert!(sent("POST", &[("sec-fetch-site", "none")]));
        assert!(sent("POST", &[("sec-fetch-site", "cross-site"), ("origin", "https://good.example")]));
        // Plain HTTP, and old browsers.
        assert!(sent("POST", &[("origin", "http://localhost:80")]));
        assert!(!sent("POST", &[("origin", "http://evil.example")]));
        assert!(!sent("POST", &[("origin", "null")]));
    }
}
