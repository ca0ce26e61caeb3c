//! The CPU engine on small nets that wire its steps in every way.

use alexnet::engine::cpu::Cpu;
use alexnet::engine::optim::MomentumForm;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::{
    Batch, Calibration, DropoutKey, FeatureMaps, Gradients, Inference, Inspection, OptimizerStep, ParameterStore, Precision,
    Training, init,
};
use alexnet::net::{Activation, Net, Op, Rounding};
use alexnet::selftest::formula::{self, uniform};

#[path = "engine/batch_norm.rs"]
mod batch_norm;
#[path = "engine/layer_gradient.rs"]
mod layer_gradient;
#[path = "engine/receptive_field.rs"]
mod receptive_field;
#[path = "engine/wirings.rs"]
mod wirings;

use wirings::*;

fn engine(net: &Net, capacity: usize, threads: usize) -> Cpu {
    let mut engine = Cpu::new(net, capacity, threads).expect("a sound net");
    init::initialise(&mut engine, 11).expect("parameters of the net");
    engine
}

fn names(net: &Net) -> Vec<String> {
    let layers = formula::with_parameters(net).expect("a sound net");
    layers.iter().flat_map(|l| [format!("{}.weight", l.name), format!("{}.bias", l.name)]).collect()
}

fn images(n: usize) -> Vec<f32> {
    uniform(5, n * 3 * SIZE * SIZE, 1.0)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The loss of one step that changes nothing.
fn loss(engine: &mut Cpu, batch: &Batch<'_>) -> f64 {
    f64::from(engine.gradients(batch, &mut |_, _| {}).expect("a batch of the net").loss)
}

/// The slope of the loss along a direction of a parameter, by steps of several sizes to both sides.
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
fn gradients_agree_with_finite_differences() {
    let (images, labels) = (images(3), [2, 0, 1]);
    for net in wirings() {
        for dropout in [None, Some(DropoutKey { seed: 1, step: 2, first_picture: 0 })] {
            let mut engine = engine(&net, 4, 2);
            let batch = Batch { images: &images, labels: &labels, dropout };
            let mut gradients = Vec::new();
            engine.gradients(&batch, &mut |name, values| gradients.push((name.to_string(), values.to_vec()))).expect("gradients");
            assert_eq!(gradients.len(), names(&net).len());
            for (name, gradient) in &gradients {
                let direction = uniform(77, gradient.len(), 1.0);
                // Steps of two sizes: at a kink of a ReLU or a pool one of them can be off, not both.
                let slopes = slopes(&mut engine, &batch, name, &direction, [2e-4, 1e-3]);
                let (expected, size) = (dot(gradient, &direction), dot(gradient, gradient).sqrt());
                let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
                assert!(off <= 0.01 * size + 1e-3, "{} {name}: slopes {slopes:?}, gradient says {expected}", net.name);
                assert!(size > 1e-4, "{} {name}: no gradient", net.name);
            }
        }
    }
}

#[test]
fn the_input_gradient_agrees_with_finite_differences() {
    let (images, labels) = (images(2), [1, 2]);
    for net in wirings() {
        let mut engine = engine(&net, 2, 1);
        let gradient = engine.input_gradient(&images, &labels).expect("a batch of the net");
        let direction = uniform(78, images.len(), 1.0);
        let mut at = |step: f32| {
            let moved: Vec<f32> = images.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            loss(&mut engine, &Batch { images: &moved, labels: &labels, dropout: None })
        };
        let slopes = [2e-4f32, 1e-3].map(|e| (at(e) - at(-e)) / f64::from(2.0 * e));
        let (expected, size) = (dot(&gradient, &direction), dot(&gradient, &gradient).sqrt());
        let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
        assert!(off <= 0.01 * size + 1e-3, "{}: slopes {slopes:?}, gradient says {expected}", net.name);
    }
}

#[test]
fn a_step_is_the_update_rule_applied_to_the_gradients() {
    let (images, labels) = (images(3), [0, 1, 2]);
    for net in wirings() {
        for form in [MomentumForm::RateInside, MomentumForm::RateOutside] {
            let mut engine = engine(&net, 3, 2);
            let dropout = Some(DropoutKey { seed: 3, step: 0, first_picture: 0 });
            let batch = Batch { images: &images, labels: &labels, dropout };
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
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None }.into(),
                number: 1,
                lr: 0.1,
                bias_lr: 0.2,
                weight_decay: 0.01,
                bias_weight_decay: 0.002,
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
fn a_step_of_lars_is_the_papers_formula() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let dropout = Some(DropoutKey { seed: 3, step: 0, first_picture: 0 });
    let batch = Batch { images: &images, labels: &labels, dropout };
    for net in wirings() {
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
            optimizer: Sgd { momentum, form: MomentumForm::RateInside, lars_trust: Some(lars_trust) }.into(),
            number: 1,
            lr: lr as f32,
            bias_lr: 0.2,
            weight_decay: decay as f32,
            bias_weight_decay: 0.0,
            layers,
        };
        engine.train_step(&batch, &rule).expect("a step");
        let stepped: Vec<_> = names(&net).iter().map(|n| read(&engine, n)).collect();
        for ((name, (w, v)), (new_w, new_v)) in names(&net).iter().zip(before).zip(stepped) {
            let g = &gradients[name];
            let times = if name.starts_with(&format!("{}.", net.layers[0].name)) { times } else { 1.0 };
            // You, Gitman and Ginsburg 2017, algorithm 1, in f64; biases learn as ever.
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
            // Whoever sums gradients himself comes to the same.
            engine.set_parameter(name, &w).expect("the same shape");
            engine.set_state(name, "velocity", &v).expect("the same shape");
            engine.apply(name, g, &rule).expect("the same shape");
            assert!(read(&engine, name) == (new_w, new_v), "{} {name}: apply", net.name);
        }
    }
}

#[test]
fn frozen_layers_keep_their_bits_and_the_others_learn_as_without_them() {
    let (images, labels) = (images(3), [0, 1, 2]);
    let dropout = Some(DropoutKey { seed: 3, step: 0, first_picture: 0 });
    let batch = Batch { images: &images, labels: &labels, dropout };
    for net in wirings() {
        let names = names(&net);
        let layers: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".weight")).collect();
        let read =
            |e: &Cpu, name: &String| (e.parameter(name).expect("a parameter"), e.state(name, "velocity").expect("a velocity"));
        let after = |times: &[(&str, f32)], lr: f32, steps: usize| {
            let layers = times.iter().map(|&(layer, times)| (layer.to_string(), times)).collect();
            let form = MomentumForm::RateOutside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None }.into(),
                number: 1,
                lr,
                bias_lr: 2.0 * lr,
                weight_decay: 0.01,
                bias_weight_decay: 0.002,
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
        // The lowest layers, the highest, one in the middle, all.
        let all: Vec<(&str, f32)> = layers.iter().map(|&layer| (layer, 0.0)).collect();
        for frozen in [&all[..1], &all[..all.len() - 1], &all[all.len() - 1..], &all[1..2], &all] {
            let found = after(frozen, 0.1, 1);
            for (i, name) in names.iter().enumerate() {
                let is_frozen = frozen.iter().any(|(layer, _)| name.rsplit_once('.').is_some_and(|(of, _)| of == *layer));
                let expected = if is_frozen { &start[i] } else { &free[i] };
                assert!(found[i] == *expected, "{}: {name} with {frozen:?}", net.name);
                assert!(start[i] != free[i], "{}: {name} does not learn", net.name);
            }
            assert!(after(frozen, 0.1, 2).iter().zip(&start).zip(&names).all(|((found, start), name)| {
                let is_frozen = frozen.iter().any(|(layer, _)| name.rsplit_once('.').is_some_and(|(of, _)| of == *layer));
                !is_frozen || found == start
            }));
        }
        // Powers of two multiply exactly.
        let last = layers[layers.len() - 1];
        let (faster, whole) = (after(&[(last, 4.0)], 0.125, 1), after(&[], 0.5, 1));
        let slow = after(&[], 0.125, 1);
        for (i, name) in names.iter().enumerate() {
            assert!(faster[i] == if name.starts_with(last) { &whole } else { &slow }[i], "{}: {name}", net.name);
        }
    }
}

#[test]
fn a_step_from_the_middle_has_the_bits_of_one_from_the_pictures() {
    let (images, labels) = (images(7), [0, 1, 2, 0, 1, 2, 1]);
    let per_picture = images.len() / 7;
    for (precision, net) in [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| wirings().into_iter().map(move |n| (p, n)))
    {
        let dropout = |step| Some(DropoutKey { seed: 3, step, first_picture: 0 });
        let new = || engine(&net, 7, 2).with_precision(precision).unwrap();
        let names = names(&net);
        let first_dropout = net.layers.iter().position(|l| matches!(l.op, Op::Dropout { .. })).unwrap_or(net.layers.len() - 1);
        // After each layer but a ReLU's own, which it does not end before.
        let relu = |i: usize| matches!(net.layers[i].op, Op::Activation { function: Activation::Relu });
        for last in (0..first_dropout).filter(|&i| i + 1 < net.layers.len() && !relu(i + 1)) {
            let layer = &net.layers[last].name;
            let layers = net.layers[..=last].iter().map(|l| (l.name.clone(), 0.0)).collect();
            let form = MomentumForm::RateInside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None }.into(),
                number: 1,
                lr: 0.1,
                bias_lr: 0.1,
                weight_decay: 0.01,
                bias_weight_decay: 0.0,
                layers,
            };
            let (mut whole, mut cut) = (new(), new());
            // Features of a few images at a time, as an epoch's rest may have them.
            let mut features = Vec::new();
            for part in images.chunks(3 * per_picture) {
                features.extend(cut.split().expect("it can").features(part, layer).expect("pictures"));
            }
            for step in 0..3 {
                let batch = Batch { images: &images, labels: &labels, dropout: dropout(step) };
                let from = Batch { images: &features, ..batch };
                let (a, b) =
                    (whole.train_step(&batch, &rule), cut.split().expect("it can").train_step_after(layer, &from, &rule));
                assert_eq!(a.expect("a step"), b.expect("a step"), "{} after {layer}", net.name);
            }
            for name in &names {
                assert!(whole.parameter(name).expect("it has") == cut.parameter(name).expect("it has"), "{}: {name}", net.name);
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            whole.infer(&images, &mut a).expect("pictures");
            cut.split().expect("it can").infer_after(layer, &features, &mut b).expect("features");
            assert!(a == b, "{} in {precision}: logits after {layer}: {a:?} {b:?}", net.name);
            let few = features.len() / 7 - 1;
            assert!(cut.split().expect("it can").infer_after(layer, &features[..few], &mut b).is_err());
            if let Some(learning) = net.layers[..=last].iter().find(|l| matches!(l.op, Op::Conv { .. })) {
                let mut rule = rule.clone();
                rule.layers.remove(&learning.name);
                let from = Batch { images: &features, labels: &labels, dropout: None };
                let error = cut.split().expect("it can").train_step_after(layer, &from, &rule).expect_err("it learns");
                assert!(error.to_string().contains(layer.as_str()), "{error}");
            }
        }
        assert!(new().split().expect("it can").features(&images, "fc9").is_err());
    }
}

#[test]
fn apply_honours_a_layers_rate() {
    let net = &wirings()[0];
    let layers = [("conv1".to_string(), 0.0), ("fc3".to_string(), 4.0)].into();
    let form = MomentumForm::RateInside;
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.5, form, lars_trust: None }.into(),
        number: 1,
        lr: 0.125,
        bias_lr: 0.25,
        weight_decay: 0.0,
        bias_weight_decay: 0.0,
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

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (images, labels) = (images(5), [0, 1, 2, 0, 1]);
    for net in wirings() {
        let results: Vec<Vec<Vec<f32>>> = [1, 2, 3, 7]
            .map(|threads| {
                let mut engine = engine(&net, 6, threads);
                for step in 0..3 {
                    let dropout = Some(DropoutKey { seed: 3, step, first_picture: 0 });
                    let form = MomentumForm::RateOutside;
                    let rule = OptimizerStep {
                        optimizer: Sgd { momentum: 0.9, form, lars_trust: None }.into(),
                        number: 1,
                        lr: 0.05,
                        bias_lr: 0.05,
                        weight_decay: 0.01,
                        bias_weight_decay: 0.0,
                        layers: Default::default(),
                    };
                    engine.train_step(&Batch { images: &images, labels: &labels, dropout }, &rule).expect("a step");
                }
                names(&net).iter().map(|n| engine.parameter(n).expect("a parameter")).collect()
            })
            .to_vec();
        assert!(results.iter().all(|r| *r == results[0]), "{}", net.name);
    }
}

#[test]
fn logits_do_not_depend_on_the_batch_around_a_picture() {
    let images = images(7);
    for net in wirings() {
        let one = images.len() / 7;
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        // Seven images through an engine for three: two full batches and a rest.
        engine(&net, 3, 2).infer(&images, &mut together).expect("images of the net");
        let mut single = engine(&net, 1, 1);
        for picture in images.chunks(one) {
            let mut logits = Vec::new();
            single.infer(picture, &mut logits).expect("an image of the net");
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
fn several_layers_are_shown_in_one_pass_and_a_relu_does_not_hide_what_comes_before_it() {
    let images = images(5);
    for net in wirings() {
        let mut engine = engine(&net, 2, 2);
        let names: Vec<&str> = net.layers.iter().map(|layer| layer.name.as_str()).collect();
        let size = [net.image_size; 2];
        // Twice, as the second call uses the program of the first; five images through an engine for two.
        for _ in 0..2 {
            let all = engine.feature_maps(&images, size, &names).expect("the net's layers");
            for (i, name) in names.iter().enumerate() {
                let alone = engine.activation(&images, name).expect("a layer");
                assert_eq!(all[i].values, alone, "{} {name}", net.name);
                let shape = net.shapes().expect("shapes")[i].output;
                assert_eq!((all[i].channels, all[i].height, all[i].width), (shape.channels, shape.size, shape.size));
                if matches!(net.layers[i].op, Op::Activation { function: Activation::Relu }) {
                    let clipped: Vec<f32> = all[i - 1].values.iter().map(|v| v.max(0.0)).collect();
                    assert_eq!(all[i].values, clipped, "{} {name}", net.name);
                }
            }
        }
        assert!(
            engine.feature_maps(&images, size, &[]).is_err() && engine.feature_maps(&images[1..], size, &names[..1]).is_err()
        );
    }
}

#[test]
fn oblong_pictures_go_as_far_as_the_first_linear_layer() {
    let net = &wirings()[0];
    let mut engine = engine(net, 2, 2);
    let last = net.layers.iter().position(|layer| matches!(layer.op, Op::Linear { .. })).expect("a linear layer");
    let (height, width) = (net.image_size, net.image_size + 6);
    let wide = uniform(5, 3 * height * width, 1.0);
    let names: Vec<&str> = net.layers[..last].iter().map(|layer| layer.name.as_str()).collect();
    let maps = engine.feature_maps(&wide, [height, width], &names).expect("the layers before it");
    let wider = net.clone().with_image_size(width);
    let wider = Net { layers: wider.layers[..last].to_vec(), ..wider }.shapes().expect("shapes");
    for ((maps, rows), columns) in maps.iter().zip(net.shapes().expect("shapes")).zip(wider) {
        assert_eq!((maps.height, maps.width), (rows.output.size, columns.output.size), "{}", rows.name);
    }
    // The same turned on its side, with kernels that are the same turned: a transposed answer.
    for name in engine.net().layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>() {
        let Ok(weights) = engine.parameter(&format!("{name}.weight")) else { continue };
        let Some(Op::Conv { kernel, .. }) = net.layers.iter().find(|l| l.name == name).map(|l| l.op.clone()) else { continue };
        let turned: Vec<f32> = weights.chunks(kernel * kernel).flat_map(|w| transposed(w, kernel, kernel)).collect();
        let even: Vec<f32> = weights.iter().zip(&turned).map(|(a, b)| a + b).collect();
        engine.set_parameter(&format!("{name}.weight"), &even).expect("the same shape");
    }
    let tall: Vec<f32> = wide.chunks(height * width).flat_map(|plane| transposed(plane, height, width)).collect();
    let flat = engine.feature_maps(&wide, [height, width], &names).expect("wide");
    let upright = engine.feature_maps(&tall, [width, height], &names).expect("tall");
    for ((a, b), name) in flat.iter().zip(&upright).zip(&names) {
        let turned: Vec<f32> = a.values.chunks(a.height * a.width).flat_map(|map| transposed(map, a.height, a.width)).collect();
        let largest = a.values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let off = turned.iter().zip(&b.values).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(largest > 0.0 && off <= 1e-5 * largest, "{name}: {off} of {largest}");
    }
    let beyond = net.layers[last].name.as_str();
    let message = engine.feature_maps(&wide, [height, width], &[beyond]).expect_err("a linear layer").to_string();
    assert!(message.contains(beyond) && message.contains("own size"), "{message}");
}

/// Rows and columns exchanged.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}

#[test]
fn steady_answers_have_the_same_bits_whatever_is_beside_a_picture() {
    let images = images(25);
    let one = images.len() / 25;
    for net in wirings() {
        let source = engine(&net, 1, 1);
        for precision in [Precision::F32, Precision::Bf16] {
            let answers = |capacity: usize, at_a_time: usize| {
                let mut engine = Cpu::new(&net, capacity, 2).unwrap().with_precision(precision).unwrap().batch_invariant();
                names(&net).iter().for_each(|n| engine.set_parameter(n, &source.parameter(n).unwrap()).unwrap());
                let (mut all, mut logits) = (Vec::new(), Vec::new());
                for images in images.chunks(at_a_time * one) {
                    engine.infer(images, &mut logits).unwrap();
                    all.extend_from_slice(&logits);
                    // Gradients want weights in another order; that must not change a bit either.
                    let gradient = engine.input_gradient(&images[..one], &[0]).unwrap();
                    // Nor must it change one that they are freed again.
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
fn a_share_of_a_batch_draws_the_same_dropout_as_the_whole() {
    let images = images(4);
    let labels = [0, 1, 2, 1];
    for net in wirings() {
        let mut engine = engine(&net, 4, 1);
        let mut mean = |images: &[f32], labels: &[u32], first_picture| {
            let dropout = Some(DropoutKey { seed: 8, step: 1, first_picture });
            loss(&mut engine, &Batch { images, labels, dropout })
        };
        let (half, whole) = (images.len() / 2, mean(&images, &labels, 0));
        let halves = (mean(&images[..half], &labels[..2], 0) + mean(&images[half..], &labels[2..], 2)) / 2.0;
        assert!((whole - halves).abs() < 1e-5, "{}: {whole} {halves}", net.name);
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let net = &wirings()[0];
    let mut engine = engine(net, 2, 1);
    let images = images(2);
    let message = |result: alexnet::Result<()>| result.expect_err("must not fit").to_string();
    let mut step =
        |images: &[f32], labels: &[u32]| engine.gradients(&Batch { images, labels, dropout: None }, &mut |_, _| {}).map(|_| ());
    assert!(message(step(&images[1..], &[0, 1])).contains("3 x 17 x 17"));
    assert!(message(step(&images, &[0])).contains("2 images with 1 labels"));
    assert!(message(step(&images, &[0, 5])).contains("label 5"));
    assert!(message(step(&[], &[])).contains("no images"));
    assert!(message(engine.activation(&images, "conv9").map(|_| ())).contains("conv9"));
    assert!(message(engine.set_parameter("conv1.weight", &[1.0])).contains("conv1.weight"));
    assert!(message(engine.parameter("conv1.scale").map(|_| ())).contains("conv1.scale"));
    assert!(message(Cpu::new(net, 0, 1).map(|_| ())).contains("at least one"));
}

/// How far two vectors are apart, as a share of the second one's norm.
fn apart(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b))) / norm(&mut expected.iter().map(|&b| f64::from(b)))
}

#[test]
fn shorter_numbers_give_nearly_the_same_answers_by_any_number_of_threads() {
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
            assert_eq!(logits, again, "{}: other bits by three threads in {precision}", net.name);
            let error = apart(&logits, &exact);
            assert!(error > 0.0 && error < bound, "{}: {precision} is {error} of the norm off", net.name);
            // Other weights, other answers: nothing made of the old ones is kept.
            let name = format!("{}.bias", net.layers.last().unwrap().name);
            let moved: Vec<f32> = one.parameter(&name).unwrap().iter().map(|bias| bias + 1.0).collect();
            one.set_parameter(&name, &moved).unwrap();
            one.infer(&images, &mut again).unwrap();
            assert!(again.iter().zip(&logits).all(|(a, b)| (a - b - 1.0).abs() < 1e-4), "{}: {precision}", net.name);
        }
    }
}

#[test]
fn int8_wants_ranges_and_trains_nothing() {
    let net = &wirings()[0];
    let mut engine = Cpu::new(net, 2, 1).unwrap().with_precision(Precision::Int8).unwrap();
    let images = uniform(1, 2 * 3 * SIZE * SIZE, 1.0);
    let error = engine.infer(&images, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("conv1") && error.contains("quantize"), "{error}");
    let batch = Batch { images: &images, labels: &[0, 1], dropout: None };
    let error = engine.gradients(&batch, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("int8 is for inference"), "{error}");
}

#[test]
fn training_in_bf16_follows_training_in_f32() {
    for net in wirings() {
        let images = uniform(5, 8 * 3 * SIZE * SIZE, 1.0);
        let labels: Vec<u32> = formula::labels(8, net.classes());
        let losses = [Precision::F32, Precision::Bf16].map(|precision| {
            let mut engine = Cpu::new(&net, 8, 2).unwrap().with_precision(precision).unwrap();
            init::initialise(&mut engine, 3).unwrap();
            let form = MomentumForm::RateOutside;
            let rule = OptimizerStep {
                optimizer: Sgd { momentum: 0.9, form, lars_trust: None }.into(),
                number: 1,
                lr: 0.01,
                bias_lr: 0.01,
                weight_decay: 5e-4,
                bias_weight_decay: 5e-4,
                layers: Default::default(),
            };
            let batch = Batch { images: &images, labels: &labels, dropout: None };
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
