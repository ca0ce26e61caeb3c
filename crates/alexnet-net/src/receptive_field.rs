//! Receptive fields: the image pixels that a unit depends on.

use crate::layer::{Op, Pad};
use crate::net::Net;
use crate::shape::Shape;
use alexnet_files::Result;

/// Receptive fields of a layer's units as a grid: unit (i, j) reads `size` rows from `top + i * jump` and as many columns from
/// `left + j * jump`. Some of them may be in the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Rows and columns that a unit reads.
    pub size: usize,
    /// Distance between adjacent units in pixels.
    pub jump: usize,
    /// First row of unit (0, 0); negative in the padding.
    pub top: isize,
    /// First column of unit (0, 0).
    pub left: isize,
}

/// Inclusive range of rows or columns of an image or map.
type Span = (usize, usize);

impl Net {
    /// The grid of receptive fields of a layer, or `None` where its units read the whole image (linear layers and their
    /// successors) or windows of unequal sizes (an adaptive pool that does not divide its map).
    ///
    /// Through a window of k pixels at stride s and padding p: size + (k - 1) jump, top - p jump, jump s.
    ///
    /// # Errors
    /// An unknown layer, or an invalid net.
    pub fn receptive_field(&self, layer: &str) -> Result<Option<ReceptiveField>> {
        let last = self.layer(layer)?;
        let mut field = ReceptiveField { size: 1, jump: 1, top: 0, left: 0 };
        for (layer, shape) in self.layers[..=last].iter().zip(self.shapes()?) {
            let (kernel, stride, pad) = match layer.op {
                Op::Conv { kernel, stride, pad, .. }
                | Op::LocalConv { kernel, stride, pad, .. }
                | Op::MaxPool { kernel, stride, pad, .. }
                | Op::AvgPool { kernel, stride, pad, .. } => (kernel, stride, pad),
                Op::SpatialNorm { n, .. } => (n, 1, Pad::all(n / 2)),
                Op::AdaptiveAvgPool { out } if shape.input.size.is_multiple_of(out) => {
                    let window = shape.input.size / out;
                    (window, window, Pad::all(0))
                }
                Op::AdaptiveAvgPool { .. } | Op::Linear { .. } => return Ok(None),
                _ => continue,
            };
            let back = |pad: usize| (pad * field.jump) as isize;
            field = ReceptiveField {
                size: field.size + (kernel - 1) * field.jump,
                jump: field.jump * stride,
                top: field.top - back(pad.top),
                left: field.left - back(pad.left),
            };
        }
        Ok(Some(field))
    }

    /// Inclusive row and column ranges of the pixels that the unit at (`row`, `column`) of a layer reads, without padding.
    ///
    /// # Errors
    /// An unknown layer, or an invalid net.
    ///
    /// # Panics
    /// When the row or column is out of range.
    pub fn seen_by(&self, layer: &str, row: usize, column: usize) -> Result<(Span, Span)> {
        let last = self.layer(layer)?;
        let shapes = self.shapes()?;
        let size = shapes[last].output.size;
        assert!(row < size && column < size, "unit ({row}, {column}) of {size} x {size}");
        let (mut rows, mut columns) = ((row, row), (column, column));
        for (layer, shape) in self.layers[..=last].iter().zip(&shapes).rev() {
            let pad = match layer.op {
                Op::Conv { pad, .. } | Op::LocalConv { pad, .. } | Op::MaxPool { pad, .. } | Op::AvgPool { pad, .. } => pad,
                _ => Pad::all(0),
            };
            rows = before(&layer.op, rows, pad.top, shape.input);
            columns = before(&layer.op, columns, pad.left, shape.input);
        }
        Ok((rows, columns))
    }
}

/// Range that a layer reads along one axis to compute the units of a span.
fn before(op: &Op, (first, last): Span, pad: usize, input: Shape) -> Span {
    let size = input.size;
    match *op {
        Op::Conv { kernel, stride, .. }
        | Op::LocalConv { kernel, stride, .. }
        | Op::MaxPool { kernel, stride, .. }
        | Op::AvgPool { kernel, stride, .. } => {
            let from = (first * stride).saturating_sub(pad).min(size - 1);
            (from, (last * stride + kernel - 1).saturating_sub(pad).clamp(from, size - 1))
        }
        Op::SpatialNorm { n, .. } => (first.saturating_sub(n / 2), (last + n / 2).min(size - 1)),
        Op::AdaptiveAvgPool { out } => (first * size / out, ((last + 1) * size).div_ceil(out) - 1),
        Op::Linear { .. } => (0, size - 1),
        _ => (first, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;

    #[test]
    fn known_fields_of_alexnet() {
        // conv1 11 at stride 4, pad 2; pool1: 11 + 2 * 4 = 19, jump 8; conv2 5: 19 + 4 * 8 = 51; pool2 67, jump 16; conv3 99,
        // conv4 131, conv5 163; pool5 195, jump 32: the figures of Araujo, Norris and Sim, "Computing receptive fields" (2019).
        let net = presets::by_name("torchvision").unwrap();
        let field = |layer: &str| net.receptive_field(layer).unwrap();
        assert_eq!(field("conv1"), Some(ReceptiveField { size: 11, jump: 4, top: -2, left: -2 }));
        assert_eq!(field("pool1").map(|f| (f.size, f.jump)), Some((19, 8)));
        assert_eq!(field("conv2").map(|f| (f.size, f.jump)), Some((51, 8)));
        assert_eq!(field("conv3").map(|f| (f.size, f.jump)), Some((99, 16)));
        assert_eq!(field("relu5").map(|f| (f.size, f.jump)), Some((163, 16)));
        assert_eq!(field("pool5").map(|f| (f.size, f.jump)), Some((195, 32)));
        assert_eq!(field("fc6"), None);
        assert_eq!(net.seen_by("conv1", 0, 1).unwrap(), ((0, 8), (2, 12)));
        assert_eq!(net.seen_by("fc8", 0, 0).unwrap(), ((0, 223), (0, 223)));
        assert!(net.receptive_field("conv9").is_err());
    }
}
