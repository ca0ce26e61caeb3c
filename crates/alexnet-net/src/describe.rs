//! Human-readable descriptions of layers, for tables and messages.

use crate::layer::{DropoutStyle, Op, Pad, Rounding};
use std::fmt::{Display, Formatter, Result};

impl Op {
    /// The kind of layer, as in the `op` field of files: `conv`, `max_pool`, ...
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Conv { .. } => "conv",
            Op::LocalConv { .. } => "local_conv",
            Op::Activation { .. } => "activation",
            Op::Lrn { .. } => "lrn",
            Op::SpatialNorm { .. } => "spatial_norm",
            Op::BatchNorm { .. } => "batch_norm",
            Op::MaxPool { .. } => "max_pool",
            Op::AvgPool { .. } => "avg_pool",
            Op::AdaptiveAvgPool { .. } => "adaptive_avg_pool",
            Op::Dropout { .. } => "dropout",
            Op::Linear { .. } => "linear",
        }
    }
}

/// The kind and every setting that affects a trained net: `conv 5 x 5, pad 2, 2 groups`.
impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Op::Conv { kernel, stride, pad, groups, rounding, .. } => {
                write!(f, "conv")?;
                window(f, *kernel, *stride, *pad, *rounding)?;
                if *groups == 1 { Ok(()) } else { write!(f, ", {groups} groups") }
            }
            Op::LocalConv { kernel, stride, pad, rounding, .. } => {
                write!(f, "local conv")?;
                window(f, *kernel, *stride, *pad, *rounding)
            }
            Op::Activation { function } => write!(f, "{}", function.name()),
            Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
                let divided = if *divide_by_n { " / n" } else { "" };
                write!(f, "lrn, n {n}, alpha {alpha:e}{divided}, beta {beta}, k {k}")?;
                if *columns == 1 { Ok(()) } else { write!(f, ", {columns} columns") }
            }
            Op::SpatialNorm { n, alpha, beta, k } => {
                write!(f, "spatial norm {n} x {n}, alpha {alpha:e} / n^2, beta {beta}, k {k}")
            }
            Op::BatchNorm { eps, .. } => write!(f, "batch norm, eps {eps:e}"),
            Op::MaxPool { kernel, stride, pad, rounding } => {
                write!(f, "max pool")?;
                window(f, *kernel, *stride, *pad, *rounding)
            }
            Op::AvgPool { kernel, stride, pad, rounding } => {
                write!(f, "average pool")?;
                window(f, *kernel, *stride, *pad, *rounding)
            }
            Op::AdaptiveAvgPool { out } => write!(f, "adaptive average pool to {out} x {out}"),
            Op::Dropout { rate, style: DropoutStyle::ScaleInTraining } => write!(f, "dropout {rate}, scaled in training"),
            Op::Dropout { rate, style: DropoutStyle::ScaleAtInference } => write!(f, "dropout {rate}, scaled at inference"),
            Op::Linear { .. } => write!(f, "linear"),
        }
    }
}

/// ` 3 x 3, stride 2, pad 1, ceil`, without default settings.
fn window(f: &mut Formatter<'_>, kernel: usize, stride: usize, pad: Pad, rounding: Rounding) -> Result {
    write!(f, " {kernel} x {kernel}")?;
    if stride != 1 {
        write!(f, ", stride {stride}")?;
    }
    let Pad { top, left, bottom, right } = pad;
    if pad != Pad::all(top) {
        write!(f, ", pad {top} {left} {bottom} {right}")?; // top, left, bottom, right
    } else if top > 0 {
        write!(f, ", pad {top}")?;
    }
    if rounding == Rounding::Ceil { write!(f, ", ceil") } else { Ok(()) }
}

/// Formats a number with thousands separators: `61,100,840`.
pub fn with_commas(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
