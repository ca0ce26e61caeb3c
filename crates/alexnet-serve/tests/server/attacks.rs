//! Denial-of-service attempts, each within small bounds on loopback, while a well-behaved client is served.
//!
//! `tests/attacks.py` does the same for longer, with AlexNet, and measures.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet_testkit::images::{self, ColorType};
use serde_json::json;

use crate::assert_error;
use crate::client::{FORM, Running, SIZE, answer, form, head, png};

const INFER: &str = "/v2/models/small/infer";
/// Maximum latency of the well-behaved client, on a machine that may be slow: an attack that blocks it blocks it for good.
const SOON: Duration = Duration::from_secs(15);

/// Runs `attack` while a well-behaved client sends requests in a loop. All of them must be answered with 200, and soon.
fn with_good_client<T>(running: &Running, attack: impl FnOnce() -> T) -> T {
    /// Stops the client even if the attack panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (image, done) = (png(60, 60, 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let good = scope.spawn(|| {
            let (mut slowest, mut count) = (Duration::ZERO, 0);
            while count < 3 || !done.load(Ordering::Relaxed) {
                let since = Instant::now();
                let answer = running.post("/predict", &image);
                assert_eq!(answer.status, 200, "{}", answer.text());
                slowest = slowest.max(since.elapsed());
                count += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            slowest
        });
        let ends = Done(&done);
        let result = attack();
        // Long enough for three requests of the client after the attack has begun.
        std::thread::sleep(Duration::from_millis(100));
        drop(ends);
        let slowest = good.join().expect("the well-behaved client is answered");
        assert!(slowest < SOON, "the well-behaved client waited for {slowest:?}");
        result
    })
}

fn tensor(n: usize, more: serde_json::Value) -> Vec<u8> {
    let mut request = json!({ "inputs": [{
        "name": "input", "datatype": "FP32", "shape": [n, 3, SIZE, SIZE], "data": vec![0.5; n * 3 * SIZE * SIZE],
    }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request.to_string().into_bytes()
}

#[test]
fn request_contents_are_not_amplified() {
    let running = Running::start(|settings| settings.limits.answer = 4000);
    let outputs = |count: usize| json!({ "outputs": vec![json!({ "name": "logits" }); count] });
    assert_eq!(running.post(INFER, &tensor(1, outputs(1))).status, 200);
    assert_error(&running.post(INFER, &tensor(1, outputs(2))), 400, "logits is requested more than once");
    assert_error(&running.post(INFER, &tensor(1, outputs(1000))), 400, "more than 16 entries");
    // Rejected by its size before it is computed.
    let batches = running.figure("alexnet_batch_size_count");
    assert_error(&running.post(INFER, &tensor(64, json!({}))), 413, "the answer could take");
    let image = png(9, 9, 1);
    assert_error(
        &running.send("POST", "/predict?top=1000", &[FORM], &form(&vec![("a", image.as_slice()); 64])),
        413,
        "the answer could take",
    );
    assert_error(&running.post("/explain?kind=maps&layer=conv2", &image), 413, "the answer could take");
    assert_eq!(running.figure("alexnet_batch_size_count"), batches);
    // Unknown parameters are ignored, whatever their size.
    assert_eq!(running.post(INFER, &tensor(1, json!({ "parameters": { "mine": vec![0; 100_000] } }))).status, 200);
    assert_error(&running.post(INFER, &tensor(1, json!({ "parameters": { "binary_data_output": [1] } }))), 400, "is a list");
    assert_error(&running.post(INFER, &tensor(1, json!({ "id": "x".repeat(5000) }))), 400, "id");
    let shape = json!({ "inputs": [{ "name": "input", "datatype": "FP32", "shape": vec![1; 10_000], "data": [] }] });
    assert_error(&running.post(INFER, shape.to_string().as_bytes()), 400, "more than 8 entries");
    let message = running
        .post(INFER, json!({ "inputs": [{ "name": "x".repeat(100_000), "datatype": "", "shape": [] }] }).to_string().as_bytes());
    assert!(message.status == 400 && message.body.len() < 500);
}

#[test]
fn every_route_has_the_same_image_limit() {
    let running = Running::start(|settings| settings.limits.pixels = 1_000_000);
    let image = png(1, 1, 1);
    let encoded = crate::base64(&image);
    let files =
        |n: usize| json!({ "inputs": [{ "name": "picture", "datatype": "BYTES", "shape": [n], "data": vec![&encoded; n] }] });
    assert_eq!(running.post(INFER, files(64).to_string().as_bytes()).status, 200);
    assert_error(&running.post(INFER, files(2000).to_string().as_bytes()), 400, "64 at most");
    let binary: Vec<u8> = [&(image.len() as u32).to_le_bytes()[..], &image].concat().repeat(2000);
    let head = json!({ "inputs": [{ "name": "picture", "datatype": "BYTES", "shape": [2000], "parameters": { "binary_data_size": binary.len() } }] });
    let (head, length) = (head.to_string(), head.to_string().len().to_string());
    let many = running.send("POST", INFER, &[("Inference-Header-Content-Length", &length)], &[head.as_bytes(), &binary].concat());
    assert_error(&many, 400, "64 at most");
    // The total size of large images is limited.
    let large = png(1000, 1000, 1);
    let parts = vec![("a", large.as_slice()); 5];
    with_good_client(&running, || {
        assert_error(&running.send("POST", "/predict", &[FORM], &form(&parts)), 413, "5000000 pixels in total");
        assert_eq!(running.send("POST", "/predict", &[FORM], &form(&parts[..4])).status, 200);
    });
}

#[test]
fn half_sent_bodies_do_not_block_others() {
    let running = Running::start(|settings| {
        settings.limits.body = 1 << 20;
        settings.limits.requests = 40;
        settings.limits.stall = Duration::from_secs(1);
    });
    // Sixteen times the largest body is announced, and half of each is sent.
    let open: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut stream = running.open();
            stream.write_all(&head("POST", "/predict", &[], 1 << 20)).unwrap();
            stream.write_all(&vec![1; 1 << 19]).unwrap();
            stream
        })
        .collect();
    with_good_client(&running, || {
        for stream in open {
            // 503 if a request of the well-behaved client, on a slow machine, met one of them before its time was up.
            let answer = answer(stream);
            match answer.status {
                503 => assert_error(&answer, 503, "arrives too slowly"),
                _ => assert_error(&answer, 408, "did not arrive"),
            }
        }
    });
    // As many small ones as there are slots.
    let open: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = running.open();
            stream.write_all(&head("POST", "/predict", &[], 100)).unwrap();
            stream.write_all(b"some").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    with_good_client(&running, || std::thread::sleep(Duration::from_millis(300)));
    drop(open);
    assert_eq!(running.figure("alexnet_requests_in_hand"), 0.0);
}

#[test]
fn a_body_must_keep_up_a_rate() {
    let running = Running::start(|settings| {
        settings.limits.stall = Duration::from_millis(300);
        settings.limits.rate = 10_000;
    });
    let image = png(60, 60, 1);
    let mut stream = running.open();
    stream.write_all(&head("POST", "/predict", &[], 1 << 20)).unwrap();
    let since = Instant::now();
    // A byte every 20 milliseconds, for at most ten seconds.
    while since.elapsed() < Duration::from_secs(10) && stream.write_all(&[0]).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(since.elapsed() < Duration::from_secs(8), "a slow body is read forever");
    assert_eq!(running.post("/predict", &image).status, 200);
}

#[test]
fn idle_connections_are_closed_for_new_ones() {
    let running = Running::start(|settings| {
        settings.limits.connections = 20;
        settings.limits.stall = Duration::from_secs(1);
    });
    let idle: Vec<TcpStream> = (0..30).map(|_| running.open()).collect();
    with_good_client(&running, || std::thread::sleep(Duration::from_millis(200)));
    // Incomplete headers and bodies.
    let half: Vec<TcpStream> = (0..30)
        .map(|i| {
            let mut stream = running.open();
            let _ = stream.write_all(
                if i % 2 == 0 { b"POST /predict HTTP/1.1\r\nHos".to_vec() } else { head("POST", "/predict", &[], 9) }.as_slice(),
            );
            stream
        })
        .collect();
    with_good_client(&running, || std::thread::sleep(Duration::from_millis(500)));
    drop((idle, half));
}

/// Sends requests whose answers are never read, more than the system's buffers hold.
fn never_reads(running: &Running) -> TcpStream {
    let mut stream = running.open();
    let image = png(20, 20, 1);
    let head =
        format!("POST /explain?kind=maps&layer=conv2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", image.len());
    let request = [head.as_bytes(), &image].concat();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let _ = stream.write_all(&request.repeat(120));
    stream
}

/// Waits until the server has closed a connection from which nothing is read: writing then fails.
fn wait_for_disconnection(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let since = Instant::now();
    while !stream.write(&[0]).is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
        assert!(since.elapsed() < Duration::from_secs(120), "it is never disconnected");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut running = Running::start(|settings| {
        settings.limits.connections = 4;
        settings.limits.stall = Duration::from_millis(400);
        settings.limits.grace = Duration::from_secs(60);
    });
    let slow: Vec<TcpStream> = (0..4).map(|_| never_reads(&running)).collect();
    with_good_client(&running, || slow.iter().for_each(wait_for_disconnection));
    let slow: Vec<TcpStream> = (0..4).map(|_| never_reads(&running)).collect();
    let since = Instant::now();
    running.stop();
    assert!(since.elapsed() < Duration::from_secs(50), "it stops although all places are taken");
    drop(slow);
}

#[test]
fn a_stopping_server_does_not_wait_for_clients_that_do_not_read() {
    let mut running = Running::start(|settings| {
        settings.limits.stall = Duration::from_secs(60);
        settings.limits.grace = Duration::from_secs(60);
    });
    let slow: Vec<TcpStream> = (0..4).map(|_| never_reads(&running)).collect();
    let since = Instant::now();
    running.stop();
    assert!(since.elapsed() < Duration::from_secs(50), "it waited for {:?}", since.elapsed());
    drop(slow);
}

#[test]
fn a_full_server_reacts_to_shutdown() {
    let mut running = Running::start(|settings| {
        settings.limits.connections = 2;
        settings.limits.grace = Duration::from_millis(300);
    });
    let mut open: Vec<TcpStream> = (0..3).map(|_| running.open()).collect();
    open.iter_mut().for_each(|stream| stream.write_all(&head("POST", "/predict", &[], 1000)).unwrap());
    std::thread::sleep(Duration::from_millis(100));
    let (control, ended) = (running.control.clone(), AtomicBool::new(false));
    control.stop();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            running.stop();
            ended.store(true, Ordering::Relaxed);
        });
        let since = Instant::now();
        while !ended.load(Ordering::Relaxed) && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let in_time = ended.load(Ordering::Relaxed);
        // Unblocks a server that waits for a slot, so that the test ends.
        drop(open);
        assert!(in_time, "it waits for a slot");
    });
}

#[test]
fn many_large_images_do_not_starve_small_ones() {
    let running = Running::start(|settings| settings.limits.pixels = 4_000_000);
    let large = images::png(2000, 2000, ColorType::Grayscale, &vec![7; 4_000_000]);
    with_good_client(&running, || {
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let answer = running.send("POST", "/predict?crops=10", &[FORM], &form(&[("a", large.as_slice()); 4]));
                    assert!([200, 503].contains(&answer.status), "{}", answer.text());
                });
            }
        });
    });
}

#[test]
fn a_half_closed_request_is_answered() {
    let running = Running::start(|_| {});
    let image = png(60, 60, 1);
    for _ in 0..5 {
        let mut stream = running.open();
        stream.write_all(&[head("POST", "/predict", &[], image.len()), image.clone()].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(answer(stream).status, 200);
    }
}

#[test]
fn every_error_is_a_line_of_json() {
    let running = Running::start(|_| {});
    let raw = |text: &[u8]| {
        let mut stream = running.open();
        let _ = stream.write_all(text);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
        assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
        let message = serde_json::from_str::<serde_json::Value>(body).unwrap_or_else(|e| panic!("{e}: {body}"))["error"].clone();
        assert!(message.as_str().is_some_and(|line| !line.is_empty() && !line.contains('\n')), "{body}");
        head.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(raw(b"hello\r\n\r\n"), 400);
    assert_eq!(raw(b"GET / HTTP/3.7\r\n\r\n"), 400);
    assert_eq!(raw(b"GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
    assert_eq!(raw(&[b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 50_000], b"\r\n\r\n"].concat()), 431);
    assert_eq!(raw(&[b"GET / HTTP/1.1\r\n".as_slice(), &b"A: a\r\n".repeat(200), b"\r\n"].concat()), 431);
    let get = |path: &str| raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
    assert_eq!([get("/nowhere"), get("/predict"), get("/v2/models/%FF"), get("/indexed?row=x")], [404, 405, 400, 400]);
}

#[test]
fn other_sites_are_rejected() {
    let running = Running::start(|settings| {
        settings.allow_hosts = vec!["box.example".into()];
        settings.allow_origins = vec!["https://good.example".into()];
    });
    let image = png(60, 60, 1);
    let host = |host: &str| {
        let mut stream = running.open();
        write!(stream, "GET /models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        answer(stream)
    };
    assert_error(&host("evil.example"), 403, "--allow-host");
    assert_eq!([host("localhost:1").status, host("[::1]").status, host("box.example:80").status], [200; 3]);
    let send = |headers: &[(&str, &str)]| running.send("POST", "/predict", headers, &image);
    assert_error(&send(&[("Sec-Fetch-Site", "cross-site")]), 403, "--allow-origin");
    assert_error(&send(&[("Origin", "http://evil.example")]), 403, "--allow-origin");
    assert_eq!(send(&[("Sec-Fetch-Site", "same-origin")]).status, 200);
    let good = send(&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://good.example")]);
    assert_eq!((good.status, good.header("access-control-allow-origin")), (200, Some("https://good.example")));
    let asked = [("Origin", "https://good.example"), ("Access-Control-Request-Method", "POST")];
    let before = running.send("OPTIONS", "/predict", &asked, b"");
    assert_eq!((before.status, before.header("access-control-allow-methods")), (204, Some("GET, POST")));
}

#[test]
fn compressed_bodies_are_rejected_on_every_route() {
    let running = Running::start(|_| {});
    for path in ["/predict", "/explain", INFER] {
        assert_error(&running.send("POST", path, &[("Content-Encoding", "gzip")], b"\x1F\x8B\x08"), 415, "compressed");
        assert_eq!(running.send("POST", path, &[("Content-Encoding", "identity")], b"x").status / 100, 4);
    }
}

#[test]
fn base64_files_may_have_line_breaks_and_be_data_urls() {
    let running = Running::start(|_| {});
    let text = crate::base64(&png(40, 40, 1));
    let lines: Vec<&str> = text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let send = |text: &str| {
        let files = json!({ "inputs": [{ "name": "picture", "datatype": "BYTES", "shape": [1], "data": [text] }] });
        running.post(INFER, files.to_string().as_bytes())
    };
    let plain = send(&text);
    assert_eq!(plain.status, 200, "{}", plain.text());
    for other in [lines.join("\r\n"), lines.join("\n") + "\n", format!("data:image/png;base64,{text}")] {
        assert_eq!(send(&other).json(), plain.json());
    }
    assert_error(&send("data:image/png,abc"), 400, "base64");
    assert_error(&send("not base64!"), 400, "send the file's bytes in base64");
}
