//! Requests by HTTP: redirects, time limits, and errors in plain words.

use super::{Failure, Limits, proxy};
use crate::source::without_secrets;
use std::io;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Body, BodyReader, Timeout};

/// Redirects followed; a loop ends here.
const REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("alexnet/", env!("CARGO_PKG_VERSION"));

/// A request for the rest of a file.
pub(super) struct Range {
    /// First byte.
    pub(super) from: u64,
    /// The version of the file that the earlier bytes are of.
    pub(super) validator: Option<String>,
}

/// An answer with content.
pub(super) struct Answer {
    /// Address after redirects.
    pub(super) url: String,
    /// Position in the file of the first byte.
    pub(super) from: u64,
    /// Size of the whole file, if the server states it.
    pub(super) total: Option<u64>,
    /// The server's name for this version of the file.
    pub(super) validator: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: BodyReader<'static>,
}

/// Requests an address, following redirects.
pub(super) fn get(url: &str, range: Option<&Range>, limits: &Limits) -> Result<Answer, Failure> {
    let mut url = url.to_string();
    for _ in 0..=REDIRECTS {
        let response = request(&url, range, limits)?;
        let status = response.status();
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return answer(url, response, range);
        }
        let location = text(response.headers(), header::LOCATION).unwrap_or_default();
        let next = redirected(&url, &location);
        url = next.map_err(|why| {
            let (from, to) = (without_secrets(&url), without_secrets(&location));
            Failure::Network(format!("{from} redirects to {to:?}, which {why}"))
        })?;
    }
    Err(Failure::Network(format!("more than {REDIRECTS} redirects")))
}

fn request(url: &str, range: Option<&Range>, limits: &Limits) -> Result<Response<Body>, Failure> {
    let uri: Uri = url.parse().map_err(|_| Failure::Network(format!("{} is not a valid address", without_secrets(url))))?;
    let agent = ureq::Agent::config_builder()
        .proxy(proxy::of(&uri, &|name| std::env::var(name).ok())?)
        .tls_config(tls())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        // Compressed bytes would have other positions.
        .accept_encoding("identity")
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.stall))
        .timeout_per_read(Some(limits.stall))
        .build()
        .new_agent();
    let mut request = agent.get(&uri);
    if let Some(range) = range {
        request = request.header(header::RANGE, format!("bytes={}-", range.from));
        if let Some(validator) = &range.validator {
            request = request.header(header::IF_RANGE, validator);
        }
    }
    request.call().map_err(|error| Failure::Unreachable(in_words(&error, &uri, limits.stall)))
}

/// TLS by rustls and ring, with the certificates that the system trusts: those of a company's proxy are among them.
fn tls() -> TlsConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(RootCerts::PlatformVerifier).build()
}

/// Interprets the final response.
fn answer(url: String, response: Response<Body>, range: Option<&Range>) -> Result<Answer, Failure> {
    let (status, headers) = (response.status(), response.headers());
    let length = text(headers, header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<u64>().ok());
    let (from, total) = match status {
        StatusCode::OK => (0, length),
        StatusCode::PARTIAL_CONTENT if range.is_some() => {
            let content_range = text(headers, header::CONTENT_RANGE).unwrap_or_default();
            let (from, total) = parse_content_range(&content_range)
                .ok_or_else(|| Failure::Network(format!("the server sent an invalid Content-Range {content_range:?}")))?;
            (from, total.or_else(|| Some(from + length?)))
        }
        _ => return Err(refused(status, range.is_some())),
    };
    let etag = text(headers, header::ETAG).filter(|etag| etag.starts_with('"'));
    let validator = etag.or_else(|| text(headers, header::LAST_MODIFIED));
    let content_type = text(headers, header::CONTENT_TYPE);
    Ok(Answer { url, from, total, validator, content_type, body: response.into_body().into_reader() })
}

/// The error of a status other than success.
fn refused(status: StatusCode, partial: bool) -> Failure {
    let reason = status.canonical_reason().unwrap_or("unknown status").to_lowercase();
    let why = format!("the server answered {} ({reason})", status.as_u16());
    match status.as_u16() {
        // The part is as long as the file, or longer: it is of another file.
        416 if partial => Failure::Passing(why),
        408 | 425 | 429 | 500..=599 => Failure::Passing(why),
        _ => Failure::Network(why),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

/// First byte and total size of `bytes 5-9/10`; the total may be `*`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to): (u64, u64) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    let total = if total.trim() == "*" { None } else { Some(total.trim().parse().ok()?) };
    (from <= to && total.is_none_or(|total| to < total)).then_some((from, total))
}

/// The address that a redirect leads to, or what is wrong with it.
fn redirected(url: &str, location: &str) -> Result<String, &'static str> {
    const NONE: &str = "is not an address";
    let location = location.split('#').next().unwrap_or_default();
    let base: Uri = url.parse().map_err(|_| NONE)?;
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else { return Err(NONE) };
    let next = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_string()
    } else if location.contains("://") || location.is_empty() {
        return Err(NONE);
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let target: Uri = next.parse().map_err(|_| NONE)?;
    if target.host().is_none_or(str::is_empty) {
        return Err(NONE);
    }
    match (scheme, target.scheme_str()) {
        ("https", Some("http")) => Err("is not encrypted, unlike the first address"),
        _ => Ok(next),
    }
}

/// The failure of a connection that has already sent data.
pub(super) fn while_reading(error: io::Error, url: &str) -> Failure {
    let error = ureq::Error::from(error);
    match (&error, url.parse::<Uri>()) {
        (ureq::Error::Timeout(_), _) => Failure::Passing("the server stopped sending data".into()),
        (ureq::Error::Io(error), _) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::Passing("the connection was cut off".into())
        }
        (_, Ok(uri)) => Failure::Passing(in_words(&error, &uri, Duration::ZERO)),
        (_, Err(_)) => Failure::Passing(error.to_string()),
    }
}

/// An error without the library's abbreviations.
fn in_words(error: &ureq::Error, uri: &Uri, stall: Duration) -> String {
    let host = uri.host().unwrap_or_default();
    match error {
        ureq::Error::HostNotFound => format!("the host {host} was not found; is this machine offline?"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => format!("no connection to {host} in time"),
        ureq::Error::Timeout(_) => format!("{host} sent nothing for {} s", stall.as_secs_f64()),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => format!("{host} closed the connection"),
        ureq::Error::Io(error) => format!("no connection to {host}: {error}"),
        ureq::Error::ConnectProxyFailed(why) => format!("the proxy refused the connection to {host}: {why}"),
        ureq::Error::Rustls(error) => {
            format!("no encrypted connection to {host}: {error} (the certificates that the system trusts are used)")
        }
        other => format!("{host}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_against_the_address() {
        let from = "https://example.org/models/a.pth?v=1";
        for (location, expected) in [
            ("https://cdn.example.org/b#top", Some("https://cdn.example.org/b")),
            ("//cdn.example.org/b", Some("https://cdn.example.org/b")),
            ("/b?c=1", Some("https://example.org/b?c=1")),
            ("b.pth", Some("https://example.org/models/b.pth")),
            ("ftp://example.org/b", None),
            ("file:///etc/passwd", None),
            ("", None),
            ("https://", None),
        ] {
            assert_eq!(redirected(from, location).ok().as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_encryption() {
        let (plain, secure) = ("http://example.org/a", "https://example.org/a");
        assert!(redirected(secure, plain).unwrap_err().contains("not encrypted"));
        assert_eq!(redirected(plain, secure), Ok(secure.into()));
        assert_eq!(redirected(plain, "http://cdn.example.org/a"), Ok("http://cdn.example.org/a".into()));
    }

    #[test]
    fn content_ranges_are_parsed_and_impossible_ones_refused() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 0-9/*"), Some((0, None)));
        for wrong in ["bytes */10", "bytes 9-5/10", "bytes 5-10/10", "5-9/10", "bytes 5-9", "bytes -5-9/10", ""] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }
}
