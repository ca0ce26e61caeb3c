//! Constructors for the rows of preset tables.

use crate::layer::{Activation, BiasInit, DropoutStyle, Layer, Op, Pad, Rounding, WeightInit};
use crate::net::Net;

pub(super) use Rounding::{Ceil, Floor};

/// Initialisation of a layer's weights and biases.
pub(super) type Init = (WeightInit, BiasInit);

/// Normal weights with this standard deviation, and constant biases.
pub(super) const fn normal(sigma: f32, bias: f32) -> Init {
    (WeightInit::Normal(sigma), BiasInit::Constant(bias))
}

/// Convolution with `pad` zeros on all sides, without partial windows (see [`ceil`]).
pub(super) fn conv(name: &str, out: usize, kernel: usize, stride: usize, pad: usize, groups: usize, init: Init) -> Layer {
    let (weight_init, bias_init) = init;
    let pad = Pad::all(pad);
    layer(name, Op::Conv { out, kernel, stride, pad, groups, rounding: Floor, weight_init, bias_init })
}

/// The same convolution with a last window that may extend past the right and lower edge.
pub(super) fn ceil(mut conv: Layer) -> Layer {
    if let Op::Conv { rounding, .. } = &mut conv.op {
        *rounding = Ceil;
    }
    conv
}

/// Locally connected layer of stride 1 with `pad` zeros on all sides.
pub(super) fn local(name: &str, out: usize, kernel: usize, pad: usize, init: Init) -> Layer {
    let (weight_init, bias_init) = init;
    layer(name, Op::LocalConv { out, kernel, stride: 1, pad: Pad::all(pad), rounding: Floor, weight_init, bias_init })
}

/// Average pooling without padding.
pub(super) fn avg_pool(name: &str, kernel: usize, stride: usize, rounding: Rounding) -> Layer {
    layer(name, Op::AvgPool { kernel, stride, pad: Pad::all(0), rounding })
}

/// Max pooling without padding.
pub(super) fn pool(name: &str, kernel: usize, stride: usize, rounding: Rounding) -> Layer {
    pool_padded(name, kernel, stride, Pad::all(0), rounding)
}

/// Max pooling with individual padding per side.
pub(super) fn pool_padded(name: &str, kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Layer {
    layer(name, Op::MaxPool { kernel, stride, pad, rounding })
}

/// Local response normalisation with the constants that all sources share: n = 5, alpha = 1e-4, beta = 0.75.
pub(super) fn lrn(name: &str, k: f32, divide_by_n: bool, columns: usize) -> Layer {
    layer(name, Op::Lrn { n: 5, alpha: 1e-4, beta: 0.75, k, divide_by_n, columns })
}

/// Batch normalisation with the constants of NVIDIA's Caffe, whose moving average keeps 0.9.
pub(super) fn batch_norm(name: &str) -> Layer {
    layer(name, Op::BatchNorm { eps: 1e-4, momentum: 0.1 })
}

/// ReLU, which [`Net::with_activation`] may replace.
pub(super) fn relu(name: &str) -> Layer {
    layer(name, Op::Activation { function: Activation::Relu })
}

/// Dropout with probability 0.5, as in all sources.
pub(super) fn drop(name: &str, style: DropoutStyle) -> Layer {
    layer(name, Op::Dropout { rate: 0.5, style })
}

/// Fully connected layer.
pub(super) fn fc(name: &str, out: usize, init: Init) -> Layer {
    let (weight_init, bias_init) = init;
    layer(name, Op::Linear { out, weight_init, bias_init })
}

/// A layer of any kind.
pub(super) fn layer(name: &str, op: Op) -> Layer {
    Layer { name: name.into(), op }
}

/// A net.
pub(super) fn net(name: &str, image_size: usize, layers: Vec<Layer>) -> Net {
    Net { name: name.into(), image_size, layers }
}
