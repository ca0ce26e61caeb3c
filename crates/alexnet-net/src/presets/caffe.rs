//! Caffe's two AlexNets, the ONNX model zoo's version, and NVIDIA's batch norm variant.

use super::layer_dsl::{Ceil, Floor, batch_norm, conv, drop, fc, lrn, net, normal, pool, pool_padded, relu};
use super::one_tower;
use crate::layer::{BiasInit, DropoutStyle::ScaleInTraining, Op, Pad, Rounding};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use crate::presets::preset::Preset;

/// BGR, 0 to 255 minus ImageNet's mean pixel.
const INPUT: Preprocess = Preprocess {
    resize: Resize::Warp(256),
    crop: 227,
    channels: Channels::Bgr,
    scale: 1.0,
    mean: Mean::Channel([104.0, 117.0, 123.0]),
    std: [1.0; 3],
    jpeg: JpegDecoding::Exact,
};

pub(super) const BVLC: Preset = Preset {
    name: "bvlc",
    about: "Caffe's AlexNet: 227 pixels, k = 1, normalisation over both towers",
    source: "BVLC/caffe, models/bvlc_alexnet/train_val.prototxt",
    build: bvlc,
    naming: &ParamNaming::OWN,
    preprocess: INPUT,
};

pub(super) const CAFFENET: Preset = Preset {
    name: "caffenet",
    about: "Caffe's reference net: pooling before normalisation, hidden biases start at 1",
    source: "BVLC/caffe, models/bvlc_reference_caffenet/train_val.prototxt",
    build: caffenet,
    naming: &ParamNaming::OWN,
    preprocess: INPUT,
};

pub(super) const ONNX_BVLC: Preset = Preset {
    name: "onnx-bvlc",
    about: "the ONNX zoo's bvlcalexnet: Caffe's weights at 224 pixels, other maps",
    source: "onnx/models, bvlcalexnet; graph of onnx's light_bvlc_alexnet.onnx",
    build: onnx_bvlc,
    naming: &ParamNaming::OWN,
    preprocess: Preprocess { crop: 224, ..INPUT },
};

pub(super) const ALEXNET_BN: Preset = Preset {
    name: "alexnet-bn",
    about: "batch normalisation in place of LRN, for large batches (You, Gitman and Ginsburg 2017)",
    source: "borisgin/nvcaffe, models/alexnet_bn/train_val.prototxt",
    build: alexnet_bn,
    naming: &ParamNaming::OWN,
    preprocess: one_tower::IMAGENET,
};

/// Convolutions round down, pools up (no difference at 227 pixels). Dropout scales in training. The biases of 1 from the paper
/// "gave flat loss", hence 0.1.
#[rustfmt::skip]
fn bvlc() -> Net {
    net("bvlc", 227, vec![
        //   name out window stride pad groups  init       // 3 x 227 x 227
        conv("conv1", 96, 11, 4, 0, 1, normal(0.01, 0.0)), // 96 x 55 x 55
        relu("relu1"),
        lrn("norm1", 1.0, true, 1),                        // k, alpha / n?, columns
        pool("pool1", 3, 2, Ceil),                         // 96 x 27 x 27
        conv("conv2", 256, 5, 1, 2, 2, normal(0.01, 0.1)), // 256 x 27 x 27
        relu("relu2"),
        lrn("norm2", 1.0, true, 1),
        pool("pool2", 3, 2, Ceil),                         // 256 x 13 x 13
        conv("conv3", 384, 3, 1, 1, 1, normal(0.01, 0.0)), // 384 x 13 x 13
        relu("relu3"),
        conv("conv4", 384, 3, 1, 1, 2, normal(0.01, 0.1)), // 384 x 13 x 13
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 2, normal(0.01, 0.1)), // 256 x 13 x 13
        relu("relu5"),
        pool("pool5", 3, 2, Ceil),                         // 256 x 6 x 6 = 9,216
        fc("fc6", 4096, normal(0.005, 0.1)),
        relu("relu6"),
        drop("drop6", ScaleInTraining),
        fc("fc7", 4096, normal(0.005, 0.1)),
        relu("relu7"),
        drop("drop7", ScaleInTraining),
        fc("fc8", 1000, normal(0.01, 0.0)),
    ])
}

/// [`bvlc`] with two changes: each norm follows its pool, on maps of 27 and 13 pixels, which takes less memory, and biases
/// initialised to 0.1 there are 1 here.
fn caffenet() -> Net {
    let mut net = bvlc();
    net.name = "caffenet".into();
    for i in 1..net.layers.len() {
        if matches!(net.layers[i - 1].op, Op::Lrn { .. }) && matches!(net.layers[i].op, Op::MaxPool { .. }) {
            net.layers.swap(i - 1, i);
        }
    }
    for layer in &mut net.layers {
        if let Op::Conv { bias_init, .. } | Op::Linear { bias_init, .. } = &mut layer.op
            && *bias_init == BiasInit::Constant(0.1)
        {
            *bias_init = BiasInit::Constant(1.0);
        }
    }
    net
}

/// [`bvlc`] without its norms, and with a batch norm between each convolution and its ReLU. In the source, conv1 to conv4 have no
/// biases; ours start at 0 and have no effect, because the batch norm subtracts the mean.
fn alexnet_bn() -> Net {
    let mut net = bvlc();
    net.name = "alexnet-bn".into();
    net.layers.retain(|layer| !matches!(layer.op, Op::Lrn { .. }));
    for block in ["1", "2", "3", "4", "5"] {
        let Some(at) = net.layers.iter().position(|layer| layer.name == format!("conv{block}")) else { continue };
        if let Op::Conv { bias_init, .. } = &mut net.layers[at].op
            && block != "5"
        {
            *bias_init = BiasInit::Constant(0.0);
        }
        net.layers.insert(at + 1, batch_norm(&format!("bn{block}")));
    }
    net
}

/// [`bvlc`] as exported through Caffe2: 224 pixels without padding, and pools that round down, give 54, 26 and 12 pixels instead
/// of 55, 27 and 13; only pool5 reaches 6 by padding at the bottom and right. The weights fit, at a loss of 2.3 points. The graph
/// has no initialisation for training, so Caffe's is used.
fn onnx_bvlc() -> Net {
    let mut net = bvlc();
    net.name = "onnx-bvlc".into();
    net.image_size = 224;
    for layer in &mut net.layers {
        if let Op::MaxPool { rounding, .. } = &mut layer.op {
            *rounding = Floor;
        }
        if layer.name == "pool5" {
            *layer = pool_padded("pool5", 3, 2, Pad { bottom: 1, right: 1, ..Pad::all(0) }, Rounding::Floor);
        }
    }
    net
}
