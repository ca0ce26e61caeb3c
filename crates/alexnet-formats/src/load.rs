//! Model loading from any supported format.

use super::detect::parse;
use super::format::Format;
use super::identify::{Found, Identity, identify, of_net};
use super::model::{MEAN_TENSOR, Model, parameters, read_parts};
use super::param_names::{Recognised, WITHOUT_HEAD, add_head, recognise};
use super::parsed::ParsedFile;
use super::published;
use super::safetensors::Safetensors;
use super::tensor::Storage;
use super::tensor_data::transposed;
use crate::quant_params::ActivationRanges;
use crate::{Error, Result};
use alexnet_net::Net;
use alexnet_net::{Mean, Preprocess};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Reads a model file of any supported format: our own, PyTorch's three, other safetensors, ONNX, Caffe, Paddle. `net` names the
/// preset for ambiguous files; [`inspect`](super::inspect()) shows whether a file is ambiguous.
///
/// # Errors
/// An invalid file, or the candidate nets and how to choose one.
pub fn load(path: impl AsRef<Path>, net: Option<&str>) -> Result<Model> {
    load_with_notes(path, net).map(|(model, _)| model)
}

/// Like [`load`], with notes on ignored parts and assumptions, one sentence each: tensors that are not parameters, other
/// checkpoint entries, assumed preprocessing.
///
/// # Errors
/// As [`load`].
pub fn load_with_notes(path: impl AsRef<Path>, net: Option<&str>) -> Result<(Model, Vec<String>)> {
    load_by(path.as_ref(), net, |path| super::read(path))
}

/// Like [`load_with_notes`], but also accepts a file that lacks only the last layer. Such a model has no classes and no values
/// for its last layer, which its net gives one output. It is a starting point for fine-tuning.
///
/// # Errors
/// As [`load`].
pub fn load_for_finetuning(path: impl AsRef<Path>, net: Option<&str>) -> Result<(Model, Vec<String>)> {
    let path = path.as_ref();
    match trunk(parse(path)?, net)? {
        Some(found) => Ok(found),
        None => load_with_notes(path, net),
    }
}

/// Loads a file that lacks only its last layer; `None` for any other file.
pub(super) fn trunk(mut parsed: ParsedFile, net: Option<&str>) -> Result<Option<(Model, Vec<String>)>> {
    let Some(missing) = complete(&mut parsed) else { return Ok(None) };
    let identity = identify(&parsed, net)?;
    let mut model = model_of(&parsed, &identity)?;
    model.classes.clear();
    for (name, _) in parameters(&model.net)?.into_iter().rev().take(2) {
        model.tensors.insert(name, Vec::new().into());
    }
    let mut notes: Vec<String> = parsed.remarks.iter().chain(&identity.notes).cloned().collect();
    notes.push(format!("lacks {missing}.weight, {WITHOUT_HEAD}"));
    Ok(Some((model, notes)))
}

/// Adds a last layer with one output if only that layer is missing, and returns its name.
pub(super) fn complete(parsed: &mut ParsedFile) -> Option<String> {
    if parsed.graph.is_some() || parsed.metadata.contains_key("net") {
        return None;
    }
    add_head(&mut parsed.tensors)
}

/// Like [`load`], with all parameters copied to memory: the file may change or be truncated at any time.
///
/// # Errors
/// As [`load`].
pub fn load_copied(path: impl AsRef<Path>, net: Option<&str>) -> Result<Model> {
    load_by(path.as_ref(), net, super::model::read_copied).map(|(model, _)| model)
}

fn load_by(path: &Path, net: Option<&str>, own: impl FnOnce(&Path) -> Result<Model>) -> Result<(Model, Vec<String>)> {
    let parsed = parse(path)?;
    // Our own files are validated more strictly, and may hold any net and names.
    let identity = identify(&parsed, net)?;
    let (mut notes, model) = match is_own(&parsed, &identity) {
        true => (Vec::new(), own(path)?),
        false => (parsed.remarks.iter().chain(&identity.notes).cloned().collect(), model_of(&parsed, &identity)?),
    };
    if model.classes.len() == 1 {
        notes.push("has a single output, so its softmax is always 1 and its predictions carry no information".into());
    }
    Ok((model, notes))
}

/// Checks that a file can be used, without reading its values.
///
/// # Errors
/// The reason that it cannot.
pub(crate) fn check(parsed: &ParsedFile, identity: &Identity) -> Result<()> {
    if is_own(parsed, identity) {
        return super::read(parsed.reader.path()).map(drop);
    }
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    usable(parsed, identity)?;
    identity.parameters.iter().try_for_each(|found| parsed.tensors[found.tensor].check(&parsed.reader)).map_err(fail)
}

/// Whether a file is our own safetensors with our own parameter names throughout.
fn is_own(parsed: &ParsedFile, identity: &Identity) -> bool {
    if parsed.format() != Safetensors.name() || !parsed.metadata.contains_key("net") {
        return false;
    }
    let own = |found: Recognised| found.naming.is_own() && found.prefix.is_empty();
    let of_its_net = identity.fits.first().is_some_and(|net| of_net(parsed, net).is_some());
    let names: Vec<&str> = parsed.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    parsed.metadata.contains_key("state") || of_its_net || recognise(&names).map_or(true, own)
}

/// Loads the model of a file whose net is known.
pub(crate) fn model_of(parsed: &ParsedFile, identity: &Identity) -> Result<Model> {
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    let net = usable(parsed, identity)?.clone();
    let needed = parameters(&net)?;
    let mut tensors = BTreeMap::new();
    for (name, _) in &needed {
        let Some(found) = identity.parameters.iter().find(|found| found.name == *name) else { continue };
        let tensor = &parsed.tensors[found.tensor];
        let values = tensor.values(&parsed.reader).map_err(fail)?;
        let values = if found.transposed { transposed(&values, &tensor.shape) } else { values };
        tensors.insert(name.clone(), values.into());
    }
    let (preprocess, classes, recipe) = about(parsed, identity, &net)?;
    Ok(Model { net, preprocess, classes, recipe, ranges: ActivationRanges::new(), temperature: None, tensors })
}

/// The net, if the file has all its parameters with matching shapes and enough bytes.
fn usable<'a>(parsed: &ParsedFile, identity: &'a Identity) -> Result<&'a Net> {
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    let net = identity.net(parsed)?;
    if let Some(difference) = super::identify::difference(net, &identity.parameters) {
        return Err(fail(difference));
    }
    enough(parsed, &identity.parameters).map_err(fail)?;
    Ok(net)
}

/// Maximum number of generated rather than stored values: a file of a few bytes could ask for any number.
const MOST_MADE: u128 = 1 << 27;

/// Rejects files whose tensors overlap so much that they claim a net far larger than the file.
fn enough(parsed: &ParsedFile, parameters: &[Found]) -> std::result::Result<(), String> {
    // Per file: this one and its external data files.
    let mut needed: BTreeMap<Option<&Path>, u128> = BTreeMap::new();
    let (mut made, mut repeated) = (0u128, 0u128);
    let mut seen = HashSet::new();
    for tensor in parameters.iter().map(|found| &parsed.tensors[found.tensor]) {
        let (Some(len), Some(size)) = (tensor.count(), tensor.dtype.size()) else { continue };
        let (file, (start, length)) = match &tensor.storage {
            // ONNX can express "n zeros", and its own AlexNet test case does so with 61 million.
            Storage::Fill(_) => {
                made += len as u128;
                continue;
            }
            Storage::External { file, start, length } => (Some(file.as_path()), (*start, *length)),
            Storage::Strided { file, start, length, .. } => (file.as_deref(), (*start, *length)),
            Storage::Runs(runs) | Storage::Varints(runs) => (None, runs.first().copied().unwrap_or_default()),
            Storage::Latin1 { start, length } => (None, (*start, *length)),
            // Already in memory.
            Storage::Inline(_) => continue,
        };
        let bytes = len as u128 * size as u128;
        // ONNX may share equal biases between layers, and PyTorch may tie two weights.
        match length == 0 || seen.insert((file, start, length)) {
            true => *needed.entry(file).or_default() += bytes,
            false => repeated += bytes,
        }
    }
    if made > MOST_MADE {
        return Err(format!("asks for {made} generated values; the limit is {MOST_MADE}"));
    }
    let mut all = 0;
    for (file, needed) in needed {
        let held = match file {
            Some(file) => parsed.reader.open_sibling(file)?.length(),
            None => parsed.reader.length(),
        };
        all += held;
        if needed > u128::from(held) {
            return Err(match file {
                Some(file) => format!("{}: its {held} bytes cannot hold the {needed} bytes of weights", file.display()),
                None => format!("its {held} bytes cannot hold the {needed} of its weights"),
            });
        }
    }
    if repeated > u128::from(all) {
        return Err(format!("its {all} bytes are reused for {repeated} more bytes of weights, which is implausible for AlexNet"));
    }
    Ok(())
}

/// Preprocessing, class names and recipe: from the file, or the net's defaults.
pub(crate) fn about(parsed: &ParsedFile, identity: &Identity, net: &Net) -> Result<(Preprocess, Vec<String>, serde_json::Value)> {
    let own = read_parts(&parsed.metadata).map_err(|message| Error::file(parsed.reader.path(), message))?;
    let classes = match own.classes {
        Some(classes) if classes.len() == net.classes() => classes,
        Some(classes) => {
            let message = format!("{} class names for the {} outputs of its net", classes.len(), net.classes());
            return Err(Error::file(parsed.reader.path(), message));
        }
        None if identity.known.is_some() => alexnet_net::imagenet::names(),
        None => (0..net.classes()).map(|i| i.to_string()).collect(),
    };
    let mut preprocess = own.preprocess.or_else(|| identity.preprocess.clone()).unwrap_or_else(|| Preprocess::for_net(net));
    if preprocess.crop != net.image_size {
        let message =
            format!("its preprocessing produces {0} x {0} pixels, but its net takes {1} x {1}", preprocess.crop, net.image_size);
        return Err(Error::file(parsed.reader.path(), message));
    }
    if let Mean::Image { size, values, .. } = &mut preprocess.mean {
        let mean = parsed.tensors.iter().find(|tensor| tensor.name == MEAN_TENSOR && tensor.shape == [3, *size, *size]);
        let mean = mean.ok_or_else(|| "refers to a mean image that it does not contain".to_string());
        let read = mean.and_then(|mean| mean.values(&parsed.reader));
        *values = Arc::new(read.map_err(|message| Error::file(parsed.reader.path(), message))?);
    }
    preprocess.check().map_err(|message| Error::file(parsed.reader.path(), message))?;
    Ok((preprocess, classes, own.recipe))
}

/// The SHA-256 of a model file, as reported by [`inspect`](super::inspect()).
///
/// # Errors
/// Not a model file, or an unreadable one.
pub fn sha256(path: impl AsRef<Path>) -> Result<String> {
    checksum(&parse(path)?)
}

/// The SHA-256 of a file.
pub(crate) fn checksum(parsed: &ParsedFile) -> Result<String> {
    published::sha256(parsed)
}
