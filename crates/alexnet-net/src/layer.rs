//! Layer types, with every setting in which published AlexNets differ.

use serde::{Deserialize, Serialize};

/// A named layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// `conv1`, `relu1`, `norm1`, `pool1`, ... `fc8`. It prefixes the parameter names: `conv1.weight` and `conv1.bias`.
    pub name: String,
    /// The operation.
    #[serde(flatten)]
    pub op: Op,
}

/// The operation of a layer. Maps are square; sizes are in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Convolution (a cross-correlation, as usual in this field) with one bias per kernel. Weights [out, in / groups, kernel,
    /// kernel].
    Conv {
        /// Number of kernels, K.
        out: usize,
        /// Rows and columns of a kernel, R = S.
        kernel: usize,
        /// Distance between adjacent windows in pixels.
        stride: usize,
        /// Zero padding around the map.
        pad: Pad,
        /// Number of groups of kernels and input channels that do not read each other: 2 for the two GPUs of 2012.
        groups: usize,
        /// Rounding of the output size; with `Ceil` the last window may extend past the edge and read zeros.
        rounding: Rounding,
        /// Weight initialisation.
        weight_init: WeightInit,
        /// Bias initialisation.
        bias_init: BiasInit,
    },
    /// Locally connected layer (cuda-convnet's `local`): a convolution whose kernels, and biases, are not shared between places.
    /// Weights [places, out, in, kernel, kernel], biases [places, out], with the places row by row.
    LocalConv {
        /// Number of kernels at each place, K.
        out: usize,
        /// Rows and columns of a kernel, R = S.
        kernel: usize,
        /// Distance between adjacent windows in pixels.
        stride: usize,
        /// Zero padding around the map.
        pad: Pad,
        /// Rounding of the output size, as for a convolution.
        rounding: Rounding,
        /// Weight initialisation.
        weight_init: WeightInit,
        /// Bias initialisation.
        bias_init: BiasInit,
    },
    /// Elementwise function.
    Activation {
        /// The function.
        function: Activation,
    },
    /// Local response normalisation across channels (paper, section 3.3): `b = a / (k + c * sum of a^2 over n neighbouring
    /// channels)^beta`, with c = `alpha`, or `alpha / n`.
    Lrn {
        /// Channels in the window; odd.
        n: usize,
        /// Scale of the sum.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Constant added to the sum.
        k: f32,
        /// Whether alpha is divided by n (the 2012 code, Caffe, PyTorch) or not (the paper's text, TensorFlow).
        divide_by_n: bool,
        /// Number of equal channel groups that the window never crosses: 2 for the two GPUs of the 2012 code, else 1.
        columns: usize,
    },
    /// The 2012 code's within-channel response normalisation (`rnorm`): the window is n x n pixels with zero padding, and alpha
    /// is divided by n^2.
    SpatialNorm {
        /// Rows and columns of the window; odd.
        n: usize,
        /// Scale of the sum.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Constant added to the sum.
        k: f32,
    },
    /// Batch normalisation (Ioffe and Szegedy 2015): each channel minus its mean, divided by its standard deviation, times a
    /// weight, plus a bias. Training uses the batch's mean and variance, inference the running ones.
    BatchNorm {
        /// Constant added to the variance.
        eps: f32,
        /// Weight of the batch's statistics in the running ones, by PyTorch's convention: `running += momentum (batch -
        /// running)`. The batch variance is scaled by m / (m - 1) for that, for m values per channel.
        momentum: f32,
    },
    /// Maximum of each window. Padding never wins.
    MaxPool {
        /// Rows and columns of the window.
        kernel: usize,
        /// Distance between adjacent windows in pixels.
        stride: usize,
        /// Padding that windows may cover.
        pad: Pad,
        /// Rounding of the output size.
        rounding: Rounding,
    },
    /// Mean of each window, over its pixels within the map or its padding, as in PyTorch and Caffe.
    AvgPool {
        /// Rows and columns of the window.
        kernel: usize,
        /// Distance between adjacent windows in pixels.
        stride: usize,
        /// Zero padding around the map, which counts towards the mean.
        pad: Pad,
        /// Rounding of the output size.
        rounding: Rounding,
    },
    /// Means over `out` x `out` windows that tile a map of any size (PyTorch's AdaptiveAvgPool2d): window i covers pixels floor(i
    /// H / out) to ceil((i + 1) H / out).
    AdaptiveAvgPool {
        /// Rows and columns of the output.
        out: usize,
    },
    /// Sets each value to zero with probability `rate` in training.
    Dropout {
        /// Probability of zero.
        rate: f32,
        /// Where values are scaled to preserve the expectation.
        style: DropoutStyle,
    },
    /// Fully connected layer: weights [out, in], in = the map flattened in channel, row, column order.
    Linear {
        /// Number of outputs.
        out: usize,
        /// Weight initialisation.
        weight_init: WeightInit,
        /// Bias initialisation.
        bias_init: BiasInit,
    },
}

/// Elementwise activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0), the paper's choice (section 3.1).
    Relu,
    /// Hyperbolic tangent, the paper's baseline.
    Tanh,
    /// 1 / (1 + exp(-x)), the tutorial's baseline.
    Sigmoid,
}

impl Activation {
    /// `relu`, `tanh`, `sigmoid`: as in files, options and layer names.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        }
    }
}

/// Where dropout scales values to preserve the expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropoutStyle {
    /// Kept values are divided by 1 - rate in training ("inverted"): Caffe, PyTorch, the tutorial's Paddle code.
    ScaleInTraining,
    /// All values are multiplied by 1 - rate at inference: the paper, the 2012 code, Paddle's own AlexNet.
    ScaleAtInference,
}

impl DropoutStyle {
    /// Factor for kept values in training.
    pub fn in_training(self, rate: f32) -> f32 {
        match self {
            DropoutStyle::ScaleInTraining => 1.0 / (1.0 - rate),
            DropoutStyle::ScaleAtInference => 1.0,
        }
    }
}

/// Padding on each side of a map, in pixels.
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
    /// The same padding on all four sides.
    pub const fn all(width: usize) -> Self {
        Pad { top: width, left: width, bottom: width, right: width }
    }
}

/// Rounding of an output size when the stride does not divide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Only windows within the padded map: PyTorch, Paddle, Caffe's convolutions.
    Floor,
    /// The last window may extend past the edge (a convolution reads zeros there, a pool ignores it); one that would start beyond
    /// the map and its top or left padding is dropped: the 2012 code, Caffe's pools.
    Ceil,
}

/// Weight initialisation. `fan_in` is the number of inputs of one output: in / groups x kernel x kernel, or in. `fan_out` is out
/// x kernel x kernel, or out; a convolution's stride is ignored, and a locally connected layer counts as a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightInit {
    /// Normal with mean 0 and this standard deviation (the paper, the 2012 code, Caffe).
    Normal(f32),
    /// Normal, with values beyond two standard deviations redrawn (TF-slim).
    TruncatedNormal(f32),
    /// Uniform within ±1 / sqrt(fan_in) (PyTorch's default for conv and linear).
    UniformFanIn,
    /// Uniform within ± this bound (Paddle's AlexNet uses fc6's bound for fc7 and fc8).
    Uniform(f32),
    /// Normal with mean 0 and standard deviation sqrt(2 / fan_in) (Paddle's default for conv; He et al. 2015).
    HeNormal,
    /// Uniform within ±sqrt(6 / (fan_in + fan_out)) (Paddle's default for linear, TF-slim's for conv; Glorot and Bengio 2010).
    XavierUniform,
}

/// Bias initialisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasInit {
    /// A constant.
    Constant(f32),
    /// Uniform within ±1 / sqrt(fan_in) of the layer (PyTorch's default).
    UniformFanIn,
    /// Uniform within ± this bound.
    Uniform(f32),
}
