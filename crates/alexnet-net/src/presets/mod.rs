//! The published AlexNets, each as a table to compare with its source.
//!
//! All have 1,000 classes as published ([`Net::with_classes`] replaces the head) and end in logits, without the softmax. They
//! differ in: 224 or 227 pixels, the padding of conv1, groups, the position and constants of normalisation, overlapping pools,
//! the position and style of dropout, and the initialisation.
//!
//! Layers are named by their block: `conv1`, `relu1`, `norm1`, `pool1`, ... `fc6`, `relu6`, `drop6`, ... `fc8`.

mod caffe;
mod cuda_convnet;
mod layer_dsl;
mod one_tower;
mod paper;
mod tutorial;

use super::{Net, ParamNaming, Preprocess};
use crate::{Error, Result};

/// A published network.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Value of `--net`.
    pub name: &'static str,
    /// Names in earlier versions; files and command lines with them keep working.
    pub former_names: &'static [&'static str],
    /// One-line description.
    pub about: &'static str,
    /// Source of its details: a paper's section, or a file in a repository.
    pub source: &'static str,
    /// Builds the net with 1,000 classes.
    pub build: fn() -> Net,
    /// Input preprocessing; [`Preprocess::for_net`] scales it to other image sizes.
    pub preprocess: Preprocess,
    /// Parameter names in its original framework.
    pub naming: &'static ParamNaming,
}

/// All presets: the default first, then by age and family.
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

/// The current name of a preset given by a former name; any other name is returned unchanged.
pub fn current_name(name: &str) -> &str {
    find(name).map_or(name, |preset| preset.name)
}

/// The former names of the preset `name`.
pub fn former_names(name: &str) -> impl Iterator<Item = &'static str> {
    find(name).map_or(&[][..], |preset| preset.former_names).iter().copied()
}

/// Deserialises a net's name, replacing a former name by the [current one](current_name).
///
/// # Errors
/// Not a string.
pub fn deserialize_name<'de, D: serde::Deserializer<'de>>(file: D) -> std::result::Result<String, D::Error> {
    let name = <String as serde::Deserialize>::deserialize(file)?;
    Ok(current_name(&name).to_string())
}

/// The preset with this name, current or former.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name || preset.former_names.contains(&name))
}

/// A preset's net by name, with 1,000 classes.
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
