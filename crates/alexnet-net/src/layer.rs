//! The kinds of layers, with every setting in which published AlexNets differ.

use serde::{Deserialize, Serialize};

/// A named layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// `conv1`, `relu1`, `norm1`, `pool1`, ... `fc8`: parameters are named after it, `conv1.weight` and `conv1.bias`.
    pub name: String,
    /// What it does.
    #[serde(flatten)]
    pub op: Op,
}

/// What a layer does. Maps are square; sizes are in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Convolution (a cross-correlation, as everywhere in this field) with one bias a kernel.
    /// Weights [out, in / groups, kernel, kernel].
    Conv {
        /// Number of kernels, K.
        out: usize,
        /// Rows and columns of a kernel, R = S.
        kernel: usize,
        /// Pixels from one window to the next.
        stride: usize,
        /// Zeros around the map.
        pad: Pad,
        /// Kernels and input channels fall in this many groups that do not see each other: 2 for the two GPUs of 2012.
        groups: usize,
        /// How the output's size is rounded; `Ceil` lets the last window hang over the edge and read zeros.
        rounding: Rounding,
        /// How the weights begin.
        weight_init: WeightInit,
        /// How the biases begin.
        bias_init: BiasInit,
    },
    /// A function of each value alone.
    Activation {
        /// Which.
        function: Activation,
    },
    /// Local response normalisation over channels (paper, section 3.3):
    /// `b = a / (k + c * sum of a^2 over n neighbouring channels)^beta`, with c = `alpha`, or `alpha / n`.
    Lrn {
        /// Channels in the window; odd.
        n: usize,
        /// Strength.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// What is added to the sum.
        k: f32,
        /// Whether alpha is divided by n (the 2012 code, Caffe, PyTorch) or not (the paper's text, TensorFlow).
        divide_by_n: bool,
        /// Equal columns of channels that the window never crosses: 2 for the two GPUs of the 2012 code, else 1.
        columns: usize,
    },
    /// The 2012 code's response normalisation within one map (`rnorm`): the window is n x n pixels, zeros beyond the edge,
    /// and alpha is divided by n^2.
    SpatialNorm {
        /// Rows and columns of the window; odd.
        n: usize,
        /// Strength.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// What is added to the sum.
        k: f32,
    },
    /// Batch normalisation (Ioffe and Szegedy 2015): each channel less its mean, divided by its deviation, times a weight, plus a
    /// bias. In training mean and variance are those of the batch's values of this channel, in inference running ones.
    BatchNorm {
        /// What is added to the variance.
        eps: f32,
        /// Share of the batch's statistics in the new running ones, as PyTorch counts: `running += momentum (batch - running)`. The
        /// variance of the batch counts with m / (m - 1) there, for m values of a channel.
        momentum: f32,
    },
    /// The largest value of each window. Padding never wins.
    MaxPool {
        /// Rows and columns of the window.
        kernel: usize,
        /// Pixels from one window to the next.
        stride: usize,
        /// Pixels beyond the map that windows may cover.
        pad: Pad,
        /// How the output's size is rounded.
        rounding: Rounding,
    },
    /// The mean of each window, over the pixels of it that lie on the map or its padding, as PyTorch and Caffe count them.
    AvgPool {
        /// Rows and columns of the window.
        kernel: usize,
        /// Pixels from one window to the next.
        stride: usize,
        /// Zeros around the map, which count.
        pad: Pad,
        /// How the output's size is rounded.
        rounding: Rounding,
    },
    /// Means over `out` x `out` windows that tile the map, whatever its size (PyTorch's AdaptiveAvgPool2d):
    /// window i covers pixels floor(i H / out) to ceil((i + 1) H / out).
    AdaptiveAvgPool {
        /// Rows and columns of the output.
        out: usize,
    },
    /// Sets each value to zero with probability `rate` in training.
    Dropout {
        /// Probability of zero.
        rate: f32,
        /// Where the expectation is put right.
        style: DropoutStyle,
    },
    /// Fully connected: weights [out, in], in = the map flattened in the order channel, row, column.
    Linear {
        /// Number of outputs.
        out: usize,
        /// How the weights begin.
        weight_init: WeightInit,
        /// How the biases begin.
        bias_init: BiasInit,
    },
}

/// A function of each value alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0), the paper's choice (section 3.1).
    Relu,
    /// The hyperbolic tangent, with which the paper compares.
    Tanh,
    /// 1 / (1 + exp(-x)), with which the page compares.
    Sigmoid,
}

impl Activation {
    /// `relu`, `tanh`, `sigmoid`: as in files, options and the names of layers.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        }
    }
}

/// Where dropout puts the expectation right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropoutStyle {
    /// Kept values are divided by 1 - rate in training ("inverted"): Caffe, PyTorch, the page's Paddle code.
    ScaleInTraining,
    /// All values are multiplied by 1 - rate in inference: the paper, the 2012 code, Paddle's own AlexNet.
    ScaleAtInference,
}

impl DropoutStyle {
    /// What kept values are multiplied by in training.
    pub fn in_training(self, rate: f32) -> f32 {
        match self {
            DropoutStyle::ScaleInTraining => 1.0 / (1.0 - rate),
            DropoutStyle::ScaleAtInference => 1.0,
        }
    }
}

/// Pixels added on each side of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Pad {
    /// The same on all four sides.
    pub const fn all(width: usize) -> Self {
        Pad { top: width, left: width, bottom: width, right: width }
    }
}

/// How the size of an output is rounded when the stride does not divide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Only windows that lie within the padded map: PyTorch, Paddle, Caffe's convolutions.
    Floor,
    /// A last window may hang over the edge (there a convolution reads zeros, a pool leaves out what is beyond); one that
    /// would begin beyond the map and its top or left padding is left out: the 2012 code, Caffe's pools.
    Ceil,
}

/// How weights begin. `fan_in` is the number of inputs of one output: in / groups x kernel x kernel, or in.
/// `fan_out` is out x kernel x kernel, or out; a convolution's stride does not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightInit {
    /// Normal, mean 0, this deviation (the paper, the 2012 code, Caffe).
    Normal(f32),
    /// Normal, values beyond two deviations drawn again (TF-slim).
    TruncatedNormal(f32),
    /// Uniform in plus or minus 1 / sqrt(fan_in) (PyTorch's default for conv and linear).
    UniformFanIn,
    /// Uniform in plus or minus this (Paddle's AlexNet gives fc7 and fc8 the bound of fc6).
    Uniform(f32),
    /// Normal, mean 0, deviation sqrt(2 / fan_in) (Paddle's default for conv; He et al. 2015).
    HeNormal,
    /// Uniform in plus or minus sqrt(6 / (fan_in + fan_out)) (Paddle's default for linear, TF-slim's for conv; Glorot and
    /// Bengio 2010).
    XavierUniform,
}

/// How biases begin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasInit {
    /// All the same.
    Constant(f32),
    /// Uniform in plus or minus 1 / sqrt(fan_in) of the layer (PyTorch's default).
    UniformFanIn,
    /// Uniform in plus or minus this.
    Uniform(f32),
}
