//! One optimizer step over all parameters of a net.

use std::collections::BTreeMap;

use alexnet_kernels::optim::{Optimizer, Rates};

/// Settings of one optimizer step.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizerStep {
    /// Optimizer.
    pub optimizer: Optimizer,
    /// The step's number in the run, counted from 1.
    pub number: u64,
    /// Learning rate of the weights.
    pub lr: f32,
    /// Learning rate of the biases, and of batch normalisation's weights.
    pub bias_lr: f32,
    /// Weight decay.
    pub weight_decay: f32,
    /// Weight decay of the biases: 0 in the 2012 code and in Caffe, equal to `weight_decay` in PyTorch.
    pub bias_weight_decay: f32,
    /// Learning-rate multipliers by layer name, as Caffe's `lr_mult`. 0 freezes a layer; unlisted layers have 1.
    pub layers: BTreeMap<String, f32>,
    /// Weight decay of some layers' weights by layer name, instead of `weight_decay`: Caffe's `decay_mult`, cuda-convnet's `wc`.
    pub layer_weight_decay: BTreeMap<String, f32>,
}

impl OptimizerStep {
    /// A step for measurements of time: plain SGD at a rate at which no net diverges, whatever its initial weights.
    pub fn for_timing() -> OptimizerStep {
        OptimizerStep {
            optimizer: Optimizer::Sgd(Default::default()),
            number: 1,
            lr: 1e-5,
            bias_lr: 1e-5,
            weight_decay: 5e-4,
            bias_weight_decay: 5e-4,
            layers: BTreeMap::new(),
            layer_weight_decay: BTreeMap::new(),
        }
    }

    /// Learning rate and weight decay of a parameter such as `conv1.weight`. `None` if its layer is frozen: neither
    /// gradient, weight decay nor momentum moves it, and its state stays unchanged.
    pub fn rates(&self, parameter: &str) -> Option<Rates> {
        let (layer, part) = parameter.rsplit_once('.').unwrap_or((parameter, ""));
        if part == "bias" { self.bias_rates(layer) } else { self.weight_rates(layer) }
    }

    /// Learning rate and weight decay of a layer's weights; `None` if frozen.
    pub fn weight_rates(&self, layer: &str) -> Option<Rates> {
        self.times(layer).map(|times| {
            let own = self.layer_weight_decay.get(layer).copied();
            Rates { lr: self.lr * times, weight_decay: own.unwrap_or(self.weight_decay) }
        })
    }

    /// Learning rate and weight decay of a layer's biases; `None` if frozen.
    pub fn bias_rates(&self, layer: &str) -> Option<Rates> {
        self.times(layer).map(|times| Rates { lr: self.bias_lr * times, weight_decay: self.bias_weight_decay })
    }

    /// Whether a layer is frozen.
    pub fn is_frozen(&self, layer: &str) -> bool {
        self.times(layer).is_none()
    }

    fn times(&self, layer: &str) -> Option<f32> {
        let times = self.layers.get(layer).copied().unwrap_or(1.0);
        (times != 0.0).then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_kernels::optim::sgd::Sgd;

    #[test]
    fn a_layer_moves_at_its_own_rate_or_not_at_all() {
        let layers = BTreeMap::from([("fc8".to_string(), 10.0), ("conv1".to_string(), 0.0), ("conv2".to_string(), 0.1)]);
        let optimizer = Sgd::default().into();
        let step = OptimizerStep {
            optimizer,
            number: 1,
            lr: 0.3,
            bias_lr: 0.6,
            weight_decay: 5e-4,
            bias_weight_decay: 0.0,
            layers,
            layer_weight_decay: BTreeMap::from([("conv3".to_string(), 0.0), ("conv4".to_string(), 1.0)]),
        };
        assert_eq!(step.rates("fc8.weight"), Some(Rates { lr: 0.3 * 10.0, weight_decay: 5e-4 }));
        assert_eq!(step.rates("conv2.bias"), Some(Rates { lr: 0.6 * 0.1, weight_decay: 0.0 }));
        assert_eq!(step.rates("fc7.weight"), Some(Rates { lr: 0.3, weight_decay: 5e-4 }));
        assert_eq!(["conv3", "conv4"].map(|layer| step.weight_rates(layer).map(|r| r.weight_decay)), [Some(0.0), Some(1.0)]);
        assert_eq!(step.rates("conv4.bias"), Some(Rates { lr: 0.6, weight_decay: 0.0 }));
        assert_eq!((step.rates("conv1.weight"), step.rates("conv1.bias")), (None, None));
        assert!(step.is_frozen("conv1") && !step.is_frozen("conv10"));
    }
}
