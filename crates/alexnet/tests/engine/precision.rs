//! Inference and training in less than 32 bits.

use super::*;

/// Distance between two vectors relative to the norm of the second one.
fn apart(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b))) / norm(&mut expected.iter().map(|&b| f64::from(b)))
}

#[test]
fn low_precision_is_close_to_f32_with_any_number_of_threads() {
    for net in wirings() {
        let images = uniform(1, 6 * 3 * SIZE * SIZE, 1.0);
        let (mut exact, mut logits, mut again) = (Vec::new(), Vec::new(), Vec::new());
        let engine = |threads: usize, precision: Precision| {
            let mut engine = Cpu::new(&net, 4, threads).unwrap().with_precision(precision).unwrap();
            init::initialise(&mut engine, 3).unwrap();
            engine
        };
        let mut floats = engine(1, Precision::F32);
        floats.infer(&images, &mut exact).unwrap();
        let ranges = floats.calibrate(&images[..4 * 3 * SIZE * SIZE]).unwrap();
        for (precision, bound) in [(Precision::Bf16, 0.03), (Precision::Int8, 0.1), (Precision::Int4, 0.25)] {
            let (mut one, mut three) = (engine(1, precision), engine(3, precision));
            one.set_ranges(&ranges);
            three.set_ranges(&ranges);
            one.infer(&images, &mut logits).unwrap();
            three.infer(&images, &mut again).unwrap();
            assert_eq!(logits, again, "{}: three threads change the result in {precision}", net.name);
            let error = apart(&logits, &exact);
            assert!(error > 0.0 && error < bound, "{}: {precision} is {error} of the norm off", net.name);
            // Changed weights change the logits: nothing derived from the old ones is kept.
            let name = format!("{}.bias", net.layers.last().unwrap().name);
            let moved: Vec<f32> = one.parameter(&name).unwrap().iter().map(|bias| bias + 1.0).collect();
            one.set_parameter(&name, &moved).unwrap();
            one.infer(&images, &mut again).unwrap();
            assert!(again.iter().zip(&logits).all(|(a, b)| (a - b - 1.0).abs() < 1e-4), "{}: {precision}", net.name);
        }
    }
}

#[test]
fn int8_requires_ranges_and_cannot_train() {
    let net = &wirings()[0];
    let mut engine = Cpu::new(net, 2, 1).unwrap().with_precision(Precision::Int8).unwrap();
    let images = uniform(1, 2 * 3 * SIZE * SIZE, 1.0);
    let error = engine.infer(&images, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("conv1") && error.contains("quantize"), "{error}");
    let batch = Batch { images: &images, labels: &[0, 1], dropout: None, objective: Objective::default() };
    let error = engine.gradients(&batch, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("int8 supports only inference"), "{error}");
}

#[test]
fn training_in_bf16_is_close_to_training_in_f32() {
    for net in wirings() {
        let images = uniform(5, 8 * 3 * SIZE * SIZE, 1.0);
        let labels: Vec<u32> = formula::labels(8, net.classes());
        let losses = [Precision::F32, Precision::Bf16].map(|precision| {
            let mut engine = Cpu::new(&net, 8, 2).unwrap().with_precision(precision).unwrap();
            init::initialise(&mut engine, 3).unwrap();
            let form = MomentumForm::RateOutside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
                number: 1,
                lr: 0.01,
                bias_lr: 0.01,
                weight_decay: 5e-4,
                bias_weight_decay: 5e-4,
                layer_weight_decay: Default::default(),
                layers: Default::default(),
            };
            let batch = Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() };
            (0..10).map(|_| engine.train_step(&batch, &rule).unwrap().loss).collect::<Vec<_>>()
        });
        let [exact, short] = losses;
        assert_ne!(exact, short, "{}: bf16 was not used", net.name);
        assert!(exact[9] < exact[0], "{}: {exact:?}", net.name);
        for (a, b) in short.iter().zip(&exact) {
            assert!((a - b).abs() < 0.03 * exact[0], "{}: {short:?}, not {exact:?}", net.name);
        }
    }
}

#[test]
fn local_layers_are_refused_in_int8_by_name() {
    let net = unshared();
    for precision in [Precision::Int8, Precision::Int4] {
        let mut engine = engine(&net, 2, 1).with_precision(precision).expect("a precision of the CPU");
        let error = engine.infer(&images(1), &mut Vec::new()).expect_err("refused").to_string();
        assert!(error.contains("layer local1: locally connected layers are not supported in int8"), "{error}");
        assert!(engine.calibrate(&images(1)).is_err());
    }
}
