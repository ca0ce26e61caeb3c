//! Input normalisation in a graph: per-channel subtraction, multiplication or division before the first layer. It becomes
//! preprocessing.

use super::super::reader::{ParseResult, Reader};
use super::proto::{Model, Node};
use alexnet_net::{Channels, JpegDecoding, Mean, Preprocess, Resize};

/// The accumulated transform: `factor` times the input plus `shift`, for each channel.
#[derive(Debug)]
pub(super) struct InputNormalization {
    factor: [f64; 3],
    shift: [f64; 3],
    any: bool,
}

impl InputNormalization {
    pub(super) fn new() -> Self {
        InputNormalization { factor: [1.0; 3], shift: [0.0; 3], any: false }
    }

    /// Applies an operator on `value` and a constant; `channels_last` gives the axis order of the image.
    pub(super) fn step(
        &mut self,
        node: &Node,
        value: &str,
        channels_last: bool,
        model: &Model,
        reader: &Reader,
    ) -> ParseResult<()> {
        let odd = |what: &str| format!("its {} before the first layer {what}", node.op);
        let commutes = matches!(node.op.as_str(), "Add" | "Mul");
        let other = match node.inputs.as_slice() {
            [from, other] if from == value => other,
            [other, from] if from == value && commutes => other,
            _ => return Err(odd("takes the image at an unsupported input position")),
        };
        let constant = model.find(other).map(|found| &model.tensors[found]);
        let constant = constant.ok_or_else(|| odd(&format!("takes {other}, which is not a constant")))?;
        let axes: Vec<usize> = constant.shape.iter().copied().skip_while(|n| *n == 1).collect();
        let numbers = match axes.as_slice() {
            [] => [constant.values(reader)?[0]; 3],
            [3, 1, 1] | [3] if channels_last == (axes.len() == 1) => {
                let values = constant.values(reader)?;
                [values[0], values[1], values[2]]
            }
            _ => {
                return Err(odd(&format!(
                    "takes a constant of shape {:?}; expected a scalar or one value per channel",
                    constant.shape
                )));
            }
        };
        for ((factor, shift), number) in self.factor.iter_mut().zip(&mut self.shift).zip(numbers.map(f64::from)) {
            match node.op.as_str() {
                "Add" => *shift += number,
                "Sub" => *shift -= number,
                "Mul" => (*factor, *shift) = (*factor * number, *shift * number),
                _ => (*factor, *shift) = (*factor / number, *shift / number),
            }
        }
        self.any = true;
        Ok(())
    }

    /// The preprocessing for images of this size, if any, and the assumption made.
    pub(super) fn finish(&self, size: usize) -> Option<(Preprocess, String)> {
        if !self.any {
            return None;
        }
        let mean: [f32; 3] = [0, 1, 2].map(|c| (-self.shift[c] / self.factor[c]) as f32);
        let std: [f32; 3] = self.factor.map(|factor| (1.0 / factor) as f32);
        // Means above 1 or large divisors imply input in 0 to 255 rather than 0 to 1.
        let bytes = mean.iter().any(|mean| mean.abs() > 1.0) || std.iter().any(|std| std.abs() > 16.0);
        // Photographs have less blue than red.
        let channels = if mean[0] < mean[1] && mean[1] < mean[2] { Channels::Bgr } else { Channels::Rgb };
        let (order, range) = (if channels == Channels::Bgr { "BGR" } else { "RGB" }, if bytes { "0 to 255" } else { "0 to 1" });
        let assumption = format!("its graph normalises its input; assuming {order} in {range}, judging by the means");
        let preprocess = Preprocess {
            resize: Resize::ShortSide((size as f64 * 256.0 / 224.0).round() as usize),
            crop: size,
            channels,
            scale: if bytes { 1.0 } else { 1.0 / 255.0 },
            mean: Mean::Channel(mean),
            std,
            jpeg: JpegDecoding::Exact,
        };
        Some((preprocess, assumption))
    }
}
