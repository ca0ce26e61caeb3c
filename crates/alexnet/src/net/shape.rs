//! Shapes, parameters and multiply-accumulates of every layer.

use super::{Net, Op, Pad, Rounding};
use crate::{Error, Result};

/// The shape of one picture's activations after a layer: `channels` maps of `size` x `size` pixels.
/// After a linear layer `size` is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of maps, or of features.
    pub channels: usize,
    /// Rows and columns.
    pub size: usize,
}

impl Shape {
    /// Values in all.
    pub fn len(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a layer of a net takes, gives and costs, for one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerShape {
    /// The layer's name.
    pub name: String,
    /// What goes in.
    pub input: Shape,
    /// What comes out.
    pub output: Shape,
    /// Shape of the weights in canonical order (conv [out, in / groups, kernel, kernel], linear [out, in]); empty if none.
    pub weight: Vec<usize>,
    /// Weights and biases.
    pub parameters: usize,
    /// Multiply-accumulates of convolutions and linear layers, biases not counted.
    pub macs: u64,
}

impl Net {
    /// The shape of every layer, first to last.
    ///
    /// # Errors
    /// A layer whose window, groups or settings do not fit what goes into it.
    pub fn shapes(&self) -> Result<Vec<LayerShape>> {
        let mut input = Shape { channels: 3, size: self.image_size };
        let mut all = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let fail = |why: String| Error::Net(format!("{}: layer {}: {why}", self.name, layer.name));
            let mut weight = Vec::new();
            let mut macs = 0;
            let output = match layer.op {
                Op::Conv { out, kernel, stride, pad, groups, rounding, .. } => {
                    if groups == 0 || out == 0 || input.channels % groups != 0 || out % groups != 0 {
                        return Err(fail(format!("{} channels in and {out} out do not fall in {groups} groups", input.channels)));
                    }
                    let size = windows(input.size, kernel, stride, pad, rounding).map_err(fail)?;
                    weight = vec![out, input.channels / groups, kernel, kernel];
                    macs = (weight.iter().product::<usize>() * size * size) as u64;
                    Shape { channels: out, size }
                }
                Op::MaxPool { kernel, stride, pad, rounding } | Op::AvgPool { kernel, stride, pad, rounding } => {
                    Shape { channels: input.channels, size: windows(input.size, kernel, stride, pad, rounding).map_err(fail)? }
                }
                Op::AdaptiveAvgPool { out } if out > 0 => Shape { channels: input.channels, size: out },
                Op::AdaptiveAvgPool { .. } => return Err(fail("an output of 0 pixels".into())),
                Op::Linear { out, .. } => {
                    weight = vec![out, input.len()];
                    macs = (out * input.len()) as u64;
                    Shape { channels: out, size: 1 }
                }
                Op::Lrn { n, columns, .. } => {
                    if n % 2 == 0 || columns == 0 || input.channels % columns != 0 {
                        return Err(fail(format!("a window of {n} over {} channels in {columns} columns", input.channels)));
                    }
                    input
                }
                Op::SpatialNorm { n, .. } if n % 2 == 0 => return Err(fail(format!("the window of {n} pixels must be odd"))),
                Op::Activation { .. } | Op::SpatialNorm { .. } | Op::Dropout { .. } => input,
            };
            let parameters = if weight.is_empty() { 0 } else { weight.iter().product::<usize>() + weight[0] };
            all.push(LayerShape { name: layer.name.clone(), input, output, weight, parameters, macs });
            input = output;
        }
        Ok(all)
    }

    /// Number of classes: the outputs of the last layer that has weights.
    pub fn classes(&self) -> usize {
        self.layers.iter().rev().find_map(|l| if let Op::Linear { out, .. } = l.op { Some(out) } else { None }).unwrap_or(0)
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

    /// The same net for pictures of another size.
    #[must_use]
    pub fn with_image_size(mut self, image_size: usize) -> Self {
        self.image_size = image_size;
        self
    }
}

/// How many windows fit along one axis. Padding may differ from side to side but both axes give the same count.
fn windows(size: usize, kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Result<usize, String> {
    let along = |before: usize, after: usize| -> Result<usize, String> {
        let padded = size + before + after;
        if kernel == 0 || stride == 0 {
            return Err("kernel and stride must be at least 1".into());
        }
        if padded < kernel {
            return Err(format!(
                "a window of {kernel} pixels does not fit {size} pixels (padded: {padded}); use larger pictures"
            ));
        }
        Ok(match rounding {
            Rounding::Floor => (padded - kernel) / stride + 1,
            Rounding::Ceil => {
                let count = (padded - kernel).div_ceil(stride) + 1;
                // A last window that begins beyond the map sees nothing of it.
                if (count - 1) * stride >= size + before { count - 1 } else { count }
            }
        })
    };
    let rows = along(pad.top, pad.bottom)?;
    let columns = along(pad.left, pad.right)?;
    if rows == columns { Ok(rows) } else { Err(format!("the output would be {rows} x {columns}, not square")) }
}
