//! Writing a model in a format of others, and what must change on the way so that its answers stay.

use super::equivalence::same_answers;
use super::model::{MEAN_TENSOR, Model, describe, parameters};
use super::names::{Names, fitting};
use super::safetensors::{Entry, write_tensors};
use super::{caffe, onnx, paddle, pth};
use crate::engine::cpu::Ranges;
use crate::image::Mean;
use crate::net::{Activation, DropoutStyle, Net, Op, presets};
use crate::{Error, Result, files};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// How a model is to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions {
    /// Names of the parameters; by default those that the format's own world uses for the net.
    pub names: Option<Names>,
    /// ONNX: the graph takes `picture`, raw RGB bytes [n, rows, columns, 3], instead of prepared numbers.
    pub preprocess_in_graph: bool,
}

/// A parameter as it is to be written.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// The file's name.
    pub(crate) name: String,
    /// The file's shape.
    pub(crate) shape: Vec<usize>,
    values: &'a [f32],
    factor: f32,
    /// Rows and columns in our order, if they are to be exchanged.
    exchange: Option<[usize; 2]>,
}

impl Written<'_> {
    /// Makes a linear weight [in, out].
    fn exchange(&mut self) {
        if let (&[rows, columns], None) = (self.shape.as_slice(), self.exchange) {
            self.exchange = Some([rows, columns]);
            self.shape = vec![columns, rows];
        }
    }

    /// The values in the file's order.
    pub(crate) fn values(&self) -> Cow<'_, [f32]> {
        let mut values = Cow::Borrowed(self.values);
        if let Some(shape) = self.exchange {
            values = Cow::Owned(super::load::transposed(&values, &shape));
        }
        if self.factor != 1.0 {
            values.to_mut().iter_mut().for_each(|value| *value *= self.factor);
        }
        values
    }
}

/// A model as it is to be written.
#[derive(Debug)]
pub(crate) struct Export<'a> {
    /// The net that the written weights are for.
    pub(crate) net: Net,
    pub(crate) model: &'a Model,
    /// What the file says of itself, if its format has room for it.
    pub(crate) metadata: BTreeMap<String, String>,
    /// In the net's order.
    pub(crate) parameters: Vec<Written<'a>>,
}

impl Export<'_> {
    /// Values of the mean picture, and its rows.
    pub(crate) fn mean(&self) -> Option<(&[f32], usize)> {
        if let Mean::Image { size, values, .. } = &self.model.preprocess.mean { Some((values, *size)) } else { None }
    }
}

/// Writes a model in the format of the file's ending: `.safetensors`, `.pth` (or `.pt`, `.pth.tar`, `.ckpt`, `.bin`), `.onnx`,
/// `.caffemodel`, `.pdparams`. Returns remarks on what was
/// changed so that the answers stay, a sentence each.
///
/// # Errors
/// An ending that is not known, names that do not go with the net or the format, layers that the format cannot express, or a file that cannot be
/// written; one that stood there before is kept.
pub fn export(path: impl AsRef<Path>, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    let (names, outputs) = (model.classes.len(), model.net.classes());
    if names != outputs {
        return Err(Error::Invalid(format!("{names} class names for {outputs} outputs")));
    }
    let fits = |names: Names| export_under(model, names).is_ok();
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let twofold = path.file_stem().is_some_and(|stem| stem.to_string_lossy().to_lowercase().ends_with(".pth"));
    if options.preprocess_in_graph && ending != "onnx" {
        return Err(Error::Invalid("only an .onnx file has a graph to put the preprocessing in".into()));
    }
    // An option that changes nothing would be taken for one that did.
    let foreign = match (ending.as_str(), options.names) {
        ("pdparams", Some(Names::Torchvision)) => Some("a .pdparams is for Paddle: --names paddle or own"),
        ("onnx", Some(Names::Torchvision | Names::Paddle | Names::Tutorial)) => {
            Some("the graph of an .onnx says what its tensors are")
        }
        ("caffemodel", Some(Names::Torchvision | Names::Paddle | Names::Tutorial)) => Some("Caffe's layers have Caffe's names"),
        _ => None,
    };
    if let Some(why) = foreign {
        return Err(Error::file(path, format!("these names are not for this format ({why}); leave out --names")));
    }
    match ending.as_str() {
        "safetensors" => match options.names.unwrap_or(Names::Own) {
            Names::Own => super::write(path, model).map(|()| Vec::new()),
            names => {
                let (export, remarks) = export_under(model, names)?;
                safetensors(path, &export)?;
                Ok(remarks)
            }
        },
        // PyTorch's own examples write checkpoint.pth.tar, which is no tar; Lightning .ckpt, transformers pytorch_model.bin.
        "tar" if !twofold => Err(Error::file(path, "a .tar is no model; give .pth.tar, .pth or another ending")),
        "pth" | "pt" | "tar" | "ckpt" | "bin" => {
            let names = options.names.unwrap_or(if fits(Names::Torchvision) { Names::Torchvision } else { Names::Own });
            let (export, remarks) = export_under(model, names)?;
            pth::write(path, &export)?;
            Ok(remarks)
        }
        "onnx" => {
            let (export, remarks) = plain_export(model, Names::Own)?;
            onnx::write(path, &export, options.preprocess_in_graph)?;
            Ok(remarks)
        }
        "pdparams" => {
            // Paddle's linear weights are [in, out] whatever their names.
            let world = [Names::Tutorial, Names::Paddle].into_iter().find(|names| fits(*names));
            let (mut export, remarks) = export_under(model, options.names.or(world).unwrap_or(Names::Own))?;
            export.parameters.iter_mut().for_each(Written::exchange);
            paddle::write(path, &export)?;
            Ok(remarks)
        }
        "caffemodel" => {
            let (fed, remark) = caffe::fed_by_caffe(model)?;
            let (export, mut remarks) = plain_export(&fed, Names::Own)?;
            caffe::write(path, &export)?;
            remarks.extend(remark);
            Ok(remarks)
        }
        _ => Err(Error::file(path, "the ending says the format; give .safetensors, .pth, .onnx, .caffemodel or .pdparams")),
    }
}

/// What is to be written under these names.
fn export_under(model: &Model, names: Names) -> Result<(Export<'_>, Vec<String>)> {
    let preset = |name: &str| -> Result<Net> {
        Ok(presets::by_name(name)?.with_classes(model.net.classes()).with_image_size(model.net.image_size))
    };
    let refuse = |whose: &str| {
        Err(Error::Invalid(format!("{whose} names are for its own net; {} has other layers: use --names own", model.net.name)))
    };
    match names {
        Names::Own => export_of(model, model.net.clone(), names, &BTreeMap::new()),
        Names::Torchvision | Names::Paddle => {
            let (name, whose) = if names == Names::Paddle { ("paddle", "Paddle's") } else { ("torchvision", "torchvision's") };
            let mut target = preset(name)?;
            // torchvision averages its maps to 6 x 6, which at 224 pixels they are; at other sizes its weights still go by Paddle's
            // names, and the file's own words tell of the average.
            if names == Names::Paddle && same_answers(&plain(&model.net), &preset("torchvision").map(|net| plain(&net))?) {
                target =
                    if same_answers(&plain(&model.net), &plain(&target)) { target } else { scaling_at_inference(&model.net) };
            }
            let (given, taken) = (factors(&model.net)?, factors(&target)?);
            if !same_answers(&plain(&model.net), &plain(&target)) {
                return refuse(whose);
            }
            let net = if model.net.name == name && given == taken { model.net.clone() } else { target };
            let layers = given.keys().chain(taken.keys());
            let one = |map: &BTreeMap<String, f32>, layer: &String| map.get(layer).copied().unwrap_or(1.0);
            let change = layers.map(|layer| (layer.clone(), one(&given, layer) / one(&taken, layer))).collect();
            export_of(model, net, names, &change)
        }
        Names::Tutorial if fitting(&model.net) == Names::Tutorial => export_of(model, model.net.clone(), names, &BTreeMap::new()),
        Names::Tutorial => refuse("the tutorial's"),
    }
}

/// What is to be written for readers that know no dropout that scales at inference: it is folded into the weights.
fn plain_export(model: &Model, names: Names) -> Result<(Export<'_>, Vec<String>)> {
    export_of(model, plain(&model.net), names, &factors(&model.net)?)
}

/// A net whose dropouts all scale in training.
fn plain(net: &Net) -> Net {
    with_dropout(net, DropoutStyle::ScaleInTraining)
}

/// A net whose dropouts all scale at inference, as Paddle's AlexNet's.
fn scaling_at_inference(net: &Net) -> Net {
    with_dropout(net, DropoutStyle::ScaleAtInference)
}

fn with_dropout(net: &Net, given: DropoutStyle) -> Net {
    let mut net = net.clone();
    for layer in &mut net.layers {
        if let Op::Dropout { style, .. } = &mut layer.op {
            *style = given;
        }
    }
    net
}

/// By how much dropout that scales at inference multiplies what goes into each layer with weights: what may be multiplied into the
/// weights instead, since whatever stands between passes factors on.
fn factors(net: &Net) -> Result<BTreeMap<String, f32>> {
    let mut factors = BTreeMap::new();
    let mut pending = 1.0;
    for layer in &net.layers {
        match layer.op {
            Op::Dropout { rate, style: DropoutStyle::ScaleAtInference } => pending *= 1.0 - rate,
            Op::Conv { .. } | Op::Linear { .. } if pending != 1.0 => {
                factors.insert(layer.name.clone(), pending);
                pending = 1.0;
            }
            Op::Activation { function: Activation::Tanh | Activation::Sigmoid }
            | Op::Lrn { .. }
            | Op::SpatialNorm { .. }
            | Op::BatchNorm { .. }
                if pending != 1.0 =>
            {
                let message = format!("the dropout before {} scales at inference, which this format cannot express", layer.name);
                return Err(Error::Invalid(message));
            }
            _ => {}
        }
    }
    Ok(factors)
}

/// Sets a model out under names, its weights multiplied layer by layer.
fn export_of<'a>(model: &'a Model, net: Net, names: Names, change: &BTreeMap<String, f32>) -> Result<(Export<'a>, Vec<String>)> {
    let mut written = Vec::new();
    for (own, shape) in parameters(&net)? {
        let values = model.tensors.get(&own);
        let values = values.ok_or_else(|| Error::Invalid(format!("the model lacks the parameter {own}")))?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::Invalid(format!("{own}: {} values for the shape {shape:?}", values.len())));
        }
        let name = names.of(&own).ok_or_else(|| Error::Invalid(format!("these names have none for {own}: use --names own")))?;
        let factor = own.strip_suffix(".weight").and_then(|layer| change.get(layer)).copied().unwrap_or(1.0);
        let exchange = match shape.as_slice() {
            &[rows, columns] if names.transposed() => Some([rows, columns]),
            _ => None,
        };
        let shape = exchange.map_or(shape, |[rows, columns]| vec![columns, rows]);
        written.push(Written { name, shape, values, factor, exchange });
    }
    let mut remarks = Vec::new();
    if !model.ranges.is_empty() {
        remarks.push("what `quantize` measured for int8 is left out: quantise it again where it is needed".into());
    }
    for (layer, factor) in change.iter().filter(|(_, factor)| **factor != 1.0) {
        remarks.push(format!(
            "{layer}.weight is multiplied by {factor}, as dropout scales {} and {} elsewhere",
            if *factor < 1.0 { "at inference here" } else { "in training here" },
            if *factor < 1.0 { "in training" } else { "at inference" },
        ));
    }
    let described = Model { net: net.clone(), tensors: BTreeMap::new(), ..shallow(model) };
    Ok((Export { metadata: describe(&described)?, net, model, parameters: written }, remarks))
}

/// A model without its weights.
fn shallow(model: &Model) -> Model {
    let Model { net, preprocess, classes, recipe, .. } = model;
    Model {
        net: net.clone(),
        preprocess: preprocess.clone(),
        classes: classes.clone(),
        recipe: recipe.clone(),
        // They are for the numbers that our own net sees, which others' may change.
        ranges: Ranges::new(),
        tensors: BTreeMap::new(),
    }
}

fn safetensors(path: &Path, export: &Export<'_>) -> Result<()> {
    let mut entries: Vec<Entry> =
        export.parameters.iter().map(|p| Entry { name: p.name.clone(), shape: p.shape.clone() }).collect();
    if let Some((_, size)) = export.mean() {
        entries.push(Entry { name: MEAN_TENSOR.into(), shape: vec![3, size, size] });
    }
    write_tensors(path, &export.metadata, &entries, files::Sync::Disk, &mut |name| {
        if let Some((mean, _)) = export.mean().filter(|_| name == MEAN_TENSOR) {
            return Ok(Cow::Borrowed(mean));
        }
        let found = export.parameters.iter().find(|p| p.name == name);
        found.map(Written::values).ok_or_else(|| Error::Invalid(format!("no parameter {name}")))
    })
}
