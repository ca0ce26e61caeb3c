//! Non-finite values in model files, inputs and answers.

use alexnet_serve::Server;
use serde_json::json;

use crate::assert_error;
use crate::client::{Running, SIZE, png, settings, write_changed_model, write_model};

const INFER: &str = "/v2/models/small/infer";

/// Models with non-finite weights, or with finite weights but non-finite outputs.
fn changes() -> [(&'static str, &'static str, f32); 4] {
    [
        ("fc6.weight has values that are not finite", "fc6.weight", f32::NAN),
        ("conv1.bias has values that are not finite", "conv1.bias", f32::INFINITY),
        ("fc8.weight has values that are not finite", "fc8.weight", f32::NEG_INFINITY),
        ("its output for a grey image is not finite", "conv2.weight", 3e38),
    ]
}

#[test]
fn non_finite_models_are_rejected_and_the_old_one_stays() {
    let running = Running::start(|_| {});
    let image = png(50, 50, 1);
    let old = running.post("/predict", &image).json();
    for (i, (message, parameter, value)) in changes().into_iter().enumerate() {
        let write = |path| {
            write_changed_model(path, 2, |name, values| {
                if name == parameter {
                    values.iter_mut().for_each(|v| *v = value);
                }
            });
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        write(&path);
        let error = Server::start(settings(&path)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("m.safetensors"), "{error}");
        write(&running.model);
        running.control.reload();
        let since = std::time::Instant::now();
        while running.figure("alexnet_failed_reloads_total") < (i + 1) as f64 {
            assert!(since.elapsed() < std::time::Duration::from_secs(20), "{message}: it is served");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(running.post("/predict", &image).json(), old);
    }
    write_model(&running.model, 2);
    running.control.reload();
    let since = std::time::Instant::now();
    while running.post("/predict", &image).json() == old {
        assert!(since.elapsed() < std::time::Duration::from_secs(20), "a good model is not loaded");
    }
}

#[test]
fn non_finite_answers_are_rejected() {
    let running = Running::start(|_| {});
    let ask = |values: Vec<f32>, outputs: serde_json::Value| {
        let n = values.len() / (3 * SIZE * SIZE);
        let request = json!({ "outputs": outputs, "inputs": [{ "name": "input", "datatype": "FP32", "shape": [n, 3, SIZE, SIZE], "data": values }] });
        running.post(INFER, request.to_string().as_bytes())
    };
    let large = vec![3e38; 3 * SIZE * SIZE];
    for output in [
        json!({ "name": "logits" }),
        json!({ "name": "probabilities" }),
        json!({ "name": "logits", "parameters": { "classification": 1 } }),
    ] {
        assert_error(&ask(large.clone(), json!([output])), 422, "not finite");
    }
    // One among finite ones, in another batch.
    let mut many = vec![0.5; 20 * 3 * SIZE * SIZE];
    many[17 * 3 * SIZE * SIZE..][..3 * SIZE * SIZE].fill(3e38);
    assert_error(&ask(many, json!([])), 422, "not finite");
    assert_eq!(ask(vec![0.5; 3 * SIZE * SIZE], json!([])).status, 200);
    let text = |value: &str| {
        let values = vec![value; 3 * SIZE * SIZE].join(",");
        let request =
            format!(r#"{{"inputs":[{{"name":"input","datatype":"FP32","shape":[1,3,{SIZE},{SIZE}],"data":[{values}]}}]}}"#);
        running.post(INFER, request.as_bytes())
    };
    for value in ["1e39", "NaN", "Infinity", "null", "1e999"] {
        assert_eq!(text(value).status, 400, "{value}");
    }
}

#[test]
fn non_finite_explanations_are_rejected() {
    // Finite for a grey image but not for a bright one: the first layer has huge weights.
    let running = Running::start(|settings| {
        write_changed_model(&settings.models[0].path, 1, |name, values| {
            if name == "conv1.weight" {
                values.iter_mut().for_each(|v| *v = v.signum() * 1.2e38 * f32::from(v.abs() > 0.0));
            }
            if name == "conv2.weight" {
                values.iter_mut().for_each(|v| *v *= 1e-30);
            }
        });
        // Preprocessing turns the grey image into zeros.
        let mut model = alexnet::formats::load(&settings.models[0].path, None).unwrap();
        (model.preprocess.mean, model.preprocess.scale) = (alexnet::image::Mean::Channel([128.0; 3]), 1.0);
        model.preprocess.std = [1.0; 3];
        let path = settings.models[0].path.with_file_name("other.safetensors");
        alexnet::formats::write(&path, &model).unwrap();
        settings.models[0].path = path;
    });
    let image = png(60, 60, 1);
    for path in ["/predict", "/explain?kind=maps&layer=conv1", "/explain?kind=cam", "/explain?kind=saliency&class=cat"] {
        assert_error(&running.post(path, &image), 422, "not finite");
    }
}
