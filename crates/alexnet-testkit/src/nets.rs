//! Small nets that wire the layers in every way.

use alexnet_net::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, WeightInit};

/// Rows and columns of their images.
pub const SIZE: usize = 17;

/// A net of these layers.
pub fn net(name: &str, rows: &[(&str, Op)]) -> Net {
    let layers = rows.iter().map(|(name, op)| Layer { name: (*name).into(), op: op.clone() }).collect();
    Net { name: name.into(), image_size: SIZE, layers }
}

/// A convolution.
pub fn conv(out: usize, kernel: usize, stride: usize, pad: Pad, groups: usize, rounding: Rounding) -> Op {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.1));
    Op::Conv { out, kernel, stride, pad, groups, rounding, weight_init, bias_init }
}

/// A locally connected layer.
pub fn local(out: usize, kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Op {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.1));
    Op::LocalConv { out, kernel, stride, pad, rounding, weight_init, bias_init }
}

/// A linear layer.
pub fn fc(out: usize) -> Op {
    Op::Linear { out, weight_init: WeightInit::HeNormal, bias_init: BiasInit::Constant(0.1) }
}

/// A max pool.
pub fn max(kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Op {
    Op::MaxPool { kernel, stride, pad, rounding }
}

/// A ReLU.
pub const RELU: Op = Op::Activation { function: Activation::Relu };
/// A hyperbolic tangent.
pub const TANH: Op = Op::Activation { function: Activation::Tanh };
/// A sigmoid.
pub const SIGMOID: Op = Op::Activation { function: Activation::Sigmoid };
/// No padding.
pub const NONE: Pad = Pad::all(0);
/// Padding below and on the right alone.
pub const LOW: Pad = Pad { top: 0, left: 0, bottom: 1, right: 1 };

/// Local response normalization over five channels, in this many columns.
pub fn lrn(columns: usize) -> Op {
    Op::Lrn { n: 5, alpha: 0.3, beta: 0.75, k: 2.0, divide_by_n: true, columns }
}

/// Dropout of a half.
pub fn drop(style: DropoutStyle) -> Op {
    Op::Dropout { rate: 0.5, style }
}

/// Batch normalization.
pub const NORM: Op = Op::BatchNorm { eps: 1e-3, momentum: 0.25 };

/// A net with batch norms before and behind a ReLU, with and without one of their own, and on features.
pub fn normed() -> Net {
    let rows = [
        ("conv1", conv(6, 5, 2, Pad::all(2), 1, Rounding::Floor)),
        ("bn1", NORM),
        ("relu1", RELU),
        ("pool1", max(3, 2, NONE, Rounding::Floor)),
        ("conv2", conv(40, 3, 1, Pad::all(1), 2, Rounding::Floor)),
        ("relu2", RELU),
        ("bn2", NORM),
        ("conv3", conv(8, 3, 1, Pad::all(1), 1, Rounding::Floor)),
        ("bn3", NORM),
        ("tanh3", TANH),
        ("fc4", fc(10)),
        ("bn4", NORM),
        ("relu4", RELU),
        ("drop4", drop(DropoutStyle::ScaleInTraining)),
        ("fc5", fc(5)),
    ];
    net("normed", &rows)
}

/// A net with locally connected layers on the images, behind a pool and a ReLU, before a convolution and at the end, with and
/// without a ReLU of their own.
pub fn unshared() -> Net {
    use Rounding::{Ceil, Floor};
    let rows = [
        ("local1", local(5, 3, 3, LOW, Floor)),
        ("relu1", RELU),
        ("local2", local(34, 3, 1, Pad::all(1), Floor)),
        ("norm2", lrn(1)),
        ("pool2", Op::AvgPool { kernel: 3, stride: 2, pad: NONE, rounding: Ceil }),
        ("local3", local(7, 2, 1, NONE, Floor)),
        ("relu3", RELU),
        ("conv4", conv(6, 3, 1, Pad::all(1), 1, Floor)),
        ("relu4", RELU),
        ("local5", local(4, 2, 2, NONE, Ceil)),
        ("tanh5", TANH),
        ("fc6", fc(5)),
    ];
    net("unshared", &rows)
}

/// Nets whose layers follow each other in different ways.
pub fn wirings() -> Vec<Net> {
    use Rounding::{Ceil, Floor};
    vec![
        net(
            "relu-pool",
            &[
                ("conv1", conv(6, 5, 2, Pad::all(2), 1, Floor)),
                ("relu1", RELU),
                ("pool1", max(3, 2, NONE, Floor)),
                ("conv2", conv(8, 3, 1, Pad::all(1), 2, Floor)),
                ("relu2", RELU),
                ("fc3", fc(10)),
                ("relu3", RELU),
                ("drop3", drop(DropoutStyle::ScaleInTraining)),
                ("fc4", fc(5)),
            ],
        ),
        net(
            "2012",
            &[
                ("conv1", conv(8, 4, 3, NONE, 1, Ceil)),
                ("norm1", lrn(2)),
                ("pool1", max(2, 2, LOW, Ceil)),
                ("relu1", RELU),
                ("conv2", conv(12, 3, 1, Pad::all(1), 2, Floor)),
                ("relu2", RELU),
                ("norm2", lrn(1)),
                ("spatial2", Op::SpatialNorm { n: 3, alpha: 0.5, beta: 0.75, k: 1.0 }),
                ("pool2", max(3, 2, Pad::all(1), Floor)),
                ("fc3", fc(5)),
            ],
        ),
        net(
            "smooth",
            &[
                ("conv1", conv(7, 3, 2, LOW, 1, Floor)),
                ("tanh1", TANH),
                ("pool1", Op::AvgPool { kernel: 3, stride: 2, pad: Pad::all(1), rounding: Ceil }),
                ("conv2", conv(9, 3, 1, Pad::all(1), 1, Floor)),
                ("sigmoid2", SIGMOID),
                ("conv3", conv(6, 3, 2, Pad::all(1), 3, Floor)),
                ("tanh3", TANH),
                ("drop3", drop(DropoutStyle::ScaleAtInference)),
                ("pool3", Op::AdaptiveAvgPool { out: 2 }),
                ("fc4", fc(11)),
                ("sigmoid4", SIGMOID),
                ("drop4", drop(DropoutStyle::ScaleInTraining)),
                ("fc5", fc(4)),
            ],
        ),
        net(
            "stretched",
            &[
                ("drop0", drop(DropoutStyle::ScaleInTraining)),
                ("conv1", conv(5, 5, 3, Pad::all(1), 1, Ceil)),
                ("relu1", RELU),
                ("avgpool", Op::AdaptiveAvgPool { out: 7 }),
                ("tanh2", TANH),
                ("relu2", RELU),
                ("fc3", fc(33)),
                ("relu3", RELU),
                ("fc4", fc(3)),
            ],
        ),
    ]
}
