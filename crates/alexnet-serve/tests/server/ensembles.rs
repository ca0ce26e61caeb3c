//! Ensembles: several models under one name.

use alexnet::{Ensemble, formats};
use alexnet_serve::ModelFile;
use serde_json::{Value, json};

use crate::assert_error;
use crate::client::{Running, SIZE, png, write_model};

/// A server with the models `small` and the ensemble `both` of it and another, which is changed by `change`.
fn start(folder: &std::path::Path, change: impl Fn(&mut formats::Model)) -> (Running, [std::path::PathBuf; 2]) {
    let paths = ["a", "b"].map(|name| folder.join(format!("{name}.safetensors")));
    write_model(&paths[0], 1);
    write_model(&paths[1], 2);
    let mut model = formats::read(&paths[1]).unwrap();
    change(&mut model);
    formats::write(&paths[1], &model).unwrap();
    let [path, other] = paths.clone();
    let file = ModelFile { name: "both".into(), path, others: vec![other], net: None, index: None };
    (Running::start(|settings| settings.models.push(file)), paths)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn an_ensemble_answers_as_one_model_with_the_mean_of_the_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    // Classes in another order, and other preprocessing.
    let (running, paths) = start(folder.path(), |model| {
        model.classes.rotate_left(1);
        model.preprocess.scale *= 0.5;
    });
    let file = folder.path().join("x.png");
    std::fs::write(&file, png(50, 60, 3)).unwrap();
    let expected = Ensemble::open(&paths).unwrap().predict(&file).unwrap();
    let answer = running.post("/predict?model=both&top=3", &png(50, 60, 3)).json();
    assert_eq!(answer["model"], "both");
    for (found, best) in answer["pictures"][0]["top"].as_array().unwrap().iter().zip(expected.top(3)) {
        assert_eq!((&found["label"], found["probability"].as_f64().unwrap()), (&json!(best.label), best.probability));
    }
    let about = running.get("/v2/models/both").json();
    assert_eq!(about["inputs"], json!([{ "name": "picture", "datatype": "BYTES", "shape": [-1] }]));
    assert_eq!(about["parameters"]["ensemble"], json!(["small", "small"]));
    let infer = |model: &str, input: Value| {
        let outputs = json!([{ "name": "probabilities" }, { "name": "logits" }]);
        running
            .post(&format!("/v2/models/{model}/infer"), json!({ "inputs": [input], "outputs": outputs }).to_string().as_bytes())
    };
    let tensor = json!({ "name": "input", "datatype": "FP32", "shape": [1, 3, SIZE, SIZE], "data": vec![0.5; 3 * SIZE * SIZE] });
    assert_error(&infer("both", tensor), 400, "send image files (picture)");
    for path in ["/explain?model=both", "/similar?model=both"] {
        assert_error(&running.post(path, &png(50, 60, 3)), 400, "both is an ensemble of 2 models");
    }
    assert_error(&running.get("/filters?model=both"), 400, "both is an ensemble");
    let models = running.get("/models").json();
    assert_eq!((&models["models"][1]["models"], &models["models"][1]["layers"]), (&json!(2), &json!([])));
    assert_eq!(running.get("/v2/models/both/ready").status, 200);
    assert!(running.get("/metrics").text().contains("model=\"both\""));
}

#[test]
fn an_ensemble_with_one_preprocessing_takes_tensors_and_is_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let (running, paths) = start(folder.path(), |_| {});
    let n = 19;
    let data: Vec<f32> = (0..n * 3 * SIZE * SIZE).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let infer = |model: &str| {
        let input = json!({ "name": "input", "datatype": "FP32", "shape": [n, 3, SIZE, SIZE], "data": data });
        let outputs = json!([{ "name": "probabilities" }, { "name": "logits" }]);
        let body = json!({ "inputs": [input], "outputs": outputs }).to_string();
        let answer = running.post(&format!("/v2/models/{model}/infer"), body.as_bytes()).json();
        [0, 1].map(|i| numbers(&answer["outputs"][i]["data"]))
    };
    let ([small, _], [both, logits]) = (infer("small"), infer("both"));
    assert_eq!((both.len(), logits.len()), (n * 3, n * 3));
    for (p, logit) in both.iter().zip(&logits) {
        assert!((logit.exp() - p).abs() < 1e-6);
    }
    // `small` is the first model: the second's share is what remains, and a distribution.
    let second: Vec<f64> = both.iter().zip(&small).map(|(both, small)| 2.0 * both - small).collect();
    assert!(second.chunks(3).all(|one| (one.iter().sum::<f64>() - 1.0).abs() < 1e-5 && one.iter().all(|&p| p > -1e-6)));
    write_model(&paths[1], 1);
    running.control.reload();
    crate::renewal::reaches(&running, "alexnet_reloads_total", 1.0);
    let [both, _] = infer("both");
    assert!(both.iter().zip(&small).all(|(a, b)| (a - b).abs() < 1e-6));
}
