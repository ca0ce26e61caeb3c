//! Two towers: a net of groups placed on two devices as in 2012 (paper, section 3.2 and figure 2).
//!
//! Each tower holds half of every layer's maps and the kernels that make them. A layer in groups reads only its own tower's
//! maps; a layer without groups reads all, so each tower must be sent the other's half first. The plan follows from the list
//! of layers alone, and says which layers those are. Backward, the gradient of what was sent goes the other way: as many
//! values again.

use std::ops::Range;

use crate::layer::Op;
use crate::net::Net;
use crate::presets;
use crate::shape::Shape;
use alexnet_files::{Error, Result};

/// Where a layer of a net in two towers is computed, and what must reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TowerLayer {
    /// The layer's name.
    pub name: String,
    /// Who computes it.
    pub place: Place,
    /// What it reads from the other tower.
    pub crossing: Crossing,
    /// Values that tower 0 and tower 1 receive from each other for one image on the way forward, and send back as gradients.
    pub received: [usize; 2],
}

/// Who computes a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Each tower half of its outputs: tower 0 the first ones.
    Halves,
    /// Tower 0 all of them: the logits.
    First,
}

/// What a layer reads from the other tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Nothing.
    Nothing,
    /// All that the other tower holds of the layer before.
    Whole,
    /// So many maps next to the border between the towers: a normalisation whose window runs over both. The 2012 code's does
    /// not (two columns); the paper's formula and Caffe's do.
    Edge(usize),
}

impl TowerLayer {
    /// The outputs that tower 0 or 1 computes, of the layer's `outputs`.
    pub fn outputs(&self, tower: usize, outputs: usize) -> Range<usize> {
        match (self.place, tower) {
            (Place::Halves, 0) => 0..outputs / 2,
            (Place::Halves, _) => outputs / 2..outputs,
            (Place::First, 0) => 0..outputs,
            (Place::First, _) => 0..0,
        }
    }

    /// Bytes that cross for one image, forward and backward, both ways added up, as 32-bit numbers.
    pub fn bytes(&self) -> usize {
        2 * 4 * self.received.iter().sum::<usize>()
    }
}

impl Op {
    /// Groups of a convolution, or columns of a normalisation, among the maps of one of two towers: half of them, or all where
    /// they do not fall in two. Other layers have one.
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
    /// The net's layers placed on two towers.
    ///
    /// # Errors
    /// A net without layers in two groups, one that cannot be halved, or what [`Net::shapes`] says.
    pub fn towers(&self) -> Result<Vec<TowerLayer>> {
        let shapes = self.shapes()?;
        let grouped = |op: &Op| matches!(op, Op::Conv { groups, .. } if groups % 2 == 0);
        if !self.layers.iter().any(|layer| grouped(&layer.op)) {
            let halves = |net: &Net| net.layers.iter().any(|l| grouped(&l.op)) && !net.has_batch_norm();
            let able = presets::ALL.iter().map(|preset| (preset.build)()).filter(halves);
            let names: Vec<String> = able.map(|net| net.name).collect();
            let message = "no layer is in two groups, so every layer would need all of the one before; nets in two towers:";
            return Err(Error::Net(format!("{}: {message} {}", self.name, names.join(", "))));
        }
        let last = self.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. })).unwrap_or(usize::MAX);
        let mut plan: Vec<TowerLayer> = Vec::with_capacity(shapes.len());
        // Until the first convolution there is only the image, which both towers have.
        let mut split = false;
        for (i, (layer, shape)) in self.layers.iter().zip(&shapes).enumerate() {
            let fail = |why: &str| Error::Net(format!("{}: layer {}: {why} two towers", self.name, layer.name));
            let place = if i >= last { Place::First } else { Place::Halves };
            let crossing = match layer.op {
                Op::Conv { groups, .. } if groups % 2 == 0 => Crossing::Nothing,
                Op::Conv { groups, .. } if groups != 1 => return Err(fail(&format!("{groups} groups do not fall in"))),
                Op::Conv { .. } | Op::Linear { .. } if split => Crossing::Whole,
                Op::Lrn { n, columns: 1, .. } if split => Crossing::Edge((n / 2).min(shape.input.channels / 2)),
                Op::Lrn { columns, .. } if columns % 2 == 1 && split => {
                    return Err(fail(&format!("{columns} columns do not fall in")));
                }
                _ => Crossing::Nothing,
            };
            if matches!(layer.op, Op::BatchNorm { .. }) {
                return Err(fail("batch normalisation is not there in"));
            }
            let begins = matches!(layer.op, Op::Conv { .. } | Op::Linear { .. });
            if !split && !begins {
                return Err(fail("it stands before the first convolution, which begins the"));
            }
            split = true;
            if place == Place::Halves && !shape.output.channels.is_multiple_of(2) {
                return Err(fail(&format!("{} outputs do not fall in", shape.output.channels)));
            }
            let half = |maps: usize| Shape { channels: maps, ..shape.input }.len();
            let received = match (crossing, place) {
                (Crossing::Nothing, _) => [0, 0],
                // Behind the first layer of tower 0 alone nothing is left to send.
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

    /// Layers to which something crosses, with the values that each tower receives for an image.
    fn crossings(name: &str) -> Vec<(String, [usize; 2])> {
        let plan = presets::by_name(name).unwrap().towers().unwrap();
        plan.into_iter().filter(|layer| layer.crossing != Crossing::Nothing).map(|l| (l.name, l.received)).collect()
    }

    fn named<const N: usize>(all: [(&str, [usize; 2]); N]) -> Vec<(String, [usize; 2])> {
        all.map(|(name, received)| (name.to_string(), received)).to_vec()
    }

    #[test]
    fn towers_meet_at_conv3_and_the_fully_connected_layers_as_in_2012() {
        let (pool2, pool5, hidden) = (128 * 13 * 13, 128 * 6 * 6, 2048);
        let meet = [("conv3", [pool2; 2]), ("fc6", [pool5; 2]), ("fc7", [hidden; 2]), ("fc8", [hidden, 0])];
        assert_eq!(crossings("original-145"), named(meet));
        assert_eq!(crossings("paper-no-lrn"), named(meet));
        // A window of five channels sees two of the other tower's.
        let [conv3, fc6, fc7, fc8] = meet;
        let edges = [("norm1", [2 * 55 * 55; 2]), ("norm2", [2 * 27 * 27; 2]), conv3, fc6, fc7, fc8];
        assert_eq!(crossings("paper"), named(edges));
        assert_eq!(crossings("bvlc"), named(edges));
        let edges = [("norm1", [2 * 27 * 27; 2]), ("norm2", [2 * 13 * 13; 2]), conv3, fc6, fc7, fc8];
        assert_eq!(crossings("caffenet"), named(edges));
    }

    #[test]
    fn each_output_has_one_place() {
        let net = presets::by_name("original-145").unwrap();
        for (layer, shape) in net.towers().unwrap().iter().zip(net.shapes().unwrap()) {
            let [zero, one] = [0, 1].map(|tower| layer.outputs(tower, shape.output.channels));
            let all = if layer.name == "fc8" { (0..1000, 0..0) } else { (0..zero.end, zero.end..shape.output.channels) };
            assert_eq!((zero, one), all, "{}", layer.name);
        }
    }

    #[test]
    fn nets_that_are_no_towers_are_refused_in_words() {
        let error = presets::by_name("torchvision").unwrap().towers().unwrap_err().to_string();
        assert!(error.starts_with("torchvision: no layer is in two groups"), "{error}");
        assert!(error.contains("original-145") && !error.contains("tutorial-code"), "{error}");
        let mut odd = presets::by_name("paper").unwrap();
        for layer in &mut odd.layers {
            if let Op::Linear { out, .. } = &mut layer.op {
                *out = 7;
            }
        }
        assert!(odd.towers().unwrap_err().to_string().contains("layer fc6: 7 outputs do not fall in two towers"));
    }
}
