use super::super::{reference, softmax_cross_entropy};
use super::*;
use crate::random::Key;
use crate::rows::testing::{assert_near, check_differences, contexts};

fn logits(len: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|i| (Key(5).uniform(i as u64) - 0.5) * scale).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn labels(n: usize, classes: usize) -> (Vec<u32>, Vec<MixedLabel>) {
    let first = (0..n as u32).map(|i| (7 * i + 3) % classes as u32).collect();
    let second = (0..n as u32).map(|i| MixedLabel { label: (5 * i + 1) % classes as u32, share: (i % 5) as f32 / 4.0 });
    (first, second.collect())
}

/// Every combination of the settings.
fn criteria(classes: usize) -> Vec<Criterion> {
    let mut all = Vec::new();
    for focal in [0.0, 0.5, 1.0, 2.0] {
        for smoothing in [0.0, 0.1] {
            for class_weights in [vec![], (0..classes).map(|c| 0.5 + (c % 3) as f32).collect()] {
                all.push(Criterion { smoothing, focal, class_weights });
            }
        }
    }
    all
}

#[test]
fn matches_reference() {
    for (n, classes) in [(1, 1), (3, 4), (7, 10), (5, 1000)] {
        let (labels, mixed) = labels(n, classes);
        for (scale, criterion) in [1.0, 30.0].into_iter().flat_map(|scale| criteria(classes).into_iter().map(move |c| (scale, c)))
        {
            let z = logits(n * classes, scale);
            for mixed in [&[][..], &mixed] {
                let targets = Targets { labels: &labels, mixed };
                let expected = reference::cross_entropy(n, classes, &wide(&z), targets, &criterion);
                let run = |context: &Context<'_>, d: Option<&mut [f32]>| {
                    cross_entropy(context, classes, &z, targets, &criterion, 0.25, d)
                };
                let first = run(&contexts()[0], None);
                assert!((first.sum - expected).abs() <= 1e-6 * expected.abs().max(1e-6), "{first:?} {expected} {criterion:?}");
                let mut gradient = vec![f32::NAN; z.len()];
                assert_eq!(run(&contexts()[0], Some(&mut gradient)), first);
                for context in contexts() {
                    let mut d = vec![f32::NAN; z.len()];
                    assert_eq!(run(&context, Some(&mut d)), first);
                    assert!(d.iter().zip(&gradient).all(|(a, b)| a.to_bits() == b.to_bits()));
                }
            }
        }
    }
}

#[test]
fn gradient_matches_differences() {
    let (n, classes) = (3, 6);
    let (z, (labels, mixed)) = (logits(n * classes, 4.0), labels(n, classes));
    for criterion in criteria(classes) {
        for mixed in [&[][..], &mixed] {
            let targets = Targets { labels: &labels, mixed };
            let mut d = vec![0.0; z.len()];
            cross_entropy(&contexts()[0], classes, &z, targets, &criterion, 1.0, Some(&mut d));
            check_differences("cross-entropy", &wide(&z), &[1.0], &wide(&d), |z| {
                vec![reference::cross_entropy(n, classes, z, targets, &criterion)]
            });
        }
    }
}

#[test]
fn without_settings_it_is_plain_cross_entropy() {
    let (n, classes) = (7, 10);
    let (z, (labels, _)) = (logits(n * classes, 20.0), labels(n, classes));
    let (mut plain, mut d) = (vec![0.0; z.len()], vec![0.0; z.len()]);
    let expected = softmax_cross_entropy(&contexts()[0], n, classes, &z, &labels, 0.25, Some(&mut plain));
    let targets = Targets { labels: &labels, mixed: &[] };
    let loss = cross_entropy(&contexts()[0], classes, &z, targets, &Criterion::default(), 0.25, Some(&mut d));
    assert_eq!((loss.correct, loss.correct5), (expected.correct, expected.correct5));
    assert!((loss.sum - expected.sum).abs() <= 1e-6 * expected.sum);
    assert_near("dlogits", &wide(&d), &wide(&plain), 1e-7);
}

#[derive(serde::Deserialize)]
struct Golden {
    logits: Vec<f32>,
    labels: Vec<u32>,
    second: Vec<u32>,
    shares: Vec<f32>,
    class_weights: Vec<f32>,
    smoothing: f64,
    focal: f64,
    loss: f64,
    gradient: Vec<f64>,
}

#[test]
fn means_and_gradients_are_pytorchs() {
    let text = include_str!("../../../tests/fixtures/losses.json");
    let cases: Vec<Golden> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 25);
    for case in cases {
        let Golden { logits, labels, second, shares, class_weights, smoothing, focal, loss, gradient } = case;
        let classes = logits.len() / labels.len();
        let mixed: Vec<_> = second.iter().zip(&shares).map(|(&label, &share)| MixedLabel { label, share }).collect();
        let (targets, criterion) = (Targets { labels: &labels, mixed: &mixed }, Criterion { smoothing, focal, class_weights });
        let divisor = criterion.divisor(targets);
        let mut d = vec![0.0; logits.len()];
        let found = cross_entropy(&contexts()[0], classes, &logits, targets, &criterion, 1.0 / divisor, Some(&mut d));
        assert!((found.sum / divisor - loss).abs() <= 1e-12 * loss, "{} {loss} {criterion:?}", found.sum / divisor);
        assert_near("dlogits", &wide(&d), &gradient, 1e-7);
    }
}

#[test]
fn certain_predictions_stay_finite() {
    let criteria = criteria(2);
    for criterion in &criteria {
        for (z, label) in [([1e4, -1e4], 0), ([1e4, -1e4], 1), ([0.0, 0.0], 0), ([20.0, -20.0], 0)] {
            let mut d = [f32::NAN; 2];
            let targets = Targets { labels: &[label], mixed: &[] };
            let loss = cross_entropy(&contexts()[0], 2, &z, targets, criterion, 1.0, Some(&mut d));
            assert!(loss.sum.is_finite() && loss.sum >= 0.0 && d.iter().all(|d| d.is_finite()), "{criterion:?} {loss:?} {d:?}");
        }
    }
}

#[test]
fn the_larger_share_counts_as_correct() {
    let z = [0.0, 3.0, 1.0];
    let correct = |share| {
        let targets = Targets { labels: &[2], mixed: &[MixedLabel { label: 1, share }] };
        cross_entropy(&contexts()[0], 3, &z, targets, &Criterion::default(), 1.0, None).correct
    };
    assert_eq!([0.0, 0.4, 0.5, 0.51, 1.0].map(correct), [0, 0, 0, 1, 1]);
}

#[test]
fn not_a_number_is_never_correct() {
    let targets = Targets { labels: &[0], mixed: &[] };
    let criterion = Criterion { smoothing: 0.1, ..Criterion::default() };
    for at in 0..3 {
        let mut z = [9.0, 0.0, 0.0];
        z[at] = f32::NAN;
        let loss = cross_entropy(&contexts()[0], 3, &z, targets, &criterion, 1.0, None);
        assert!(loss.sum.is_nan() && loss.correct == 0, "{loss:?}");
    }
}
