//! Optimizer steps compared with their formulas, per-layer learning rates, and frozen layers.

use super::*;
use alexnet::engine::GradientAccumulation;

#[test]
fn a_step_applies_the_update_rule_to_the_gradients() {
    let (images, labels) = (images(3), [0, 1, 2]);
    for net in all_wirings() {
        for form in [MomentumForm::RateInside, MomentumForm::RateOutside] {
            let mut engine = engine(&net, 3, 2);
            let dropout = Some(DropoutKey { seed: 3, step: 0, first_image: 0 });
            let batch = Batch { images: &images, labels: &labels, dropout, objective: Objective::default() };
            for (name, scale) in names(&net).iter().zip([0.1, 0.2].into_iter().cycle()) {
                let len = engine.parameter(name).expect("a parameter").len();
                engine.set_state(name, "velocity", &uniform(9, len, scale)).expect("the same shape");
            }
            let mut gradients = std::collections::BTreeMap::new();
            engine
                .gradients(&batch, &mut |name, values| _ = gradients.insert(name.to_string(), values.to_vec()))
                .expect("gradients");
            let read = |e: &Cpu, n: &String| (e.parameter(n).expect("a parameter"), e.state(n, "velocity").expect("a velocity"));
            let before: Vec<_> = names(&net).iter().map(|n| read(&engine, n)).collect();
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
                number: 1,
                lr: 0.1,
                bias_lr: 0.2,
                weight_decay: 0.01,
                bias_weight_decay: 0.002,
                layer_weight_decay: Default::default(),
                layers: Default::default(),
            };
            engine.train_step(&batch, &rule).expect("a step");
            let fused: Vec<_> = names(&net).iter().map(|n| read(&engine, n)).collect();
            for ((name, (w, v)), (fused_w, fused_v)) in names(&net).iter().zip(before).zip(fused) {
                engine.set_parameter(name, &w).expect("the same shape");
                engine.set_state(name, "velocity", &v).expect("the same shape");
                engine.apply(name, &gradients[name], &rule).expect("the same shape");
                let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()));
                let (applied_w, applied_v) = read(&engine, name);
                assert!(near(&applied_w, &fused_w) && near(&applied_v, &fused_v), "{} {name}: apply, {form:?}", net.name);
                let (lr, decay) = if name.ends_with("bias") { (0.2, 0.002) } else { (0.1, 0.01) };
                let (new_w, new_v) = (fused_w, fused_v);
                for i in 0..w.len() {
                    let g = gradients[name][i] + decay * w[i];
                    let (expected_w, expected_v) = match form {
                        MomentumForm::RateInside => (w[i] + (0.9 * v[i] - lr * g), 0.9 * v[i] - lr * g),
                        MomentumForm::RateOutside => (w[i] - lr * (0.9 * v[i] + g), 0.9 * v[i] + g),
                    };
                    let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
                    assert!(close(new_w[i], expected_w) && close(new_v[i], expected_v), "{} {name} [{i}] {form:?}", net.name);
                }
            }
        }
    }
}

#[test]
fn a_lars_step_matches_the_papers_formula() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let dropout = Some(DropoutKey { seed: 3, step: 0, first_image: 0 });
    let batch = Batch { images: &images, labels: &labels, dropout, objective: Objective::default() };
    for net in all_wirings() {
        let mut engine = engine(&net, 3, 2);
        for name in names(&net) {
            let len = engine.parameter(&name).expect("a parameter").len();
            engine.set_state(&name, "velocity", &uniform(9, len, 0.01)).expect("the same shape");
        }
        let mut gradients = std::collections::BTreeMap::new();
        engine.gradients(&batch, &mut |name, values| _ = gradients.insert(name.to_string(), values.to_vec())).expect("gradients");
        let read = |e: &Cpu, n: &String| (e.parameter(n).expect("a parameter"), e.state(n, "velocity").expect("a velocity"));
        let before: Vec<_> = names(&net).iter().map(|n| read(&engine, n)).collect();
        let (lr, lars_trust, momentum, decay, times) = (16.0, 0.01, 0.9, 0.01, 0.5);
        let layers = [(net.layers[0].name.clone(), times as f32)].into();
        let rule = OptimizerStep {
            optimizer: Sgd { momentum, form: MomentumForm::RateInside, lars_trust: Some(lars_trust), nesterov: false }.into(),
            number: 1,
            lr: lr as f32,
            bias_lr: 0.2,
            weight_decay: decay as f32,
            bias_weight_decay: 0.0,
            layer_weight_decay: Default::default(),
            layers,
        };
        engine.train_step(&batch, &rule).expect("a step");
        let stepped: Vec<_> = names(&net).iter().map(|n| read(&engine, n)).collect();
        for ((name, (w, v)), (new_w, new_v)) in names(&net).iter().zip(before).zip(stepped) {
            let g = &gradients[name];
            let times = if name.starts_with(&format!("{}.", net.layers[0].name)) { times } else { 1.0 };
            // You, Gitman and Ginsburg 2017, algorithm 1, in f64; biases use plain SGD.
            let (norm_w, norm_g) = (dot(&w, &w).sqrt(), dot(g, g).sqrt());
            let (rate, decay) = match name.ends_with(".bias") {
                true => (0.2 * times, 0.0),
                false => (lr * times * lars_trust * norm_w / (norm_g + decay * norm_w), decay),
            };
            for i in 0..w.len() {
                let (w, v, g) = (f64::from(w[i]), f64::from(v[i]), f64::from(g[i]));
                let expected = momentum * v - rate * (g + decay * w);
                let close = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-5 * (norm_w / 10.0 + b.abs()).max(0.1);
                assert!(close(new_v[i], expected), "{} {name} [{i}]: velocity {}, not {expected}", net.name, new_v[i]);
                assert!(close(new_w[i], w + expected), "{} {name} [{i}]: {}", net.name, new_w[i]);
            }
            // Applying the gradients separately gives the same result.
            engine.set_parameter(name, &w).expect("the same shape");
            engine.set_state(name, "velocity", &v).expect("the same shape");
            engine.apply(name, g, &rule).expect("the same shape");
            assert!(read(&engine, name) == (new_w, new_v), "{} {name}: apply", net.name);
        }
    }
}

#[test]
fn frozen_layers_keep_their_bits_and_the_others_learn_as_before() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let dropout = Some(DropoutKey { seed: 3, step: 0, first_image: 0 });
    let batch = Batch { images: &images, labels: &labels, dropout, objective: Objective::default() };
    for net in all_wirings() {
        let names = names(&net);
        let layers: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".weight")).collect();
        let read =
            |e: &Cpu, name: &String| (e.parameter(name).expect("a parameter"), e.state(name, "velocity").expect("a velocity"));
        let after = |times: &[(&str, f32)], lr: f32, steps: usize| {
            let layers = times.iter().map(|&(layer, times)| (layer.to_string(), times)).collect();
            let form = MomentumForm::RateOutside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
                number: 1,
                lr,
                bias_lr: 2.0 * lr,
                weight_decay: 0.01,
                bias_weight_decay: 0.002,
                layer_weight_decay: Default::default(),
                layers,
            };
            let mut engine = engine(&net, 3, 2);
            for name in &names {
                let len = engine.parameter(name).expect("a parameter").len();
                engine.set_state(name, "velocity", &uniform(9, len, 0.1)).expect("the same shape");
            }
            for _ in 0..steps {
                engine.train_step(&batch, &rule).expect("a step");
            }
            names.iter().map(|name| read(&engine, name)).collect::<Vec<_>>()
        };
        let (start, free) = (after(&[], 0.1, 0), after(&[], 0.1, 1));
        // Freeze the lowest layers, the highest, one in the middle, and all.
        let all: Vec<(&str, f32)> = layers.iter().map(|&layer| (layer, 0.0)).collect();
        for frozen in [&all[..1], &all[..all.len() - 1], &all[all.len() - 1..], &all[1..2], &all] {
            let found = after(frozen, 0.1, 1);
            for (i, name) in names.iter().enumerate() {
                let is_frozen = frozen.iter().any(|(layer, _)| name.rsplit_once('.').is_some_and(|(of, _)| of == *layer));
                let expected = if is_frozen { &start[i] } else { &free[i] };
                assert!(found[i] == *expected, "{}: {name} with {frozen:?}", net.name);
                assert!(start[i] != free[i], "{}: {name} was not trained", net.name);
            }
            assert!(after(frozen, 0.1, 2).iter().zip(&start).zip(&names).all(|((found, start), name)| {
                let is_frozen = frozen.iter().any(|(layer, _)| name.rsplit_once('.').is_some_and(|(of, _)| of == *layer));
                !is_frozen || found == start
            }));
        }
        // Multiplication by powers of two is exact.
        let last = layers[layers.len() - 1];
        let (faster, whole) = (after(&[(last, 4.0)], 0.125, 1), after(&[], 0.5, 1));
        let slow = after(&[], 0.125, 1);
        for (i, name) in names.iter().enumerate() {
            assert!(faster[i] == if name.starts_with(last) { &whole } else { &slow }[i], "{}: {name}", net.name);
        }
    }
}

#[test]
fn a_step_from_features_is_bitwise_equal_to_one_from_images() {
    let (images, labels) = (images(7), [0, 1, 2, 0, 1, 2, 1]);
    let per_image = images.len() / 7;
    for (precision, net) in [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| wirings().into_iter().map(move |n| (p, n)))
    {
        let dropout = |step| Some(DropoutKey { seed: 3, step, first_image: 0 });
        let new = || engine(&net, 7, 2).with_precision(precision).unwrap();
        let names = names(&net);
        let first_dropout = net.layers.iter().position(|l| matches!(l.op, Op::Dropout { .. })).unwrap_or(net.layers.len() - 1);
        // After each layer except before a fused ReLU.
        let relu = |i: usize| matches!(net.layers[i].op, Op::Activation { function: Activation::Relu });
        for last in (0..first_dropout).filter(|&i| i + 1 < net.layers.len() && !relu(i + 1)) {
            let layer = &net.layers[last].name;
            let layers = net.layers[..=last].iter().map(|l| (l.name.clone(), 0.0)).collect();
            let form = MomentumForm::RateInside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
                number: 1,
                lr: 0.1,
                bias_lr: 0.1,
                weight_decay: 0.01,
                bias_weight_decay: 0.0,
                layer_weight_decay: Default::default(),
                layers,
            };
            let (mut whole, mut cut) = (new(), new());
            // Computes features of a few images at a time, as for an epoch's last batch.
            let mut features = Vec::new();
            for part in images.chunks(3 * per_image) {
                features.extend(cut.split().expect("split support").features(part, layer).expect("images of the net"));
            }
            for step in 0..3 {
                let batch = Batch { images: &images, labels: &labels, dropout: dropout(step), objective: Objective::default() };
                let from = Batch { images: &features, ..batch };
                let (a, split) = (whole.train_step(&batch, &rule), cut.split().expect("split support"));
                // Once with held gradients.
                let b = if step == 1 {
                    let held = split.accumulate_after(layer, &from, &rule, 1.0);
                    cut.apply_accumulated(&rule, 1.0, None).expect("an update");
                    held
                } else {
                    split.train_step_after(layer, &from, &rule)
                };
                assert_eq!(a.expect("a step"), b.expect("a step"), "{} after {layer}", net.name);
            }
            for name in &names {
                assert!(
                    whole.parameter(name).expect("a parameter") == cut.parameter(name).expect("a parameter"),
                    "{}: {name}",
                    net.name
                );
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            whole.infer(&images, &mut a).expect("images of the net");
            cut.split().expect("split support").infer_after(layer, &features, &mut b).expect("features");
            assert!(a == b, "{} in {precision}: logits after {layer}: {a:?} {b:?}", net.name);
            let few = features.len() / 7 - 1;
            assert!(cut.split().expect("split support").infer_after(layer, &features[..few], &mut b).is_err());
            if let Some(learning) = net.layers[..=last].iter().find(|l| matches!(l.op, Op::Conv { .. })) {
                let mut rule = rule.clone();
                rule.layers.remove(&learning.name);
                let from = Batch { images: &features, labels: &labels, dropout: None, objective: Objective::default() };
                let error = cut
                    .split()
                    .expect("split support")
                    .train_step_after(layer, &from, &rule)
                    .expect_err("a trainable layer below");
                assert!(error.to_string().contains(layer.as_str()), "{error}");
            }
        }
        assert!(new().split().expect("split support").features(&images, "fc9").is_err());
    }
}

#[test]
fn apply_uses_a_layers_learning_rate() {
    let net = &wirings()[0];
    let layers = [("conv1".to_string(), 0.0), ("fc3".to_string(), 4.0)].into();
    let form = MomentumForm::RateInside;
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.5, form, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr: 0.125,
        bias_lr: 0.25,
        weight_decay: 0.0,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers,
    };
    let mut engine = engine(net, 3, 2);
    for (name, lr) in [("conv1.weight", 0.0), ("conv1.bias", 0.0), ("fc3.weight", 0.5), ("fc3.bias", 1.0), ("conv2.bias", 0.25)] {
        let before = engine.parameter(name).expect("a parameter");
        engine.apply(name, &vec![1.0; before.len()], &rule).expect("the same shape");
        let after = engine.parameter(name).expect("a parameter");
        assert!(before.iter().zip(&after).all(|(before, after)| *after == before - lr), "{name}");
        assert!(engine.state(name, "velocity").expect("a velocity").iter().all(|&v| v == -lr), "{name}");
    }
    assert!(engine.apply("conv1.weight", &[1.0], &rule).is_err());
}
