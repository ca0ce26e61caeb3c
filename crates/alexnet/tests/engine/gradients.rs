//! Gradients compared with finite differences.

use super::*;

#[test]
fn gradients_agree_with_finite_differences() {
    let (images, labels) = (images(3), [2, 0, 1]);
    for net in all_wirings() {
        for dropout in [None, Some(DropoutKey { seed: 1, step: 2, first_image: 0 })] {
            let mut engine = engine(&net, 4, 2);
            let batch = Batch { images: &images, labels: &labels, dropout, objective: Objective::default() };
            let mut gradients = Vec::new();
            engine.gradients(&batch, &mut |name, values| gradients.push((name.to_string(), values.to_vec()))).expect("gradients");
            assert_eq!(gradients.len(), names(&net).len());
            for (name, gradient) in &gradients {
                let direction = uniform(77, gradient.len(), 1.0);
                // Steps of two sizes: at a kink of a ReLU or a pool, only one of them can be off.
                let slopes = slopes(&mut engine, &batch, name, &direction, [2e-4, 1e-3]);
                let (expected, size) = (dot(gradient, &direction), dot(gradient, gradient).sqrt());
                let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
                assert!(off <= 0.01 * size + 1e-3, "{} {name}: slopes {slopes:?}, gradient {expected}", net.name);
                assert!(size > 1e-4, "{} {name}: no gradient", net.name);
            }
        }
    }
}

#[test]
fn the_input_gradient_agrees_with_finite_differences() {
    let (images, labels) = (images(2), [1, 2]);
    for net in all_wirings() {
        let mut engine = engine(&net, 2, 1);
        let gradient = engine.input_gradient(&images, &labels).expect("a batch of the net");
        let direction = uniform(78, images.len(), 1.0);
        let mut at = |step: f32| {
            let moved: Vec<f32> = images.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            loss(&mut engine, &Batch { images: &moved, labels: &labels, dropout: None, objective: Objective::default() })
        };
        let slopes = [2e-4f32, 1e-3].map(|e| (at(e) - at(-e)) / f64::from(2.0 * e));
        let (expected, size) = (dot(&gradient, &direction), dot(&gradient, &gradient).sqrt());
        let off = slopes.map(|s| (s - expected).abs()).into_iter().fold(f64::INFINITY, f64::min);
        assert!(off <= 0.01 * size + 1e-3, "{}: slopes {slopes:?}, gradient {expected}", net.name);
    }
}
