//! The 2012 code (computerhistory/AlexNet-Source-Code), which has a layer order that the paper's text does not mention.
//!
//! It applies the ReLU of conv1 and conv5 after pooling, as part of the pool (`neuron=relu`). Here the ReLU precedes the pool.
//! ReLU and max commute, so nothing changes, and `pool1` equals that layer's output. Normalisation before the first ReLU does
//! change the net, and is kept.

use super::layer_dsl::{Ceil, ceil, conv, drop, fc, layer, lrn, net, normal, pool, relu};
use crate::layer::{DropoutStyle::ScaleAtInference, Op};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use crate::presets::preset::Preset;

/// RGB, 0 to 255 minus ImageNet's mean pixel over the central 256 x 256, from cuda-convnet2's published statistics. The paper's
/// mean image belongs to a training set, so no preset includes it.
pub(super) const INPUT: Preprocess = Preprocess {
    resize: Resize::Square(256),
    crop: 224,
    channels: Channels::Rgb,
    scale: 1.0,
    mean: Mean::Channel([127.305, 119.715, 104.913]),
    std: [1.0; 3],
    jpeg: JpegDecoding::Exact,
};

pub(super) const ORIGINAL_145: Preset = Preset {
    name: "original-145",
    about: "the 2012 code behind the paper's 40.7 % (one net): its own order, split and spatial norms",
    source: "computerhistory/AlexNet-Source-Code, layers-145 and layer.py",
    build: original_145,
    naming: &ParamNaming::OWN,
    preprocess: INPUT,
};

pub(super) const ORIGINAL_146: Preset = Preset {
    name: "original-146",
    about: "the 2012 code's net for pre-training (\"1 CNN*\", 39.0 %): a sixth convolution",
    source: "computerhistory/AlexNet-Source-Code, layers-146; Krizhevsky et al. 2012, table 2",
    build: original_146,
    naming: &ParamNaming::OWN,
    preprocess: INPUT,
};

/// layer.py divides alpha by n (by n^2 in `rnorm`), minDiv is our k, and no window crosses from one GPU's channels to the
/// other's. Convolutions and pools round up. The initial weights of conv3 to conv5 are three times as wide as in the paper.
#[rustfmt::skip]
fn original_145() -> Net {
    net("original-145", 224, vec![
        //   name     out  window stride pad groups  init        // 3 x 224 x 224
        ceil(conv("conv1", 96, 11, 4, 0, 1, normal(0.01, 0.0))), // 96 x 55 x 55
        lrn("norm1", 2.0, true, 2),                              // k, alpha / n?, columns; before the ReLU
        relu("relu1"),
        pool("pool1", 3, 2, Ceil),                               // 96 x 27 x 27
        conv("conv2", 256, 5, 1, 2, 2, normal(0.01, 1.0)),       // 256 x 27 x 27
        relu("relu2"),
        lrn("norm2", 2.0, true, 2),
        layer("spatial2", Op::SpatialNorm { n: 5, alpha: 1e-3, beta: 0.75, k: 1.0 }),
        pool("pool2", 3, 2, Ceil),                               // 256 x 13 x 13
        conv("conv3", 384, 3, 1, 1, 1, normal(0.03, 0.0)),       // 384 x 13 x 13
        relu("relu3"),
        conv("conv4", 384, 3, 1, 1, 2, normal(0.03, 1.0)),       // 384 x 13 x 13
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 2, normal(0.03, 1.0)),       // 256 x 13 x 13
        relu("relu5"),
        pool("pool5", 3, 2, Ceil),                               // 256 x 6 x 6 = 9,216
        fc("fc6", 4096, normal(0.01, 1.0)),
        relu("relu6"),
        drop("drop6", ScaleAtInference),
        fc("fc7", 4096, normal(0.01, 1.0)),
        relu("relu7"),
        drop("drop7", ScaleAtInference),
        fc("fc8", 1000, normal(0.01, 0.0)),
    ])
}

/// layers-145 with another convolution on pool5, 128 kernels on each GPU that read both. The fully connected layers keep their
/// names.
fn original_146() -> Net {
    let mut net = original_145();
    net.name = "original-146".into();
    let after = net.layers.iter().position(|l| l.name == "pool5").map_or(0, |i| i + 1);
    let conv6 = conv("conv6", 256, 3, 1, 1, 1, normal(0.03, 1.0)); // 256 x 6 x 6
    net.layers.splice(after..after, [conv6, relu("relu_conv6")]);
    net
}
