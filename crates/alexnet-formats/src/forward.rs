//! Reference forward pass in plain f64 loops, for the graph tests.

use super::model::Model;
use alexnet_net::{Activation, LayerShape, Op};

/// The logits of one input `[3, size, size]`, dropout off.
pub(crate) fn logits(model: &Model, input: &[f32]) -> Vec<f32> {
    let values = |name: String| model.tensors.get(&name).map(|values| values.to_vec()).unwrap_or_default();
    let shapes = model.net.shapes().expect("a sound net");
    let mut x: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
    for (layer, shape) in model.net.layers.iter().zip(&shapes) {
        let [weight, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|part| values(format!("{}.{part}", layer.name)));
        x = step(&layer.op, shape, &x, [&weight, &bias, &mean, &variance]);
    }
    x.into_iter().map(|x| x as f32).collect()
}

fn step(op: &Op, shape: &LayerShape, x: &[f64], [weight, bias, mean, variance]: [&[f32]; 4]) -> Vec<f64> {
    let (channels, size, out) = (shape.input.channels, shape.input.size, shape.output.size);
    let plane = size * size;
    // Pixels of a window that lie on the map, as positions in the window and on the map.
    let window = |row: usize, column: usize, kernel: usize, stride: usize, top: usize, left: usize| {
        let places = (0..kernel * kernel).map(move |at| (at, row * stride + at / kernel, column * stride + at % kernel));
        let on_map = places.filter(move |(_, y, x)| (top..top + size).contains(y) && (left..left + size).contains(x));
        on_map.map(move |(at, y, x)| (at, (y - top) * size + x - left))
    };
    let outputs = |count: usize| (0..count).flat_map(|c| (0..out * out).map(move |at| (c, at / out, at % out)));
    let square = |range: std::ops::Range<usize>| range.map(|i| x[i] * x[i]).sum::<f64>();
    match *op {
        Op::Conv { out: maps, kernel, stride, pad, groups, .. } => {
            let inputs = channels / groups;
            let unit = |(map, row, column): (usize, usize, usize)| {
                let first = map / (maps / groups) * inputs;
                let taps = |c: usize| {
                    let weights = &weight[(map * inputs + c) * kernel * kernel..];
                    let map = &x[(first + c) * plane..];
                    window(row, column, kernel, stride, pad.top, pad.left)
                        .map(move |(at, pixel)| f64::from(weights[at]) * map[pixel])
                };
                f64::from(bias[map]) + (0..inputs).flat_map(taps).sum::<f64>()
            };
            outputs(maps).map(unit).collect()
        }
        Op::LocalConv { out: maps, kernel, stride, pad, .. } => {
            let unit = |(map, row, column): (usize, usize, usize)| {
                let own = (row * out + column) * maps + map;
                let taps = |c: usize| {
                    let weights = &weight[(own * channels + c) * kernel * kernel..];
                    let map = &x[c * plane..];
                    window(row, column, kernel, stride, pad.top, pad.left)
                        .map(move |(at, pixel)| f64::from(weights[at]) * map[pixel])
                };
                f64::from(bias[own]) + (0..channels).flat_map(taps).sum::<f64>()
            };
            outputs(maps).map(unit).collect()
        }
        Op::Linear { .. } => {
            let row = |(weights, bias): (&[f32], &f32)| {
                f64::from(*bias) + weights.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
            };
            weight.chunks_exact(x.len()).zip(bias).map(row).collect()
        }
        Op::Activation { function } => {
            let apply = |x: &f64| match function {
                Activation::Relu => x.max(0.0),
                Activation::Tanh => x.tanh(),
                Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            };
            x.iter().map(apply).collect()
        }
        Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
            let alpha = f64::from(alpha) / if divide_by_n { n as f64 } else { 1.0 };
            let part = channels / columns;
            let unit = |i: usize| {
                let (c, pixel) = (i / plane, i % plane);
                let (first, half) = (c / part * part, n / 2);
                let around = c.saturating_sub(half).max(first)..(c + half + 1).min(first + part);
                let sum: f64 = around.map(|c| x[c * plane + pixel] * x[c * plane + pixel]).sum();
                x[i] * (f64::from(k) + alpha * sum).powf(-f64::from(beta))
            };
            (0..x.len()).map(unit).collect()
        }
        Op::SpatialNorm { n, alpha, beta, k } => {
            let unit = |(c, row, column): (usize, usize, usize)| {
                let around = window(row, column, n, 1, n / 2, n / 2);
                let sum: f64 = around.map(|(_, pixel)| square(c * plane + pixel..c * plane + pixel + 1)).sum();
                let d = f64::from(k) + f64::from(alpha) / (n * n) as f64 * sum;
                x[c * plane + row * size + column] * d.powf(-f64::from(beta))
            };
            outputs(channels).map(unit).collect()
        }
        Op::BatchNorm { eps, .. } => {
            let unit = |(i, x): (usize, &f64)| {
                let [weight, bias, mean, variance] = [weight, bias, mean, variance].map(|of| f64::from(of[i / plane]));
                (x - mean) / (variance + f64::from(eps)).sqrt() * weight + bias
            };
            x.iter().enumerate().map(unit).collect()
        }
        Op::MaxPool { kernel, stride, pad, .. } => {
            let unit = |(c, row, column): (usize, usize, usize)| {
                let seen = window(row, column, kernel, stride, pad.top, pad.left).map(|(_, pixel)| x[c * plane + pixel]);
                seen.fold(f64::NEG_INFINITY, f64::max)
            };
            outputs(channels).map(unit).collect()
        }
        Op::AvgPool { kernel, stride, pad, .. } => {
            // Padding counts; positions beyond it do not.
            let padded = |first: usize, end: usize| (first + kernel).min(end) - first;
            let unit = |(c, row, column): (usize, usize, usize)| {
                let count =
                    padded(row * stride, size + pad.top + pad.bottom) * padded(column * stride, size + pad.left + pad.right);
                let seen = window(row, column, kernel, stride, pad.top, pad.left).map(|(_, pixel)| x[c * plane + pixel]);
                seen.sum::<f64>() / count as f64
            };
            outputs(channels).map(unit).collect()
        }
        Op::AdaptiveAvgPool { .. } => {
            let tile = |i: usize| i * size / out..((i + 1) * size).div_ceil(out);
            let unit = |(c, row, column): (usize, usize, usize)| {
                let pixels: Vec<_> = tile(row).flat_map(|y| tile(column).map(move |x| y * size + x)).collect();
                pixels.iter().map(|pixel| x[c * plane + pixel]).sum::<f64>() / pixels.len() as f64
            };
            outputs(channels).map(unit).collect()
        }
        Op::Dropout { rate, style } => {
            let kept = if style == alexnet_net::DropoutStyle::ScaleAtInference { 1.0 - f64::from(rate) } else { 1.0 };
            x.iter().map(|x| x * kept).collect()
        }
    }
}
