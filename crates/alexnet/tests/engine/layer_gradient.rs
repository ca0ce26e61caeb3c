//! Gradients with respect to the output of any layer.

use super::*;
use alexnet::engine::ReluGradient;

/// Softmax of each row of logits minus one at its label: the gradient of the summed loss.
fn loss_gradient(logits: &[f32], labels: &[u32]) -> Vec<f32> {
    let classes = logits.len() / labels.len();
    let row = |(logits, &label): (&[f32], &u32)| {
        let sum: f32 = logits.iter().map(|l| l.exp()).sum();
        let one = |(i, l): (usize, &f32)| l.exp() / sum - f32::from(u8::from(i == label as usize));
        logits.iter().enumerate().map(one).collect::<Vec<f32>>()
    };
    logits.chunks_exact(classes).zip(labels).flat_map(row).collect()
}

#[test]
fn the_gradient_of_every_layer_predicts_the_change_of_the_logits() {
    let n = 2;
    let images = images(n);
    let direction = uniform(78, images.len(), 1.0);
    let moved = |by: f32| images.iter().zip(&direction).map(|(x, d)| x + by * d).collect::<Vec<f32>>();
    let (ahead, back) = (moved(1e-3), moved(-1e-3));
    for net in wirings() {
        let mut engine = engine(&net, n, 2);
        let weights = uniform(79, n * net.classes(), 1.0);
        let mut logits = |images: &[f32]| {
            let mut logits = Vec::new();
            engine.infer(images, &mut logits).expect("images of the net");
            dot(&logits, &weights)
        };
        // Along the image's perturbation every layer changes too, and its gradient must predict the same change of
        // the logits.
        let expected = logits(&ahead) - logits(&back);
        let names = net.layers.iter().map(|layer| Some(layer.name.as_str()));
        for layer in std::iter::once(None).chain(names) {
            let found = engine.layer_gradient(&images, layer, &weights, ReluGradient::Plain).expect("a layer of the net");
            let mut values = |images: &[f32]| match layer {
                Some(layer) => engine.activation(images, layer).expect("a layer of the net"),
                None => images.to_vec(),
            };
            assert_eq!(found.activation, values(&images), "{} {layer:?}", net.name);
            let change: Vec<f32> = values(&ahead).iter().zip(values(&back)).map(|(a, b)| a - b).collect();
            let predicted = dot(&found.gradient, &change);
            let off = (predicted - expected).abs() / expected.abs();
            assert!(off < 0.02, "{} {layer:?}: {predicted}, not {expected}", net.name);
        }
        assert!(engine.layer_gradient(&images, Some("conv0"), &weights, ReluGradient::Plain).is_err());
        assert!(engine.layer_gradient(&images, None, &weights[1..], ReluGradient::Plain).is_err());
    }
}

#[test]
fn the_gradient_of_a_layer_matches_training() {
    let (images, labels) = (images(3), [2, 0, 1]);
    for net in wirings() {
        let mut engine = engine(&net, 3, 2);
        let mut logits = Vec::new();
        engine.infer(&images, &mut logits).expect("images of the net");
        let weights = loss_gradient(&logits, &labels);
        // With respect to the images and, summed over positions, with respect to biases. The loss is a mean over 3
        // images.
        let close = |a: &[f32], b: &[f32], what: &str| {
            let norm = dot(b, b).sqrt();
            let off = a.iter().zip(b).map(|(a, b)| f64::from(a / 3.0 - b).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 0.0 && off < 1e-4 * norm, "{} {what}: {off} of {norm}", net.name);
        };
        let input = engine.input_gradient(&images, &labels).expect("a gradient");
        let found = engine.layer_gradient(&images, None, &weights, ReluGradient::Plain).expect("a gradient");
        close(&found.gradient, &input, "images");
        // Both omit dropout that scales at inference, because the batch below has no key.
        let mut biases = Vec::new();
        let batch = Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() };
        engine
            .gradients(&batch, &mut |name, values| {
                if let Some(layer) = name.strip_suffix(".bias") {
                    biases.push((layer.to_string(), values.to_vec()));
                }
            })
            .expect("gradients");
        for (layer, bias) in biases {
            let found = engine.layer_gradient(&images, Some(&layer), &weights, ReluGradient::Plain).expect("a layer of the net");
            let places = found.gradient.len() / 3 / bias.len();
            let mut sums = vec![0.0f32; bias.len()];
            for (i, plane) in found.gradient.chunks_exact(places).enumerate() {
                sums[i % bias.len()] += plane.iter().sum::<f32>();
            }
            close(&sums, &bias, &layer);
        }
    }
}

#[test]
fn a_guided_gradient_passes_only_positive_values_at_each_relu() {
    // fc1 relu1 fc2 relu2 fc3 on one pixel, computed by hand: 3 inputs, 2 units each.
    let layers = [("fc1", fc(2)), ("relu1", RELU), ("fc2", fc(2)), ("relu2", RELU), ("fc3", fc(2))];
    let net = Net { image_size: 1, ..self::net("by hand", &layers) };
    let mut engine = Cpu::new(&net, 1, 1).expect("a valid net");
    for (name, values) in [
        ("fc1.weight", &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0][..]),
        ("fc2.weight", &[1.0, 2.0, -1.0, 1.0]),
        ("fc3.weight", &[1.0, -3.0, 0.0, 0.0]),
    ] {
        engine.set_parameter(name, values).expect("a parameter of the net");
    }
    // Outputs of relu1: 1, 2; of relu2: 5, 1. The logit decreases with the second unit of relu2.
    let mut gradient =
        |layer, relu| engine.layer_gradient(&[1.0, 2.0, 9.0], layer, &[1.0, 0.0], relu).expect("a gradient").gradient;
    assert_eq!(gradient(Some("relu2"), ReluGradient::Guided), [1.0, -3.0]);
    assert_eq!(gradient(Some("fc2"), ReluGradient::Plain), [1.0, -3.0]);
    assert_eq!(gradient(Some("fc2"), ReluGradient::Guided), [1.0, 0.0]);
    // Plain: 1 * 1 - 3 * -1 = 4 and 2 - 3 = -1. Guided, without the -3: 1 and 2.
    assert_eq!(gradient(Some("relu1"), ReluGradient::Plain), [4.0, -1.0]);
    assert_eq!(gradient(Some("relu1"), ReluGradient::Guided), [1.0, 2.0]);
    assert_eq!(gradient(None, ReluGradient::Plain), [4.0, -1.0, 0.0]);
    assert_eq!(gradient(None, ReluGradient::Guided), [1.0, 2.0, 0.0]);
}

#[test]
fn a_guided_gradient_includes_unfused_relus() {
    // The ReLU follows a pool, so it cannot be fused.
    let layers = [
        ("conv1", conv(3, 3, 1, NONE, 1, Rounding::Floor)),
        ("pool1", max(3, 2, NONE, Rounding::Floor)),
        ("relu1", RELU),
        ("conv2", conv(5, 3, 1, NONE, 1, Rounding::Floor)),
        ("fc3", fc(2)),
    ];
    let net = net("alone", &layers);
    let mut engine = engine(&net, 1, 1);
    let mut gradient = |layer, relu| engine.layer_gradient(&images(1), Some(layer), &[1.0, 0.0], relu).expect("a gradient");
    let behind = gradient("relu1", ReluGradient::Plain);
    let guided = gradient("pool1", ReluGradient::Guided).gradient;
    let expected = behind.gradient.iter().zip(&behind.activation).map(|(&g, &a)| if a > 0.0 { g.max(0.0) } else { 0.0 });
    assert_eq!(guided, expected.collect::<Vec<f32>>());
    assert!(behind.gradient.iter().any(|&g| g < 0.0) && guided.iter().any(|&g| g > 0.0));
}
