//! Writer for a NetParameter of the current generation: every layer with its settings, and the input described by an Input layer.

use super::super::export_plan::{Export, Written};
use super::super::protobuf::Message;
use super::{ABOUT, MEAN};
use crate::{Error, Result};
use crate::{Model, TensorData};
use alexnet_files as files;
use alexnet_net::{Activation, LayerShape, Op, Pad};
use alexnet_net::{Channels, Mean, Preprocess};
use std::path::Path;
use std::sync::Arc;

/// Returns an equivalent model with Caffe's input format, BGR in 0 to 255 minus a mean. Any other preprocessing is folded into
/// the first layer's weights. The second value describes that change, if any.
pub(crate) fn fed_by_caffe(model: &Model) -> Result<(Model, Option<String>)> {
    let Preprocess { channels, scale, mean, std, .. } = &model.preprocess;
    if *channels == Channels::Bgr && *scale == 1.0 && *std == [1.0; 3] {
        return Ok((model.clone(), None));
    }
    let shapes = model.net.shapes()?;
    let first = shapes.iter().find(|layer| !layer.weight.is_empty());
    let Some(LayerShape { name, weight, .. }) = first.filter(|layer| layer.weight.len() == 4 && layer.weight[1] == 3) else {
        return Err(Error::Invalid("Caffe needs a first layer that is a convolution over three channels".into()));
    };
    let name = format!("{name}.weight");
    let values = model.tensors.get(&name).ok_or_else(|| Error::Invalid(format!("the model lacks the parameter {name}")))?;
    // (v scale - mean) / std = (v - mean / scale) (scale / std)
    let order = if *channels == Channels::Bgr { [0, 1, 2] } else { [2, 1, 0] };
    let plane = weight[2] * weight[3];
    let mut changed = vec![0.0; values.len()];
    for (from, to) in values.chunks_exact(3 * plane).zip(changed.chunks_exact_mut(3 * plane)) {
        for (to, channel) in to.chunks_exact_mut(plane).zip(order) {
            let factor = scale / std[channel];
            let from = &from[channel * plane..(channel + 1) * plane];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
        }
    }
    let mean = match mean {
        Mean::Channel(mean) => Mean::Channel(order.map(|channel| mean[channel] / scale)),
        Mean::Image { size, values, centre } => {
            let plane = size * size;
            let planes = order.iter().flat_map(|channel| &values[channel * plane..(channel + 1) * plane]);
            Mean::Image { size: *size, values: Arc::new(planes.map(|mean| mean / scale).collect()), centre: *centre }
        }
    };
    let remark = format!("{name} now takes Caffe's input: BGR, 0 to 255 minus {}", words(&mean));
    let mut model = model.clone();
    model.preprocess = Preprocess { channels: Channels::Bgr, scale: 1.0, mean, std: [1.0; 3], ..model.preprocess };
    model.tensors.insert(name, TensorData::from(changed));
    Ok((model, Some(remark)))
}

fn words(mean: &Mean) -> String {
    match mean {
        Mean::Channel([blue, green, red]) => format!("{blue}, {green}, {red}"),
        Mean::Image { size, .. } => format!("its mean image of {size} x {size}"),
    }
}

/// Writes a model returned by [`fed_by_caffe`].
///
/// # Errors
/// Layers that Caffe lacks, or a file that cannot be written; an existing file is kept.
pub(crate) fn write(path: &Path, export: &Export<'_>) -> Result<()> {
    let size = export.net.image_size as u64;
    let shape = Message::default().ints(1, [1, 3, size, size]);
    let mut input = Message::default().text(1, "data").text(2, "Input").text(4, "data");
    // A data layer's transform_param. Caffe ignores it in an Input layer; our reader takes the mean from it.
    if let Mean::Channel(mean) = export.model.preprocess.mean {
        let transform = mean.iter().fold(Message::default().int(3, size), |message, &mean| message.float(5, mean));
        input = input.message(100, transform);
    }
    input = input.message(143, Message::default().message(1, shape));
    let mut net = Message::default().text(1, &export.net.name).message(100, input);
    let mut bottom = "data".to_string();
    for (layer, shape) in export.net.layers.iter().zip(export.net.shapes()?) {
        let Some((kind, settings)) = settings(&layer.op, &shape)? else { continue };
        let in_place = matches!(layer.op, Op::Activation { .. } | Op::Dropout { .. });
        let top = if in_place { bottom.clone() } else { layer.name.clone() };
        let mut message = Message::default().text(1, &layer.name).text(2, kind).text(3, &bottom).text(4, &top);
        for part in ["weight", "bias"] {
            let name = format!("{}.{part}", layer.name);
            if let Some(written) = export.parameters.iter().find(|written| written.name == name) {
                message = message.message(7, blob(written));
            }
        }
        if let Some((field, settings)) = settings {
            message = message.message(field, settings);
        }
        net = net.message(100, message);
        bottom = top;
    }
    let about = serde_json::to_string(&export.metadata).map_err(|e| Error::Invalid(e.to_string()))?;
    net = net.text(ABOUT, about);
    if let Some((mean, size)) = export.mean() {
        let shape = Message::default().ints(1, [3, size as u64, size as u64]);
        net = net.message(MEAN, Message::default().values(5, mean).message(7, shape));
    }
    files::write_atomic(path, |out| net.write(out))
}

fn blob<'a>(written: &'a Written<'a>) -> Message<'a> {
    let shape = Message::default().ints(1, written.shape.iter().map(|&n| n as u64));
    Message::default().late_values(5, written).message(7, shape)
}

/// Layer type, and the field and message of its settings; `None` for a layer that changes nothing.
#[allow(clippy::type_complexity)]
fn settings(op: &Op, shape: &LayerShape) -> Result<Option<(&'static str, Option<(u32, Message<'static>)>)>> {
    let refuse = |what: &str| Err(Error::Invalid(format!("layer {}: Caffe has no {what}", shape.name)));
    let square = |pad: Pad| pad == Pad::all(pad.top);
    // Number of windows under Caffe's own rounding.
    let floor = |kernel: usize, stride: usize, pad: Pad| (shape.input.size + 2 * pad.top - kernel) / stride + 1;
    let ceil = |kernel: usize, stride: usize, pad: Pad| {
        let count = (shape.input.size + 2 * pad.top - kernel).div_ceil(stride) + 1;
        if (count - 1) * stride >= shape.input.size + pad.top { count - 1 } else { count }
    };
    let window = |message: Message<'static>, fields: [u32; 3], pad: Pad, kernel: usize, stride: usize| {
        message.int(fields[0], pad.top as u64).int(fields[1], kernel as u64).int(fields[2], stride as u64)
    };
    Ok(Some(match *op {
        Op::Conv { out, kernel, stride, pad, groups, .. } => {
            if !square(pad) || floor(kernel, stride, pad) != shape.output.size {
                return refuse("convolution whose last window extends past the edge");
            }
            let message = window(Message::default().int(1, out as u64), [3, 4, 6], pad, kernel, stride);
            ("Convolution", Some((106, message.int(5, groups as u64))))
        }
        Op::LocalConv { .. } => return refuse("locally connected layers"),
        Op::Activation { function: Activation::Relu } => ("ReLU", None),
        Op::Activation { function: Activation::Tanh } => ("TanH", None),
        Op::Activation { function: Activation::Sigmoid } => ("Sigmoid", None),
        Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
            if columns != 1 {
                return refuse("normalisation over channel groups");
            }
            let alpha = if divide_by_n { alpha } else { alpha * n as f32 };
            let message = Message::default().int(1, n as u64).float(2, alpha).float(3, beta).float(5, k);
            ("LRN", Some((118, message)))
        }
        Op::SpatialNorm { n, alpha, beta, k } => {
            if k != 1.0 {
                return refuse("within-channel normalisation with k other than 1");
            }
            ("LRN", Some((118, Message::default().int(1, n as u64).float(2, alpha).float(3, beta).int(4, 1))))
        }
        Op::BatchNorm { .. } => return refuse("single-layer batch normalisation with affine weights"),
        Op::MaxPool { kernel, stride, pad, .. } | Op::AvgPool { kernel, stride, pad, .. } => {
            if !square(pad) || ceil(kernel, stride, pad) != shape.output.size {
                return refuse("pooling that drops the pixels at the edge");
            }
            let method = u64::from(matches!(op, Op::AvgPool { .. }));
            ("Pooling", Some((121, window(Message::default().int(1, method), [4, 2, 3], pad, kernel, stride))))
        }
        Op::AdaptiveAvgPool { out } if out == shape.input.size => return Ok(None),
        Op::AdaptiveAvgPool { .. } => return refuse("adaptive pooling"),
        Op::Dropout { rate, .. } => ("Dropout", Some((108, Message::default().float(1, rate)))),
        Op::Linear { out, .. } => ("InnerProduct", Some((117, Message::default().int(1, out as u64)))),
    }))
}
