//! Per-channel constants that a graph adds to a layer's outputs or multiplies them by: a separate bias, or a folded batch
//! normalisation.

use super::super::reader::ParseResult;
use super::super::tensor::{Dtype, Storage, Tensor};
use super::proto::Node;
use super::step::Walk;

/// Maximum bias length; AlexNet's has 4,096 values.
const LONGEST_BIAS: usize = 1 << 20;
/// Epsilon of a batch norm that only scales.
const EPS: f32 = 1e-5;

impl Walk<'_> {
    /// Adds or multiplies by a constant tensor: a scalar, [channels, 1, 1] for maps or [outputs] for features, with any number of
    /// leading axes of size 1.
    pub(super) fn arithmetic(&mut self, node: &Node, tensor: usize) -> ParseResult<()> {
        let adds = matches!(node.op.as_str(), "Add" | "Sub");
        let odd = || match adds {
            true => "its graph adds a tensor that is not a bias".to_string(),
            false => format!("its {} operand is not per channel, which is not supported", node.op),
        };
        let (out, maps) = self.builder.outputs().ok_or_else(odd)?;
        // A generated constant could have any length.
        if out > LONGEST_BIAS {
            return Err(format!("its graph adds a bias of {out} values, which is too long"));
        }
        let expected: &[usize] = if maps && !self.flat && !self.channels_last { &[out, 1, 1] } else { &[out] };
        let given = &self.model.tensors[tensor];
        let channels: Vec<usize> = given.shape.iter().copied().skip_while(|n| *n == 1).collect();
        let fits = given.shape.len() >= expected.len()
            && given.shape[given.shape.len() - expected.len()..] == *expected
            && given.shape[..given.shape.len() - expected.len()].iter().all(|n| *n == 1);
        if !fits && !channels.is_empty() {
            return Err(odd());
        }
        let mut given = given.clone();
        if fits {
            given.shape = vec![out];
        } else {
            let number = self.model.read(&given, self.reader)?.first().copied().unwrap_or_default();
            (given.shape, given.dtype, given.storage) = (vec![out], Dtype::F32, Storage::Fill(number));
        }
        if adds {
            let bias = self.builder.bias().copied().ok_or_else(odd)?;
            let sum = self.sum(bias, given, node.op == "Sub")?;
            self.builder.bias().into_iter().for_each(|bias| *bias = sum);
            return Ok(());
        }
        let weight = if node.op == "Div" { self.each(given, |value| 1.0 / value)? } else { self.model.add(given) };
        let name = |part: &str| format!("{} ({part})", node.outputs.first().map_or("", String::as_str));
        let (bias, mean) = (self.filled(name("no bias"), out, 0.0), self.filled(name("no mean"), out, 0.0));
        let variance = self.filled(name("no variance"), out, 1.0 - EPS);
        self.builder.batch_norm(EPS, 0.1, [weight, bias, mean, variance]);
        Ok(())
    }

    /// Returns the index of a bias tensor after adding `more` to it.
    fn sum(&mut self, bias: usize, more: Tensor, minus: bool) -> ParseResult<usize> {
        if matches!(self.model.tensors[bias].storage, Storage::Fill(0.0)) {
            return if minus { self.each(more, |value| -value) } else { Ok(self.model.add(more)) };
        }
        // The layer already has a bias.
        let name = format!("{} + {}", self.model.tensors[bias].name, more.name);
        let given = self.model.tensors[bias].clone();
        let (before, more) = (self.model.read(&given, self.reader)?, self.model.read(&more, self.reader)?);
        let sum = before.iter().zip(&more).map(|(a, b)| if minus { a - b } else { a + b }).collect();
        Ok(self.model.add(Tensor { name, shape: vec![more.len()], dtype: Dtype::F32, storage: Storage::Inline(sum) }))
    }

    /// Returns the index of a tensor with `change` applied to each value.
    fn each(&mut self, tensor: Tensor, change: impl Fn(f32) -> f32) -> ParseResult<usize> {
        let values = self.model.read(&tensor, self.reader)?.into_iter().map(change).collect();
        let name = format!("{} (changed)", tensor.name);
        Ok(self.model.add(Tensor { name, dtype: Dtype::F32, storage: Storage::Inline(values), ..tensor }))
    }
}
