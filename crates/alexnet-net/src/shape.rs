//! Shapes, parameters and multiply-accumulates of every layer.

use crate::layer::{Activation, Layer, Op, Pad, Rounding};
use crate::net::Net;
use alexnet_files::{Error, Result};
use std::collections::HashSet;

/// Shape of one image's activations after a layer: `channels` maps of `size` x `size` pixels. After a linear layer `size` is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of maps, or of features.
    pub channels: usize,
    /// Rows and columns.
    pub size: usize,
}

impl Shape {
    /// Total number of values.
    pub fn len(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Input, output and cost of a layer, for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerShape {
    /// The layer's name.
    pub name: String,
    /// Input shape.
    pub input: Shape,
    /// Output shape.
    pub output: Shape,
    /// Shape of the weights in canonical order (conv [out, in / groups, kernel, kernel], locally connected [places, out, in, kernel,
    /// kernel], linear [out, in], batch norm `[channels]`); empty if none.
    pub weight: Vec<usize>,
    /// Weights and biases.
    pub parameters: usize,
    /// Channels with running mean and variance, which are updated from batches and are not parameters; 0 if none.
    pub statistics: usize,
    /// Multiply-accumulates of convolutions and linear layers, without biases.
    pub macs: u64,
}

impl LayerShape {
    /// Number of leading axes of the weights that count outputs, each with its own kernel; the others count a kernel's inputs.
    fn output_axes(&self) -> usize {
        if self.weight.len() == LOCAL_AXES { 2 } else { self.weight.len().min(1) }
    }

    /// Shape of the biases: `[out]`, or [places, out] for a locally connected layer; empty if there are no weights.
    pub fn bias(&self) -> &[usize] {
        &self.weight[..self.output_axes()]
    }

    /// Number of weights of one output, `fan_in`; 1 if there are none.
    pub fn fan_in(&self) -> usize {
        self.weight[self.output_axes()..].iter().product()
    }
}

/// Axes of a locally connected layer's weights; those of other layers have fewer.
const LOCAL_AXES: usize = 5;

/// Cost of a whole net, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Weights and biases.
    pub parameters: usize,
    /// Multiply-accumulates of convolutions and linear layers, without biases.
    pub macs: u64,
    /// Outputs of convolutions and linear layers: the paper's "650,000 neurons".
    pub neurons: usize,
}

// A net may come from an untrusted file. These limits, far above any net that this program can run, keep every count below within
// 64 bits and bound the engine's memory.

/// Maximum number of layers; AlexNet has 21. Engines may take time quadratic in it.
const MOST_LAYERS: usize = 1 << 10;
/// Maximum number of rows or columns of a map, including padding.
const MOST_PIXELS: usize = 1 << 15;
/// Maximum number of maps or features.
const MOST_CHANNELS: usize = 1 << 20;
/// Maximum number of output values of a layer for one image.
const MOST_VALUES: u64 = 1 << 31;
/// Maximum number of weights of a layer.
const MOST_WEIGHTS: u64 = 1 << 32;

impl Net {
    /// The shape of every layer, first to last.
    ///
    /// # Errors
    /// No layers, too many, two of the same name, or a layer whose window, groups or settings do not fit what goes into it.
    pub fn shapes(&self) -> Result<Vec<LayerShape>> {
        if self.layers.len() > MOST_LAYERS {
            let layers = self.layers.len();
            return Err(Error::Net(format!(
                "a net with {layers} layers; AlexNet has a few dozen, and the limit is {MOST_LAYERS}"
            )));
        }
        let mut input = Shape { channels: 3, size: self.image_size };
        let mut names = HashSet::new();
        let mut all: Vec<LayerShape> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let fail = |why: String| Error::Net(format!("{}: layer {}: {why}", self.name, layer.name));
            if !names.insert(layer.name.as_str()) {
                return Err(fail("another layer has this name".into()));
            }
            let shape = layer_shape(layer, input).map_err(fail)?;
            input = shape.output;
            all.push(shape);
        }
        if all.is_empty() { Err(Error::Net(format!("{}: a net without layers", self.name))) } else { Ok(all) }
    }

    /// The smallest image size, up to 1,024 pixels, whose images pass through every layer.
    pub fn smallest_image_size(&self) -> Option<usize> {
        (1..=1024).find(|&size| self.clone().with_image_size(size).shapes().is_ok())
    }

    /// Validates the layers for an image size chosen by the user.
    ///
    /// # Errors
    /// Like [`Net::shapes`]; if a larger size would work, the message states it.
    pub fn check_image_size(&self) -> Result<()> {
        let Err(error) = self.shapes() else { return Ok(()) };
        match self.smallest_image_size() {
            Some(smallest) if smallest > self.image_size => Err(Error::Net(format!(
                "images of {} pixels are too small for {}, which needs at least {smallest} ({error})",
                self.image_size, self.name
            ))),
            _ => Err(error),
        }
    }

    /// Parameters, multiply-accumulates and neurons of the whole net.
    ///
    /// # Errors
    /// As [`Net::shapes`].
    pub fn totals(&self) -> Result<Totals> {
        let shapes = self.shapes()?;
        Ok(Totals {
            parameters: shapes.iter().map(|s| s.parameters).sum(),
            macs: shapes.iter().map(|s| s.macs).sum(),
            neurons: shapes.iter().filter(|s| s.weight.len() > 1).map(|s| s.output.len()).sum(),
        })
    }

    /// The index of a layer.
    ///
    /// # Errors
    /// An unknown name; the message lists the layers.
    pub fn layer(&self, name: &str) -> Result<usize> {
        self.layers.iter().position(|layer| layer.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
            Error::Net(format!("{} has no layer {name}; it has {}", self.name, names.join(", ")))
        })
    }

    /// Number of classes: the outputs of the last layer with weights.
    pub fn classes(&self) -> usize {
        self.layers.iter().rev().find_map(|l| if let Op::Linear { out, .. } = l.op { Some(out) } else { None }).unwrap_or(0)
    }

    /// The name of the first locally connected layer, if any; not every engine and format supports these.
    pub fn local_layer(&self) -> Option<&str> {
        self.layers.iter().find(|layer| matches!(layer.op, Op::LocalConv { .. })).map(|layer| layer.name.as_str())
    }

    /// Whether a layer is a batch norm, which not every engine supports.
    pub fn has_batch_norm(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer.op, Op::BatchNorm { .. }))
    }

    /// The same net with another number of classes.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        if let Some(Op::Linear { out, .. }) =
            self.layers.iter_mut().rev().map(|l| &mut l.op).find(|op| matches!(op, Op::Linear { .. }))
        {
            *out = classes;
        }
        self
    }

    /// The same net for images of another size. [`Net::shapes`] checks whether they are large enough.
    #[must_use]
    pub fn with_image_size(mut self, image_size: usize) -> Self {
        self.image_size = image_size;
        self
    }

    /// The same net with every activation replaced; `relu1` becomes `tanh1` and so on.
    #[must_use]
    pub fn with_activation(mut self, to: Activation) -> Self {
        for Layer { name, op } in &mut self.layers {
            if let Op::Activation { function } = op {
                if let Some(rest) = name.strip_prefix(function.name()) {
                    *name = format!("{}{rest}", to.name());
                }
                *function = to;
            }
        }
        self
    }
}

/// Computes the shape of a layer for `input`, or what is wrong with it.
fn layer_shape(layer: &Layer, input: Shape) -> Result<LayerShape, String> {
    let (mut weight, mut statistics) = (Vec::new(), 0);
    let output = match layer.op {
        Op::Conv { out, kernel, stride, pad, groups, rounding, .. } => {
            if groups == 0 || out == 0 || !input.channels.is_multiple_of(groups) || !out.is_multiple_of(groups) {
                return Err(format!("{} input and {out} output channels are not divisible into {groups} groups", input.channels));
            }
            let size = windows(input.size, kernel, stride, pad, rounding)?;
            weight = vec![out, input.channels / groups, kernel, kernel];
            Shape { channels: out, size }
        }
        Op::LocalConv { out, kernel, stride, pad, rounding, .. } => {
            if out == 0 {
                return Err("0 output channels".into());
            }
            let size = windows(input.size, kernel, stride, pad, rounding)?;
            weight = vec![size * size, out, input.channels, kernel, kernel];
            Shape { channels: out, size }
        }
        Op::MaxPool { kernel, stride, pad, rounding } | Op::AvgPool { kernel, stride, pad, rounding } => {
            // Otherwise a window could contain only padding, which has no maximum.
            if [pad.top, pad.left, pad.bottom, pad.right].iter().any(|&side| side >= kernel) {
                return Err(format!("the padding must be narrower than the window of {kernel} pixels"));
            }
            Shape { channels: input.channels, size: windows(input.size, kernel, stride, pad, rounding)? }
        }
        Op::AdaptiveAvgPool { out } if out > 0 => Shape { channels: input.channels, size: out },
        Op::AdaptiveAvgPool { .. } => return Err("an output of 0 pixels".into()),
        Op::Linear { out, .. } if out > 0 => {
            weight = vec![out, input.len()];
            Shape { channels: out, size: 1 }
        }
        Op::Linear { .. } => return Err("0 outputs".into()),
        Op::Lrn { n, columns, alpha, beta, k, .. } => {
            if n % 2 == 0 || columns == 0 || !input.channels.is_multiple_of(columns) {
                return Err(format!(
                    "a window of {n} over {} channels in {columns} columns: it must be odd, and the columns must be equal",
                    input.channels
                ));
            }
            norm_constants(alpha, beta, k)?;
            input
        }
        Op::SpatialNorm { n, alpha, beta, k } => {
            if n % 2 == 0 || n > MOST_PIXELS {
                return Err(format!("the window of {n} pixels must be odd and at most {MOST_PIXELS}"));
            }
            norm_constants(alpha, beta, k)?;
            input
        }
        Op::BatchNorm { eps, momentum } => {
            if !(eps > 0.0 && eps.is_finite() && (0.0..=1.0).contains(&momentum)) {
                return Err(format!("eps {eps} must be above 0, and momentum {momentum} in 0 to 1"));
            }
            (weight, statistics) = (vec![input.channels], input.channels);
            input
        }
        Op::Dropout { rate, .. } if !(0.0..1.0).contains(&rate) => return Err(format!("the rate {rate} must be in 0 to 1")),
        Op::Activation { .. } | Op::Dropout { .. } => input,
    };
    let values = || output.channels as u64 * (output.size as u64).pow(2);
    if output.size > MOST_PIXELS || output.channels > MOST_CHANNELS || values() > MOST_VALUES {
        return Err(format!("{} maps of {} x {} pixels exceed the limit", output.channels, output.size, output.size));
    }
    let weights = weight.iter().try_fold(1, |product: usize, &n| product.checked_mul(n)).filter(|&w| w as u64 <= MOST_WEIGHTS);
    let weights = weights.ok_or_else(|| format!("weights of shape {weight:?} exceed the limit"))?;
    let mut shape = LayerShape { name: layer.name.clone(), input, output, weight, parameters: 0, statistics, macs: 0 };
    if !shape.weight.is_empty() {
        shape.parameters = weights + shape.bias().iter().product::<usize>();
    }
    if !shape.weight.is_empty() && statistics == 0 {
        shape.macs = (output.len() * shape.fan_in()) as u64;
    }
    Ok(shape)
}

/// Checks that `(k + alpha * sum)^beta` is positive for any sum of squares.
fn norm_constants(alpha: f32, beta: f32, k: f32) -> Result<(), String> {
    let fine = alpha.is_finite() && beta.is_finite() && k.is_finite() && alpha >= 0.0 && k > 0.0;
    if fine { Ok(()) } else { Err(format!("alpha {alpha}, beta {beta}, k {k}: alpha must be at least 0 and k above 0")) }
}

/// Number of windows along one axis. Padding may differ between sides, but both axes must have the same count.
fn windows(size: usize, kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Result<usize, String> {
    let along = |before: usize, after: usize| -> Result<usize, String> {
        if kernel == 0 || stride == 0 {
            return Err("kernel and stride must be at least 1".into());
        }
        let padded = [before, after].iter().fold(size, |sum, &n| sum.saturating_add(n));
        if padded > MOST_PIXELS {
            return Err(format!("{size} pixels with padding exceed {MOST_PIXELS}; use smaller images"));
        }
        if padded < kernel {
            return Err(format!("a window of {kernel} pixels does not fit {size} pixels (padded: {padded}); use larger images"));
        }
        Ok(match rounding {
            Rounding::Floor => (padded - kernel) / stride + 1,
            Rounding::Ceil => {
                let count = (padded - kernel).div_ceil(stride) + 1;
                // A last window that starts beyond the map reads none of it.
                if (count - 1) * stride >= size + before { count - 1 } else { count }
            }
        })
    };
    let rows = along(pad.top, pad.bottom)?;
    let columns = along(pad.left, pad.right)?;
    if rows == columns { Ok(rows) } else { Err(format!("the output would be {rows} x {columns}, not square")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BiasInit, DropoutStyle, WeightInit};

    fn net(ops: &[Op]) -> Net {
        let layers = ops.iter().enumerate().map(|(i, op)| Layer { name: format!("layer{i}"), op: op.clone() }).collect();
        Net { name: "test".into(), image_size: 8, layers }
    }

    fn pool(kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Op {
        Op::MaxPool { kernel, stride, pad, rounding }
    }

    fn conv(out: usize, kernel: usize, stride: usize, pad: Pad, groups: usize) -> Op {
        let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
        Op::Conv { out, kernel, stride, pad, groups, rounding: Rounding::Floor, weight_init, bias_init }
    }

    fn linear(out: usize) -> Op {
        Op::Linear { out, weight_init: WeightInit::HeNormal, bias_init: BiasInit::Constant(0.0) }
    }

    fn local(out: usize, kernel: usize) -> Op {
        let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
        Op::LocalConv { out, kernel, stride: 1, pad: Pad::all(1), rounding: Rounding::Floor, weight_init, bias_init }
    }

    #[test]
    fn every_place_of_a_local_layer_has_its_own_kernels_and_biases() {
        let shapes = net(&[local(5, 3), linear(2)]).shapes().unwrap();
        assert_eq!((shapes[0].weight.as_slice(), shapes[0].bias()), (&[64, 5, 3, 3, 3][..], &[64, 5][..]));
        assert_eq!((shapes[0].parameters, shapes[0].macs, shapes[0].fan_in()), (64 * 5 * 27 + 64 * 5, 64 * 5 * 27, 27));
        assert_eq!((shapes[1].weight.as_slice(), shapes[1].bias(), shapes[1].fan_in()), (&[2, 320][..], &[2][..], 320));
        assert_eq!(net(&[local(5, 3), linear(2)]).local_layer(), Some("layer0"));
        assert_eq!(net(&[linear(2)]).local_layer(), None);
    }

    #[test]
    fn sizes_round_as_asked() {
        let size = |op: Op| net(&[op]).shapes().map(|s| s[0].output.size).ok();
        assert_eq!(size(pool(3, 2, Pad::all(0), Rounding::Floor)), Some(3));
        assert_eq!(size(pool(3, 2, Pad::all(0), Rounding::Ceil)), Some(4)); // the last window extends 1 pixel past the edge
        assert_eq!(size(pool(3, 2, Pad { bottom: 1, right: 1, ..Pad::all(0) }, Rounding::Floor)), Some(4));
        // Stride larger than the window: a fourth one would start at pixel 9, beyond the 8.
        assert_eq!(size(pool(1, 3, Pad::all(0), Rounding::Ceil)), Some(3));
        assert_eq!(size(pool(2, 5, Pad::all(1), Rounding::Ceil)), Some(2)); // so does a third
        assert_eq!(size(pool(8, 1, Pad::all(0), Rounding::Floor)), Some(1));
        assert_eq!(size(pool(9, 1, Pad::all(0), Rounding::Ceil)), None);
    }

    #[test]
    fn invalid_nets_are_refused_with_a_reason() {
        let most = usize::MAX;
        for (ops, message) in [
            (vec![], "without layers"),
            (vec![conv(96, 3, 1, Pad::all(0), 2)], "3 input and 96 output channels are not divisible into 2 groups"),
            (vec![conv(96, 3, 1, Pad::all(0), 0)], "0 groups"),
            (vec![conv(0, 3, 1, Pad::all(0), 1)], "0 out"),
            (vec![conv(96, 0, 1, Pad::all(0), 1)], "at least 1"),
            (vec![conv(96, 3, 0, Pad::all(0), 1)], "at least 1"),
            (vec![conv(96, 3, 2, Pad { top: 2, ..Pad::all(0) }, 1)], "not square"),
            (vec![conv(most, 3, 1, Pad::all(0), 1)], "exceed the limit"),
            (vec![conv(96, most, 1, Pad::all(0), 1)], "does not fit"),
            (vec![conv(96, 3, 1, Pad::all(most), 1)], "exceed"),
            (vec![conv(1 << 20, 3, 1, Pad::all(100), 1)], "exceed the limit"),
            (vec![pool(2, 1, Pad::all(2), Rounding::Floor)], "narrower"),
            (vec![Op::AdaptiveAvgPool { out: 0 }], "0 pixels"),
            (vec![Op::AdaptiveAvgPool { out: most }], "exceed the limit"),
            (vec![local(0, 3)], "0 output channels"),
            (vec![local(1 << 10, 3), local(1 << 20, 3)], "weights of shape [64, 1048576, 1024, 3, 3] exceed the limit"),
            (vec![local(8, 0)], "at least 1"),
            (vec![local(8, 11)], "does not fit"),
            (vec![linear(0)], "0 outputs"),
            (vec![linear(most)], "exceed the limit"),
            (vec![linear(1 << 20), linear(1 << 20)], "weights of shape [1048576, 1048576] exceed the limit"),
            (vec![Op::Lrn { n: 4, alpha: 1.0, beta: 1.0, k: 1.0, divide_by_n: true, columns: 1 }], "odd"),
            (vec![Op::Lrn { n: 5, alpha: 1.0, beta: 1.0, k: 1.0, divide_by_n: true, columns: 2 }], "2 columns"),
            (vec![Op::Lrn { n: 5, alpha: 1.0, beta: 1.0, k: 0.0, divide_by_n: true, columns: 1 }], "k above 0"),
            (vec![Op::SpatialNorm { n: 2, alpha: 1.0, beta: 1.0, k: 1.0 }], "odd"),
            (vec![Op::BatchNorm { eps: 0.0, momentum: 0.1 }], "eps"),
            (vec![Op::BatchNorm { eps: 1e-5, momentum: 1.5 }], "momentum 1.5"),
            (vec![Op::SpatialNorm { n: 3, alpha: f32::NAN, beta: 1.0, k: 1.0 }], "alpha"),
            (vec![Op::Dropout { rate: 1.0, style: DropoutStyle::ScaleInTraining }], "rate 1"),
            (vec![Op::Dropout { rate: f32::NAN, style: DropoutStyle::ScaleInTraining }], "rate NaN"),
        ] {
            let error = net(&ops).shapes().map(|_| ()).expect_err(message).to_string();
            assert!(error.starts_with("test: ") && error.contains(message), "{error}, expected: {message}");
        }
        let mut twins = net(&[linear(5), linear(5)]);
        twins.layers[1].name = "layer0".into();
        assert!(twins.shapes().expect_err("twins").to_string().contains("another layer has this name"));
    }
}
