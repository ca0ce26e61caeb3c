//! Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012), following the
//! text, and the ablations whose cost it reports. `cuda_convnet.rs` has the code that produced its results.

use super::cuda_convnet;
use super::layer_dsl::{Ceil, ceil, conv, drop, fc, lrn, net, normal, pool, relu};
use crate::layer::{DropoutStyle::ScaleAtInference, Op, Pad};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::presets::preset::Preset;

pub(super) const PAPER: Preset = Preset {
    name: "paper",
    about: "the 2012 paper's text: two towers, ReLU, normalisation, overlapping pools",
    source: "Krizhevsky et al. 2012, section 3 and figure 2; initialisation from section 5",
    build: paper,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const HALF: Preset = Preset {
    name: "paper-half",
    about: "the paper on one GPU: half the kernels in conv1 to conv4 (it costs 1.7 points)",
    source: "Krizhevsky et al. 2012, section 3.2 and its footnote; widths of the 2012 code's layers-145-half",
    build: half,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const ONE_TOWER: Preset = Preset {
    name: "paper-one-tower",
    about: "the paper's kernels without the split: each reads all maps",
    source: "ours, for comparison with Krizhevsky et al. 2012, section 3.2",
    build: one_tower,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const NO_LRN: Preset = Preset {
    name: "paper-no-lrn",
    about: "the paper without response normalisation (it costs 1.4 points)",
    source: "Krizhevsky et al. 2012, section 3.3; the 2012 code's layers-148",
    build: no_lrn,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const NO_OVERLAP: Preset = Preset {
    name: "paper-no-overlap",
    about: "the paper with pools that do not overlap (it costs 0.4 points)",
    source: "Krizhevsky et al. 2012, section 3.4; paddings of the 2012 code's layers-147",
    build: no_overlap,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

pub(super) const NO_CONV4: Preset = Preset {
    name: "paper-no-conv4",
    about: "the paper without its fourth convolution (a middle layer is worth about 2 points)",
    source: "Krizhevsky et al. 2012, section 7; which layer they removed is not stated",
    build: no_conv4,
    naming: &ParamNaming::OWN,
    preprocess: cuda_convnet::INPUT,
};

/// The paper states 224 pixels and 55 x 55 maps, so the last window extends 3 pixels past the right and lower edge and reads
/// zeros, as in the code. Following the formula in section 3.3, alpha is not divided by n and the window runs over all channels.
#[rustfmt::skip]
fn paper() -> Net {
    net("paper", 224, vec![
        //   name     out  window stride pad groups  init        // 3 x 224 x 224
        ceil(conv("conv1", 96, 11, 4, 0, 1, normal(0.01, 0.0))), // 96 x 55 x 55; 48 on each GPU
        relu("relu1"),
        lrn("norm1", 2.0, false, 1),                             // k, alpha / n?, columns
        pool("pool1", 3, 2, Ceil),                               // 96 x 27 x 27
        conv("conv2", 256, 5, 1, 2, 2, normal(0.01, 1.0)),       // 256 x 27 x 27; 128 read the 48 of their GPU
        relu("relu2"),
        lrn("norm2", 2.0, false, 1),
        pool("pool2", 3, 2, Ceil),                               // 256 x 13 x 13
        conv("conv3", 384, 3, 1, 1, 1, normal(0.01, 0.0)),       // 384 x 13 x 13; all read all 256
        relu("relu3"),
        conv("conv4", 384, 3, 1, 1, 2, normal(0.01, 1.0)),       // 384 x 13 x 13; 192 read the 192 of their GPU
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 2, normal(0.01, 1.0)),       // 256 x 13 x 13; 128 read the 192 of their GPU
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

/// The one-GPU net of section 3.2. Its footnote says that the last convolution keeps its width, since most parameters are in the
/// first fully connected layer; the archive's layers-145-half agrees: 48, 128, 192, 192, then 256 and 4,096. Everything else
/// follows [`paper`]'s text (the archive's file has the order and initialisation of layers-145; counts are the same).
fn half() -> Net {
    change("paper-half", |name, op| {
        if let Op::Conv { out, groups, .. } = op {
            *groups = 1;
            *out = match name {
                "conv1" => 48,
                "conv2" => 128,
                "conv3" | "conv4" => 192,
                _ => *out,
            };
        }
        true
    })
}

/// All kernels on one device, which the GPUs of 2012 had no memory for.
fn one_tower() -> Net {
    change("paper-one-tower", |_, op| {
        if let Op::Conv { groups, .. } = op {
            *groups = 1;
        }
        true
    })
}

fn no_lrn() -> Net {
    change("paper-no-lrn", |_, op| !matches!(op, Op::Lrn { .. }))
}

/// 2 x 2 pools with stride 2. Smaller padding keeps the maps close to the paper's and fc6 unchanged: 55, pool 28, conv2 26, pool
/// 13, 13, 13, conv5 11, pool 6.
fn no_overlap() -> Net {
    change("paper-no-overlap", |name, op| {
        match op {
            Op::MaxPool { kernel, .. } => *kernel = 2,
            Op::Conv { pad, .. } if name == "conv2" => *pad = Pad::all(1),
            Op::Conv { pad, .. } if name == "conv5" => *pad = Pad::all(0),
            _ => (),
        }
        true
    })
}

fn no_conv4() -> Net {
    change("paper-no-conv4", |name, _| !matches!(name, "conv4" | "relu4"))
}

/// The paper's net with every layer modified by `edit`, which returns whether to keep it.
fn change(name: &str, edit: impl Fn(&str, &mut Op) -> bool) -> Net {
    let mut net = paper();
    net.name = name.into();
    net.layers.retain_mut(|layer| edit(&layer.name, &mut layer.op));
    net
}
