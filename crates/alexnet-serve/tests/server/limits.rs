//! Load, slow clients and shutdown.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::assert_error;
use crate::client::{Running, answer, head, png};

/// A request whose body is half sent.
fn half(running: &Running, image: &[u8]) -> TcpStream {
    let mut stream = running.open();
    stream.write_all(&head("POST", "/predict", &[], image.len())).unwrap();
    stream.write_all(&image[..image.len() / 2]).unwrap();
    stream
}

fn finish(mut stream: TcpStream, image: &[u8]) -> u16 {
    stream.write_all(&image[image.len() / 2..]).unwrap();
    answer(stream).status
}

/// Waits until `count` requests are in progress.
fn in_hand(running: &Running, count: f64) {
    let since = Instant::now();
    while running.figure("alexnet_requests_in_hand") != count {
        assert!(since.elapsed() < Duration::from_secs(20), "not {count} requests in progress");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_server_rejects_at_once_and_answers_accepted_requests() {
    let running = Running::start(|settings| {
        settings.limits.requests = 2;
        // Large limits, so that these clients are not too slow on any machine.
        settings.limits.stall = Duration::from_secs(60);
    });
    let image = png(50, 50, 1);
    let taken = [half(&running, &image), half(&running, &image)];
    in_hand(&running, 2.0);
    for _ in 0..20 {
        let refused = running.post("/predict", &image);
        assert_error(&refused, 503, "try again");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    // Requests that need no slot are answered.
    assert_eq!(running.get("/v2/health/ready").status, 200);
    assert_eq!(taken.map(|stream| finish(stream, &image)), [200, 200]);
    assert_eq!(running.post("/predict", &image).status, 200);
    assert_eq!(running.figure("alexnet_requests_total{route=\"/predict\",status=\"503\"}"), 20.0);
}

#[test]
fn large_bodies_are_rejected_before_they_are_read() {
    let running = Running::start(|settings| settings.limits.body = 10_000);
    // 1 GB announced, nothing sent.
    let mut stream = running.open();
    stream.write_all(&head("POST", "/predict", &[], 1 << 30)).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    // A client that sends the whole body nevertheless sees its answer.
    assert_error(&running.post("/predict", &vec![0; 30_000]), 413, "more than 10000 bytes");
    // A body of unknown length.
    let mut stream = running.open();
    stream
        .write_all(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    for _ in 0..4 {
        stream.write_all(b"1000\r\n").unwrap();
        stream.write_all(&[0; 0x1000]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_error(&answer(stream), 413, "more than 10000 bytes");
    assert_eq!(running.figure("alexnet_requests_in_hand"), 0.0);
}

#[test]
fn slow_clients_are_dropped() {
    let running = Running::start(|settings| {
        settings.limits.time = Duration::from_millis(300);
        settings.limits.header = Duration::from_millis(300);
    });
    let image = png(50, 50, 1);
    // An incomplete body.
    assert_error(&answer(half(&running, &image)), 408, "did not arrive");
    // An incomplete header, and a silent connection.
    for text in ["GET /v2 HTTP/1.1\r\nHos", ""] {
        let mut stream = running.open();
        stream.write_all(text.as_bytes()).unwrap();
        let since = Instant::now();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(since.elapsed() < Duration::from_secs(10), "still open");
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(running.figure("alexnet_requests_in_hand"), 0.0);
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let running = Running::start(|settings| settings.limits.connections = 1);
    let first = half(&running, &png(50, 50, 1));
    std::thread::scope(|scope| {
        let second = scope.spawn(|| running.get("/v2/health/live").status);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!second.is_finished());
        assert_eq!(finish(first, &png(50, 50, 1)), 200);
        assert_eq!(second.join().unwrap(), 200);
    });
}

#[test]
fn disconnected_clients_leave_nothing_behind() {
    let running = Running::start(|_| {});
    let image = png(50, 50, 1);
    for _ in 0..20 {
        drop(half(&running, &image));
        let mut whole = running.open();
        whole.write_all(&head("POST", "/predict", &[], image.len())).unwrap();
        whole.write_all(&image).unwrap();
    }
    in_hand(&running, 0.0);
    assert_eq!(running.post("/predict", &image).status, 200);
}

#[test]
fn a_stopping_server_answers_accepted_requests() {
    let mut running = Running::start(|_| {});
    let image = png(50, 50, 1);
    let taken: Vec<TcpStream> = (0..10).map(|_| half(&running, &image)).collect();
    in_hand(&running, 10.0);
    running.control.stop();
    // It accepts no more connections, but still waits for these.
    let since = Instant::now();
    while TcpStream::connect(running.address).is_ok() {
        assert!(since.elapsed() < Duration::from_secs(20), "still listening");
        std::thread::sleep(Duration::from_millis(5));
    }
    for stream in taken {
        assert_eq!(finish(stream, &image), 200);
    }
    running.stop();
}

#[test]
fn a_stopping_server_answers_the_first_request_of_a_new_connection() {
    let mut running = Running::start(|_| {});
    let image = png(50, 50, 1);
    let mut fresh = running.open();
    // A later connection is answered, so this one has been accepted.
    assert_eq!(running.get("/v2/health/live").status, 200);
    running.control.stop();
    std::thread::sleep(Duration::from_millis(100));
    fresh.write_all(&[head("POST", "/predict", &[], image.len()), image].concat()).unwrap();
    assert_eq!(answer(fresh).status, 200);
    running.stop();
}

#[test]
fn a_stopping_server_waits_no_longer_than_the_grace_period() {
    let mut running = Running::start(|settings| settings.limits.grace = Duration::from_millis(200));
    let _taken = half(&running, &png(50, 50, 1));
    in_hand(&running, 1.0);
    let since = Instant::now();
    running.stop();
    assert!(since.elapsed() < Duration::from_secs(10));
}
