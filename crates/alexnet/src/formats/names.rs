//! How the world names AlexNet's parameters.

use crate::net::Net;

/// A way to name the parameters of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// This program's, and Caffe's: `conv1.weight` ... `fc8.bias`.
    Own,
    /// torchvision's: `features.0.weight` ... `classifier.6.bias`.
    Torchvision,
    /// Paddle's own AlexNet: `_conv1._conv.weight` ... `_fc8.bias`, linear weights [in, out].
    Paddle,
    /// The tutorial's Paddle class: `conv1.weight` ... `fc3.bias`, linear weights [in, out].
    Tutorial,
}

/// Our layers, and theirs. conv1, conv2 and conv5 of Paddle sit in a block with their pool.
#[rustfmt::skip]
const LAYERS: [(&str, &str, &str, &str); 8] = [
    // own     torchvision      paddle           page
    ("conv1", "features.0",    "_conv1._conv",  "conv1"),
    ("conv2", "features.3",    "_conv2._conv",  "conv2"),
    ("conv3", "features.6",    "_conv3",        "conv3"),
    ("conv4", "features.8",    "_conv4",        "conv4"),
    ("conv5", "features.10",   "_conv5._conv",  "conv5"),
    ("fc6",   "classifier.1",  "_fc6",          "fc1"),
    ("fc7",   "classifier.4",  "_fc7",          "fc2"),
    ("fc8",   "classifier.6",  "_fc8",          "fc3"),
];

impl Names {
    /// In words, for `inspect`.
    pub fn describe(self) -> &'static str {
        match self {
            Names::Own => "this program's names (conv1.weight ... fc8.bias)",
            Names::Torchvision => "torchvision's names (features.0.weight ... classifier.6.bias)",
            Names::Paddle => "the names of Paddle's AlexNet (_conv1._conv.weight ... _fc8.bias)",
            Names::Tutorial => "the names of the tutorial's Paddle class (conv1.weight ... fc3.bias)",
        }
    }

    /// Whether linear weights are [in, out].
    pub(crate) fn transposed(self) -> bool {
        matches!(self, Names::Paddle | Names::Tutorial)
    }

    /// What a parameter of ours (`fc6.weight`) is called, if this naming has it.
    pub(crate) fn of(self, own: &str) -> Option<String> {
        if self == Names::Own {
            return Some(own.into());
        }
        let (layer, part) = own.split_once('.')?;
        let row = LAYERS.iter().find(|row| row.0 == layer)?;
        let theirs = match self {
            Names::Own => row.0,
            Names::Torchvision => row.1,
            Names::Paddle => row.2,
            Names::Tutorial => row.3,
        };
        Some(format!("{theirs}.{part}"))
    }

    /// Our name and theirs of every weight and bias, first layer to last.
    pub(crate) fn all(self) -> Vec<(String, String)> {
        let own = LAYERS.iter().flat_map(|row| ["weight", "bias"].map(|part| format!("{}.{part}", row.0)));
        own.filter_map(|own| Some((own.clone(), self.of(&own)?))).collect()
    }
}

/// Which of the foreign namings fits a net: torchvision's and Paddle's nets have one tower of 64 kernels and neither
/// normalisation nor another layer.
pub(crate) fn fitting(net: &Net) -> Names {
    match net.name.as_str() {
        "torchvision" => Names::Torchvision,
        "paddle" => Names::Paddle,
        "tutorial-code" | "tutorial-text" => Names::Tutorial,
        _ => Names::Own,
    }
}
