use super::*;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Fake {
    stops: AtomicUsize,
}

impl Run for Fake {
    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "epoch": 3 })
    }

    fn report(&self) -> Option<String> {
        Some("<p>report</p>".into())
    }

    fn images(&self) -> Option<String> {
        None
    }

    fn stop(&self) {
        self.stops.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a request and returns status and answer.
fn ask(dashboard: &Dashboard, line: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(dashboard.address).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{line} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn the_page_shows_the_run_and_only_it_can_stop_the_run() {
    let run = Arc::new(Fake::default());
    let dashboard = Dashboard::start(0, run.clone()).unwrap();
    let host = dashboard.address.to_string();
    let own = [("host", host.as_str())];
    let (status, page) = ask(&dashboard, "GET /", &own);
    assert!(status == 200 && page.contains(dashboard.token()) && page.contains("frame-ancestors 'self'"), "{page}");
    // Nothing is loaded from elsewhere.
    assert!(!page.contains("https://") && !page.contains("http://"), "{page}");
    assert!(ask(&dashboard, "GET /status", &own).1.ends_with("{\"epoch\":3}"));
    assert!(ask(&dashboard, "GET /report?7", &own).1.ends_with("<p>report</p>"));
    assert_eq!(ask(&dashboard, "GET /images", &own).0, 404);
    assert_eq!(ask(&dashboard, "GET /elsewhere", &own).0, 404);
    assert_eq!(ask(&dashboard, "POST /", &own).0, 405);
    // Without the token, with another one, from another site's page, under another site's name, and by a link.
    let token = ("dashboard-token", dashboard.token());
    for (line, headers) in [
        ("POST /stop", vec![own[0]]),
        ("POST /stop", vec![own[0], ("dashboard-token", "0123")]),
        ("POST /stop", vec![own[0], token, ("origin", "http://evil.example")]),
        ("POST /stop", vec![own[0], token, ("sec-fetch-site", "cross-site")]),
        ("POST /stop", vec![("host", "evil.example"), token]),
        ("GET /status", vec![("host", "evil.example")]),
        ("GET /report", vec![own[0], ("sec-fetch-site", "cross-site")]),
    ] {
        assert_eq!(ask(&dashboard, line, &headers).0, 403, "{line} {headers:?}");
    }
    assert_eq!(ask(&dashboard, "GET /stop", &[own[0], token]).0, 404);
    assert_eq!(run.stops.load(Ordering::Relaxed), 0);
    assert_eq!(ask(&dashboard, "POST /stop", &[own[0], token, ("origin", &format!("http://{host}"))]).0, 200);
    assert_eq!(run.stops.load(Ordering::Relaxed), 1);
    // A port in use is an error that names the remedy.
    let port = dashboard.address.port();
    assert!(Dashboard::start(port, run).unwrap_err().to_string().contains("choose another --port"));
}

#[test]
fn tokens_differ() {
    assert_ne!(random(), random());
    assert_eq!(random().len(), 32);
}
