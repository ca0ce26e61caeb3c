//! Conversion of Caffe layers to a net.

use super::super::format::Graph;
use super::super::net_builder::NetBuilder;
use super::super::reader::ParseResult;
use super::super::tensor::{Dtype, Storage, Tensor};
use super::active_layers;
use super::proto::{Layer, Net};
use alexnet_net::{Activation, Op, Pad, Rounding};
use alexnet_net::{Channels, JpegDecoding, Mean, Preprocess, Resize};

/// ImageNet pixel mean in BGR order, for files that do not store one.
const MEAN: [f32; 3] = [104.0, 117.0, 123.0];

/// Builds the net and remarks from the layers. The net is `None` when only layers with weights are stored.
pub(super) fn graph(net: &mut Net) -> ParseResult<(Option<Graph>, Vec<String>)> {
    let between = ["relu", "pooling", "tanh", "sigmoid"];
    if !net.layers.iter().any(|layer| between.contains(&layer.kind.as_str())) {
        return Ok((None, vec!["it stores only the layers with weights, so the layer order is unknown".into()]));
    }
    let mut remarks = Vec::new();
    let crop = net.layers.iter().find_map(|layer| layer.settings.get("crop")).map(|crop| *crop as usize);
    let size = match net.input.as_slice() {
        &[_, 3, rows, columns] if rows == columns && rows > 0 => rows as usize,
        _ => crop.filter(|crop| *crop > 0).unwrap_or_else(|| {
            remarks.push("does not specify its input size; assuming Caffe's 227 pixels".into());
            227
        }),
    };
    let mut builder = NetBuilder::new(Some(size));
    let layers = std::mem::take(&mut net.layers);
    for layer in active_layers::follow(&layers, &mut remarks)? {
        step(layer, &mut net.tensors, &mut builder).map_err(|why| format!("its layer {}: {why}", layer.name))?;
    }
    let mut graph = builder.finish("caffe")?;
    // A single value applies to all channels.
    let file_mean = layers.iter().find_map(|layer| match layer.mean.as_slice() {
        [mean] => Some([*mean; 3]),
        [blue, green, red] => Some([*blue, *green, *red]),
        _ => None,
    });
    let scale = layers.iter().find_map(|layer| layer.settings.get("scale")).map_or(1.0, |scale| *scale as f32);
    // Caffe subtracts the mean before scaling.
    let mean = file_mean.unwrap_or(MEAN).map(|mean| mean * scale);
    if file_mean.is_none() {
        remarks.push(
            "does not specify the mean; assuming 104, 117, 123 (pass a mean.binaryproto to `convert --mean` to override)".into(),
        );
    }
    graph.resizes = true;
    graph.preprocess = Some(Preprocess {
        resize: Resize::Warp((size as f64 * 256.0 / 227.0).round() as usize),
        crop: size,
        channels: Channels::Bgr,
        scale,
        mean: Mean::Channel(mean),
        std: [1.0; 3],
        jpeg: JpegDecoding::Exact,
    });
    Ok((Some(graph), remarks))
}

fn step(layer: &Layer, tensors: &mut Vec<Tensor>, builder: &mut NetBuilder) -> ParseResult<()> {
    let setting = |name: &str, otherwise: f64| layer.settings.get(name).copied().unwrap_or(otherwise);
    let count = |name: &str, otherwise: usize| setting(name, otherwise as f64) as usize;
    for (one, other) in [("kernel", "kernel_w"), ("stride", "stride_w"), ("pad", "pad_w")] {
        if layer.settings.get(other).is_some_and(|width| *width != setting(one, 0.0)) {
            return Err(format!("a non-square {one} is not supported"));
        }
    }
    let blobs = |tensors: &mut Vec<Tensor>, out: usize| -> ParseResult<(usize, usize)> {
        match layer.blobs.as_slice() {
            &[weight, bias] => Ok((weight, bias)),
            &[weight] => {
                let name = format!("{}.bias (none)", layer.name);
                tensors.push(Tensor { name, shape: vec![out], dtype: Dtype::F32, storage: Storage::Fill(0.0) });
                Ok((weight, tensors.len() - 1))
            }
            other => Err(format!("expected weight and bias blobs, got {} blobs", other.len())),
        }
    };
    let pad = Pad::all(count("pad", 0));
    match layer.kind.as_str() {
        "convolution" => {
            if count("dilation", 1) != 1 {
                return Err("dilation is not supported".into());
            }
            let out = count("out", 0);
            let blobs = blobs(tensors, out)?;
            let (kernel, stride) = (count("kernel", 0), count("stride", 1));
            builder.conv(out, kernel, stride, pad, count("group", 1), Rounding::Floor, blobs);
        }
        "innerproduct" => {
            let out = count("out", 0);
            let blobs = blobs(tensors, out)?;
            builder.linear(out, setting("transpose", 0.0) != 0.0, blobs);
        }
        "relu" if setting("slope", 0.0) != 0.0 => return Err("a leaky ReLU is not supported".into()),
        "relu" => builder.activation(Activation::Relu),
        "tanh" => builder.activation(Activation::Tanh),
        "sigmoid" => builder.activation(Activation::Sigmoid),
        "dropout" => builder.dropout(setting("ratio", 0.5) as f32),
        "lrn" => {
            let (n, alpha, beta) = (count("n", 5), setting("alpha", 1.0) as f32, setting("beta", 0.75) as f32);
            let k = setting("k", 1.0) as f32;
            let op = if setting("within", 0.0) == 0.0 {
                Op::Lrn { n, alpha, beta, k, divide_by_n: true, columns: 1 }
            } else {
                Op::SpatialNorm { n, alpha, beta, k }
            };
            builder.push("norm", op);
        }
        "pooling" => {
            let (kernel, stride, rounding) = (count("kernel", 0), count("stride", 1), Rounding::Ceil);
            let op = match (setting("global", 0.0) != 0.0, setting("method", 0.0) as i64) {
                (false, 0) => Op::MaxPool { kernel, stride, pad, rounding },
                (false, 1) => Op::AvgPool { kernel, stride, pad, rounding },
                (true, 1) => Op::AdaptiveAvgPool { out: 1 },
                _ => return Err("unsupported pooling method".into()),
            };
            builder.push("pool", op);
        }
        "flatten" => {}
        other => return Err(format!("unsupported layer type `{other}`")),
    }
    Ok(())
}
