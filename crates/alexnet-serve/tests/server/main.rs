//! Integration tests of the server over real sockets.

#![allow(clippy::unwrap_used)] // also in shared test code

mod attacks;
mod client;
mod ensembles;
mod finite;
mod limits;
mod protocol;
mod renewal;
mod similar;

use std::io::Write;

use alexnet::Classifier;
use alexnet::image::crop::Crops;
use alexnet::image::{Image, decode};
use serde_json::{Value, json};

use crate::client::{FORM, Running, answer, form, head, png};

/// Predictions as the server serializes them.
fn expected(running: &Running, images: &[Vec<u8>], crops: usize, top: usize) -> Vec<Value> {
    let crops = Crops::of_count(crops).unwrap();
    let mut classifier = Classifier::builder().crops(crops).batch(images.len()).threads(1).open(&running.model).unwrap();
    let images: Vec<Image> = images.iter().map(|bytes| decode::decode(bytes).unwrap()).collect();
    let one = |p: &alexnet::Prediction| json!({ "index": p.index, "label": p.label, "probability": p.probability });
    classifier.predict_batch(&images).unwrap().iter().map(|answer| answer.top(top).iter().map(one).collect()).collect()
}

#[test]
fn predictions_are_bit_identical_alone_in_forms_and_in_batches() {
    let running = Running::start(|_| {});
    let images: Vec<Vec<u8>> = (0..20).map(|i| png(40 + 3 * i, 90 - 2 * i, i)).collect();
    for crops in [1, 10] {
        let expected = expected(&running, &images, crops, 2);
        let path = format!("/predict?crops={crops}&top=2&model=small");
        // A single image.
        let found = running.post(&path, &images[0]).json();
        assert_eq!((&found["model"], &found["crops"]), (&json!("small"), &json!(crops)));
        assert_eq!(found["pictures"][0]["top"], expected[0]);
        assert!(found["pictures"][0]["top"][0]["probability"].as_f64() > Some(0.3));
        // Several in one request, including a broken one.
        let parts: Vec<(&str, &[u8])> = vec![("a.png", &images[1]), ("no.png", b"no image"), ("c.png", &images[2])];
        let found = running.send("POST", &path, &[FORM], &form(&parts));
        assert_eq!(found.status, 200, "{}", found.text());
        let found = found.json()["pictures"].clone();
        assert_eq!((&found[0]["top"], &found[2]["top"], &found[2]["name"]), (&expected[1], &expected[2], &json!("c.png")));
        assert!(found[1]["error"].as_str().unwrap().contains("not a JPEG, PNG"), "{found}");
        // Concurrent requests: the engine sees them in arbitrary batches.
        std::thread::scope(|scope| {
            for (image, expected) in images.iter().zip(&expected) {
                let (running, path) = (&running, &path);
                scope.spawn(move || {
                    (0..5).for_each(|_| assert_eq!(running.post(path, image).json()["pictures"][0]["top"], *expected))
                });
            }
        });
    }
    let batches = running.figure("alexnet_batch_size_count");
    assert!(running.figure("alexnet_batch_size_sum") > batches, "no batch had two inputs");
    assert_eq!(running.figure("alexnet_decode_seconds_count"), 2.0 * (1.0 + 3.0 + 100.0));
    assert_eq!(running.figure("alexnet_requests_in_hand"), 0.0);
}

#[test]
fn the_page_is_self_contained() {
    let running = Running::start(|_| {});
    let page = running.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let text = page.text().replace("http://www.w3.org/2000/svg", "");
    assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("src=\"//"), "something is fetched");
    assert!(text.contains("aria-live"));
    let models = running.get("/models").json();
    assert_eq!(models["models"][0]["classes"], json!(["cat", "dog", "<b>\"bird\""]));
    assert_eq!(models["models"][0]["layers"][2], json!({ "name": "conv2", "channels": 32, "size": 16, "weight": [32, 8, 3, 3] }));
    assert_eq!(running.get("/openapi.json").json()["openapi"], "3.0.3");
}

#[test]
fn explanations_are_returned_as_numbers_and_images() {
    let running = Running::start(|_| {});
    let image = png(66, 33, 4);
    let maps = running.post("/explain?kind=maps&layer=conv2", &image).json();
    assert_eq!((&maps["channels"], &maps["rows"], maps["values"].as_array().unwrap().len()), (&json!(32), &json!(16), 32 * 256));
    // The central 33 of 38 preprocessed pixels, in an image twice as wide as high: 29 of its 33 rows, rounded.
    let close = |found: &Value, expected: f64| (found.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(close(&maps["area"]["height"], 29.0 / 33.0) && close(&maps["area"]["left"], 19.0 / 66.0), "{}", maps["area"]);
    let sheet = running.post("/explain?kind=maps&layer=conv2&format=png", &image);
    assert_eq!(sheet.header("content-type"), Some("image/png"));
    assert_eq!(serde_json::from_str::<Value>(sheet.header("picture-area").unwrap()).unwrap(), maps["area"]);
    let sheet = decode::decode(&sheet.body).unwrap();
    assert_eq!((sheet.width, sheet.height), (6 * 16, 6 * 16));
    // Explanations of the most probable class, or of one selected by name or number.
    let cam = |more: &str| running.post(&format!("/explain?{more}"), &image).json();
    let best = running.post("/predict", &image).json()["pictures"][0]["top"][0].clone();
    let heat = cam("kind=cam");
    assert_eq!((&heat["class"]["index"], &heat["layer"], &heat["rows"]), (&best["index"], &json!("relu2"), &json!(16)));
    assert!(heat["values"].as_array().unwrap().iter().all(|v| v.as_f64() >= Some(0.0)));
    assert_eq!((cam("class=dog"), &cam("class=dog")["class"]["index"]), (cam("class=1"), &json!(1)));
    assert_ne!(cam("class=dog")["values"], cam("class=cat")["values"]);
    assert_ne!(cam("class=dog&method=grad-cam")["values"], cam("class=dog")["values"]);
    assert_eq!(cam("class=dog&layer=conv1")["rows"], 16);
    assert_eq!(cam("kind=saliency&class=dog")["rows"], 33);
    let over = decode::decode(&running.post("/explain?class=dog&format=png", &image).body).unwrap();
    // The visible part of the image: 29 of 33 rows.
    assert_eq!((over.width, over.height), (29, 29));
    // Gradients need the weights in another layout, which changes no answer.
    assert_eq!(running.post("/predict", &image).json()["pictures"][0]["top"][0], best);
    let filters = |path: &str| decode::decode(&running.get(path).body).unwrap();
    assert_eq!((filters("/filters").width, filters("/filters?layer=conv2&unit=31").height), (15, 9));
    for (path, part) in [
        ("/filters?layer=fc6", "no filters"),
        ("/filters?layer=conv2&unit=32", "no unit 32 in layer conv2, which has 32"),
        ("/filters?x=1", "x"),
    ] {
        let answer = running.get(path);
        assert!(answer.status == 400 && answer.text().contains(part), "{} {}", answer.status, answer.text());
    }
}

#[test]
fn bad_requests_get_a_one_line_error_and_the_server_survives() {
    let running = Running::start(|settings| settings.limits.pixels = 1_000_000);
    let whole = png(60, 60, 1);
    let crops = "/predict?crops=10";
    let post = |path: &str, body: &[u8], status: u16, part: &str| assert_error(&running.post(path, body), status, part);
    post("/predict", b"", 400, "body is empty");
    post("/predict", b"hello", 422, "not a JPEG, PNG");
    post(crops, &whole[..whole.len() / 2], 422, "the file ends too early");
    post("/predict", &[0xFF, 0xD8, 0xFF, 0xE0, 0, 16], 422, "the file ends too early");
    // 100,000 x 100,000 pixels: 30 GB.
    post("/predict", &enormous_png(), 422, "limit of 1000000");
    post("/predict", &png(1001, 1000, 1), 422, "limit of 1000000");
    post("/predict?crops=3", &whole, 400, "crops=3");
    post("/predict?crops=ten", &whole, 400, "crops");
    post("/predict?top=0", &whole, 400, "top=0");
    post("/predict?tops=1", &whole, 400, "tops");
    post("/predict?model=large", &whole, 404, "available: small");
    post("/explain?layer=conv9", &whole, 400, "conv1, relu1");
    post("/explain?layer=fc6", &whole, 400, "fc6 has no spatial activations");
    post("/explain?class=cow", &whole, 400, "cat, dog");
    post("/explain?kind=x", &whole, 400, "kind");
    post("/explain", &whole[..100], 422, "the file ends too early");
    post("/nowhere", &whole, 404, "openapi");
    post("/models", &whole, 405, "method");
    assert_error(&running.get("/predict"), 405, "method");
    assert_error(&running.send("POST", "/predict", &[FORM], &whole), 400, "boundary");
    assert_error(&running.send("POST", "/predict", &[FORM], b"--q--"), 400, "no images");
    assert_error(&running.send("POST", "/explain", &[FORM], &form(&[("a", &whole), ("b", &whole)])), 400, "2 images");
    let many = vec![("a", b"x".as_slice()); 65];
    assert_error(&running.send("POST", "/predict", &[FORM], &form(&many)), 413, "64 at most");
    // Not HTTP, and an endless header.
    for noise in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n".as_slice(),
        &b"GET / HTTP/1.1\r\nA: ".iter().chain(&[b'a'; 100_000]).copied().collect::<Vec<_>>(),
    ] {
        let mut stream = running.open();
        let _ = stream.write_all(noise);
        let mut bytes = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut bytes);
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&bytes));
    }
    // A body shorter than announced.
    let mut stream = running.open();
    stream.write_all(&head("POST", "/predict", &[], 1000)).unwrap();
    stream.write_all(&whole[..500]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut bytes);
    assert!(!bytes.starts_with(b"HTTP/1.1 2"));
    assert_eq!(running.post("/predict", &whole).status, 200);
    assert_eq!(running.figure("alexnet_requests_in_hand"), 0.0);
}

/// Asserts an error's status and part of its message.
fn assert_error(answer: &client::Answer, status: u16, part: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    let message = answer.json()["error"].as_str().unwrap_or_default().to_string();
    assert!(message.contains(part) && !message.contains('\n'), "{message}, not: {part}");
}

/// A file in base64, for JSON.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |part: &[u8]| {
        let value = (0..3).fold(0u32, |value, i| value << 8 | u32::from(*part.get(i).unwrap_or(&0)));
        let digit = |i: usize| if i <= part.len() { char::from(ALPHABET[(value >> (18 - 6 * i)) as usize & 63]) } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// The beginning of a PNG of 100,000 x 100,000 pixels.
fn enormous_png() -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        let crc = !body
            .iter()
            .fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))));
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc.to_be_bytes()].concat()
    };
    let side = 100_000u32.to_be_bytes();
    let header = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[0x78, 0x9C, 3, 0]), chunk(b"IEND", &[])].concat()
}

#[test]
fn a_configured_token_is_required() {
    let running = Running::start(|settings| settings.token = Some("se-cret".into()));
    let image = png(40, 40, 1);
    let with = |value: &str| running.send("POST", "/predict", &[("Authorization", value)], &image);
    assert_error(&running.post("/predict", &image), 401, "Authorization: Bearer");
    assert_error(&with("Bearer se-creT"), 401, "invalid token");
    assert_error(&with("Bearer se-cret2"), 401, "invalid token");
    assert_error(&with("Basic se-cret"), 401, "Authorization: Bearer");
    assert_eq!(running.get("/metrics").status, 401);
    assert_eq!(running.get("/metrics").header("www-authenticate"), Some("Bearer"));
    assert_eq!((with("Bearer se-cret").status, with("bearer se-cret").status), (200, 200));
    // The page asks for it; health routes are public.
    for path in ["/", "/v2/health/live", "/v2/health/ready"] {
        assert_eq!(running.get(path).status, 200, "{path}");
    }
}

#[test]
fn connections_are_reused() {
    let running = Running::start(|_| {});
    let mut stream = running.open();
    let image = png(40, 40, 1);
    for _ in 0..3 {
        let head = format!("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", image.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&image).unwrap();
    }
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let all = answer(stream);
    assert_eq!(format!("{}{}", all.head, all.text()).matches("HTTP/1.1 200").count(), 4);
}
