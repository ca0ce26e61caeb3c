//! Two-tower placement: a net with groups split across two devices as in 2012 (paper, section 3.2 and figure 2).
//!
//! Each tower holds half of every layer's maps and the kernels that compute them. A grouped layer reads only its own tower's
//! maps; a layer without groups reads all, so each tower first receives the other's half. The plan, including which layers those
//! are, follows from the list of layers alone. In the backward pass, the gradients of the received values are sent back: the same
//! number of values again.

use std::ops::Range;

use crate::layer::Op;
use crate::net::Net;
use crate::presets;
use crate::shape::Shape;
use alexnet_files::{Error, Result};

/// Placement of a layer of a two-tower net, and what it receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TowerLayer {
    /// The layer's name.
    pub name: String,
    /// Where it is computed.
    pub place: Place,
    /// What it reads from the other tower.
    pub crossing: Crossing,
    /// Values that tower 0 and tower 1 receive from each other for one image in the forward pass, and send back as gradients.
    pub received: [usize; 2],
}

/// Where a layer is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Half of the outputs in each tower: the first half in tower 0.
    Halves,
    /// All outputs in tower 0: the logits.
    First,
}

/// What a layer reads from the other tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Nothing.
    Nothing,
    /// The other tower's whole part of the previous layer.
    Whole,
    /// This many maps next to the border between the towers: a normalisation whose window crosses it. The 2012 code's does not
    /// (two columns); the paper's formula and Caffe's do.
    Edge(usize),
}

impl TowerLayer {
    /// The outputs that tower 0 or 1 computes, out of `outputs`.
    pub fn outputs(&self, tower: usize, outputs: usize) -> Range<usize> {
        match (self.place, tower) {
            (Place::Halves, 0) => 0..outputs / 2,
            (Place::Halves, _) => outputs / 2..outputs,
            (Place::First, 0) => 0..outputs,
            (Place::First, _) => 0..0,
        }
    }

    /// Bytes transferred for one image, forward and backward, in both directions together, as 32-bit values.
    pub fn bytes(&self) -> usize {
        2 * 4 * self.received.iter().sum::<usize>()
    }
}

impl Op {
    /// Groups of a convolution, or columns of a normalisation, within the maps of one tower: half of them, or all if they cannot
    /// be halved. 1 for other layers.
    pub fn groups_of_tower(&self) -> usize {
        match *self {
            Op::Conv { groups: n, .. } | Op::Lrn { columns: n, .. } => {
                if n.is_multiple_of(2) {
                    n / 2
                } else {
                    n
                }
            }
            _ => 1,
        }
    }
}

impl Net {
    /// Places the net's layers on two towers.
    ///
    /// # Errors
    /// A net without layers in two groups, one that cannot be halved, or an error of [`Net::shapes`].
    pub fn towers(&self) -> Result<Vec<TowerLayer>> {
        let shapes = self.shapes()?;
        let grouped = |op: &Op| matches!(op, Op::Conv { groups, .. } if groups % 2 == 0);
        if !self.layers.iter().any(|layer| grouped(&layer.op)) {
            let halves = |net: &Net| net.layers.iter().any(|l| grouped(&l.op)) && !net.has_batch_norm();
            let able = presets::ALL.iter().map(|preset| (preset.build)()).filter(halves);
            let names: Vec<String> = able.map(|net| net.name).collect();
            let message = "no layer has two groups, so every layer would need the whole previous one; two-tower nets:";
            return Err(Error::Net(format!("{}: {message} {}", self.name, names.join(", "))));
        }
        let last = self.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. })).unwrap_or(usize::MAX);
        let mut plan: Vec<TowerLayer> = Vec::with_capacity(shapes.len());
        // Before the first convolution there is only the image, which both towers have.
        let mut split = false;
        for (i, (layer, shape)) in self.layers.iter().zip(&shapes).enumerate() {
            let fail = |why: &str| Error::Net(format!("{}: layer {}: {why} two towers", self.name, layer.name));
            let place = if i >= last { Place::First } else { Place::Halves };
            let crossing = match layer.op {
                Op::Conv { groups, .. } if groups % 2 == 0 => Crossing::Nothing,
                Op::Conv { groups, .. } if groups != 1 => return Err(fail(&format!("{groups} groups cannot be split into"))),
                Op::Conv { .. } | Op::Linear { .. } if split => Crossing::Whole,
                Op::Lrn { n, columns: 1, .. } if split => Crossing::Edge((n / 2).min(shape.input.channels / 2)),
                Op::Lrn { columns, .. } if columns % 2 == 1 && split => {
                    return Err(fail(&format!("{columns} columns cannot be split into")));
                }
                _ => Crossing::Nothing,
            };
            if matches!(layer.op, Op::LocalConv { .. }) {
                return Err(fail("a locally connected layer is not supported with"));
            }
            if matches!(layer.op, Op::BatchNorm { .. }) {
                return Err(fail("batch normalisation is not supported with"));
            }
            let begins = matches!(layer.op, Op::Conv { .. } | Op::Linear { .. });
            if !split && !begins {
                return Err(fail("it precedes the first convolution, which starts the"));
            }
            split = true;
            if place == Place::Halves && !shape.output.channels.is_multiple_of(2) {
                return Err(fail(&format!("{} outputs cannot be split into", shape.output.channels)));
            }
            let half = |maps: usize| Shape { channels: maps, ..shape.input }.len();
            let received = match (crossing, place) {
                (Crossing::Nothing, _) => [0, 0],
                // After the first layer that runs only on tower 0, nothing is left to send.
                (Crossing::Whole, Place::First) => [half(shape.input.channels / 2), 0],
                (Crossing::Whole, Place::Halves) => [half(shape.input.channels / 2); 2],
                (Crossing::Edge(maps), _) => [half(maps); 2],
            };
            plan.push(TowerLayer { name: layer.name.clone(), place, crossing, received });
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers that receive values from the other tower, with the number per tower for one image.
    fn crossings(name: &str) -> Vec<(String, [usize; 2])> {
        let plan = presets::by_name(name).unwrap().towers().unwrap();
        plan.into_iter().filter(|layer| layer.crossing != Crossing::Nothing).map(|l| (l.name, l.received)).collect()
    }

    fn named<const N: usize>(all: [(&str, [usize; 2]); N]) -> Vec<(String, [usize; 2])> {
        all.map(|(name, received)| (name.to_string(), received)).to_vec()
    }

    #[test]
    fn towers_communicate_at_conv3_and_the_fully_connected_layers_as_in_2012() {
        let (pool2, pool5, hidden) = (128 * 13 * 13, 128 * 6 * 6, 2048);
        let meet = [("conv3", [pool2; 2]), ("fc6", [pool5; 2]), ("fc7", [hidden; 2]), ("fc8", [hidden, 0])];
        assert_eq!(crossings("original-145"), named(meet));
        assert_eq!(crossings("paper-no-lrn"), named(meet));
        // A window of five channels reads two of the other tower's.
        let [conv3, fc6, fc7, fc8] = meet;
        let edges = [("norm1", [2 * 55 * 55; 2]), ("norm2", [2 * 27 * 27; 2]), conv3, fc6, fc7, fc8];
        assert_eq!(crossings("paper"), named(edges));
        assert_eq!(crossings("bvlc"), named(edges));
        let edges = [("norm1", [2 * 27 * 27; 2]), ("norm2", [2 * 13 * 13; 2]), conv3, fc6, fc7, fc8];
        assert_eq!(crossings("caffenet"), named(edges));
    }

    #[test]
    fn each_output_is_computed_once() {
        let net = presets::by_name("original-145").unwrap();
        for (layer, shape) in net.towers().unwrap().iter().zip(net.shapes().unwrap()) {
            let [zero, one] = [0, 1].map(|tower| layer.outputs(tower, shape.output.channels));
            let all = if layer.name == "fc8" { (0..1000, 0..0) } else { (0..zero.end, zero.end..shape.output.channels) };
            assert_eq!((zero, one), all, "{}", layer.name);
        }
    }

    #[test]
    fn nets_without_two_towers_are_refused_with_a_reason() {
        let error = presets::by_name("torchvision").unwrap().towers().unwrap_err().to_string();
        assert!(error.starts_with("torchvision: no layer has two groups"), "{error}");
        assert!(error.contains("original-145") && !error.contains("tutorial-code"), "{error}");
        let mut odd = presets::by_name("paper").unwrap();
        for layer in &mut odd.layers {
            if let Op::Linear { out, .. } = &mut layer.op {
                *out = 7;
            }
        }
        assert!(odd.towers().unwrap_err().to_string().contains("layer fc6: 7 outputs cannot be split into two towers"));
    }
}
