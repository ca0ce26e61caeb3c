//! Model representation: a net, its parameters, and everything needed to use it.

use super::TensorData;
use super::safetensors::container::{Entry, TensorFile, write_tensors};
use crate::quant_params::{ActivationRanges, QuantParams};
use crate::{Error, Result};
use alexnet_files as files;
use alexnet_net::Net;
use alexnet_net::{Mean, Preprocess};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Metadata key of the net; only this program writes it.
const METADATA_NET: &str = "net";
const METADATA_PREPROCESS: &str = "preprocess";
const METADATA_CLASSES: &str = "classes";
const METADATA_RECIPE: &str = "recipe";
/// Present only in a quantised model: `{"conv1": [scale, zero], ...}`.
const METADATA_INT8: &str = "int8";
/// Present only in a model with a fitted temperature: a number.
pub(super) const METADATA_TEMPERATURE: &str = "temperature";
/// Metadata key of training state.
pub const METADATA_STATE: &str = "state";
/// Tensor that stores [`Mean::Image`].
pub(super) const MEAN_TENSOR: &str = "preprocess.mean";

/// A trained network, with everything needed to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The network.
    pub net: Net,
    /// Preprocessing from an image to its input.
    pub preprocess: Preprocess,
    /// Class names in logit order.
    pub classes: Vec<String>,
    /// How it was trained, as the library `alexnet` writes it (`train::recipe::Recipe`); null if unknown.
    pub recipe: serde_json::Value,
    /// Int8 quantisation range of each layer's input; empty if the model is not calibrated.
    pub ranges: ActivationRanges,
    /// Temperature by which `alexnet calibrate` has divided the last layer's parameters; `None` if it has not. A record: the
    /// parameters already include it.
    pub temperature: Option<f64>,
    /// Every parameter by name (`conv1.weight`), in canonical order: conv [out, in / groups, kernel, kernel],
    /// locally connected [places, out, in, kernel, kernel] with biases [places, out], linear [out, in] with in = channel, row,
    /// column.
    ///
    /// Tensors from [`read`] are [`TensorData`] in the mapped file: reading a model copies nothing.
    pub tensors: BTreeMap<String, TensorData>,
}

/// Names and shapes of a net's parameters, first layer to last: `conv1.weight`, `conv1.bias`, ... A batch norm's running
/// statistics follow its bias; the model needs them, although they are not trained.
///
/// # Errors
/// An invalid net.
pub fn parameters(net: &Net) -> Result<Vec<(String, Vec<usize>)>> {
    let layers = net.shapes()?;
    let with_weights = layers.into_iter().filter(|layer| !layer.weight.is_empty());
    Ok(with_weights
        .flat_map(|layer| {
            let (bias, statistics, name) = (layer.bias().to_vec(), vec![layer.statistics], layer.name);
            let learnt = [(format!("{name}.weight"), layer.weight), (format!("{name}.bias"), bias)];
            let running = ["running_mean", "running_var"].map(|part| (format!("{name}.{part}"), statistics.clone()));
            learnt.into_iter().chain(running.into_iter().filter(move |_| layer.statistics > 0))
        })
        .collect())
}

/// Writes a model file. Equal models give equal bytes.
///
/// # Errors
/// When the parts of the model do not match, or the file cannot be written; an existing file is then kept.
pub fn write(path: impl AsRef<Path>, model: &Model) -> Result<()> {
    let missing = |name: &str| Error::Invalid(format!("the model lacks the parameter {name}"));
    if model.classes.len() != model.net.classes() {
        return Err(Error::Invalid(format!("{} class names for {} outputs", model.classes.len(), model.net.classes())));
    }
    write_from(path.as_ref(), model, Extra::default(), files::Sync::Disk, &mut |name| {
        Ok(Cow::Borrowed(model.tensors.get(name).ok_or_else(|| missing(name))?))
    })
}

/// The metadata of a model.
pub(super) fn describe(model: &Model) -> Result<BTreeMap<String, String>> {
    let json = |what: serde_json::Result<String>| what.map_err(|e| Error::Invalid(format!("JSON serialisation failed: {e}")));
    let mut metadata = BTreeMap::from([
        (METADATA_NET.to_string(), json(serde_json::to_string(&model.net))?),
        (METADATA_PREPROCESS.to_string(), json(serde_json::to_string(&model.preprocess))?),
        (METADATA_CLASSES.to_string(), json(serde_json::to_string(&model.classes))?),
        (METADATA_RECIPE.to_string(), json(serde_json::to_string(&model.recipe))?),
    ]);
    if !model.ranges.is_empty() {
        let ranges: BTreeMap<&str, (f32, u8)> =
            model.ranges.iter().map(|(name, range)| (name.as_str(), (range.scale, range.zero))).collect();
        metadata.insert(METADATA_INT8.to_string(), json(serde_json::to_string(&ranges))?);
    }
    if let Some(temperature) = model.temperature {
        metadata.insert(METADATA_TEMPERATURE.to_string(), json(serde_json::to_string(&temperature))?);
    }
    Ok(metadata)
}

/// Training state stored in addition to a model.
#[derive(Debug, Default)]
pub struct Extra {
    /// Text under [`METADATA_STATE`].
    pub state: Option<String>,
    /// Tensors stored with the parameters.
    pub entries: Vec<Entry>,
}

/// Writes a file with the metadata of `model` and tensors from `values`, one at a time (`model.tensors` is ignored).
pub fn write_from<'a>(
    path: &Path,
    model: &'a Model,
    extra: Extra,
    sync: files::Sync,
    values: &mut dyn FnMut(&str) -> Result<Cow<'a, [f32]>>,
) -> Result<()> {
    let mut metadata = describe(model)?;
    metadata.extend(extra.state.map(|state| (METADATA_STATE.to_string(), state)));
    let mut entries = extra.entries;
    entries.extend(parameters(&model.net)?.into_iter().map(|(name, shape)| Entry { name, shape }));
    if let Mean::Image { size, .. } = model.preprocess.mean {
        entries.push(Entry { name: MEAN_TENSOR.into(), shape: vec![3, size, size] });
    }
    write_tensors(path, &metadata, &entries, sync, &mut |name| match &model.preprocess.mean {
        Mean::Image { values, .. } if name == MEAN_TENSOR => Ok(Cow::Borrowed(values.as_slice())),
        _ => values(name),
    })
}

/// Reads a model file and validates it.
///
/// # Errors
/// Another kind of file, a truncated file, an invalid net, a missing or unknown tensor, a shape that differs from the net's (both
/// are reported), inconsistent preprocessing or classes.
pub fn read(path: impl AsRef<Path>) -> Result<Model> {
    read_by(path.as_ref(), TensorFile::map)
}

/// Like [`read`], with all parameters copied to memory.
pub(super) fn read_copied(path: &Path) -> Result<Model> {
    read_by(path, |file, name, shape| file.read(name, shape).map(TensorData::from))
}

fn read_by(path: &Path, tensor: impl Fn(&TensorFile, &str, &[usize]) -> Result<TensorData>) -> Result<Model> {
    let file = TensorFile::open(path)?;
    if file.text(METADATA_STATE).is_some() {
        return Err(Error::file(
            path,
            "the state of a training run, not a model; use best.safetensors or last.safetensors in the same folder",
        ));
    }
    let mut model = read_description(&file)?;
    let expected = parameters(&model.net).map_err(|e| Error::file(path, e.to_string()))?;
    for name in file.names() {
        if name != MEAN_TENSOR && !expected.iter().any(|(known, _)| *known == name) {
            return Err(Error::file(path, format!("its net {} has no parameter {name}", model.net.name)));
        }
    }
    for (name, shape) in expected {
        let values = tensor(&file, &name, &shape)?;
        model.tensors.insert(name, values);
    }
    Ok(model)
}

/// Reads and cross-checks the net, preprocessing, classes and recipe of a file, without its parameters.
pub fn read_description(file: &TensorFile) -> Result<Model> {
    let path = file.path();
    let fail = |message: String| Error::file(path, message);
    if file.text(METADATA_NET).is_none() {
        return Err(fail("a safetensors file, but not an alexnet model: its metadata holds no net".into()));
    }
    let net: Net = part(file, METADATA_NET)?;
    let mut preprocess: Preprocess = part(file, METADATA_PREPROCESS)?;
    let classes: Vec<String> = part(file, METADATA_CLASSES)?;
    let recipe: serde_json::Value = part(file, METADATA_RECIPE)?;

    net.shapes().map_err(|e| fail(e.to_string()))?;
    if classes.len() != net.classes() || classes.is_empty() {
        return Err(fail(format!("{} class names for the {} outputs of its net", classes.len(), net.classes())));
    }
    if preprocess.crop != net.image_size {
        return Err(fail(format!(
            "its preprocessing produces {0} x {0} pixels, but its net takes {1} x {1}",
            preprocess.crop, net.image_size
        )));
    }
    match &mut preprocess.mean {
        Mean::Image { size, values, .. } => *values = Arc::new(file.read(MEAN_TENSOR, &[3, *size, *size])?),
        Mean::Channel(_) if file.shape(MEAN_TENSOR).is_some() => {
            return Err(fail("holds a mean image that its preprocessing does not use".into()));
        }
        Mean::Channel(_) => {}
    }
    preprocess.check().map_err(|error| fail(error.to_string()))?;
    let ranges = if file.text(METADATA_INT8).is_some() { read_ranges(file, &net)? } else { ActivationRanges::new() };
    let temperature = file.text(METADATA_TEMPERATURE).map(|_| part::<f64>(file, METADATA_TEMPERATURE)).transpose()?;
    if temperature.is_some_and(|temperature| !(temperature.is_finite() && temperature > 0.0)) {
        return Err(fail("its temperature is not a positive number".into()));
    }
    Ok(Model { net, preprocess, classes, recipe, ranges, temperature, tensors: BTreeMap::new() })
}

/// Reads the int8 ranges; they must cover exactly the layers with parameters.
fn read_ranges(file: &TensorFile, net: &Net) -> Result<ActivationRanges> {
    let ranges: BTreeMap<String, (f32, u8)> = part(file, METADATA_INT8)?;
    let layers: Vec<String> =
        parameters(net)?.into_iter().filter_map(|(name, _)| Some(name.strip_suffix(".weight")?.into())).collect();
    let sound = |scale: f32| scale.is_normal() && scale > 0.0;
    if ranges.len() != layers.len() || !layers.iter().all(|name| ranges.get(name).is_some_and(|&(scale, _)| sound(scale))) {
        return Err(Error::file(file.path(), "its int8 ranges do not match its net; quantise it again"));
    }
    Ok(ranges.into_iter().map(|(name, (scale, zero))| (name, QuantParams { scale, zero })).collect())
}

/// Whether this program wrote a file's metadata. Others also use the key `net`, but for a name; a description of layers is ours,
/// even if it is invalid.
pub(super) fn is_ours(metadata: &BTreeMap<String, String>) -> bool {
    metadata.get(METADATA_NET).is_some_and(|net| net.trim_start().starts_with('{') && net.contains("\"layers\""))
}

/// Removes another program's values under our metadata keys, and returns a remark that names them.
pub(super) fn without_foreign(metadata: &mut BTreeMap<String, String>) -> Option<String> {
    if is_ours(metadata) {
        return None;
    }
    let keys = [
        METADATA_NET,
        METADATA_PREPROCESS,
        METADATA_CLASSES,
        METADATA_RECIPE,
        METADATA_INT8,
        METADATA_TEMPERATURE,
        METADATA_STATE,
    ]
    .into_iter();
    let foreign: Vec<&str> = keys.filter(|key| metadata.remove(*key).is_some()).collect();
    let words = foreign.join(", ");
    (!foreign.is_empty()).then(|| format!("its metadata ({words}) were written by another program and are ignored"))
}

/// Model metadata in a file of another format; each part is optional.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) preprocess: Option<Preprocess>,
    pub(super) classes: Option<Vec<String>>,
    pub(super) recipe: serde_json::Value,
}

/// Parses the metadata without cross-checks.
pub(super) fn read_parts(metadata: &BTreeMap<String, String>) -> Result<Parts, String> {
    fn part<T: serde::de::DeserializeOwned>(metadata: &BTreeMap<String, String>, key: &str) -> Result<Option<T>, String> {
        let read = |text: &String| serde_json::from_str(text).map_err(|e| format!("invalid {key}: {e}"));
        metadata.get(key).map(read).transpose()
    }
    Ok(Parts {
        preprocess: part(metadata, METADATA_PREPROCESS)?,
        classes: part(metadata, METADATA_CLASSES)?,
        recipe: part(metadata, METADATA_RECIPE)?.unwrap_or_default(),
    })
}

/// Parses one JSON value of the metadata.
fn part<T: serde::de::DeserializeOwned>(file: &TensorFile, key: &str) -> Result<T> {
    let text = file.text(key).ok_or_else(|| Error::file(file.path(), format!("its metadata holds no {key}")))?;
    serde_json::from_str(text).map_err(|e| Error::file(file.path(), format!("invalid {key} in its metadata: {e}")))
}
