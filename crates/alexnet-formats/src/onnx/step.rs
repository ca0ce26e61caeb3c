//! Translation of single operators to layers.

use super::super::net_builder::NetBuilder;
use super::super::reader::{ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use super::fold::{padding, row_major};
use super::proto::{Model, Node};
use super::window::{count, window};
use alexnet_net::{Activation, Op, Pad, Rounding, Shape};

/// State while walking a graph's chain of operators.
pub(super) struct Walk<'a> {
    pub(super) builder: NetBuilder,
    pub(super) model: &'a mut Model,
    pub(super) reader: &'a Reader,
    remarks: &'a mut Vec<String>,
    /// Whether maps are currently [n, rows, columns, channels].
    pub(super) channels_last: bool,
    /// Whether maps have been flattened to features.
    pub(super) flat: bool,
    /// The channels-last maps whose flattened values the next linear layer takes.
    order: Option<Shape>,
    /// Zero padding from a Pad node, pending for the next layer.
    pad: Option<Pad>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        builder: NetBuilder,
        channels_last: bool,
        model: &'a mut Model,
        reader: &'a Reader,
        remarks: &'a mut Vec<String>,
    ) -> Self {
        Walk { builder, model, reader, remarks, channels_last, flat: false, order: None, pad: None }
    }

    /// Returns the net's layers.
    ///
    /// # Errors
    /// A pending Pad at the end of the graph.
    pub(super) fn end(self) -> ParseResult<NetBuilder> {
        self.pad.map_or(Ok(self.builder), |_| Err("its graph ends in a Pad".into()))
    }

    /// Whether a Pad is pending.
    pub(super) fn is_padded(&self) -> bool {
        self.pad.is_some()
    }

    /// Adds a normalisation over channels.
    pub(super) fn norm(&mut self, norm: Op) -> ParseResult<()> {
        if self.is_padded() {
            return Err("its Pad before a normalisation is not supported".into());
        }
        self.maps("normalisation")?;
        self.builder.push("norm", norm);
        Ok(())
    }

    /// Adds the layer of `node`, which reads `value`.
    pub(super) fn step(&mut self, node: &Node, value: &str) -> ParseResult<()> {
        if self.pad.is_some()
            && !matches!(node.op.as_str(), "Conv" | "MaxPool" | "AveragePool" | "Identity" | "Cast" | "Transpose")
        {
            return Err(format!("its Pad before a {} is not supported", node.op));
        }
        match node.op.as_str() {
            "Conv" => self.conv(node)?,
            "Relu" => self.builder.activation(Activation::Relu),
            "Tanh" => self.builder.activation(Activation::Tanh),
            "Sigmoid" => self.builder.activation(Activation::Sigmoid),
            "LRN" => self.norm(Op::Lrn {
                n: count(node.int("size", 0))?,
                alpha: node.float("alpha", 1e-4),
                beta: node.float("beta", 0.75),
                k: node.float("bias", 1.0),
                divide_by_n: true,
                columns: 1,
            })?,
            "BatchNormalization" => self.batch_norm(node)?,
            "MaxPool" | "AveragePool" => self.pool(node)?,
            "GlobalAveragePool" => {
                self.maps("GlobalAveragePool")?;
                self.builder.push("pool", Op::AdaptiveAvgPool { out: 1 });
            }
            "Flatten" | "Reshape" | "Squeeze" => self.flatten(node)?,
            "Transpose" => self.transpose(node)?,
            "Pad" => self.zeros_around(node)?,
            "Dropout" => self.builder.dropout(node.float("ratio", 0.5)),
            "Identity" | "Cast" => {}
            "Softmax" | "LogSoftmax" => {
                self.remarks.push(format!("ends in a {}; using the logits before it", node.op));
            }
            "Gemm" => {
                if node.float("alpha", 1.0) != 1.0 || node.float("beta", 1.0) != 1.0 || node.int("transA", 0) != 0 {
                    return Err("its Gemm scales or transposes its input, which is not supported".into());
                }
                self.linear(node, node.int("transB", 0) == 0)?;
            }
            "MatMul" => self.linear(node, true)?,
            "Add" | "Sub" | "Mul" | "Div" => {
                let other = usize::from(node.inputs.first().is_some_and(|name| name == value));
                let tensor = self.needed(node, other)?;
                self.arithmetic(node, tensor)?;
            }
            // Results of graph optimisers and quantisers.
            other if other.starts_with("Fused") || other.starts_with("Nhwc") => {
                return Err(format!(
                    "its graph has {other}, which ONNX Runtime inserts: export it again without its optimisations"
                ));
            }
            other
                if ["QLinear", "Quantize", "Dequantize", "DynamicQuantize"].iter().any(|begin| other.starts_with(begin))
                    || other.ends_with("Integer") =>
            {
                return Err(format!("its graph is quantised ({other}): export it again without quantisation"));
            }
            other => return Err(format!("its graph has the unsupported operator {other}")),
        }
        Ok(())
    }

    /// The constant input of a node at an index, if the input exists.
    fn constant(&self, node: &Node, at: usize) -> ParseResult<Option<usize>> {
        let Some(name) = node.inputs.get(at).filter(|name| !name.is_empty()) else { return Ok(None) };
        self.model.find(name).map(Some).ok_or_else(|| format!("its {} takes {name}, which is not a constant", node.op))
    }

    fn needed(&self, node: &Node, at: usize) -> ParseResult<usize> {
        self.constant(node, at)?.ok_or_else(|| format!("its {} has no weights", node.op))
    }

    /// Requires channels-first maps.
    fn maps(&self, what: &str) -> ParseResult<()> {
        if self.channels_last { Err(format!("its {what} takes channels-last maps, which is not supported")) } else { Ok(()) }
    }

    fn conv(&mut self, node: &Node) -> ParseResult<()> {
        self.maps("Conv")?;
        let weight = self.needed(node, 1)?;
        let bias = match self.constant(node, 2)? {
            Some(bias) => bias,
            None => self.no_bias(weight, 0),
        };
        let before = self.pad.take().unwrap_or_default();
        let (kernel, stride, pad) = window(node, &self.model.tensors[weight].shape, self.builder.shape(), before)?;
        let out = self.model.tensors[weight].shape.first().copied().unwrap_or_default();
        self.builder.conv(out, kernel, stride, pad, count(node.int("group", 1))?, Rounding::Floor, (weight, bias));
        self.flat = false;
        Ok(())
    }

    fn pool(&mut self, node: &Node) -> ParseResult<()> {
        self.maps(&node.op)?;
        let before = self.pad.take();
        let (kernel, stride, pad) = window(node, &[], self.builder.shape(), before.unwrap_or_default())?;
        let rounding = if node.int("ceil_mode", 0) == 1 { Rounding::Ceil } else { Rounding::Floor };
        let counted = node.int("count_include_pad", 0) == 1;
        if node.op == "MaxPool" {
            // Zero padding is neutral for max pooling of non-negative maps.
            if before.is_some() && !self.builder.non_negative() {
                return Err("its Pad before a MaxPool pads negative maps with zeros, which is not supported".into());
            }
            self.builder.push("pool", Op::MaxPool { kernel, stride, pad, rounding });
        } else if pad == before.unwrap_or_default() || counted {
            self.builder.push("pool", Op::AvgPool { kernel, stride, pad, rounding });
        } else {
            return Err("its AveragePool excludes its padding, which is not supported".into());
        }
        Ok(())
    }

    fn batch_norm(&mut self, node: &Node) -> ParseResult<()> {
        if !self.flat {
            self.maps("BatchNormalization")?;
        }
        if node.int("training_mode", 0) != 0 {
            return Err("its BatchNormalization is in training mode: export it again in inference mode (`model.eval()`)".into());
        }
        let tensors = [self.needed(node, 1)?, self.needed(node, 2)?, self.needed(node, 3)?, self.needed(node, 4)?];
        // ONNX's momentum weights the old statistics, ours the new ones.
        let momentum = (1.0 - node.float("momentum", 0.9)).clamp(0.0, 1.0);
        self.builder.batch_norm(node.float("epsilon", 1e-5), momentum, tensors);
        Ok(())
    }

    /// Flattens maps to features in axis order.
    fn flatten(&mut self, node: &Node) -> ParseResult<()> {
        let shape = node.inputs.get(1).and_then(|name| self.model.ints.get(name)).map(Vec::as_slice);
        let axes = match node.ints("shape") {
            [] => shape.map(<[i64]>::len),
            shape => Some(shape.len()),
        };
        if self.flat || (node.op == "Reshape" && axes.is_some_and(|axes| axes > 2)) {
            return if self.channels_last && !self.flat { Err("its Reshape of maps is not supported".into()) } else { Ok(()) };
        }
        if node.op == "Flatten" && !matches!(node.int("axis", 1), 1 | -3) {
            return Err("its Flatten does not start at axis 1, which is not supported".into());
        }
        self.flat = true;
        if std::mem::take(&mut self.channels_last) {
            let unknown =
                "its input size is dynamic, so the order of its features is unknown; export it again with a fixed image size";
            self.order = Some(self.builder.shape().ok_or(unknown)?);
        }
        Ok(())
    }

    /// Moves channels from first to last, or back.
    fn transpose(&mut self, node: &Node) -> ParseResult<()> {
        self.channels_last = match (node.ints("perm"), self.channels_last) {
            ([0, 3, 1, 2], true) => false,
            ([0, 2, 3, 1], false) if !self.flat => true,
            (order, last) => {
                let axes = if last { "rows, columns, channels" } else { "channels, rows, columns" };
                return Err(format!("its Transpose of [n, {axes}] to the order {order:?} is not supported"));
            }
        };
        Ok(())
    }

    /// Records a Pad for the next layer.
    fn zeros_around(&mut self, node: &Node) -> ParseResult<()> {
        let odd = || "its graph has a Pad other than zero padding of rows and columns, which is not supported".to_string();
        let (before, after, value) = padding(node, 4, self.model, self.reader).ok_or_else(odd)?;
        let [rows, columns] = if self.channels_last { [1, 2] } else { [2, 3] };
        let others = (0..4).filter(|axis| *axis != rows && *axis != columns);
        if value != 0.0 || self.flat || self.pad.is_some() || others.into_iter().any(|axis| before[axis] + after[axis] > 0) {
            return Err(odd());
        }
        self.pad = Some(Pad { top: before[rows], left: before[columns], bottom: after[rows], right: after[columns] });
        Ok(())
    }

    fn linear(&mut self, node: &Node, in_out: bool) -> ParseResult<()> {
        self.maps(&node.op)?;
        let (mut weight, mut in_out) = (self.needed(node, 1)?, in_out);
        let tensor = &self.model.tensors[weight];
        let out = match tensor.shape.as_slice() {
            &[rows, columns] => {
                if in_out {
                    columns
                } else {
                    rows
                }
            }
            other => return Err(format!("{} is {other:?}, not a matrix", tensor.name)),
        };
        let bias = match self.constant(node, 2)? {
            Some(bias) => bias,
            None => self.no_bias(weight, usize::from(in_out)),
        };
        if let Some(maps) = self.order.take().filter(|maps| maps.size > 1 && maps.channels > 1) {
            weight = self.channels_first(weight, in_out, maps)?;
            in_out = false;
        }
        self.builder.linear(out, in_out, (weight, bias));
        self.flat = true;
        Ok(())
    }

    /// Converts the weight of a linear layer after channels-last maps to channels-first: [out, c, rows, columns].
    fn channels_first(&mut self, weight: usize, in_out: bool, maps: Shape) -> ParseResult<usize> {
        let mut tensor = self.model.tensors[weight].clone();
        let strides = match &tensor.storage {
            Storage::Strided { strides, .. } => strides.clone(),
            _ => row_major(&tensor.shape).unwrap_or_default(),
        };
        let (&[mut out, mut inputs], &[mut across, mut along]) = (tensor.shape.as_slice(), strides.as_slice()) else {
            return Err(format!("{} is {:?}, not a matrix", tensor.name, tensor.shape));
        };
        if in_out {
            (out, inputs, across, along) = (inputs, out, along, across);
        }
        let Shape { channels, size } = maps;
        if maps.len() != inputs {
            return Err(format!("{} takes {inputs} values, but the maps have {}", tensor.name, maps.len()));
        }
        tensor.shape = vec![out, channels, size, size];
        let strides = vec![across, along, along * size * channels, along * channels];
        tensor.storage = match tensor.storage {
            Storage::Fill(value) => Storage::Fill(value),
            Storage::Runs(runs) if runs.len() == 1 => {
                Storage::Strided { file: None, start: runs[0].0, length: runs[0].1, strides }
            }
            Storage::External { file, start, length } => Storage::Strided { file: Some(file), start, length, strides },
            Storage::Strided { file, start, length, .. } => Storage::Strided { file, start, length, strides },
            _ => {
                let given = self.model.tensors[weight].clone();
                let values = self.model.read(&given, self.reader)?;
                let picked = super::super::tensor::pick(&values, &tensor.shape, &strides);
                tensor.dtype = Dtype::F32;
                Storage::Inline(picked.ok_or_else(|| format!("{}: too few values for its shape", given.name))?)
            }
        };
        tensor.name += " (channels first)";
        Ok(self.model.add(tensor))
    }

    /// Index of a zero bias for a layer without one.
    fn no_bias(&mut self, weight: usize, axis: usize) -> usize {
        let tensor = &self.model.tensors[weight];
        let out = tensor.shape.get(axis).copied().unwrap_or_default();
        self.filled(format!("{} (no bias)", tensor.name), out, 0.0)
    }

    /// Index of a constant-filled vector.
    pub(super) fn filled(&mut self, name: String, len: usize, value: f32) -> usize {
        self.model.add(Tensor { name, shape: vec![len], dtype: Dtype::F32, storage: Storage::Fill(value) })
    }
}
