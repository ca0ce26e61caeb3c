//! The published AlexNets, each a table of rows to hold beside its source.
//!
//! All have 1,000 classes as published ([`Net::with_classes`] gives another head) and logits at the end, without the softmax.
//! Where they differ: 224 or 227 pixels, the padding of conv1, groups, the place and constants of normalisation, overlapping
//! pools, the place and style of dropout, and how weights begin.
//!
//! Layers are named by their block: `conv1`, `relu1`, `norm1`, `pool1`, ... `fc6`, `relu6`, `drop6`, ... `fc8`.

mod caffe;
mod cuda_convnet;
mod layer_dsl;
mod lookup;
mod one_tower;
mod paper;
mod preset;
mod tutorial;

use crate::net::Net;
use alexnet_files::{Error, Result};

pub use crate::former_names::{current_name, deserialize_name, former_names};
pub use preset::Preset;

/// Every preset: the default first, then by age and family.
pub const ALL: &[Preset] = &[
    one_tower::TORCHVISION,
    tutorial::TUTORIAL_CODE,
    tutorial::TUTORIAL_TEXT,
    paper::PAPER,
    paper::HALF,
    paper::NO_LRN,
    paper::NO_OVERLAP,
    cuda_convnet::ORIGINAL_145,
    cuda_convnet::ORIGINAL_146,
    caffe::BVLC,
    caffe::CAFFENET,
    caffe::ONNX_BVLC,
    caffe::ALEXNET_BN,
    one_tower::OWT,
    one_tower::PADDLE,
    one_tower::SLIM,
];

/// The preset of this name, today's or a former one.
pub fn find(name: &str) -> Option<&'static Preset> {
    let name = current_name(name);
    ALL.iter().find(|preset| preset.name == name)
}

/// A preset's net by name, with 1,000 classes.
///
/// # Errors
/// No preset has this name; the message names the closest one, or else all.
pub fn by_name(name: &str) -> Result<Net> {
    if let Some(preset) = find(name) {
        return Ok((preset.build)());
    }
    let distance = |p: &Preset| edits(&name.to_lowercase(), p.name);
    let hint = match ALL.iter().min_by_key(|p| distance(p)) {
        Some(closest) if distance(closest) <= 3 => format!("did you mean `{}`? ", closest.name),
        _ => String::new(),
    };
    let all: Vec<_> = ALL.iter().map(|p| p.name).collect();
    Err(Error::Net(format!("there is no net `{name}`; {hint}the nets are {}", all.join(", "))))
}

/// How many letters must be put in, taken out or changed to turn `a` into `b` (Levenshtein 1966).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
