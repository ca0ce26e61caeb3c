//! Forward pass of each kind of layer on one device. Maps are `[N, C, H, W]`; a linear layer's outputs are `[N, K, 1,
//! 1]`.

use super::matmul::Matmul;
use super::parameter::write;
use alexnet::net::{Activation, LayerShape, Op, Pad};
use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, activation};

/// Weights in canonical order and biases of a layer, or of a tower's half.
pub(crate) struct Values {
    pub(crate) weights: Tensor<1>,
    pub(crate) biases: Tensor<1>,
}

/// Output of a layer, except for dropout and batch norms, which also depend on the images' indices and the forward
/// mode.
///
/// `shape` is that of the whole layer. `values` may hold only some of its kernels; the output then has their
/// channels. `groups` is the number of groups, or of a normalisation's columns, among the channels of `x`.
pub(crate) fn forward(
    op: &Op,
    shape: &LayerShape,
    groups: usize,
    x: Tensor<4>,
    values: Option<Values>,
    products: Matmul,
) -> Tensor<4> {
    let out = shape.output.size;
    match (op, values) {
        (Op::Conv { kernel, stride, pad, .. }, Some(values)) => {
            let x = padded(x, *pad, extent(out, *kernel, *stride), 0.0);
            let [_, channels, ..] = x.dims();
            let k = values.biases.dims()[0];
            let weights = values.weights.reshape([k, channels / groups, *kernel, *kernel]);
            products.convolution(x, weights, *stride, groups) + values.biases.reshape([1, k, 1, 1])
        }
        (Op::Linear { .. }, Some(values)) => {
            let k = values.biases.dims()[0];
            products.linear(x, values.weights, k) + values.biases.reshape([1, k, 1, 1])
        }
        (Op::Activation { function }, _) => match function {
            Activation::Relu => activation::relu(x),
            Activation::Tanh => activation::tanh(x),
            Activation::Sigmoid => activation::sigmoid(x),
        },
        (Op::Lrn { n, alpha, beta, k, divide_by_n, .. }, _) => {
            let alpha = if *divide_by_n { *alpha } else { alpha * *n as f32 };
            let [images, channels, height, width] = x.dims();
            // Treat each column's channels as rows of an image.
            let squares = (x.clone() * x.clone()).reshape([images, groups, channels / groups, height * width]);
            let means = means_around(squares, [*n, 1]).reshape([images, channels, height, width]);
            x * (means * alpha + *k).powf_scalar(-*beta)
        }
        (Op::SpatialNorm { n, alpha, beta, k }, _) => {
            let means = means_around(x.clone() * x.clone(), [*n; 2]);
            x * (means * *alpha + *k).powf_scalar(-*beta)
        }
        (Op::MaxPool { kernel, stride, pad, .. }, _) => {
            let x = padded(x, *pad, extent(out, *kernel, *stride), f32::NEG_INFINITY);
            max_pool2d(x, MaxPoolOptions::new([*kernel; 2]).with_stride([*stride; 2]))
        }
        (Op::AvgPool { kernel, stride, pad, .. }, _) => {
            let beyond = shape.input.size + pad.top + pad.bottom;
            let x = padded(x, *pad, extent(out, *kernel, *stride), 0.0);
            let shares = window_shares(out, *kernel, *stride, beyond, &x.device());
            avg_pool2d(x, AvgPoolOptions::new([*kernel; 2]).with_stride([*stride; 2])) * shares
        }
        (Op::AdaptiveAvgPool { out }, _) => adaptive_avg_pool2d(x, [*out; 2]),
        // The engine refuses nets with locally connected layers.
        (Op::LocalConv { .. }, _) => x,
        // The towers handle batch norms and dropout.
        (Op::BatchNorm { .. } | Op::Dropout { .. } | Op::Conv { .. } | Op::Linear { .. }, _) => x,
    }
}

/// Mean over a window around every position, with zeros beyond the edge.
fn means_around(x: Tensor<4>, window: [usize; 2]) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new(window).with_stride([1; 2]).with_padding(window.map(|n| n / 2)))
}

/// `[1, 1, count, count]`: kernel^2 divided by the number of pixels of each window that lie within `padded` rows and
/// columns.
fn window_shares(count: usize, kernel: usize, stride: usize, padded: usize, device: &Device) -> Tensor<4> {
    let inside = |i: usize| (padded - i * stride).min(kernel) as f32;
    let share = |i: usize| (kernel * kernel) as f32 / (inside(i / count) * inside(i % count));
    write(&(0..count * count).map(share).collect::<Vec<f32>>(), [1, 1, count, count], device)
}

/// Number of pixels that `count` windows span.
fn extent(count: usize, kernel: usize, stride: usize) -> usize {
    (count - 1) * stride + kernel
}

/// `x` padded with `value`: above and to the left by `pad`, below and to the right up to `extent`. That is more than
/// `pad` if the last window extends past the edge, and less (even cropping) if pixels are left over.
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
