//! Comparison of the receptive fields from `alexnet-net` with the pixels that a gradient reaches.

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Inspection, ParameterStore, ReluGradient};
use alexnet::net::{BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};

/// A net whose units increase with every pixel in their receptive field: no weight is negative, and pools take means.
fn growing() -> Net {
    let conv = |out, kernel, stride, pad, groups| Op::Conv {
        out,
        kernel,
        stride,
        pad,
        groups,
        rounding: Rounding::Ceil,
        weight_init: WeightInit::HeNormal,
        bias_init: BiasInit::Constant(0.0),
    };
    let low = Pad { top: 0, left: 0, bottom: 1, right: 1 };
    let pool = Op::AvgPool { kernel: 3, stride: 2, pad: Pad::all(1), rounding: Rounding::Floor };
    let layers = [
        ("conv1", conv(2, 5, 3, low, 1)),
        ("conv2", conv(4, 3, 1, Pad::all(1), 2)),
        ("spatial2", Op::SpatialNorm { n: 3, alpha: 1e-3, beta: 0.75, k: 1.0 }),
        ("pool2", pool),
        ("pool3", Op::AdaptiveAvgPool { out: 3 }),
    ];
    let layers = layers.map(|(name, op)| Layer { name: name.into(), op }).into();
    Net { name: "growing".into(), image_size: 31, layers }
}

#[test]
fn a_receptive_field_is_where_the_gradient_reaches() {
    let whole = growing();
    for (last, shape) in whole.shapes().expect("a valid net").iter().enumerate() {
        // Use one unit of the layer as the logit.
        let mut net = whole.clone();
        net.layers.truncate(last + 1);
        let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
        net.layers.push(Layer { name: "fc".into(), op: Op::Linear { out: 1, weight_init, bias_init } });
        let mut engine = Cpu::new(&net, 1, 1).expect("a valid net");
        for name in ["conv1", "conv2"].iter().filter(|name| net.layer(name).is_ok()) {
            let name = format!("{name}.weight");
            let len = engine.parameter(&name).expect("a valid net").len();
            engine.set_parameter(&name, &vec![0.1; len]).expect("a valid net");
        }
        let size = shape.output.size;
        for (row, column) in [(0, 0), (size / 2, size - 1), (size - 1, size / 2)] {
            let mut choice = vec![0.0; shape.output.len()];
            choice[row * size + column] = 1.0;
            engine.set_parameter("fc.weight", &choice).expect("a valid net");
            let images = vec![0.5; 3 * 31 * 31];
            let gradient = engine.layer_gradient(&images, None, &[1.0], ReluGradient::Plain).expect("a valid net").gradient;
            let (rows, columns) = net.seen_by(&shape.name, row, column).expect("a valid net");
            for y in 0..31 {
                for x in 0..31 {
                    let within = (rows.0..=rows.1).contains(&y) && (columns.0..=columns.1).contains(&x);
                    let reached = gradient[y * 31 + x].abs() > 1e-9;
                    assert_eq!(reached, within, "{} ({row}, {column}): pixel ({y}, {x})", shape.name);
                }
            }
            if let Some(field) = net.receptive_field(&shape.name).expect("a valid net") {
                let span = |first: isize, i: usize| {
                    let first = first + (i * field.jump) as isize;
                    (first.max(0) as usize, (first + field.size as isize - 1).min(30) as usize)
                };
                assert_eq!((span(field.top, row).0, span(field.left, column).0), (rows.0, columns.0), "{}", shape.name);
            }
        }
    }
}
