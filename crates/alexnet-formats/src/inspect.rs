//! Model file inspection without loading the weights.

use super::detect::parse;
use super::identify::identify;
use super::load::{about, check, checksum, complete};
use super::model::{METADATA_TEMPERATURE, is_ours};
use super::param_names::WITHOUT_HEAD;
use super::parsed::ParsedFile;
use super::tensor::Tensor;
use crate::{Error, Result};
use alexnet_net::Preprocess;
use alexnet_net::imagenet::Order;
use alexnet_net::{Net, Op};
use serde::Serialize;
use std::path::Path;

/// Description of a model file.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Its format as a display name.
    pub format: &'static str,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its tensors, in the file's order.
    pub tensors: Vec<TensorLine>,
    /// The net that it is for, if certain.
    pub net: Option<String>,
    /// Rows and columns of the net's input images.
    pub image_size: Option<usize>,
    /// Number of classes; 0 where the last layer is missing.
    pub classes: Option<usize>,
    /// The first class names.
    pub class_names: Vec<String>,
    /// The order of the classes, if they are ImageNet's.
    pub class_order: Option<Order>,
    /// Reasons for the match, or for the ambiguity, one sentence each.
    pub why: Vec<String>,
    /// All matching nets.
    pub fits: Vec<String>,
    /// What is ambiguous and how to resolve it.
    pub question: Option<String>,
    /// The preprocessing of its input.
    pub preprocess: Option<Preprocess>,
    /// The published file with the same checksum.
    pub known: Option<&'static str>,
    /// Why it cannot be used, if that is known without reading all of it.
    pub trouble: Option<String>,
    /// Ignored parts and assumptions.
    pub remarks: Vec<String>,
}

/// A tensor of a file.
#[derive(Debug, Clone, Serialize)]
pub struct TensorLine {
    /// Name in the file.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// Element type: f32, f16, ...
    pub dtype: &'static str,
    /// The matching net parameter, by our name.
    pub parameter: Option<String>,
}

/// Describes a model file. `net` is the preset named by the user.
///
/// # Errors
/// Not a model file of a supported format, or a `net` that does not match.
pub fn inspect(path: impl AsRef<Path>, net: Option<&str>) -> Result<Inspection> {
    let mut parsed = parse(path)?;
    let held = parsed.tensors.len();
    let missing = complete(&mut parsed);
    let sha256 = checksum(&parsed)?;
    let identity = match identify(&parsed, net) {
        Ok(identity) => identity,
        // With a hint, the hint is wrong. Otherwise the file is unusual, and its contents may explain why.
        Err(error) if net.is_some() => return Err(error),
        Err(error) => return Ok(odd(parsed, sha256, error)),
    };
    let parameter = |i: usize| identity.parameters.iter().find(|found| found.tensor == i).map(|found| found.name.clone());
    let mut tensors = lines(&parsed, parameter);
    tensors.truncate(held);
    let settled = identity.net(&parsed).ok();
    let (about, trouble) = match settled.map(|net| check(&parsed, &identity).and_then(|()| about(&parsed, &identity, net))) {
        Some(Ok(about)) => (Some(about), None),
        Some(Err(error)) => (None, Some(error.without_path())),
        None => (None, None),
    };
    let trouble = trouble.or_else(|| missing.as_ref().map(|missing| format!("it lacks {missing}.weight, {WITHOUT_HEAD}")));
    let mut remarks: Vec<String> = parsed.remarks.iter().chain(&identity.notes).cloned().collect();
    if !parsed.metadata.contains_key("net") && parsed.graph.is_none() && settled.is_some_and(takes_any_size) {
        remarks.push("no weight depends on the image size: `train --from` accepts other sizes with --image-size".into());
    }
    if let Some(temperature) = parsed.metadata.get(METADATA_TEMPERATURE).filter(|_| is_ours(&parsed.metadata)) {
        remarks.push(format!("calibrated: its last layer includes the temperature {temperature}"));
    }
    let (preprocess, classes) = about.map_or((None, Vec::new()), |(preprocess, classes, _)| (Some(preprocess), classes));
    Ok(Inspection {
        format: parsed.format.name(),
        bytes: parsed.reader.length(),
        sha256,
        tensors,
        net: settled.map(|net| net.name.clone()),
        image_size: settled.map(|net| net.image_size),
        classes: settled.map(|net| if missing.is_some() { 0 } else { net.classes() }),
        class_order: Order::of(&classes),
        class_names: classes.into_iter().take(if missing.is_some() { 0 } else { 5 }).collect(),
        question: settled.is_none().then(|| identity.question()),
        why: identity.why,
        fits: identity.fits.into_iter().map(|net| net.name).collect(),
        preprocess,
        known: identity.known.map(|known| known.file),
        trouble,
        remarks,
    })
}

/// Description of a file that matches no net.
fn odd(parsed: ParsedFile, sha256: String, error: Error) -> Inspection {
    Inspection {
        format: parsed.format.name(),
        bytes: parsed.reader.length(),
        sha256,
        tensors: lines(&parsed, |_| None),
        net: None,
        image_size: None,
        classes: None,
        class_names: Vec::new(),
        class_order: None,
        why: Vec::new(),
        fits: Vec::new(),
        question: None,
        preprocess: None,
        known: None,
        trouble: Some(error.without_path()),
        remarks: parsed.remarks,
    }
}

fn lines(parsed: &ParsedFile, parameter: impl Fn(usize) -> Option<String>) -> Vec<TensorLine> {
    let line = |(i, tensor): (usize, &Tensor)| TensorLine {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: tensor.dtype.name(),
        parameter: parameter(i),
    };
    parsed.tensors.iter().enumerate().map(line).collect()
}

/// Whether an adaptive pool brings maps of any size to a fixed one.
fn takes_any_size(net: &Net) -> bool {
    net.layers.iter().any(|layer| matches!(layer.op, Op::AdaptiveAvgPool { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters;
    use alexnet_net::presets::by_name;

    #[test]
    fn a_net_takes_any_size_if_no_parameter_depends_on_it() {
        for name in ["torchvision", "paddle", "caffenet", "paper", "slim"] {
            let net = by_name(name).unwrap();
            let larger = net.clone().with_image_size(320);
            assert_eq!(takes_any_size(&net), parameters(&net).unwrap() == parameters(&larger).unwrap(), "{name}");
        }
    }
}
