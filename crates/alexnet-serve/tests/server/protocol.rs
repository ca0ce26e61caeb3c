//! The Open Inference Protocol.

use alexnet::engine::Inference;
use alexnet::engine::cpu::Cpu;
use alexnet::formats;
use alexnet::image::decode;
use alexnet::predict::{crop_tensors, top_k};
use serde_json::{Value, json};

use crate::assert_error;
use crate::client::{Running, SIZE, png};

const INFER: &str = "/v2/models/small/infer";

/// Preprocessed images and their logits.
fn tensors(running: &Running, pictures: &[Vec<u8>]) -> (Vec<f32>, Vec<f32>) {
    let model = formats::load(&running.model, None).unwrap();
    let (mut images, mut logits) = (Vec::new(), Vec::new());
    pictures.iter().for_each(|p| {
        crop_tensors(&decode::decode(p).unwrap(), &model.preprocess, alexnet::image::crop::Crops::Centre, &mut images)
    });
    let mut engine = Cpu::new(&model.net, 4, 1).unwrap().batch_invariant();
    alexnet::engine::load_model(&model, &mut engine).unwrap();
    engine.infer(&images, &mut logits).unwrap();
    (images, logits)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

/// Sends a JSON head followed by binary data.
fn binary(running: &Running, head: &Value, data: &[u8]) -> crate::client::Answer {
    let head = head.to_string();
    let length = head.len().to_string();
    running.send("POST", INFER, &[("Inference-Header-Content-Length", &length)], &[head.as_bytes(), data].concat())
}

#[test]
fn server_and_models_report_metadata() {
    let running = Running::start(|_| {});
    assert_eq!(running.get("/v2").json()["extensions"], json!(["binary_tensor_data", "classification"]));
    for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/small/ready", "/v2/models/small/versions/1/ready"] {
        assert_eq!(running.get(path).status, 200, "{path}");
    }
    let model = running.get("/v2/models/small").json();
    assert_eq!(model["inputs"], json!([{ "name": "input", "datatype": "FP32", "shape": [-1, 3, SIZE, SIZE] }]));
    assert_eq!(model["outputs"][1], json!({ "name": "probabilities", "datatype": "FP32", "shape": [-1, 3] }));
    assert_eq!(running.get("/v2/models/small/versions/1").json(), model);
    assert_error(&running.get("/v2/models/large"), 404, "available: small");
    assert_error(&running.get("/v2/models/small/versions/2"), 404, "only version is 1");
    assert_error(&running.post("/v2/models/large/infer", b"{}"), 404, "available: small");
}

#[test]
fn tensors_get_the_engines_logits_to_the_last_bit() {
    let running = Running::start(|settings| settings.batching.max = 4);
    // 19 images make five batches; a single one does not wait.
    for n in [1, 4, 19] {
        let pictures: Vec<Vec<u8>> = (0..n).map(|i| png(40, 50, i)).collect();
        let (images, logits) = tensors(&running, &pictures);
        let input = |more: Value| {
            let mut input = json!({ "name": "input", "datatype": "FP32", "shape": [n, 3, SIZE, SIZE] });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        let in_json =
            running.post(INFER, json!({ "id": "x", "inputs": [input(json!({ "data": images }))] }).to_string().as_bytes());
        let found = in_json.json();
        assert_eq!((in_json.status, &found["id"], &found["model_name"]), (200, &json!("x"), &json!("small")));
        assert_eq!(found["outputs"][0], json!({ "name": "logits", "datatype": "FP32", "shape": [n, 3], "data": logits }));
        let head = json!({
            "inputs": [input(json!({ "parameters": { "binary_data_size": images.len() * 4 } }))],
            "outputs": [{ "name": "probabilities", "parameters": { "binary_data": true } }, { "name": "logits", "parameters": { "binary_data": true } }],
        });
        let answer = binary(&running, &head, &bytes(&images));
        let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
        let json: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
        assert_eq!(json["outputs"][0]["parameters"], json!({ "binary_data_size": n * 12 }));
        let values = floats(&answer.body[length..]);
        assert_eq!(values[n * 3..], logits);
        let probabilities: Vec<f32> = logits
            .chunks(3)
            .flat_map(|logits| {
                let mut all = [0.0; 3];
                top_k(logits, 3, 3).iter().for_each(|g| all[g.index] = g.probability as f32);
                all
            })
            .collect();
        assert_eq!(values[..n * 3], probabilities);
        // The same images as files.
        let mut files = Vec::new();
        pictures.iter().for_each(|p| files.extend([&(p.len() as u32).to_le_bytes()[..], p].concat()));
        let head = json!({
            "parameters": { "binary_data_output": true },
            "inputs": [{ "name": "picture", "datatype": "BYTES", "shape": [n], "parameters": { "binary_data_size": files.len() } }],
            "outputs": [{ "name": "logits" }],
        });
        let answer = binary(&running, &head, &files);
        let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
        assert_eq!(floats(&answer.body[length..]), logits);
    }
}

#[test]
fn invalid_tensors_are_rejected() {
    let running = Running::start(|_| {});
    let shaped = |shape: Value, values: usize| {
        let head = json!({ "inputs": [{ "name": "input", "datatype": "FP32", "shape": shape, "parameters": { "binary_data_size": 4 * values } }] });
        (head, vec![0.5; values])
    };
    let (head, mut values) = shaped(json!([1, 3, SIZE, SIZE]), 3 * SIZE * SIZE);
    assert_eq!(binary(&running, &head, &bytes(&values)).status, 200);
    values[17] = f32::NAN;
    assert_error(&binary(&running, &head, &bytes(&values)), 400, "value 17 is NaN");
    assert_error(&binary(&running, &head, &bytes(&values[1..])), 400, "binary_data_size");
    let (head, values) = shaped(json!([1, SIZE, SIZE, 3]), 3 * SIZE * SIZE);
    assert_error(&binary(&running, &head, &bytes(&values)), 400, "send [n, 3, 33, 33]");
    assert_error(&running.post(INFER, b"{\"inputs\":[]}"), 400, "0 inputs");
    assert_error(&running.post(INFER, b"\xFF"), 400, "protocol");
    assert_error(&running.send("POST", INFER, &[("Inference-Header-Content-Length", "-1")], b"{}"), 400, "not a number");
    assert_error(&running.send("POST", INFER, &[("Content-Encoding", "gzip")], b"{}"), 415, "compressed");
    let text = json!({ "inputs": [{ "name": "picture", "datatype": "BYTES", "shape": [1], "data": ["aGVsbG8="] }] });
    assert_error(&running.post(INFER, text.to_string().as_bytes()), 422, "not a JPEG, PNG");
}
