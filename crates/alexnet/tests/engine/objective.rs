//! Losses with smoothing, class weights, focal exponent and mixed labels, in training steps of the CPU engine.

use super::*;
use alexnet::engine::{Criterion, MixedLabel};
use alexnet_kernels::loss::{criterion::Targets, reference};

const LABELS: [u32; 3] = [2, 0, 1];

fn criterion(net: &Net) -> Criterion {
    Criterion { smoothing: 0.1, focal: 1.5, class_weights: (0..net.classes()).map(|c| 0.5 + c as f32).collect() }
}

fn mixed() -> [MixedLabel; 3] {
    [(0, 0.25), (1, 0.75), (1, 0.0)].map(|(label, share)| MixedLabel { label, share })
}

#[test]
fn gradients_of_every_loss_agree_with_finite_differences() {
    let net = &wirings()[0];
    let (images, criterion, mixed) = (images(3), criterion(net), mixed());
    for objective in [
        Objective { criterion: Some(&criterion), mixed: &[] },
        Objective { criterion: None, mixed: &mixed },
        Objective { criterion: Some(&criterion), mixed: &mixed },
    ] {
        let mut engine = engine(net, 4, 2);
        let batch = Batch { images: &images, labels: &LABELS, dropout: None, objective };
        // The loss is the reference's of the engine's own logits.
        let mut logits = Vec::new();
        engine.infer(&images, &mut logits).expect("images of the net");
        let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
        let (plain, targets) = (Criterion::default(), Targets { labels: &LABELS, mixed: objective.mixed });
        let sum = reference::cross_entropy(3, net.classes(), &logits, targets, objective.criterion.unwrap_or(&plain));
        let expected = sum / objective.divisor(&LABELS);
        assert!((loss(&mut engine, &batch) - expected).abs() < 1e-5 * expected, "{objective:?}: not {expected}");
        let mut gradients = Vec::new();
        engine.gradients(&batch, &mut |name, values| gradients.push((name.to_string(), values.to_vec()))).expect("gradients");
        for (name, gradient) in &gradients {
            let direction = uniform(77, gradient.len(), 1.0);
            let slopes = slopes(&mut engine, &batch, name, &direction, [2e-4, 1e-3]);
            let (expected, size) = (dot(gradient, &direction), dot(gradient, gradient).sqrt());
            let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
            assert!(off <= 0.01 * size + 1e-3, "{name}: slopes {slopes:?}, gradient {expected}");
        }
    }
}

#[test]
fn an_unset_objective_changes_no_bit() {
    let net = &wirings()[0];
    let (images, none) = (images(3), Criterion::default());
    let gradients = |objective| {
        let mut all = Vec::new();
        let batch = Batch { images: &images, labels: &LABELS, dropout: None, objective };
        let stats = engine(net, 4, 1).gradients(&batch, &mut |_, values| all.extend_from_slice(values)).expect("gradients");
        (stats, all)
    };
    assert!(gradients(Objective::default()) == gradients(Objective { criterion: Some(&none), mixed: &[] }));
}

#[test]
fn objectives_that_do_not_fit_are_refused() {
    let net = &wirings()[0];
    let images = images(3);
    let (few, weights) =
        ([MixedLabel { label: 0, share: 0.5 }; 2], Criterion { class_weights: vec![1.0], ..Criterion::default() });
    let with = |label, share| [MixedLabel { label, share }; 3];
    let (label, share) = (with(net.classes() as u32, 0.5), with(0, f32::NAN));
    for (objective, part) in [
        (Objective { criterion: None, mixed: &few }, "2 second labels for 3 images"),
        (Objective { criterion: Some(&weights), mixed: &[] }, "1 class weights for a net of"),
        (Objective { criterion: None, mixed: &label }, "out of range"),
        (Objective { criterion: None, mixed: &share }, "out of range"),
    ] {
        let batch = Batch { images: &images, labels: &LABELS, dropout: None, objective };
        let message = engine(net, 4, 1).gradients(&batch, &mut |_, _| {}).expect_err("does not fit").to_string();
        assert!(message.contains(part), "{message}");
    }
}
