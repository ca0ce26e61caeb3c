//! Batch normalisation in the CPU engine.

use alexnet::distributed::data_parallel::DataParallel;
use alexnet::distributed::hybrid::Hybrid;
use alexnet::distributed::{Partition, SingleProcess};
use alexnet::engine::optim::MomentumForm;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::{
    Batch, BatchShard, Calibration, DropoutKey, Gradients, Inference, Inspection, Objective, OptimizerStep, ParameterStore,
    Precision, Training,
};
use alexnet::formats;
use alexnet::net::{Net, Pad, Rounding};
use alexnet::selftest::formula::uniform;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{dot, engine, images, slopes};
use alexnet_testkit::nets::{NORM, RELU, conv, fc, normed};

const LABELS: [u32; 6] = [2, 0, 1, 4, 3, 2];

fn rule(form: MomentumForm) -> OptimizerStep {
    let (lr, momentum, decay) = (0.1, 0.9, 0.01);
    OptimizerStep {
        optimizer: Sgd { momentum, form, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr,
        bias_lr: lr,
        weight_decay: decay,
        bias_weight_decay: decay,
        layer_weight_decay: Default::default(),
        layers: BTreeMap::new(),
    }
}

/// Names of all parameters and statistics, in order.
fn names(net: &Net) -> Vec<String> {
    formats::parameters(net).expect("a valid net").into_iter().map(|(name, _)| name).collect()
}

fn all(engine: &dyn ParameterStore) -> Vec<Vec<f32>> {
    names(engine.net()).iter().map(|name| engine.parameter(name).expect("a parameter")).collect()
}

#[test]
fn running_statistics_belong_to_the_model_but_are_not_counted_as_parameters() {
    let net = normed();
    let names = names(&net);
    assert_eq!(names[..6], ["conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"]);
    let counted: usize = net.shapes().expect("a valid net").iter().filter(|s| s.statistics > 0).map(|s| s.parameters).sum();
    assert_eq!(counted, 2 * (6 + 40 + 8 + 10));
    let engine = engine(&net, 2, 1);
    let first =
        ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"].map(|n| engine.parameter(n).expect("a parameter"));
    assert_eq!(first, [1.0, 0.0, 0.0, 1.0].map(|value| vec![value; 6]));
    assert!(engine.parameter("conv1.running_mean").is_err());
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (net, images) = (normed(), images(6));
    for dropout in [None, Some(DropoutKey { seed: 1, step: 2, first_image: 0 })] {
        let mut engine = engine(&net, 6, 2);
        for name in names(&net).iter().filter(|name| name.starts_with("bn")) {
            let near: Vec<f32> =
                engine.parameter(name).expect("a parameter").iter().zip(uniform(5, 40, 0.5)).map(|(v, d)| v + d).collect();
            engine.set_parameter(name, &near).expect("the same shape");
        }
        let batch = Batch { images: &images, labels: &LABELS, dropout, objective: Objective::default() };
        let mut gradients = Vec::new();
        engine.gradients(&batch, &mut |name, values| gradients.push((name.to_string(), values.to_vec()))).expect("gradients");
        assert_eq!(gradients.len(), names(&net).len());
        for (name, gradient) in gradients.iter().filter(|(name, _)| !name.contains("running")) {
            let size = dot(gradient, gradient).sqrt();
            if ["conv1.bias", "conv3.bias", "fc4.bias"].contains(&name.as_str()) {
                assert!(size < 1e-5, "{name}: the following norm cancels every bias, but the gradient is {size}");
                continue;
            }
            let direction = uniform(77, gradient.len(), 1.0);
            // Norms of few values are strongly nonlinear: rounding affects only the smallest step, kinks only the
            // larger ones.
            let slopes = slopes(&mut engine, &batch, name, &direction, [3e-5, 2e-4, 1e-3]);
            let expected = dot(gradient, &direction);
            let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
            assert!(off <= 0.01 * size + 2e-3, "{name}: slopes {slopes:?}, gradient {expected}");
            assert!(size > 1e-4, "{name}: no gradient");
        }
    }
}

/// Mean loss in inference.
fn inferred(engine: &mut dyn Inference, images: &[f32], labels: &[u32]) -> f64 {
    let mut logits = Vec::new();
    engine.infer(images, &mut logits).expect("images of the net");
    let classes = logits.len() / labels.len();
    let of = |(row, &label): (&[f32], &u32)| {
        let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
        sum.ln() - f64::from(row[label as usize])
    };
    logits.chunks(classes).zip(labels).map(of).sum::<f64>() / labels.len() as f64
}

#[test]
fn inference_and_the_image_gradient_use_running_statistics() {
    let (net, images) = (normed(), images(6));
    let mut engine = engine(&net, 6, 2);
    for _ in 0..3 {
        let batch = Batch { images: &images, labels: &LABELS, dropout: None, objective: Objective::default() };
        engine.train_step(&batch, &rule(MomentumForm::RateInside)).expect("a step");
    }
    // Logits do not depend on the other images.
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    engine.infer(&images, &mut together).expect("images of the net");
    engine.infer(&images[..images.len() / 6], &mut alone).expect("an image");
    assert!(alone.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5), "{alone:?} {together:?}");
    let gradient = engine.input_gradient(&images, &LABELS).expect("a batch of the net");
    let direction = uniform(78, images.len(), 1.0);
    let mut at = |step: f32| {
        let moved: Vec<f32> = images.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
        inferred(&mut engine, &moved, &LABELS)
    };
    let slopes = [2e-4f32, 1e-3].map(|e| (at(e) - at(-e)) / f64::from(2.0 * e));
    let (expected, size) = (dot(&gradient, &direction), dot(&gradient, &gradient).sqrt());
    let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
    assert!(size > 1e-3 && off <= 0.01 * size + 1e-3, "slopes {slopes:?}, gradient {expected}");
}

#[test]
fn a_step_equals_applying_its_gradients_on_any_number_of_threads() {
    let (net, images) = (normed(), images(6));
    let batch = |step| Batch {
        images: &images,
        labels: &LABELS,
        dropout: Some(DropoutKey { seed: 3, step, first_image: 0 }),
        objective: Objective::default(),
    };
    for lars_trust in [None, Some(0.5)] {
        let optimizer = Sgd { momentum: 0.9, form: MomentumForm::RateInside, lars_trust, nesterov: false }.into();
        let rule = OptimizerStep { optimizer, ..rule(MomentumForm::RateInside) };
        let mut results = Vec::new();
        for threads in [1, 2, 3] {
            let mut engine = engine(&net, 6, threads);
            (0..3).for_each(|step| _ = engine.train_step(&batch(step), &rule).expect("a step"));
            results.push(all(&engine));
        }
        let mut by_hand = engine(&net, 6, 2);
        for step in 0..3 {
            let mut gradients = Vec::new();
            by_hand.gradients(&batch(step), &mut |name, g| gradients.push((name.to_string(), g.to_vec()))).expect("gradients");
            gradients.iter().for_each(|(name, g)| by_hand.apply(name, g, &rule).expect("a parameter"));
        }
        results.push(all(&by_hand));
        assert!(results[..3].windows(2).all(|pair| pair[0] == pair[1]), "threads");
        for (name, (a, b)) in names(&net).iter().zip(results[2].iter().zip(&results[3])) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs())), "{name}");
        }
    }
}

#[test]
fn frozen_norms_keep_their_bits() {
    let (net, images) = (normed(), images(6));
    let mut engine = engine(&net, 6, 2);
    let before = all(&engine);
    let rule = OptimizerStep { layers: [("bn1".to_string(), 0.0)].into(), ..rule(MomentumForm::RateOutside) };
    engine
        .train_step(&Batch { images: &images, labels: &LABELS, dropout: None, objective: Objective::default() }, &rule)
        .expect("a step");
    for (name, (before, after)) in names(&net).iter().zip(before.iter().zip(all(&engine))) {
        assert_eq!(*before == after, name.starts_with("bn1"), "{name}");
    }
}

#[test]
fn parts_of_a_batch_have_their_own_statistics() {
    let (net, images) = (normed(), images(6));
    let cut = Partition::new(0, 1, Some(2)).expect("two blocks");
    let mut parts = DataParallel::new(engine(&net, 3, 1), Arc::new(SingleProcess::default()), cut);
    let share = BatchShard { images: &images, labels: &LABELS, dropout: None, objective: Objective::default(), blocks: &[3, 3] };
    parts.train_shard(&share, &rule(MomentumForm::RateInside)).expect("a step");
    // The statistics of each half alone; those of the whole are their mean.
    let half = |i: usize| {
        let mut engine = engine(&net, 3, 1);
        let images = &images[i * images.len() / 2..(i + 1) * images.len() / 2];
        let batch = Batch { images, labels: &LABELS[3 * i..3 * i + 3], dropout: None, objective: Objective::default() };
        engine.train_step(&batch, &rule(MomentumForm::RateInside)).expect("a step");
        engine
    };
    let halves = [half(0), half(1)];
    for name in names(&net).iter().filter(|name| name.contains("running")) {
        let [a, b] = halves.each_ref().map(|engine| engine.parameter(name).expect("a parameter"));
        let found = parts.parameter(name).expect("a parameter");
        let mean = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0);
        assert!(found.iter().zip(mean).all(|(found, mean)| (found - mean).abs() < 1e-5 * (1.0 + mean.abs())), "{name}");
        assert!(a != b, "{name}");
    }
}

#[test]
fn unsupported_combinations_are_rejected_with_a_reason() {
    let net = normed();
    let mut bytes = engine(&net, 2, 1).with_precision(Precision::Int8).unwrap();
    assert!(bytes.infer(&images(2), &mut Vec::new()).expect_err("int8").to_string().contains("int8"));
    assert!(bytes.calibrate(&images(2)).expect_err("int8").to_string().contains("batch normalisation"));
    let hybrid = Hybrid::new(&net, Arc::new(SingleProcess::default()), 2, 1, Precision::F32).err().map(|e| e.to_string());
    assert!(hybrid.expect("refused").contains("--parallel data"));
    assert!(net.towers().expect_err("refused").to_string().contains("bn1: batch normalisation"));
}

#[derive(serde::Deserialize)]
struct Golden {
    logits: Vec<f64>,
    losses: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
    after: BTreeMap<String, Vec<f64>>,
    logits_after: Vec<f64>,
}

/// The number sequence of fixtures/batch_norm.py.
fn numbers(key: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| (((i * 7919 + key * 104_729) % 2003) as f64 / 1001.5 - 1.0) as f32).collect()
}

#[test]
fn two_steps_match_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("../fixtures/batch_norm.json")).expect("JSON");
    let mut net = alexnet_testkit::nets::net(
        "golden",
        &[
            ("conv1", conv(4, 3, 1, Pad::all(1), 1, Rounding::Floor)),
            ("bn1", NORM),
            ("relu1", RELU),
            ("fc2", fc(5)),
            ("bn2", NORM),
            ("relu2", RELU),
            ("fc3", fc(3)),
        ],
    );
    net.image_size = 6;
    let mut engine = engine(&net, 7, 2);
    let learnt = names(&net).into_iter().filter(|name| !name.contains("running"));
    for (key, name) in learnt.enumerate() {
        let len = engine.parameter(&name).expect("a parameter").len();
        let plain = name.ends_with(".bias") || name.starts_with("bn");
        let values: Vec<f32> = numbers(key, len).iter().map(|v| v * 0.5 + f32::from(u8::from(plain))).collect();
        engine.set_parameter(&name, &values).expect("the same shape");
    }
    let (images, labels) = (numbers(50, 7 * 3 * 6 * 6), [0, 1, 2, 0, 1, 2, 1]);
    let near = |what: &str, found: &[f32], expected: &[f64]| {
        let size = expected.iter().fold(1e-2f64, |size, v| size.max(v.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-5 * size, "{what}: {found}, PyTorch has {expected}");
        }
    };
    let mut logits = Vec::new();
    engine.infer(&images, &mut logits).expect("images of the net");
    near("logits", &logits, &golden.logits);
    let batch = Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() };
    engine
        .gradients(&batch, &mut |name, g| _ = golden.gradients.get(name).map(|expected| near(name, g, expected)))
        .expect("them");
    for loss in &golden.losses {
        near("loss", &[engine.train_step(&batch, &rule(MomentumForm::RateOutside)).expect("a step").loss], &[*loss]);
    }
    assert_eq!(golden.after.len(), names(&net).len());
    for (name, expected) in &golden.after {
        near(name, &engine.parameter(name).expect("a parameter"), expected);
    }
    engine.infer(&images, &mut logits).expect("images of the net");
    near("logits after two steps", &logits, &golden.logits_after);
}
