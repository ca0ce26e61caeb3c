//! Export plan: named parameters, and the changes that preserve the model's outputs.

use super::equivalence::same_answers;
use super::model::{Model, describe, parameters};
use super::tensor_data::{LateValues, transposed};
use crate::quant_params::ActivationRanges;
use crate::{Error, Result};
use alexnet_net::Mean;
use alexnet_net::{Activation, DropoutStyle, Net, Op, ParamNaming, presets};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Options for exporting a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions {
    /// Parameter naming scheme; by default the one that the target format's ecosystem uses for the net.
    pub names: Option<&'static ParamNaming>,
    /// For ONNX: the graph takes `image`, raw RGB bytes [n, rows, columns, 3], instead of a normalised tensor.
    pub preprocess_in_graph: bool,
}

/// A parameter to write.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its shape in the file.
    pub(crate) shape: Vec<usize>,
    values: &'a [f32],
    factor: f32,
    /// Rows and columns in our order, if the matrix is to be transposed.
    exchange: Option<[usize; 2]>,
}

impl Written<'_> {
    /// Marks a linear weight as [in, out].
    pub(crate) fn exchange(&mut self) {
        if let (&[rows, columns], None) = (self.shape.as_slice(), self.exchange) {
            self.exchange = Some([rows, columns]);
            self.shape = vec![columns, rows];
        }
    }
}

impl LateValues for Written<'_> {
    /// Number of values.
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values in file order.
    fn values(&self) -> Cow<'_, [f32]> {
        let mut values = Cow::Borrowed(self.values);
        if let Some(shape) = self.exchange {
            values = Cow::Owned(transposed(&values, &shape));
        }
        if self.factor != 1.0 {
            values.to_mut().iter_mut().for_each(|value| *value *= self.factor);
        }
        values
    }
}

/// A model to write.
#[derive(Debug)]
pub(crate) struct Export<'a> {
    /// The net that the written weights belong to.
    pub(crate) net: Net,
    pub(crate) model: &'a Model,
    /// Metadata for formats that can store it.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Parameters in the net's order.
    pub(crate) parameters: Vec<Written<'a>>,
}

impl Export<'_> {
    /// The mean image's values and its number of rows.
    pub(crate) fn mean(&self) -> Option<(&[f32], usize)> {
        if let Mean::Image { size, values, .. } = &self.model.preprocess.mean { Some((values, *size)) } else { None }
    }
}

/// Builds an export under the given naming scheme.
pub(crate) fn export_under<'a>(model: &'a Model, naming: &ParamNaming) -> Result<(Export<'a>, Vec<String>)> {
    let unchanged = || export_of(model, model.net.clone(), naming, &BTreeMap::new());
    let refuse = || {
        let whose = naming.about.split(" (").next().unwrap_or_default();
        Err(Error::Invalid(format!(
            "{whose} apply only to their own net; {} has different layers: use --names own",
            model.net.name
        )))
    };
    if naming.is_own() || (naming.preset().is_none() && presets::find(&model.net.name).is_some_and(|own| own.naming == naming)) {
        return unchanged();
    }
    let Some(name) = naming.preset() else { return refuse() };
    let preset = |name: &str| -> Result<Net> {
        Ok(presets::by_name(name)?.with_classes(model.net.classes()).with_image_size(model.net.image_size))
    };
    let mut target = preset(name)?;
    if let Some(other) = naming.also_for
        && same_answers(&plain(&model.net), &preset(other).map(|net| plain(&net))?)
        && !same_answers(&plain(&model.net), &plain(&target))
    {
        target = scaling_at_inference(&model.net);
    }
    let (given, taken) = (factors(&model.net)?, factors(&target)?);
    if !same_answers(&plain(&model.net), &plain(&target)) {
        return refuse();
    }
    let net = if model.net.name == name && given == taken { model.net.clone() } else { target };
    let layers = given.keys().chain(taken.keys());
    let one = |map: &BTreeMap<String, f32>, layer: &String| map.get(layer).copied().unwrap_or(1.0);
    let change = layers.map(|layer| (layer.clone(), one(&given, layer) / one(&taken, layer))).collect();
    export_of(model, net, naming, &change)
}

/// Builds an export for readers without dropout that scales at inference; that scaling is folded into the weights.
pub(crate) fn plain_export(model: &Model) -> Result<(Export<'_>, Vec<String>)> {
    export_of(model, plain(&model.net), &ParamNaming::OWN, &factors(&model.net)?)
}

/// The net with all dropout scaling in training.
fn plain(net: &Net) -> Net {
    with_dropout(net, DropoutStyle::ScaleInTraining)
}

/// The net with all dropout scaling at inference, as in Paddle's AlexNet.
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

/// Inference-time dropout scale in front of each layer with weights. It can be folded into those weights because the layers in
/// between are homogeneous.
fn factors(net: &Net) -> Result<BTreeMap<String, f32>> {
    let mut factors = BTreeMap::new();
    let mut pending = 1.0;
    for layer in &net.layers {
        match layer.op {
            Op::Dropout { rate, style: DropoutStyle::ScaleAtInference } => pending *= 1.0 - rate,
            Op::Conv { .. } | Op::LocalConv { .. } | Op::Linear { .. } if pending != 1.0 => {
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

/// Lays out a model under a naming scheme, with per-layer weight factors.
fn export_of<'a>(
    model: &'a Model,
    net: Net,
    naming: &ParamNaming,
    change: &BTreeMap<String, f32>,
) -> Result<(Export<'a>, Vec<String>)> {
    let mut written = Vec::new();
    for (own, shape) in parameters(&net)? {
        let values = model.tensors.get(&own);
        let values = values.ok_or_else(|| Error::Invalid(format!("the model lacks the parameter {own}")))?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::Invalid(format!("{own}: {} values for the shape {shape:?}", values.len())));
        }
        let name = naming
            .of(&own)
            .ok_or_else(|| Error::Invalid(format!("this naming scheme has no name for {own}: use --names own")))?;
        let factor = own.strip_suffix(".weight").and_then(|layer| change.get(layer)).copied().unwrap_or(1.0);
        let exchange = match shape.as_slice() {
            &[rows, columns] if naming.linear_in_out => Some([rows, columns]),
            _ => None,
        };
        let shape = exchange.map_or(shape, |[rows, columns]| vec![columns, rows]);
        written.push(Written { name, shape, values, factor, exchange });
    }
    let mut remarks = Vec::new();
    if !model.ranges.is_empty() {
        remarks.push("the int8 calibration from `quantize` is not exported; quantise again after import".into());
    }
    for (layer, factor) in change.iter().filter(|(_, factor)| **factor != 1.0) {
        remarks.push(format!(
            "{layer}.weight is multiplied by {factor}, because dropout scales {} and {} in the target",
            if *factor < 1.0 { "at inference here" } else { "in training here" },
            if *factor < 1.0 { "in training" } else { "at inference" },
        ));
    }
    let described = Model { net: net.clone(), tensors: BTreeMap::new(), ..shallow(model) };
    Ok((Export { metadata: describe(&described)?, net, model, parameters: written }, remarks))
}

/// A copy of the model without its weights.
fn shallow(model: &Model) -> Model {
    let Model { net, preprocess, classes, recipe, temperature, .. } = model;
    Model {
        net: net.clone(),
        preprocess: preprocess.clone(),
        classes: classes.clone(),
        recipe: recipe.clone(),
        // Calibrated for our own net's input, which the export may change.
        ranges: ActivationRanges::new(),
        temperature: *temperature,
        tensors: BTreeMap::new(),
    }
}
