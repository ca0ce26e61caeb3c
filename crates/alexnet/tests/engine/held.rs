//! Gradients that are held until a step is complete, and averages of parameters.

use super::*;
use alexnet::engine::accumulation::clip_factor;
use alexnet::engine::averaging::HostAverage;
use alexnet::engine::optim::Optimizer;
use alexnet::engine::{BatchShard, GradientAccumulation, WeightAveraging};
use alexnet::formats;

fn shard<'a>(images: &'a [f32], labels: &'a [u32], first_image: u64, blocks: &'a [usize]) -> BatchShard<'a> {
    BatchShard {
        images,
        labels,
        dropout: Some(DropoutKey { seed: 3, step: 0, first_image }),
        objective: Objective::default(),
        blocks,
    }
}

fn step(optimizer: Optimizer) -> OptimizerStep {
    OptimizerStep {
        optimizer,
        number: 1,
        lr: 0.1,
        bias_lr: 0.2,
        weight_decay: 0.01,
        bias_weight_decay: 0.002,
        layer_weight_decay: Default::default(),
        layers: Default::default(),
    }
}

fn optimizers() -> [Optimizer; 3] {
    let sgd = Sgd { nesterov: true, ..Sgd::default() };
    [sgd.into(), Sgd { lars_trust: Some(0.01), ..sgd }.into(), Optimizer::named("adamw").expect("an optimizer")]
}

fn nets() -> Vec<Net> {
    all_wirings().into_iter().chain([normed()]).collect()
}

fn all(engine: &Cpu) -> Vec<(String, Vec<f32>)> {
    let names = formats::parameters(engine.net()).expect("a valid net").into_iter();
    names.map(|(name, _)| (name.clone(), engine.parameter(&name).expect("a parameter"))).collect()
}

#[test]
fn one_held_batch_is_a_step_to_the_bit() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let shard = shard(&images, &labels, 0, &[3]);
    for net in nets() {
        for (i, optimizer) in optimizers().into_iter().enumerate() {
            let (mut at_once, mut held) = (engine(&net, 3, 2), engine(&net, 3, 1));
            let frozen = [(net.layers[0].name.clone(), if i == 0 { 0.0 } else { 0.5 })].into();
            let step = OptimizerStep { layers: frozen, ..step(optimizer) };
            for _ in 0..2 {
                let stats = at_once.train_shard(&shard, &step).expect("a step");
                assert_eq!(held.accumulate(&shard, &step, 1.0).expect("a batch"), stats);
                assert_eq!(held.apply_accumulated(&step, 1.0, None).expect("an update"), None);
                assert_eq!(all(&at_once), all(&held), "{} {optimizer:?}", net.name);
            }
        }
    }
}

#[test]
fn parts_of_a_batch_add_up_to_it() {
    let (images, labels) = (images(5), [0, 1, 2, 1, 0]);
    let len = images.len() / 5;
    for net in all_wirings() {
        let (mut whole, mut parts) = (engine(&net, 5, 1), engine(&net, 3, 1));
        let step = step(optimizers()[0]);
        whole.train_shard(&shard(&images, &labels, 0, &[5]), &step).expect("a step");
        parts.accumulate(&shard(&images[..2 * len], &labels[..2], 0, &[2]), &step, 2.0).expect("a batch");
        parts.accumulate(&shard(&images[2 * len..], &labels[2..], 2, &[3]), &step, 3.0).expect("a batch");
        parts.apply_accumulated(&step, 0.2, None).expect("an update");
        for ((name, a), (_, b)) in all(&whole).iter().zip(&all(&parts)) {
            let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{} {name}: {apart}", net.name);
        }
    }
}

#[test]
fn gradients_are_clipped_by_their_global_norm_on_any_number_of_threads() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let shard = shard(&images, &labels, 0, &[3]);
    for net in nets() {
        let frozen = net.layers[0].name.clone();
        // Plain steps of rate 1, so that each parameter moves by its clipped gradient.
        let sgd = Sgd { momentum: 0.0, ..Sgd::default() };
        let layers = [(frozen.clone(), 0.0)].into();
        let step = OptimizerStep { lr: 1.0, bias_lr: 1.0, weight_decay: 0.0, bias_weight_decay: 0.0, layers, ..step(sgd.into()) };
        let mut gradients = Vec::new();
        let keep = |name: &str| !name.starts_with(&format!("{frozen}.")) && !name.contains(".running_");
        engine(&net, 3, 1)
            .gradients(&shard.batch(), &mut |name, g| gradients.extend(keep(name).then(|| (name.to_string(), g.to_vec()))))
            .expect("gradients");
        let expected = gradients.iter().map(|(_, g)| dot(g, g)).sum::<f64>().sqrt();
        let clip = expected / 3.0;
        let clipped = |threads| {
            let mut engine = engine(&net, 3, threads);
            engine.accumulate(&shard, &step, 1.0).expect("a batch");
            let norm = engine.apply_accumulated(&step, 1.0, Some(clip)).expect("an update").expect("a norm");
            assert!((norm / expected - 1.0).abs() < 1e-6, "{}: {norm}, not {expected}", net.name);
            all(&engine)
        };
        let (before, after) = (all(&engine(&net, 3, 1)), clipped(1));
        assert_eq!(after, clipped(3), "{}", net.name);
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let Some((_, g)) = gradients.iter().find(|(known, _)| known == name) else { continue };
            for ((before, after), g) in before.iter().zip(after).zip(g) {
                let expected = before - g * clip_factor(expected, clip) as f32;
                assert!((after - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{} {name}: {after}, not {expected}", net.name);
            }
        }
    }
}

#[test]
fn gradients_that_are_not_finite_change_nothing() {
    let (mut images, labels) = (images(3), [0, 1, 2]);
    images[7] = f32::INFINITY;
    let net = wirings().swap_remove(0);
    let mut engine = engine(&net, 3, 1);
    let before = all(&engine);
    let step = step(optimizers()[0]);
    engine.accumulate(&shard(&images, &labels, 0, &[3]), &step, 1.0).expect("a batch");
    let norm = engine.apply_accumulated(&step, 1.0, Some(1.0)).expect("an update").expect("a norm");
    assert!(!norm.is_finite());
    assert_eq!(all(&engine), before);
}

#[test]
fn an_average_is_the_hosts_to_the_bit_and_serves_as_parameters() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let shard = shard(&images, &labels, 0, &[3]);
    for net in nets() {
        let (mut engine, mut host) = (engine(&net, 3, 2), HostAverage::default());
        assert!(engine.swap_average().is_err());
        let step = step(optimizers()[0]);
        for decay in [0.0, 0.3, 0.9, 0.999] {
            engine.update_average(decay).expect("an average");
            host.update(&engine, decay).expect("an average");
            engine.train_shard(&shard, &step).expect("a step");
        }
        let current = all(&engine);
        let mut logits = [Vec::new(), Vec::new(), Vec::new()];
        engine.infer(&images, &mut logits[0]).expect("images");
        let mut other = super::engine(&net, 3, 1);
        other.prepare_training();
        for (name, _) in &current {
            assert_eq!(engine.average(name).expect("an average"), host.read(name).expect("an average"), "{} {name}", net.name);
            other.set_parameter(name, &host.read(name).expect("an average")).expect("the same shape");
            engine.set_average(name, &host.read(name).expect("an average")).expect("the same shape");
        }
        engine.swap_average().expect("an average");
        assert_eq!(all(&engine), all(&other));
        engine.infer(&images, &mut logits[1]).expect("images");
        other.infer(&images, &mut logits[2]).expect("images");
        let apart = logits[1].iter().zip(&logits[2]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5 && logits[0] != logits[1], "{}: {apart}", net.name);
        engine.swap_average().expect("an average");
        assert_eq!(all(&engine), current);
        engine.infer(&images, &mut logits[2]).expect("images");
        assert_eq!(logits[0], logits[2]);
    }
}
