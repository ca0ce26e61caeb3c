//! cuda-convnet's nets for CIFAR-10 (2011), the first with which the authors of AlexNet report what normalisation is worth: 13 %
//! test error without, 11 % with (section 3.3 of the paper).
//!
//! They are the example layer files of the code: `layers-18pct.cfg`, `layers-conv-local-13pct.cfg` and
//! `layers-conv-local-11pct.cfg`. Images are 32 x 32, 0 to 255 minus the training set's mean image, which belongs to the set; until
//! the trainer has computed it, the mean colour takes its place. The two nets with locally connected layers take crops of 24 x 24.
//!
//! Each `rnorm` divides its scale by the number of values in its window, and each pool rounds up: the last window extends past the
//! edge and averages the values that are there. A locally connected layer has a kernel and a bias for each place and map
//! (`LocalUnsharedLayerParser` in `layer.py`), a convolution one for each map (`sharedBiases=1`).

use super::layer_dsl::{Ceil, avg_pool, conv, fc, layer, local, net, normal, pool, relu};
use crate::layer::{Layer, Op};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use crate::presets::preset::Preset;

/// RGB, 0 to 255 minus CIFAR-10's mean colour.
const WHOLE: Preprocess = Preprocess {
    resize: Resize::Square(32),
    crop: 32,
    channels: Channels::Rgb,
    scale: 1.0,
    mean: Mean::Channel([125.3, 123.0, 113.9]),
    std: [1.0; 3],
    jpeg: JpegDecoding::Exact,
};

/// The same with a crop of 24 pixels.
const CROPPED: Preprocess = Preprocess { crop: 24, ..WHOLE };

pub(super) const PERCENT_18: Preset = Preset {
    name: "cifar-18pct",
    about: "cuda-convnet's CIFAR-10 net \"18 % in 20 minutes\": average pools, normalisation within each map",
    source: "cuda-convnet, example-layers/layers-18pct.cfg",
    build: percent_18,
    naming: &ParamNaming::OWN,
    preprocess: WHOLE,
};

pub(super) const PERCENT_13: Preset = Preset {
    name: "cifar-13pct",
    about: "cuda-convnet's CIFAR-10 net without normalisation: two locally connected layers, 24 x 24 crops",
    source: "cuda-convnet, example-layers/layers-conv-local-13pct.cfg; Krizhevsky et al. 2012, section 3.3",
    build: percent_13,
    naming: &ParamNaming::OWN,
    preprocess: CROPPED,
};

pub(super) const PERCENT_11: Preset = Preset {
    name: "cifar-11pct",
    about: "the same with response normalisation across maps: 13 % becomes 11 %",
    source: "cuda-convnet, example-layers/layers-conv-local-11pct.cfg; Krizhevsky et al. 2012, section 3.3",
    build: percent_11,
    naming: &ParamNaming::OWN,
    preprocess: CROPPED,
};

/// Normalisation within a map: k is 1, `scale` and `pow` are those of the parameter file.
fn within(name: &str) -> Layer {
    layer(name, Op::SpatialNorm { n: 3, alpha: 5e-5, beta: 0.75, k: 1.0 })
}

/// Normalisation across five maps (`crossMap=1`).
fn across(name: &str) -> Layer {
    layer(name, Op::Lrn { n: 5, alpha: 1e-3, beta: 0.75, k: 1.0, divide_by_n: true, columns: 1 })
}

#[rustfmt::skip]
fn percent_18() -> Net {
    net("cifar-18pct", 32, vec![
        //   name    out  window stride pad groups init    // 3 x 32 x 32
        conv("conv1", 32, 5, 1, 2, 1, normal(1e-4, 0.0)),  // 32 x 32 x 32
        pool("pool1", 3, 2, Ceil),                         // 32 x 16 x 16
        relu("relu1"),                                     // after the pool, as in the file
        within("norm1"),
        conv("conv2", 32, 5, 1, 2, 1, normal(0.01, 0.0)),  // 32 x 16 x 16
        relu("relu2"),
        avg_pool("pool2", 3, 2, Ceil),                     // 32 x 8 x 8
        within("norm2"),
        conv("conv3", 64, 5, 1, 2, 1, normal(0.01, 0.0)),  // 64 x 8 x 8
        relu("relu3"),
        avg_pool("pool3", 3, 2, Ceil),                     // 64 x 4 x 4 = 1,024
        fc("fc10", 10, normal(0.01, 0.0)),
    ])
}

#[rustfmt::skip]
fn percent_13() -> Net {
    net("cifar-13pct", 24, vec![
        conv("conv1", 64, 5, 1, 2, 1, normal(1e-4, 0.0)),  // 64 x 24 x 24
        relu("relu1"),
        pool("pool1", 3, 2, Ceil),                         // 64 x 12 x 12
        conv("conv2", 64, 5, 1, 2, 1, normal(0.01, 0.0)),  // 64 x 12 x 12
        relu("relu2"),
        pool("pool2", 3, 2, Ceil),                         // 64 x 6 x 6
        local("local3", 32, 3, 1, normal(0.04, 0.0)),      // 32 x 6 x 6, 36 times 32 kernels
        relu("relu3"),
        local("local4", 32, 3, 1, normal(0.04, 0.0)),      // 32 x 6 x 6 = 1,152
        relu("relu4"),
        fc("fc10", 10, normal(0.01, 0.0)),
    ])
}

/// The same layers, with a normalisation after each of the first two ReLUs.
fn percent_11() -> Net {
    let mut net = percent_13();
    net.name = "cifar-11pct".into();
    for (relu, norm) in [("relu1", "norm1"), ("relu2", "norm2")] {
        let after = net.layers.iter().position(|layer| layer.name == relu).map_or(0, |i| i + 1);
        net.layers.insert(after, across(norm));
    }
    net
}
