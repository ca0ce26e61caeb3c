//! Comparison of Burn's CPU backend with the CPU engine: each verifies the other.
#![cfg(feature = "flex")]

use alexnet::distributed::data_parallel::DataParallel;
use alexnet::distributed::{Communicator, Partition, in_process};
use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::engine::optim::adamw::AdamW;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::optim::{MomentumForm, Optimizer};
use alexnet::engine::{
    Batch, BatchShard, Criterion, DropoutKey, Engine, Gradients, Inference, Inspection, MixedLabel, Objective, OptimizerStep,
    ParameterStore, Precision, ReluGradient, Training, init,
};
use alexnet::formats;
use alexnet::net::towers::TowerLayer;
use alexnet::net::{DropoutStyle, Net, Op, Pad, Rounding, presets};
use alexnet::selftest::formula::uniform;
use alexnet::selftest::smooth;
use alexnet_burn::{Gpu, device};
use alexnet_testkit::nets::*;
use std::sync::Arc;

fn cpu(net: &Net) -> Cpu {
    let mut engine = Cpu::new(net, 3, 1).expect("a valid net").with_convolutions(Convolutions::Direct);
    init::initialise(&mut engine, 11).expect("parameters of the net");
    engine
}

fn burn(net: &Net, devices: &str) -> Gpu {
    let devices = device::parse(devices).expect("Burn's processor");
    let mut engine = Gpu::new(net, 3, devices, Precision::F32).expect("a valid net");
    init::initialise(&mut engine, 11).expect("parameters of the net");
    engine
}

fn names(net: &Net) -> Vec<String> {
    formats::parameters(net).expect("a valid net").into_iter().map(|(name, _)| name).collect()
}

fn images(net: &Net, n: usize) -> Vec<f32> {
    uniform(5, n * 3 * net.image_size * net.image_size, 1.0)
}

/// Asserts that two tensors are equal up to rounding, by the norm of their difference.
fn same(found: &[f32], expected: &[f32], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(expected).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let size = norm(&mut expected.iter().map(|&v| f64::from(v)));
    assert!(apart <= bound * size + 1e-9, "{what}: {apart:e} apart, {size:e} long");
}

/// All gradients of a batch, in the order of the visits.
fn gradients(engine: &mut dyn Engine, batch: &Batch<'_>) -> (f32, Vec<(String, Vec<f32>)>) {
    let mut all = Vec::new();
    let step = engine.gradients(batch, &mut |name, values| all.push((name.to_string(), values.to_vec()))).expect("a batch");
    (step.loss, all)
}

#[test]
fn every_wiring_matches_the_values_and_gradients_of_the_cpu_engine() {
    for net in wirings().into_iter().chain([normed()]) {
        let (mut ours, mut theirs) = (cpu(&net), burn(&net, "flex"));
        let (images, labels) = (images(&net, 3), [1, 0, 2]);
        for layer in &net.layers {
            let expected = ours.activation(&images, &layer.name).expect("a layer");
            let what = format!("{} {}", net.name, layer.name);
            same(&theirs.activation(&images, &layer.name).expect("a layer"), &expected, 1e-5, &what);
            let weights = uniform(9, 3 * net.classes(), 1.0);
            for relu in [ReluGradient::Plain, ReluGradient::Guided] {
                let expected = ours.layer_gradient(&images, Some(&layer.name), &weights, relu).expect("a layer");
                let found = theirs.layer_gradient(&images, Some(&layer.name), &weights, relu).expect("a layer");
                same(&found.activation, &expected.activation, 1e-5, &what);
                same(&found.gradient, &expected.gradient, 1e-4, &format!("{what} {relu:?}"));
            }
        }
        let expected = ours.input_gradient(&images, &labels).expect("a batch");
        same(&theirs.input_gradient(&images, &labels).expect("a batch"), &expected, 1e-4, &net.name);
        let batch = Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() };
        let ((loss, expected), (found_loss, found)) = (gradients(&mut ours, &batch), gradients(&mut theirs, &batch));
        assert!((loss - found_loss).abs() < 1e-5, "{}: {loss} {found_loss}", net.name);
        let order = |all: &[(String, Vec<f32>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert!(
            order(&found).iter().all(|name| order(&expected).contains(name)) && found.len() == expected.len(),
            "{}",
            net.name
        );
        for (name, values) in &expected {
            let found = &found.iter().find(|(found, _)| found == name).expect("found above").1;
            // A batch norm that follows cancels every bias, so only rounding is left of its gradient.
            if net.name == "normed" && ["conv1.bias", "conv3.bias", "fc4.bias"].contains(&name.as_str()) {
                assert!(found.iter().chain(values).all(|g| g.abs() < 1e-5), "{name}: {found:?}, {values:?}");
                continue;
            }
            same(found, values, 1e-4, &format!("{} gradient {name}", net.name));
        }
    }
}

#[test]
fn losses_with_every_setting_match_the_cpu_engine() {
    let net = &wirings()[0];
    let criterion = Criterion { smoothing: 0.1, focal: 2.0, class_weights: (0..net.classes()).map(|c| 0.5 + c as f32).collect() };
    let mixed = [(1, 0.25), (2, 0.75), (0, 0.0)].map(|(label, share)| MixedLabel { label, share });
    let images = images(net, 3);
    for mixed in [&[][..], &mixed] {
        let objective = Objective { criterion: Some(&criterion), mixed };
        let batch = Batch { images: &images, labels: &[1, 0, 2], dropout: None, objective };
        let ((loss, expected), (found_loss, found)) =
            (gradients(&mut cpu(net), &batch), gradients(&mut burn(net, "flex"), &batch));
        assert!((loss - found_loss).abs() < 1e-5, "{loss} {found_loss}");
        for (name, values) in &expected {
            let found = &found.iter().find(|(found, _)| found == name).expect("every gradient").1;
            same(found, values, 1e-4, name);
        }
    }
}

#[test]
fn runs_can_switch_engines_midway() {
    // The CPU engine counts a map's zero border when it numbers dropout units; no preset has dropout on such maps.
    let nets = wirings().into_iter().filter(|net| net.name != "stretched");
    for net in nets.chain([normed()]) {
        for optimizer in optimizers() {
            let layers = [("conv1".to_string(), 0.0), ("fc4".to_string(), 10.0)].into();
            let rule = |number, lr| OptimizerStep {
                optimizer,
                number,
                lr,
                bias_lr: 2.0 * lr,
                weight_decay: 0.05,
                bias_weight_decay: 0.01,
                layer_weight_decay: Default::default(),
                layers: Clone::clone(&layers),
            };
            let images = images(&net, 2);
            let step = |engine: &mut dyn Engine, step: u64| {
                let dropout = Some(DropoutKey { seed: 3, step, first_image: 7 });
                let batch = Batch { images: &images, labels: &[0, 2], dropout, objective: Objective::default() };
                engine.train_step(&batch, &rule(step + 1, if step < 3 { 0.02 } else { 0.002 })).expect("a step").loss
            };
            let mut stays = cpu(&net);
            let expected: Vec<f32> = (0..6).map(|i| step(&mut stays, i)).collect();
            let (mut ours, mut theirs) = (cpu(&net), burn(&net, "flex"));
            let mut losses = vec![step(&mut ours, 0), step(&mut ours, 1)];
            hand_over(&optimizer, &ours, &mut theirs);
            losses.extend([step(&mut theirs, 2), step(&mut theirs, 3)]);
            hand_over(&optimizer, &theirs, &mut ours);
            losses.extend([step(&mut ours, 4), step(&mut ours, 5)]);
            for (found, expected) in losses.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-4, "{} {optimizer:?}: {losses:?}, not {expected:?}", net.name);
            }
            for name in names(&net) {
                let what = format!("{} {name} {optimizer:?}", net.name);
                same(&ours.parameter(&name).expect("one"), &stays.parameter(&name).expect("one"), 1e-4, &what);
                // SGD's velocity also holds weight decay.
                if is_cancelled(&net, &name) && optimizer.name() == "adamw" {
                    continue;
                }
                for slot in optimizer.slots() {
                    same(&ours.state(&name, slot).expect("one"), &stays.state(&name, slot).expect("one"), 1e-3, &what);
                }
            }
        }
    }
}

/// SGD in both forms, LARS and AdamW. AdamW's eps is large, so that gradients that consist only of rounding do not
/// move weights as much as others.
fn optimizers() -> [Optimizer; 4] {
    let sgd = |form, lars_trust| Sgd { momentum: 0.9, form, lars_trust, nesterov: false }.into();
    let (inside, outside) = (MomentumForm::RateInside, MomentumForm::RateOutside);
    [sgd(inside, None), sgd(outside, None), sgd(inside, Some(1.0)), AdamW { eps: 1e-2, ..AdamW::default() }.into()]
}

/// Whether a batch norm subtracts this bias again: its gradient is rounding error alone.
fn is_cancelled(net: &Net, name: &str) -> bool {
    let norms = net.layers.windows(2).filter(|layers| matches!(layers[1].op, Op::BatchNorm { .. }));
    norms.map(|layers| &layers[0].name).any(|before| name == format!("{before}.bias"))
}

fn hand_over(optimizer: &Optimizer, from: &dyn Engine, to: &mut dyn Engine) {
    for name in names(from.net()) {
        to.set_parameter(&name, &from.parameter(&name).expect("one")).expect("the same net");
        for slot in optimizer.slots() {
            to.set_state(&name, slot, &from.state(&name, slot).expect("one")).expect("the same net");
        }
    }
}

#[test]
fn gradients_applied_one_by_one_equal_a_step() {
    let net = &wirings()[0];
    let (mut one, mut other) = (burn(net, "flex"), burn(net, "flex"));
    let (form, layers) = (MomentumForm::RateInside, Default::default());
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr: 0.1,
        bias_lr: 0.2,
        weight_decay: 0.05,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers,
    };
    let images = images(net, 2);
    let batch = Batch { images: &images, labels: &[0, 1], dropout: None, objective: Objective::default() };
    for _ in 0..2 {
        one.train_step(&batch, &rule).expect("a step");
        for (name, gradient) in gradients(&mut other, &batch).1 {
            other.apply(&name, &gradient, &rule).expect("a parameter");
        }
    }
    for name in names(net) {
        assert_eq!(one.parameter(&name).expect("one"), other.parameter(&name).expect("one"), "{name}");
    }
}

#[test]
fn two_ranks_that_share_a_batch_match_one() {
    let net = &wirings()[0];
    let (form, layers) = (MomentumForm::RateInside, Default::default());
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr: 0.1,
        bias_lr: 0.2,
        weight_decay: 0.05,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers,
    };
    let (images, labels) = (images(net, 3), [0, 1, 2]);
    let mut one = burn(net, "flex");
    let expected = one
        .train_step(&Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() }, &rule)
        .expect("a step");
    // One rank has two images, the other one.
    let all = in_process::run(2, |ranks| {
        let cut = Partition::new(ranks.rank(), 2, None).expect("ranks");
        let own = cut.own(3).flatten().collect::<Vec<_>>();
        let (own, image) = (own[0]..own[0] + own.len(), images.len() / 3);
        let mut engine = DataParallel::new(burn(net, "flex"), Arc::new(ranks), cut);
        let images = &images[own.start * image..own.end * image];
        let share = BatchShard { images, labels: &labels[own], dropout: None, objective: Objective::default(), blocks: &[1, 2] };
        let step = engine.train_shard(&share, &rule).expect("a step");
        (step, names(net).iter().map(|name| engine.parameter(name).expect("one")).collect::<Vec<_>>())
    });
    assert_eq!(all[0], all[1], "ranks differ");
    assert!((all[0].0.loss - expected.loss).abs() < 1e-5, "{:?}, not {expected:?}", all[0].0);
    for (name, found) in names(net).iter().zip(&all[0].1) {
        same(found, &one.parameter(name).expect("one"), 1e-5, name);
    }
}

#[test]
fn sixteen_bit_factors_stay_within_their_rounding_error() {
    // Without ReLUs, because a unit that rounding moves across zero would outweigh the rounding error itself.
    let net = &smooth(&wirings()[0]);
    let images = images(net, 3);
    let batch = Batch { images: &images, labels: &[1, 0, 2], dropout: None, objective: Objective::default() };
    let expected = gradients(&mut burn(net, "flex"), &batch);
    // Half an ulp is 2^-9 in bf16 and 2^-12 in f16; a gradient passes through several products. Seen: 1.1e-2 and 4e-3
    // at most.
    for (precision, bound) in [(Precision::Bf16, 2e-2), (Precision::F16, 8e-3)] {
        let devices = device::parse("flex").expect("Burn's processor");
        let mut engine = Gpu::new(net, 3, devices, precision).expect("a valid net");
        init::initialise(&mut engine, 11).expect("parameters of the net");
        let found = gradients(&mut engine, &batch);
        assert!(f64::from((found.0 - expected.0).abs()) < bound, "{precision:?}: loss {} {}", found.0, expected.0);
        for ((name, found), (_, expected)) in found.1.iter().zip(&expected.1) {
            same(found, expected, bound, &format!("{precision:?} {name}"));
            assert_ne!(found, expected, "{precision:?} {name}: nothing was rounded");
        }
    }
}

#[test]
fn a_step_whose_gradients_overflow_half_precision_is_skipped() {
    let net = &wirings()[0];
    let devices = device::parse("flex").expect("Burn's processor");
    let mut engine = Gpu::new(net, 3, devices, Precision::F16).expect("a valid net");
    init::initialise(&mut engine, 11).expect("parameters of the net");
    let (form, layers) = (MomentumForm::RateInside, Default::default());
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr: 0.1,
        bias_lr: 0.2,
        weight_decay: 0.0,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers,
    };
    let mut step = |images: &[f32]| {
        let before = engine.parameter("conv1.weight").expect("one");
        engine
            .train_step(&Batch { images, labels: &[1, 0, 2], dropout: None, objective: Objective::default() }, &rule)
            .expect("a step");
        let after = engine.parameter("conv1.weight").expect("one");
        (before == after, after.iter().all(|w| w.is_finite()))
    };
    let images = images(net, 3);
    assert_eq!(step(&images), (false, true));
    // The inputs that conv1's gradients sum over.
    let large: Vec<f32> = images.iter().map(|x| 6e4 * x.signum()).collect();
    assert_eq!(step(&large), (true, true));
    assert_eq!(step(&images), (false, true));
}

/// Small nets in two groups.
fn grouped() -> Vec<Net> {
    use Rounding::{Ceil, Floor};
    let conv2 = ("conv2", conv(16, 3, 1, Pad::all(1), 2, Floor));
    let rest = [
        ("relu2", RELU),
        ("spatial2", Op::SpatialNorm { n: 3, alpha: 0.5, beta: 0.75, k: 1.0 }),
        ("pool2", max(3, 2, NONE, Ceil)),
        ("conv3", conv(8, 3, 1, Pad::all(1), 1, Floor)),
        ("relu3", RELU),
        ("conv4", conv(8, 3, 1, Pad::all(1), 2, Floor)),
        ("relu4", RELU),
        ("fc6", fc(12)),
        ("relu6", RELU),
        ("drop6", drop(DropoutStyle::ScaleAtInference)),
        ("fc8", fc(5)),
    ];
    [1, 2]
        .map(|columns| {
            let first = [("conv1", conv(12, 3, 2, NONE, 1, Floor)), ("relu1", RELU), ("norm1", lrn(columns)), conv2.clone()];
            net(if columns == 1 { "norms over both" } else { "norms apart" }, &[&first[..], &rest[..]].concat())
        })
        .into()
}

#[test]
fn two_towers_match_one_net_and_transfer_only_crossing_maps() {
    let presets = ["original-145", "paper", "original-146"].map(|name| {
        presets::by_name(name).expect("a preset").with_classes(4).with_image_size(if name == "original-146" { 96 } else { 67 })
    });
    for net in grouped().into_iter().chain(presets) {
        let (mut one, mut two) = (burn(&net, "flex"), burn(&net, "flex:0,flex:1"));
        let images = images(&net, 2);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        one.infer(&images, &mut expected).expect("images");
        two.infer(&images, &mut found).expect("images");
        same(&found, &expected, 1e-5, &net.name);
        let plan = net.towers().expect("two groups");
        // Forward only: half of what a training step transfers.
        let bytes = 2 * plan.iter().map(TowerLayer::bytes).sum::<usize>() as u64;
        assert_eq!(two.crossed(), bytes / 2, "{}", net.name);
        let dropout = Some(DropoutKey { seed: 1, step: 2, first_image: 0 });
        let batch = Batch { images: &images, labels: &[3, 0], dropout, objective: Objective::default() };
        let before = two.crossed();
        let ((loss, expected), (found_loss, found)) = (gradients(&mut one, &batch), gradients(&mut two, &batch));
        assert_eq!(two.crossed() - before, bytes, "{}", net.name);
        assert!((loss - found_loss).abs() < 1e-5, "{}: {loss} {found_loss}", net.name);
        for (name, values) in &expected {
            let found = &found.iter().find(|(found, _)| found == name).expect("every parameter").1;
            same(found, values, 1e-4, &format!("{} {name}", net.name));
        }
        let weights = uniform(9, 2 * net.classes(), 1.0);
        for layer in [None, Some("conv1"), Some("conv4")] {
            let expected = one.layer_gradient(&images, layer, &weights, ReluGradient::Guided).expect("a layer");
            let found = two.layer_gradient(&images, layer, &weights, ReluGradient::Guided).expect("a layer");
            same(&found.gradient, &expected.gradient, 1e-4, &format!("{} {layer:?}", net.name));
        }
    }
}

#[test]
fn lars_in_two_towers_uses_the_norms_of_whole_layers() {
    let net = &grouped()[0];
    let (mut one, mut two) = (burn(net, "flex"), burn(net, "flex:0,flex:1"));
    let (form, layers) = (MomentumForm::RateInside, Default::default());
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.9, form, lars_trust: Some(0.5), nesterov: false }.into(),
        number: 1,
        lr: 0.1,
        bias_lr: 0.2,
        weight_decay: 0.05,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers,
    };
    let images = images(net, 2);
    let batch = Batch { images: &images, labels: &[3, 0], dropout: None, objective: Objective::default() };
    for _ in 0..2 {
        one.train_step(&batch, &rule).expect("a step");
        two.train_step(&batch, &rule).expect("a step");
    }
    for name in names(net) {
        same(&two.parameter(&name).expect("one"), &one.parameter(&name).expect("one"), 1e-5, &name);
    }
}

#[test]
fn invalid_devices_and_nets_are_reported() {
    let net = presets::by_name("torchvision").expect("a preset");
    let error = |devices: &str| match device::parse(devices) {
        Ok(devices) => Gpu::new(&net, 1, devices, Precision::F32).err().map_or(String::new(), |e| e.to_string()),
        Err(error) => error.to_string(),
    };
    assert!(error("flex,flex").contains("no layer has two groups"), "{}", error("flex,flex"));
    assert!(error("flex,flex,flex").contains("3 devices"));
    let error_of_local = Gpu::new(&unshared(), 1, device::parse("flex").expect("a device"), Precision::F32).err();
    let error_of_local = error_of_local.map_or(String::new(), |e| e.to_string());
    assert!(error_of_local.contains("layer local1: locally connected layers are only supported on the CPU"), "{error_of_local}");
    assert!(error("gpu").contains("no such device; use cpu, or one of cuda"));
    assert!(error("flex:x").contains("no such device"));
    #[cfg(not(feature = "cuda"))]
    assert!(error("cuda:0").contains("cargo build --release --features gpu,cuda"));
    let mut engine = burn(&wirings()[0], "flex");
    assert!(engine.infer(&[0.0; 5], &mut Vec::new()).is_err());
    assert!(engine.parameter("conv9.weight").is_err());
    assert!(engine.set_parameter("conv1.weight", &[0.0]).is_err());
}
