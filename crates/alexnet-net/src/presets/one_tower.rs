//! The one-tower net of "One weird trick for parallelizing convolutional neural networks" (Krizhevsky 2014, arXiv 1404.5997)
//! and its descendants: 64, 192, 384, 256, 256 kernels.
//!
//! The paper's footnote gives conv4 384 kernels, contrary to its own parameter count and the released configuration: a misprint,
//! which TF-slim follows and the others do not.

use super::cuda_convnet;
use super::layer_dsl::{Ceil, Floor, Init, ceil, conv, drop, fc, layer, lrn, net, normal, pool, relu};
use crate::layer::{BiasInit, DropoutStyle, Layer, Op, Rounding, WeightInit};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use crate::presets::preset::Preset;

/// RGB, 0 to 1, minus ImageNet's mean pixel and divided by its standard deviation, as published by torchvision and Paddle.
pub(super) const IMAGENET: Preprocess = Preprocess {
    resize: Resize::ShortSide(256),
    crop: 224,
    channels: Channels::Rgb,
    scale: 1.0 / 255.0,
    mean: Mean::Channel([0.485, 0.456, 0.406]),
    std: [0.229, 0.224, 0.225],
    jpeg: JpegDecoding::Exact,
};

pub(super) const TORCHVISION: Preset = Preset {
    name: "torchvision",
    about: "PyTorch's AlexNet, the most common variant: one tower, no normalisation",
    source: "pytorch/vision, torchvision/models/alexnet.py",
    build: torchvision,
    naming: &TORCHVISION_NAMES,
    preprocess: IMAGENET,
};

pub(super) const PADDLE: Preset = Preset {
    name: "paddle",
    about: "Paddle's own: torchvision's maps, dropout that scales at inference",
    source: "PaddlePaddle/Paddle, python/paddle/vision/models/alexnet.py",
    build: paddle,
    naming: &PADDLE_NAMES,
    preprocess: IMAGENET,
};

pub(super) const OWT: Preset = Preset {
    name: "owt",
    about: "\"One weird trick\" on one GPU: one tower with the 2012 code's normalisation",
    source: "akrizhevsky/cuda-convnet2, layers/layers-imagenet-1gpu.cfg; Krizhevsky 2014",
    build: owt,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const SLIM: Preset = Preset {
    name: "slim",
    about: "TF-slim's alexnet_v2: no padding in conv1, 384 kernels in conv4, 5 x 5 before fc6",
    source: "tensorflow/models, research/slim/nets/alexnet.py",
    build: slim,
    naming: &ParamNaming::OWN,
    preprocess: IMAGENET,
};

const TORCHVISION_NAMES: ParamNaming = ParamNaming {
    framework: "torchvision",
    about: "torchvision's names (features.0.weight ... classifier.6.bias)",
    layers: [
        "features.0",
        "features.3",
        "features.6",
        "features.8",
        "features.10",
        "classifier.1",
        "classifier.4",
        "classifier.6",
    ],
    linear_in_out: false,
    counted_classifier: true,
    also_for: None,
};

/// conv1, conv2 and conv5 are in a block with their pool. torchvision averages its maps to 6 x 6, a no-op at 224 pixels. At other
/// sizes its weights can still use Paddle's names, and the file's own metadata describe the average pool.
const PADDLE_NAMES: ParamNaming = ParamNaming {
    framework: "paddle",
    about: "the names of Paddle's AlexNet (_conv1._conv.weight ... _fc8.bias)",
    layers: ["_conv1._conv", "_conv2._conv", "_conv3", "_conv4", "_conv5._conv", "_fc6", "_fc7", "_fc8"],
    linear_in_out: true,
    counted_classifier: false,
    also_for: Some("torchvision"),
};

/// PyTorch's default for both kinds of layers: uniform within ±1 / sqrt(fan_in), including biases.
const TORCH: Init = (WeightInit::UniformFanIn, BiasInit::UniformFanIn);

/// Derived from torch7's alexnetowt.lua: padding instead of rounding up, no normalisation, dropout before fc6 and fc7.
#[rustfmt::skip]
fn torchvision() -> Net {
    net("torchvision", 224, vec![
        //   name out window stride pad groups init         // 3 x 224 x 224
        conv("conv1", 64, 11, 4, 2, 1, TORCH),              // 64 x 55 x 55
        relu("relu1"),
        pool("pool1", 3, 2, Floor),                         // 64 x 27 x 27
        conv("conv2", 192, 5, 1, 2, 1, TORCH),              // 192 x 27 x 27
        relu("relu2"),
        pool("pool2", 3, 2, Floor),                         // 192 x 13 x 13
        conv("conv3", 384, 3, 1, 1, 1, TORCH),              // 384 x 13 x 13
        relu("relu3"),
        conv("conv4", 256, 3, 1, 1, 1, TORCH),              // 256 x 13 x 13
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 1, TORCH),              // 256 x 13 x 13
        relu("relu5"),
        pool("pool5", 3, 2, Floor),                         // 256 x 6 x 6
        layer("avgpool", Op::AdaptiveAvgPool { out: 6 }),   // 256 x 6 x 6 = 9,216 at any image size; a no-op at 224
        drop("drop6", DropoutStyle::ScaleInTraining),
        fc("fc6", 4096, TORCH),
        relu("relu6"),
        drop("drop7", DropoutStyle::ScaleInTraining),
        fc("fc7", 4096, TORCH),
        relu("relu7"),
        fc("fc8", 1000, TORCH),
    ])
}

/// [`torchvision`] without the average pool, with dropout that scales at inference, and with fc7 and fc8 initialised with fc6's
/// bound, because Paddle computes `stdv` once for all three.
fn paddle() -> Net {
    const FC6: f32 = 1.0 / 96.0; // 1 / sqrt(256 x 6 x 6)
    let mut net = torchvision();
    net.name = "paddle".into();
    net.layers.retain(|l| l.name != "avgpool");
    for Layer { name, op } in &mut net.layers {
        match op {
            Op::Dropout { style, .. } => *style = DropoutStyle::ScaleAtInference,
            Op::Linear { weight_init, bias_init, .. } if name != "fc6" => {
                (*weight_init, *bias_init) = (WeightInit::Uniform(FC6), BiasInit::Uniform(FC6));
            }
            _ => (),
        }
    }
    net
}

/// Layer order, rounding, normalisation and initialisation of the 2012 code (see `cuda_convnet.rs`, also for the ReLU of block
/// 1), without its spatial norm. fc8's biases start at -7, which does not affect a softmax: a remnant of the paper's logistic
/// head.
#[rustfmt::skip]
fn owt() -> Net {
    net("owt", 224, vec![
        //   name    out window stride pad groups init           // 3 x 224 x 224
        ceil(conv("conv1", 64, 11, 4, 0, 1, normal(0.01, 0.0))), // 64 x 55 x 55
        lrn("norm1", 2.0, true, 1),                              // k, alpha / n?, columns
        relu("relu1"),
        pool("pool1", 3, 2, Ceil),                               // 64 x 27 x 27
        conv("conv2", 192, 5, 1, 2, 1, normal(0.01, 1.0)),       // 192 x 27 x 27
        relu("relu2"),
        lrn("norm2", 2.0, true, 1),
        pool("pool2", 3, 2, Ceil),                               // 192 x 13 x 13
        conv("conv3", 384, 3, 1, 1, 1, normal(0.03, 0.0)),       // 384 x 13 x 13
        relu("relu3"),
        conv("conv4", 256, 3, 1, 1, 1, normal(0.03, 1.0)),       // 256 x 13 x 13
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 1, normal(0.03, 1.0)),       // 256 x 13 x 13
        relu("relu5"),
        pool("pool5", 3, 2, Ceil),                               // 256 x 6 x 6 = 9,216
        fc("fc6", 4096, normal(0.01, 1.0)),
        relu("relu6"),
        drop("drop6", DropoutStyle::ScaleAtInference),
        fc("fc7", 4096, normal(0.01, 1.0)),
        relu("relu7"),
        drop("drop7", DropoutStyle::ScaleAtInference),
        fc("fc8", 1000, normal(0.01, -7.0)),
    ])
}

/// No padding (VALID) in conv1 and the pools, SAME in the other convolutions, which at stride 1 means equal padding on all sides.
/// Its fc6 is a 5 x 5 convolution over a 5 x 5 map: a linear layer.
#[rustfmt::skip]
fn slim() -> Net {
    const CONV: Init = (WeightInit::XavierUniform, BiasInit::Constant(0.1));
    const FC: Init = (WeightInit::TruncatedNormal(0.005), BiasInit::Constant(0.1));
    const HEAD: Init = (WeightInit::TruncatedNormal(0.005), BiasInit::Constant(0.0));
    net("slim", 224, vec![
        //   name out window stride pad groups init    // 3 x 224 x 224
        conv("conv1", 64, 11, 4, 0, 1, CONV),          // 64 x 54 x 54
        relu("relu1"),
        pool("pool1", 3, 2, Rounding::Floor),          // 64 x 26 x 26
        conv("conv2", 192, 5, 1, 2, 1, CONV),          // 192 x 26 x 26
        relu("relu2"),
        pool("pool2", 3, 2, Rounding::Floor),          // 192 x 12 x 12
        conv("conv3", 384, 3, 1, 1, 1, CONV),          // 384 x 12 x 12
        relu("relu3"),
        conv("conv4", 384, 3, 1, 1, 1, CONV),          // 384 x 12 x 12
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 1, CONV),          // 256 x 12 x 12
        relu("relu5"),
        pool("pool5", 3, 2, Rounding::Floor),          // 256 x 5 x 5 = 6,400
        fc("fc6", 4096, FC),
        relu("relu6"),
        drop("drop6", DropoutStyle::ScaleInTraining),
        fc("fc7", 4096, FC),
        relu("relu7"),
        drop("drop7", DropoutStyle::ScaleInTraining),
        fc("fc8", 1000, HEAD),
    ])
}
