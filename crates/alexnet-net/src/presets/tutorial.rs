//! The two nets of the Paddle tutorial from which this project grew: its code, and its text.

use super::layer_dsl::{Floor, Init, conv, drop, fc, net, pool, relu};
use super::one_tower;
use crate::layer::{BiasInit, DropoutStyle::ScaleInTraining, Op, Pad, WeightInit};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::presets::preset::Preset;

pub(super) const TUTORIAL_CODE: Preset = Preset {
    name: "tutorial-code",
    about: "the tutorial's Paddle class: one tower of 96 kernels, pad 5, pools of 2 x 2",
    source: "the tutorial's code: class AlexNet(paddle.nn.Layer)",
    build: tutorial_code,
    naming: &TUTORIAL_NAMES,
    preprocess: one_tower::IMAGENET,
};

pub(super) const TUTORIAL_TEXT: Preset = Preset {
    name: "tutorial-text",
    about: "the tutorial's prose: 54 x 54 maps, halved to 27, 13 and 6",
    source: "the tutorial's text, \"model structure\", modules 1 to 5",
    build: tutorial_text,
    naming: &TUTORIAL_NAMES,
    preprocess: one_tower::IMAGENET,
};

/// The class's own names: like ours except for the linear layers, which are numbered from one.
const TUTORIAL_NAMES: ParamNaming = ParamNaming {
    framework: "paddle",
    about: "the names of the tutorial's Paddle class (conv1.weight ... fc3.bias)",
    layers: ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"],
    linear_in_out: true,
    counted_classifier: false,
    also_for: None,
};

/// Paddle's defaults, convolution: He et al. 2015.
const CONV: Init = (WeightInit::HeNormal, BiasInit::Constant(0.0));
/// Paddle's defaults, linear: Glorot and Bengio 2010.
const FC: Init = (WeightInit::XavierUniform, BiasInit::Constant(0.0));

/// The class's `fc1`, `fc2`, `fc3` are fc6, fc7, fc8 here; its default of one class is 1,000 here.
#[rustfmt::skip]
fn tutorial_code() -> Net {
    net("tutorial-code", 224, vec![
        //   name out window stride pad groups init   // 3 x 224 x 224
        conv("conv1", 96, 11, 4, 5, 1, CONV),         // 96 x 56 x 56
        relu("relu1"),
        pool("pool1", 2, 2, Floor),                   // 96 x 28 x 28
        conv("conv2", 256, 5, 1, 2, 1, CONV),         // 256 x 28 x 28
        relu("relu2"),
        pool("pool2", 2, 2, Floor),                   // 256 x 14 x 14
        conv("conv3", 384, 3, 1, 1, 1, CONV),         // 384 x 14 x 14
        relu("relu3"),
        conv("conv4", 384, 3, 1, 1, 1, CONV),         // 384 x 14 x 14
        relu("relu4"),
        conv("conv5", 256, 3, 1, 1, 1, CONV),         // 256 x 14 x 14
        relu("relu5"),
        pool("pool5", 2, 2, Floor),                   // 256 x 7 x 7 = 12,544
        fc("fc6", 4096, FC),
        relu("relu6"),
        drop("drop6", ScaleInTraining),
        fc("fc7", 4096, FC),
        relu("relu7"),
        drop("drop7", ScaleInTraining),
        fc("fc8", 1000, FC),
    ])
}

/// [`tutorial_code`] with the map sizes of the text. It specifies pad 2 and 54 x 54, but pad 2 gives 55; of the symmetric pads
/// only 0 and 1 give 54, and 1 is closer. Then 27, 13 and 6, and 9,216 features. The text praises normalisation and overlapping
/// pools, but none of its modules has them. It puts dropout on "the last fully connected layers" without a rate; the class's rate
/// is used.
fn tutorial_text() -> Net {
    let mut net = tutorial_code();
    net.name = "tutorial-text".into();
    for layer in &mut net.layers {
        if let ("conv1", Op::Conv { pad, .. }) = (layer.name.as_str(), &mut layer.op) {
            *pad = Pad::all(1);
        }
    }
    net
}
