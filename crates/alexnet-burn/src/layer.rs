//! What each kind of layer makes of its input on one device. Maps are `[N, C, H, W]`; a linear layer's outputs `[N, K, 1, 1]`.

use super::matmul::Matmul;
use super::parameter::write;
use alexnet::net::{Activation, LayerShape, Op, Pad};
use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, activation};

/// Weights in canonical order and biases of a layer, or of a tower's half of it.
pub(crate) struct Values {
    pub(crate) weights: Tensor<1>,
    pub(crate) biases: Tensor<1>,
}

/// The layer's output, but for dropout and batch norms, which need to know more: which images these are, and what the way is for.
///
/// `shape` is the whole layer's. `values` may be those of some of its kernels: then these are its outputs. `groups` are the groups,
/// or a normalisation's columns, among the channels of `x`.
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
            let [pictures, channels, height, width] = x.dims();
            // Each column's channels as rows of an image.
            let squares = (x.clone() * x.clone()).reshape([pictures, groups, channels / groups, height * width]);
            let means = means_around(squares, [*n, 1]).reshape([pictures, channels, height, width]);
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
        // Batch norms and dropout are the towers'.
        (Op::BatchNorm { .. } | Op::Dropout { .. } | Op::Conv { .. } | Op::Linear { .. }, _) => x,
    }
}

/// Means over windows around every place; beyond the edge there are zeros.
fn means_around(x: Tensor<4>, window: [usize; 2]) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new(window).with_stride([1; 2]).with_padding(window.map(|n| n / 2)))
}

/// `[1, 1, count, count]`: kernel^2 over the pixels of each window that lie within `padded` rows and columns.
fn window_shares(count: usize, kernel: usize, stride: usize, padded: usize, device: &Device) -> Tensor<4> {
    let inside = |i: usize| (padded - i * stride).min(kernel) as f32;
    let share = |i: usize| (kernel * kernel) as f32 / (inside(i / count) * inside(i % count));
    write(&(0..count * count).map(share).collect::<Vec<f32>>(), [1, 1, count, count], device)
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
