//! Batch normalisation added to a net for training, and folded into its weights afterwards.

use crate::layer::{Layer, Op};
use crate::net::Net;

/// PyTorch's defaults for `BatchNorm2d`.
const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// Name of the normalisation added after a layer.
fn name_after(layer: &Layer) -> String {
    format!("{}_bn", layer.name)
}

impl Net {
    /// The net with batch normalisation after every convolution and linear layer but the last, as in torchvision's `vgg11_bn`:
    /// `conv1_bn` after `conv1`. Locally connected layers get none, since their biases differ between the pixels of a map. A net with batch normalisation of its own is returned unchanged.
    #[must_use]
    pub fn with_batch_norm(mut self) -> Net {
        let has_weights = |layer: &Layer| matches!(layer.op, Op::Conv { .. } | Op::Linear { .. });
        if self.layers.iter().any(|layer| matches!(layer.op, Op::BatchNorm { .. })) {
            return self;
        }
        let last = self.layers.iter().rposition(has_weights);
        let mut layers = Vec::with_capacity(2 * self.layers.len());
        for (i, layer) in std::mem::take(&mut self.layers).into_iter().enumerate() {
            let added = (has_weights(&layer) && Some(i) != last).then(|| name_after(&layer));
            layers.push(layer);
            layers.extend(added.map(|name| Layer { name, op: Op::BatchNorm { eps: EPS, momentum: MOMENTUM } }));
        }
        self.layers = layers;
        self
    }

    /// The net without the batch normalisation that [`with_batch_norm`](Self::with_batch_norm) added, and where it was. At inference, weights `w g / sqrt(v + eps)` and
    /// biases `(b - m) g / sqrt(v + eps) + c` make up for a normalisation with running mean m, running variance v, weight g
    /// and bias c.
    pub fn without_batch_norm(&self) -> (Net, Vec<Folded>) {
        let mut net = Net { name: self.name.clone(), image_size: self.image_size, layers: Vec::new() };
        let mut folded = Vec::new();
        for layer in &self.layers {
            match (&layer.op, net.layers.last()) {
                (Op::BatchNorm { eps, .. }, Some(before)) if layer.name == name_after(before) => {
                    folded.push(Folded { layer: before.name.clone(), norm: layer.name.clone(), eps: *eps });
                }
                _ => net.layers.push(layer.clone()),
            }
        }
        (net, folded)
    }
}

/// A batch normalisation that can be folded into the layer before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Name of the convolution or linear layer.
    pub layer: String,
    /// Name of its normalisation.
    pub norm: String,
    /// Constant added to the variance.
    pub eps: f32,
}

#[cfg(test)]
mod tests {
    use crate::layer::Op;
    use crate::presets;

    #[test]
    fn normalisation_is_added_before_activations_and_removed_again() {
        for preset in
            presets::ALL.iter().map(|preset| preset.name).filter(|name| *name != "alexnet-bn" && !name.starts_with("cifar-"))
        {
            let plain = presets::by_name(preset).unwrap();
            let normalised = plain.clone().with_batch_norm();
            normalised.shapes().unwrap();
            let names: Vec<&str> =
                normalised.layers.iter().filter(|l| matches!(l.op, Op::BatchNorm { .. })).map(|l| l.name.as_str()).collect();
            let with_weights = plain.layers.iter().filter(|l| matches!(l.op, Op::Conv { .. } | Op::Linear { .. })).count();
            assert_eq!(names.len(), with_weights - 1, "{preset}: {names:?}");
            assert!(names[0] == "conv1_bn" && names.last() == Some(&"fc7_bn"), "{preset}: {names:?}");
            let (back, folded) = normalised.without_batch_norm();
            assert_eq!(back, plain);
            assert_eq!(folded.iter().map(|f| f.norm.as_str()).collect::<Vec<_>>(), names);
            assert!(folded.iter().all(|f| f.norm == format!("{}_bn", f.layer)));
        }
    }

    #[test]
    fn local_layers_and_the_last_one_get_none() {
        let net = presets::by_name("cifar-11pct").unwrap().with_batch_norm();
        let norms: Vec<&str> =
            net.layers.iter().filter(|l| matches!(l.op, Op::BatchNorm { .. })).map(|l| l.name.as_str()).collect();
        assert_eq!(norms, ["conv1_bn", "conv2_bn"]);
        assert_eq!(net.without_batch_norm().0, presets::by_name("cifar-11pct").unwrap());
    }

    #[test]
    fn a_normalised_net_stays_as_it_is() {
        let net = presets::by_name("alexnet-bn").unwrap();
        assert_eq!(net.clone().with_batch_norm(), net);
        assert_eq!(net.without_batch_norm(), (net, vec![]));
    }
}
