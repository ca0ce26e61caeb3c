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
mod one_tower;
mod paper;
mod tutorial;

use super::{Net, ParamNaming, Preprocess};
use crate::{Error, Result};

/// A published network.
#[derive(Debug, Clone)]
pub struct Preset {
    /// What `--net` takes.
    pub name: &'static str,
    /// Names that earlier versions gave it; files and command lines with them keep working.
    pub former_names: &'static [&'static str],
    /// What it is, in a line.
    pub about: &'static str,
    /// Where its facts come from: section of a paper, or file of a repository.
    pub source: &'static str,
    /// Makes it, with 1,000 classes.
    pub build: fn() -> Net,
    /// How images become its input; [`Preprocess::for_net`] scales it to other image sizes.
    pub preprocess: Preprocess,
    /// Names of its parameters where it comes from.
    pub naming: &'static ParamNaming,
}

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

/// Today's name of a preset that `name` meant in an earlier version; any other name stays as it is.
pub fn current_name(name: &str) -> &str {
    find(name).map_or(name, |preset| preset.name)
}

/// The earlier names of the preset `name`.
pub fn former_names(name: &str) -> impl Iterator<Item = &'static str> {
    find(name).map_or(&[][..], |preset| preset.former_names).iter().copied()
}

/// Reads a net's name from a file, [today's](current_name) where the file has an earlier one.
///
/// # Errors
/// From the file: no text.
pub fn deserialize_name<'de, D: serde::Deserializer<'de>>(file: D) -> std::result::Result<String, D::Error> {
    let name = <String as serde::Deserialize>::deserialize(file)?;
    Ok(current_name(&name).to_string())
}

/// The preset of this name, today's or a former one.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name || preset.former_names.contains(&name))
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
