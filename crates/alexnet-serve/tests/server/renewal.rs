//! Reloading while requests continue, and several models.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet::engine::Precision;
use alexnet_serve::{ModelFile, Server, Settings};
use serde_json::Value;

use crate::client::{Running, on_processor, png, write_model};

fn top(running: &Running, path: &str, image: &[u8]) -> Value {
    let answer = running.post(path, image);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["pictures"][0]["top"].clone()
}

/// Waits until a metric is at least `value`.
pub(crate) fn reaches(running: &Running, name: &str, value: f64) {
    let since = Instant::now();
    while running.figure(name) < value {
        assert!(since.elapsed() < Duration::from_secs(30), "{name} stays below {value}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn reloading_loses_no_request() {
    let running = Running::start(|_| {});
    let image = png(50, 50, 3);
    let old = top(&running, "/predict", &image);
    let done = AtomicBool::new(false);
    let new = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        seen.push(top(&running, "/predict", &image));
                    }
                    seen
                })
            })
            .collect();
        write_model(&running.model, 2);
        running.control.reload();
        reaches(&running, "alexnet_reloads_total", 1.0);
        let new = top(&running, "/predict", &image);
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap().iter().all(|seen| *seen == old || *seen == new));
        }
        new
    });
    assert_ne!(old, new);
    // An invalid or deleted file changes nothing; a valid one is loaded again.
    std::fs::write(&running.model, b"half of a model").unwrap();
    running.control.reload();
    reaches(&running, "alexnet_failed_reloads_total", 1.0);
    assert_eq!(top(&running, "/predict", &image), new);
    std::fs::remove_file(&running.model).unwrap();
    running.control.reload();
    assert_eq!(top(&running, "/predict", &image), new);
    write_model(&running.model, 1);
    running.control.reload();
    reaches(&running, "alexnet_reloads_total", 2.0);
    assert_eq!(top(&running, "/predict", &image), old);
}

#[test]
fn a_changed_file_is_reloaded_without_a_signal() {
    let running = Running::start(|settings| settings.watch = Duration::from_millis(20));
    let image = png(50, 50, 3);
    let old = top(&running, "/predict", &image);
    write_model(&running.model, 2);
    reaches(&running, "alexnet_reloads_total", 1.0);
    assert_ne!(top(&running, "/predict", &image), old);
}

#[test]
fn models_are_selected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    write_model(&other, 2);
    let file = ModelFile { name: "other".into(), path: other, others: Vec::new(), net: None, index: None };
    let running = Running::start(|settings| settings.models.push(file));
    let image = png(50, 50, 3);
    let [first, small, other] =
        ["/predict", "/predict?model=small", "/predict?model=other"].map(|path| top(&running, path, &image));
    assert_eq!(first, small);
    assert_ne!(first, other);
    assert_eq!(running.get("/models").json()["models"][1]["name"], "other");
    assert_eq!(running.get("/v2/models/other/ready").status, 200);
}

#[test]
fn invalid_settings_are_rejected() {
    let running = Running::start(|_| {});
    let settings = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings {
            models: vec![ModelFile { name: "a".into(), path: running.model.clone(), others: Vec::new(), net: None, index: None }],
            address: ([127, 0, 0, 1], 0).into(),
            engines: on_processor(Precision::F32),
            threads: 1,
            batching: alexnet_serve::Batching { max: 1, delay: Duration::ZERO },
            limits: Default::default(),
            token: None,
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            watch: Duration::ZERO,
        };
        change(&mut settings);
        Server::start(settings).map(|_| ()).unwrap_err().to_string()
    };
    let fails = |change: &dyn Fn(&mut Settings), part: &str| {
        let message = settings(change);
        assert!(message.contains(part), "{message}, not: {part}");
    };
    fails(&|s| s.models.clear(), "at least one model");
    fails(&|s| s.models.push(s.models[0].clone()), "two models have the name a");
    fails(&|s| s.models[0].name = "a/b".into(), "not valid in a URL");
    fails(&|s| s.models[0].path = "/nowhere/m".into(), "/nowhere/m");
    let index = |table: &str| Some(alexnet_serve::IndexFile { table: table.into(), images: None });
    fails(&|s| s.models[0].index = index("/nowhere/index.npy"), "/nowhere/index.json");
    fails(&|s| s.batching.max = 0, "invalid batch size 0");
    fails(&|s| s.limits.requests = 0, "limit of 0");
    fails(&|s| s.token = Some("two words".into()), "token");
    fails(&|s| s.address = running.address, "cannot listen on");
    fails(&|s| s.engines = on_processor(Precision::Int8), "quantize");
}
