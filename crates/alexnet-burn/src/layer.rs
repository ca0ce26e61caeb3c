//! What each kind of layer makes of its input on one device. Maps are `[N, C, H, W]`; a linear layer's outputs `[N, K, 1, 1]`.

use super::engine::Precision;
use super::matrix;
use alexnet::net::{Activation, LayerShape, Op, Pad};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{DType, Tensor, activation};

/// Weights in canonical order and biases of a layer, or of a tower's half of it.
pub(crate) struct Values {
    pub(crate) weights: Tensor<1>,
    pub(crate) biases: Tensor<1>,
}

/// The layer's output, but for dropout, which needs to know which pictures these are.
///
/// `shape` is the whole layer's. `values` may be those of some of its kernels: then these are its outputs. `groups` are the groups,
/// or a normalisation's columns, among the channels of `x`.
pub(crate) fn forward(
    op: &Op,
    shape: &LayerShape,
    groups: usize,
    x: Tensor<4>,
    values: Option<Values>,
    precision: Precision,
) -> Tensor<4> {
    let out = shape.output.size;
    match (op, values) {
        (Op::Conv { kernel, stride, pad, .. }, Some(values)) => {
            let x = padded(x, *pad, extent(out, *kernel, *stride), 0.0);
            let [_, channels, ..] = x.dims();
            let k = values.biases.dims()[0];
            let weights = values.weights.reshape([k, channels / groups, *kernel, *kernel]);
            let options = ConvOptions::new([*stride; 2], [0; 2], [1; 2], groups);
            let y = conv2d(shorter(x, precision), shorter(weights, precision), None, options).cast(DType::F32);
            y + values.biases.reshape([1, k, 1, 1])
        }
        (Op::Linear { .. }, Some(values)) => {
            let [n, channels, height, width] = x.dims();
            let (inputs, k) = (channels * height * width, values.biases.dims()[0]);
            let weights = values.weights.reshape([k, inputs]);
            let y = shorter(x.reshape([n, inputs]), precision).matmul(shorter(weights, precision).transpose()).cast(DType::F32);
            (y + values.biases.reshape([1, k])).reshape([n, k, 1, 1])
        }
        (Op::Activation { function }, _) => match function {
            Activation::Relu => activation::relu(x),
            Activation::Tanh => activation::tanh(x),
            Activation::Sigmoid => activation::sigmoid(x),
        },
        (Op::Lrn { n, alpha, beta, k, divide_by_n, .. }, _) => {
            let alpha = if *divide_by_n { alpha / *n as f32 } else { *alpha };
            let [pictures, channels, height, width] = x.dims();
            let window = matrix::window::<3>(channels, *n, groups, &x.device());
            let squares = (x.clone() * x.clone()).reshape([pictures, channels, height * width]);
            let sums = window.matmul(squares).reshape([pictures, channels, height, width]);
            x * (sums * alpha + *k).powf_scalar(-*beta)
        }
        (Op::SpatialNorm { n, alpha, beta, k }, _) => {
            let [_, _, height, width] = x.dims();
            let rows = matrix::window::<4>(height, *n, 1, &x.device());
            let columns = matrix::window::<4>(width, *n, 1, &x.device());
            let sums = rows.matmul(x.clone() * x.clone()).matmul(columns);
            x * (sums * (alpha / (n * n) as f32) + *k).powf_scalar(-*beta)
        }
        (Op::MaxPool { kernel, stride, pad, .. }, _) => {
            let x = padded(x, *pad, extent(out, *kernel, *stride), f32::NEG_INFINITY);
            max_pool2d(x, MaxPoolOptions::new([*kernel; 2]).with_stride([*stride; 2]))
        }
        (Op::AvgPool { kernel, stride, pad, .. }, _) => {
            let beyond = shape.input.size + pad.top + pad.bottom;
            let x = padded(x, *pad, extent(out, *kernel, *stride), 0.0);
            let shares = matrix::window_shares(out, *kernel, *stride, beyond, &x.device());
            avg_pool2d(x, AvgPoolOptions::new([*kernel; 2]).with_stride([*stride; 2])) * shares
        }
        (Op::AdaptiveAvgPool { out }, _) => {
            let [_, _, height, width] = x.dims();
            let (rows, columns) = (matrix::means(*out, height, &x.device()), matrix::means(*out, width, &x.device()));
            rows.matmul(x).matmul(columns.transpose())
        }
        // Nets with batch norms are refused.
        (Op::BatchNorm { .. } | Op::Dropout { .. } | Op::Conv { .. } | Op::Linear { .. }, _) => x,
    }
}

/// The factors of products, rounded if the engine does.
fn shorter<const D: usize>(x: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => x,
        Precision::Bf16 => x.cast(DType::BF16),
        Precision::F16 => x.cast(DType::F16),
    }
}

/// Pixels that `count` windows span.
fn extent(count: usize, kernel: usize, stride: usize) -> usize {
    (count - 1) * stride + kernel
}

/// `x` with `value` above and to the left as told, and below and to the right as far as `extent`: further than told where a last
/// window hangs over the edge, less far (even cut off) where pixels are left over.
fn padded(x: Tensor<4>, pad: Pad, extent: usize, value: f32) -> Tensor<4> {
    let [n, c, height, width] = x.dims();
    let x = x.slice([0..n, 0..c, 0..height.min(extent - pad.top), 0..width.min(extent - pad.left)]);
    let [_, _, height, width] = x.dims();
    let (below, right) = (extent - pad.top - height, extent - pad.left - width);
    if pad.top + pad.left + below + right == 0 {
        return x;
    }
    x.pad((pad.left, right, pad.top, below), PadMode::Constant(value))
}
