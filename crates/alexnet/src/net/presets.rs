//! The published AlexNets.

use super::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, WeightInit};

/// A preset by name, with 1,000 classes.
pub fn by_name(name: &str) -> Option<Net> {
    match name {
        "torchvision" => Some(torchvision()),
        _ => None,
    }
}

/// torchvision's `alexnet`: the net of "One weird trick" (Krizhevsky 2014) without its normalisation.
fn torchvision() -> Net {
    let init = (WeightInit::UniformFanIn, BiasInit::UniformFanIn);
    let conv = |name: &str, out, kernel, stride, pad| Layer {
        name: name.into(),
        op: Op::Conv {
            out,
            kernel,
            stride,
            pad: Pad::all(pad),
            groups: 1,
            rounding: Rounding::Floor,
            weight_init: init.0,
            bias_init: init.1,
        },
    };
    let relu = |name: &str| Layer { name: name.into(), op: Op::Activation { function: Activation::Relu } };
    let pool = |name: &str| Layer {
        name: name.into(),
        op: Op::MaxPool { kernel: 3, stride: 2, pad: Pad::all(0), rounding: Rounding::Floor },
    };
    let drop = |name: &str| Layer { name: name.into(), op: Op::Dropout { rate: 0.5, style: DropoutStyle::ScaleInTraining } };
    let fc = |name: &str, out| Layer { name: name.into(), op: Op::Linear { out, weight_init: init.0, bias_init: init.1 } };
    Net {
        name: "torchvision".into(),
        image_size: 224,
        layers: vec![
            conv("conv1", 64, 11, 4, 2),
            relu("relu1"),
            pool("pool1"),
            conv("conv2", 192, 5, 1, 2),
            relu("relu2"),
            pool("pool2"),
            conv("conv3", 384, 3, 1, 1),
            relu("relu3"),
            conv("conv4", 256, 3, 1, 1),
            relu("relu4"),
            conv("conv5", 256, 3, 1, 1),
            relu("relu5"),
            pool("pool5"),
            Layer { name: "avgpool".into(), op: Op::AdaptiveAvgPool { out: 6 } },
            drop("drop6"),
            fc("fc6", 4096),
            relu("relu6"),
            drop("drop7"),
            fc("fc7", 4096),
            relu("relu7"),
            fc("fc8", 1000),
        ],
    }
}
