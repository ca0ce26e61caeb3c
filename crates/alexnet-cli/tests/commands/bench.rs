//! `bench`, `selftest` and `doctor`.

use super::*;

#[test]
fn the_self_test_reports_the_formulas_parameters() {
    let report = done(&["selftest", "--net", "slim", "--batch", "1", "--classes", "3", "--json"]);
    let report: alexnet::selftest::Report = serde_json::from_str(&report).expect("a report");
    // fc8's weight has 3 outputs; its first value is the formula's for tensor 14 of seed 1, at scale sqrt(3 / 4096).
    assert_eq!((report.classes, report.parameters), (3, 50_303_912 - 997 * 4097));
    assert_eq!(report.activations["fc8"].shape, [1, 3]);
    assert_eq!(report.losses.len(), 3);
}

#[test]
fn the_doctor_measures_and_compares_with_pytorch() {
    let report = last_json(&["doctor", "--json"]);
    let speed = |name: &str| report["speeds"][name].as_f64().expect("a number");
    assert!(
        ["flops", "byte_ops", "read", "one_image", "one_image_int8", "training", "training_bf16"]
            .iter()
            .all(|name| speed(name) > 0.0)
    );
    let tested: Vec<_> =
        report["selftest"].as_array().expect("nets").iter().map(|net| (net["net"].as_str(), net["size"].as_u64())).collect();
    assert_eq!(tested, [(Some("torchvision"), Some(128)), (Some("cifar-11pct"), Some(24))]);
    assert_eq!(report["devices"][0]["device"], "cpu");
    let advice = report["advice"].as_array().expect("advice").iter().filter_map(|line| line.as_str()).collect::<Vec<_>>();
    assert!(!advice.iter().any(|line| line.contains("differ")), "{advice:?}");
    assert_eq!(advice.iter().any(|line| line.contains("--release")), cfg!(debug_assertions), "{advice:?}");
}

#[test]
fn bench_reports_rates_and_every_step() {
    let load = ["--net", "paper", "--image-size", "67", "--batch", "2", "--seconds", "0", "--json"];
    let bench = |mode: &[&str]| last_json(&[&["bench"], mode, &load].concat());
    for (mode, precision) in [("train", "f32"), ("infer", "f32"), ("infer", "bf16"), ("infer", "int8"), ("infer", "int4")] {
        let bench = |what: &[&str]| bench(&[what, &["--precision", precision]].concat());
        let speed = bench(&[mode]);
        let rate = |which: &str| speed["images_per_second"][which].as_f64().expect("a rate");
        assert!(speed["mode"] == mode && rate("min") > 0.0 && rate("min") <= rate("median") && rate("median") <= rate("max"));
        assert_eq!(speed["runs"], 3);
        let steps = bench(&["kernels", "--mode", mode]);
        let of = |layer: &str, pass: &str| {
            let rows = steps["steps"].as_array().expect("rows").iter();
            rows.filter(|row| row["layer"] == layer && row["pass"] == pass).cloned().collect::<Vec<_>>()
        };
        assert!(steps["peak_gflops"].as_f64() > Some(0.1) && steps["read_gb_per_second"].as_f64() > Some(0.1));
        // conv2's forward pass appears once; it multiplies, and norm2's does not.
        let [conv2, norm2] = ["conv2", "norm2"].map(|layer| of(layer, "forward").remove(0));
        assert!(conv2["gflops"].as_f64() > Some(0.0) && norm2["gflops"].is_null(), "{conv2} {norm2}");
        let share: f64 = steps["steps"].as_array().expect("rows").iter().map(|row| row["share"].as_f64().expect("a share")).sum();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        // conv1 needs no gradient of the images, and only training computes gradients.
        let train = usize::from(mode == "train");
        let counts = [of("conv1", "weights").len(), of("conv2", "data gradient").len(), of("loss", "forward").len()];
        assert_eq!((counts, of("conv1", "data gradient").len()), ([train; 3], 0));
    }
}

#[test]
fn bench_data_reports_every_loading_step() {
    let load = ["--image-size", "64", "--batch", "4", "--seconds", "0.01", "--json"];
    let rates = last_json(&[["bench", "data"].as_slice(), &load].concat());
    let steps = rates["steps"].as_array().expect("rows");
    assert!(steps.len() == 6 && steps.iter().all(|row| row["pictures_per_second"].as_f64() > Some(1.0)), "{steps:?}");
    assert_eq!((&rates["pictures"], &rates["sample"], &rates["mean_pixels"]), (&4000.into(), &256.into(), &9216.0.into()));
    assert!(rates["training_images_per_second"].as_f64() > Some(0.1) && steps[0]["mb_per_second"].is_null());
    fails(1, &["bench", "data", "--data", "/nowhere"], &["/nowhere", "No such file"]);
}
