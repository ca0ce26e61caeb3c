//! How the world names AlexNet's parameters.

use super::contents::Tensor;
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
    Page,
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
            Names::Page => "the names of the tutorial's Paddle class (conv1.weight ... fc3.bias)",
        }
    }

    /// Whether linear weights are [in, out].
    pub(crate) fn transposed(self) -> bool {
        matches!(self, Names::Paddle | Names::Page)
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
            Names::Page => row.3,
        };
        Some(format!("{theirs}.{part}"))
    }
}

/// A naming recognised in a file.
#[derive(Debug, Clone)]
pub(crate) struct Recognised {
    pub(crate) names: Names,
    /// What stands before every name, such as `alexnet.`.
    pub(crate) prefix: String,
    /// Our name of each parameter, and the number of its tensor.
    pub(crate) parameters: Vec<(String, usize)>,
}

/// Finds the parameters of AlexNet among tensors, by name. Wrappers that PyTorch puts around modules (`module.`, `_orig_mod.`)
/// are looked through, and any prefix that all names share.
pub(crate) fn recognise(tensors: &[Tensor]) -> Option<Recognised> {
    let plain: Vec<String> = tensors.iter().map(|tensor| without_wrappers(&tensor.name)).collect();
    // The page's names begin as ours do; ours has fc6.
    for names in [Names::Torchvision, Names::Paddle, Names::Own, Names::Page] {
        let first = names.of("conv1.weight")?;
        let last = names.of("fc8.weight")?;
        for start in plain.iter().filter_map(|name| name.strip_suffix(&first)) {
            if !(start.is_empty() || start.ends_with('.')) || !plain.contains(&format!("{start}{last}")) {
                continue;
            }
            let parameters = own_names(names, &plain, start);
            return Some(Recognised { names, prefix: start.into(), parameters });
        }
    }
    None
}

/// Our names of all tensors behind a prefix. An own net may have more layers than AlexNet (`conv6`).
fn own_names(names: Names, plain: &[String], prefix: &str) -> Vec<(String, usize)> {
    let theirs = plain.iter().enumerate().filter_map(|(i, name)| Some((name.strip_prefix(prefix)?, i)));
    if names == Names::Own {
        let parts = [".weight", ".bias", ".running_mean", ".running_var"];
        let parameter = |name: &str| parts.iter().any(|part| name.ends_with(part));
        return theirs.filter(|(name, _)| parameter(name)).map(|(name, i)| (name.into(), i)).collect();
    }
    let own = |name: &str| {
        LAYERS.iter().find_map(|row| {
            ["weight", "bias"].iter().map(|part| format!("{}.{part}", row.0)).find(|own| names.of(own).as_deref() == Some(name))
        })
    };
    theirs.filter_map(|(name, i)| Some((own(name)?, i))).collect()
}

fn without_wrappers(name: &str) -> String {
    name.split('.').filter(|part| !["module", "_orig_mod"].contains(part)).collect::<Vec<_>>().join(".")
}

/// Which of the foreign namings fits a net: torchvision's and Paddle's nets have one tower of 64 kernels and neither
/// normalisation nor another layer.
pub(crate) fn fitting(net: &Net) -> Names {
    match net.name.as_str() {
        "torchvision" => Names::Torchvision,
        "paddle" => Names::Paddle,
        "seed-code" | "seed-text" => Names::Page,
        _ => Names::Own,
    }
}
