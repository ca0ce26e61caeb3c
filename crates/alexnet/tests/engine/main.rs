//! CPU-engine tests on small nets that cover every combination of steps.

use alexnet::engine::cpu::Cpu;
use alexnet::engine::optim::MomentumForm;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::{
    Batch, Calibration, DropoutKey, FeatureMaps, Gradients, Inference, Inspection, Objective, OptimizerStep, ParameterStore,
    Precision, Training, init,
};
use alexnet::net::{Activation, Net, Op, Rounding};
use alexnet::selftest::formula::{self, uniform};

mod activations;
mod batch_norm;
mod gradients;
mod held;
mod layer_gradient;
mod objective;
mod optimizer;
mod precision;
mod receptive_field;

use alexnet_testkit::nets::*;

/// The nets that every pass must cover.
fn all_wirings() -> Vec<Net> {
    wirings().into_iter().chain([unshared()]).collect()
}

fn engine(net: &Net, capacity: usize, threads: usize) -> Cpu {
    let mut engine = Cpu::new(net, capacity, threads).expect("a valid net");
    init::initialise(&mut engine, 11).expect("parameters of the net");
    engine
}

fn names(net: &Net) -> Vec<String> {
    let layers = formula::with_parameters(net).expect("a valid net");
    layers.iter().flat_map(|l| [format!("{}.weight", l.name), format!("{}.bias", l.name)]).collect()
}

fn images(n: usize) -> Vec<f32> {
    uniform(5, n * 3 * SIZE * SIZE, 1.0)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Loss of a batch, without an update.
fn loss(engine: &mut Cpu, batch: &Batch<'_>) -> f64 {
    f64::from(engine.gradients(batch, &mut |_, _| {}).expect("a batch of the net").loss)
}

/// Slope of the loss along a direction of a parameter, by central differences of several step sizes.
fn slopes<const N: usize>(engine: &mut Cpu, batch: &Batch<'_>, name: &str, direction: &[f32], steps: [f32; N]) -> [f64; N] {
    let start = engine.parameter(name).expect("a parameter");
    let mut at = |step: f32| {
        let moved: Vec<f32> = start.iter().zip(direction).map(|(w, d)| w + step * d).collect();
        engine.set_parameter(name, &moved).expect("the same shape");
        loss(engine, batch)
    };
    let slopes = steps.map(|e| (at(e) - at(-e)) / f64::from(2.0 * e));
    at(0.0);
    slopes
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (images, labels) = (images(5), [0, 1, 2, 0, 1]);
    for net in all_wirings() {
        let results: Vec<Vec<Vec<f32>>> = [1, 2, 3, 7]
            .map(|threads| {
                let mut engine = engine(&net, 6, threads);
                for step in 0..3 {
                    let dropout = Some(DropoutKey { seed: 3, step, first_image: 0 });
                    let form = MomentumForm::RateOutside;
                    let rule = OptimizerStep {
                        optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
                        number: 1,
                        lr: 0.05,
                        bias_lr: 0.05,
                        weight_decay: 0.01,
                        bias_weight_decay: 0.0,
                        layer_weight_decay: Default::default(),
                        layers: Default::default(),
                    };
                    engine
                        .train_step(&Batch { images: &images, labels: &labels, dropout, objective: Objective::default() }, &rule)
                        .expect("a step");
                }
                names(&net).iter().map(|n| engine.parameter(n).expect("a parameter")).collect()
            })
            .to_vec();
        assert!(results.iter().all(|r| *r == results[0]), "{}", net.name);
    }
}

#[test]
fn logits_do_not_depend_on_the_batch_around_an_image() {
    let images = images(7);
    for net in all_wirings() {
        let one = images.len() / 7;
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        // Seven images through an engine for three: two full batches and a remainder.
        engine(&net, 3, 2).infer(&images, &mut together).expect("images of the net");
        let mut single = engine(&net, 1, 1);
        for image in images.chunks(one) {
            let mut logits = Vec::new();
            single.infer(image, &mut logits).expect("an image of the net");
            alone.extend(logits);
        }
        let last = net.layers.last().expect("a layer").name.clone();
        let activation = engine(&net, 1, 2).activation(&images, &last).expect("the last layer");
        for (i, value) in together.iter().enumerate() {
            let close = |other: f32| (value - other).abs() <= 1e-5 * (1.0 + value.abs());
            assert!(close(alone[i]) && close(activation[i]), "{}: {value} {} {}", net.name, alone[i], activation[i]);
        }
    }
}

#[test]
fn batch_invariant_logits_are_bitwise_equal_in_any_batch() {
    let images = images(25);
    let one = images.len() / 25;
    for net in all_wirings() {
        let source = engine(&net, 1, 1);
        for precision in [Precision::F32, Precision::Bf16] {
            let answers = |capacity: usize, at_a_time: usize| {
                let mut engine = Cpu::new(&net, capacity, 2).unwrap().with_precision(precision).unwrap().batch_invariant();
                names(&net).iter().for_each(|n| engine.set_parameter(n, &source.parameter(n).unwrap()).unwrap());
                let (mut all, mut logits) = (Vec::new(), Vec::new());
                for images in images.chunks(at_a_time * one) {
                    engine.infer(images, &mut logits).unwrap();
                    all.extend_from_slice(&logits);
                    // Gradients need weights in another layout, which must not change a bit.
                    let gradient = engine.input_gradient(&images[..one], &[0]).unwrap();
                    // Neither must freeing them again.
                    engine.release_gradient_memory();
                    assert_eq!(engine.input_gradient(&images[..one], &[0]).unwrap(), gradient);
                    engine.release_gradient_memory();
                }
                all
            };
            let alone = answers(1, 1);
            for (capacity, at_a_time) in [(4, 4), (25, 25), (32, 7), (8, 25)] {
                assert_eq!(answers(capacity, at_a_time), alone, "{} {precision}: {at_a_time} of {capacity}", net.name);
            }
        }
    }
}

#[test]
fn a_shard_of_a_batch_draws_the_same_dropout_as_the_whole() {
    let images = images(4);
    let labels = [0, 1, 2, 1];
    for net in all_wirings() {
        let mut engine = engine(&net, 4, 1);
        let mut mean = |images: &[f32], labels: &[u32], first_image| {
            let dropout = Some(DropoutKey { seed: 8, step: 1, first_image });
            loss(&mut engine, &Batch { images, labels, dropout, objective: Objective::default() })
        };
        let (half, whole) = (images.len() / 2, mean(&images, &labels, 0));
        let halves = (mean(&images[..half], &labels[..2], 0) + mean(&images[half..], &labels[2..], 2)) / 2.0;
        assert!((whole - halves).abs() < 1e-5, "{}: {whole} {halves}", net.name);
    }
}

#[test]
fn mismatched_input_is_reported() {
    let net = &wirings()[0];
    let mut engine = engine(net, 2, 1);
    let images = images(2);
    let message = |result: alexnet::Result<()>| result.expect_err("must not fit").to_string();
    let mut step = |images: &[f32], labels: &[u32]| {
        engine.gradients(&Batch { images, labels, dropout: None, objective: Objective::default() }, &mut |_, _| {}).map(|_| ())
    };
    assert!(message(step(&images[1..], &[0, 1])).contains("3 x 17 x 17"));
    assert!(message(step(&images, &[0])).contains("2 images with 1 labels"));
    assert!(message(step(&images, &[0, 5])).contains("label 5"));
    assert!(message(step(&[], &[])).contains("no images"));
    assert!(message(engine.activation(&images, "conv9").map(|_| ())).contains("conv9"));
    assert!(message(engine.set_parameter("conv1.weight", &[1.0])).contains("conv1.weight"));
    assert!(message(engine.parameter("conv1.scale").map(|_| ())).contains("conv1.scale"));
    assert!(message(Cpu::new(net, 0, 1).map(|_| ())).contains("at least 1"));
}
