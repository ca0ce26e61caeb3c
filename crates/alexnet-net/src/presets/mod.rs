//! The published AlexNets, each as a table to compare with its source.
//!
//! All have the classes with which they were published, 1,000 or CIFAR-10's 10 ([`Net::with_classes`] replaces the head) and end in logits, without the softmax. They
//! differ in: 224 or 227 pixels, the padding of conv1, groups, the position and constants of normalisation, overlapping pools,
//! the position and style of dropout, and the initialisation.
//!
//! Layers are named by their block: `conv1`, `relu1`, `norm1`, `pool1`, ... `fc6`, `relu6`, `drop6`, ... `fc8`.

mod caffe;
mod cifar;
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

/// All presets: the default first, then by age and family.
pub const ALL: &[Preset] = &[
    one_tower::TORCHVISION,
    tutorial::TUTORIAL_CODE,
    tutorial::TUTORIAL_TEXT,
    paper::PAPER,
    paper::HALF,
    paper::ONE_TOWER,
    paper::NO_LRN,
    paper::NO_OVERLAP,
    paper::NO_CONV4,
    cuda_convnet::ORIGINAL_145,
    cuda_convnet::ORIGINAL_146,
    caffe::BVLC,
    caffe::CAFFENET,
    caffe::ONNX_BVLC,
    caffe::ALEXNET_BN,
    one_tower::OWT,
    one_tower::PADDLE,
    one_tower::SLIM,
    cifar::PERCENT_18,
    cifar::PERCENT_13,
    cifar::PERCENT_11,
];

/// The preset with this name, current or former.
pub fn find(name: &str) -> Option<&'static Preset> {
    let name = current_name(name);
    ALL.iter().find(|preset| preset.name == name)
}

/// A preset's net by name, with the classes of its publication.
///
/// # Errors
/// An unknown name; the message suggests the closest one, or lists all.
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
    Err(Error::Net(format!("unknown net `{name}`; {hint}available nets: {}", all.join(", "))))
}

/// Levenshtein distance: the number of insertions, deletions and substitutions that turn `a` into `b`.
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
