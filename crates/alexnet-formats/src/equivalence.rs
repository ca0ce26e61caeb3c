//! Functional equivalence of nets, for comparing a file's graph with the presets.

use crate::Result;
use alexnet_net::{Activation, DropoutStyle, Net, Op};

/// A layer as inference sees it: windows are described by start and count, independent of rounding and padding settings.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Conv {
        out: usize,
        kernel: usize,
        stride: usize,
        top: usize,
        left: usize,
        groups: usize,
        size: usize,
    },
    LocalConv {
        out: usize,
        kernel: usize,
        stride: usize,
        top: usize,
        left: usize,
        size: usize,
    },
    Activation(Activation),
    /// `n`, alpha for the plain sum, beta, `k`, columns.
    Lrn(usize, f32, f32, f32, usize),
    SpatialNorm(usize, f32, f32, f32),
    BatchNorm(f32),
    MaxPool {
        kernel: usize,
        stride: usize,
        top: usize,
        left: usize,
        size: usize,
    },
    AvgPool {
        kernel: usize,
        stride: usize,
        top: usize,
        left: usize,
        size: usize,
    },
    Adaptive(usize),
    /// Dropout that scales at inference.
    Scale(f32),
    Linear(usize),
}

/// The inference steps of a net without no-ops: dropout that scales in training, 1 x 1 pools, adaptive pools to the current size.
fn steps(net: &Net) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (layer, shape) in net.layers.iter().zip(net.shapes()?) {
        let size = shape.output.size;
        steps.push(match layer.op {
            Op::Conv { out, kernel, stride, pad, groups, .. } => {
                Step::Conv { out, kernel, stride, top: pad.top, left: pad.left, groups, size }
            }
            Op::LocalConv { out, kernel, stride, pad, .. } => {
                Step::LocalConv { out, kernel, stride, top: pad.top, left: pad.left, size }
            }
            Op::Activation { function } => Step::Activation(function),
            Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
                Step::Lrn(n, if divide_by_n { alpha / n as f32 } else { alpha }, beta, k, columns)
            }
            Op::SpatialNorm { n, alpha, beta, k } => Step::SpatialNorm(n, alpha, beta, k),
            Op::BatchNorm { eps, .. } => Step::BatchNorm(eps),
            Op::MaxPool { kernel: 1, stride: 1, .. } | Op::AvgPool { kernel: 1, stride: 1, .. } => continue,
            Op::MaxPool { kernel, stride, pad, .. } => Step::MaxPool { kernel, stride, top: pad.top, left: pad.left, size },
            Op::AvgPool { kernel, stride, pad, .. } => Step::AvgPool { kernel, stride, top: pad.top, left: pad.left, size },
            Op::AdaptiveAvgPool { out } if out == shape.input.size => continue,
            Op::AdaptiveAvgPool { out } => Step::Adaptive(out),
            Op::Dropout { style: DropoutStyle::ScaleInTraining, .. } => continue,
            Op::Dropout { rate, .. } => Step::Scale(1.0 - rate),
            Op::Linear { out, .. } => Step::Linear(out),
        });
    }
    Ok(steps)
}

/// Whether two nets compute the same function when given equal parameters.
pub(crate) fn same_answers(a: &Net, b: &Net) -> bool {
    let close = |x: f32, y: f32| (x - y).abs() <= 1e-5 * x.abs().max(y.abs());
    let (Ok(x), Ok(y)) = (steps(a), steps(b)) else { return false };
    a.image_size == b.image_size
        && x.len() == y.len()
        && x.iter().zip(&y).all(|(x, y)| match (x, y) {
            // 1e-4 / 5 may have been rounded by the exporter.
            (Step::Lrn(n, a, b, k, c), Step::Lrn(m, d, e, l, f)) => {
                n == m && close(*a, *d) && close(*b, *e) && close(*k, *l) && c == f
            }
            (x, y) => x == y,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_net::presets::{ALL, by_name};

    #[test]
    fn presets_are_functionally_distinct() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(!same_answers(&(a.build)(), &(b.build)()), "{} and {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn equivalence_ignores_names_dropout_and_rounding() {
        let net = by_name("bvlc").expect("a preset");
        let mut other = net.clone();
        other.name = "else".into();
        other.layers.retain(|l| !matches!(l.op, Op::Dropout { .. }));
        for layer in &mut other.layers {
            if let Op::MaxPool { rounding, .. } = &mut layer.op {
                *rounding = alexnet_net::Rounding::Floor; // equal at 227 pixels
            }
        }
        assert!(same_answers(&net, &other));
        assert!(!same_answers(&net, &by_name("caffenet").expect("a preset")));
        let torchvision = by_name("torchvision").expect("a preset");
        let mut without = torchvision.clone();
        without.layers.retain(|l| l.name != "avgpool");
        assert!(same_answers(&torchvision, &without));
        assert!(!same_answers(&torchvision.with_image_size(128), &without.with_image_size(128)));
    }
}
