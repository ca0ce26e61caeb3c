//! What runs a network: the [`Engine`] trait, and the CPU engine.

pub mod cpu;
pub mod init;
pub mod input;
mod load;
pub mod split;

use std::collections::BTreeMap;

use alexnet_kernels::random::Key;

pub use load::load_model;

use crate::formats::TensorData;
use crate::net::Net;
use crate::{Error, Result};

/// Runs a [`Net`]. Images are `[n, 3, size, size]`, row-major, already preprocessed; labels are class numbers.
///
/// Parameters are read and written by name (`conv1.weight`) in canonical order: conv [out, in / groups, kernel, kernel],
/// linear [out, in] with in = channel, row, column. How an engine keeps them inside is its own affair.
///
/// Batch normalisation has `bn1.weight` and `bn1.bias`, which learn as biases do, and running statistics, `bn1.running_mean` and
/// `bn1.running_var`. These have no gradient. What [`gradients`](Self::gradients) shows in its place is how far they are from the
/// batch's, and [`apply`](Self::apply) moves them by a share of that; so whoever sums gradients over parts of a batch takes means of the parts'
/// statistics. A frozen layer keeps them, but still normalises by the batch in training.
pub trait Engine {
    /// The network it runs.
    fn net(&self) -> &Net;

    /// Logits `[n, classes]` of `n` images, dropout off.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// One step of training: forward, backward and update. Layers that the rule freezes keep parameters and velocities to the
    /// bit, and backward need not go below the lowest layer that learns.
    fn train_step(&mut self, batch: &Batch<'_>, rule: &Update) -> Result<StepStats>;

    /// Mean loss and every gradient (of the mean loss), parameters left as they are. Gradients are visited by parameter
    /// name in canonical order as backward finishes them, last layer first; no rule is known here, so frozen layers' too.
    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats>;

    /// Moves one parameter by a gradient in canonical order, which [`gradients`](Self::gradients) has shown and the caller
    /// may have clipped, or summed over processes. After all parameters of a batch: the same as [`train_step`](Self::train_step).
    /// The parameter moves as [`Update::rates`] says: at its layer's own rate, and not at all where the layer is frozen.
    fn apply(&mut self, name: &str, gradient: &[f32], rule: &Update) -> Result<()>;

    /// The gradient of the mean loss with respect to the images, `[n, 3, size, size]`, dropout off.
    fn input_gradient(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>>;

    /// What a layer gives for `images` and the gradient with respect to it of `sum(weights * logits)`, dropout off; `weights`
    /// are `[n, classes]`, such as 1 for one class of each picture. `layer` `None` means the images themselves.
    ///
    /// # Errors
    /// An engine that cannot, an unknown layer, or slices of other lengths.
    fn layer_gradient(
        &mut self,
        images: &[f32],
        layer: Option<&str>,
        weights: &[f32],
        relu: ReluGradient,
    ) -> Result<LayerGradient> {
        let _ = (images, layer, weights, relu);
        Err(Error::Invalid("this engine does not tell the gradients of layers; use --device cpu".into()))
    }

    /// What a layer gives for `images`, dropout off, `[n, channels, size, size]` row-major.
    fn activation(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// Reads a parameter in canonical order.
    fn parameter(&self, name: &str) -> Result<Vec<f32>>;

    /// Writes a parameter in canonical order.
    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()>;

    /// As [`set_parameter`](Self::set_parameter), from values that the engine may go on using where they lie.
    fn share_parameter(&mut self, name: &str, values: &TensorData) -> Result<()> {
        self.set_parameter(name, values)
    }

    /// Reads the velocity of a parameter in canonical order; zeros before the first step.
    fn velocity(&self, name: &str) -> Result<Vec<f32>>;

    /// Writes the velocity of a parameter in canonical order.
    fn set_velocity(&mut self, name: &str, values: &[f32]) -> Result<()>;

    /// Makes [`infer`](Self::infer) give from now on what it gives between two steps of training, to the bit. Without this, an engine
    /// that has only loaded parameters may sum in another order than one that has also done a step, and validation in a resumed run
    /// would differ in its last digits.
    fn prepare_training(&mut self) {}

    /// Frees what gradients needed and inference does not, where it can be made again.
    fn release_gradient_memory(&mut self) {}

    /// The engine as one that can begin in the middle of its net, if it can.
    fn split(&mut self) -> Option<&mut dyn split::SplitEngine> {
        None
    }

    /// The engine as one that is spread over several processes, if it is.
    fn distributed(&mut self) -> Option<&mut dyn crate::distributed::DistributedEngine> {
        None
    }
}

/// What a ReLU lets through on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReluGradient {
    /// The gradient where the unit was above zero: the derivative.
    Plain,
    /// Of that, only what is above zero: guided backpropagation (Springenberg et al. 2014, section 3.4). A picture for the eye,
    /// no derivative.
    Guided,
}

/// A layer's values and the gradient with respect to them, both `[n, channels, size, size]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGradient {
    /// What the layer gives, as [`Engine::activation`] tells it.
    pub activation: Vec<f32>,
    /// The gradient.
    pub gradient: Vec<f32>,
}

/// What a step of training learns from.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[n, 3, size, size]`.
    pub images: &'a [f32],
    /// `[n]`.
    pub labels: &'a [u32],
    /// Which units dropout takes, or none to leave dropout off.
    pub dropout: Option<DropoutKey>,
}

/// The units that dropout takes follow from this, from the layer, and from the picture's and the unit's number.
#[derive(Debug, Clone, Copy)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The number of the step in the whole run.
    pub step: u64,
    /// Number of the first picture within the whole batch, when this is a share of it.
    pub first_picture: u64,
}

impl DropoutKey {
    /// The stream of random numbers of the net's layer number `layer`: unit i of picture j is kept by what
    /// [`dropout`](alexnet_kernels::dropout) says of it.
    pub fn of_layer(&self, layer: usize) -> Key {
        Key(self.seed).with(self.step).with(layer as u64)
    }
}

/// What a step of training tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepStats {
    /// Mean softmax cross-entropy over the batch, in nats.
    pub loss: f32,
    /// How many pictures had their own class first.
    pub correct: usize,
}

/// An update rule: SGD with momentum and weight decay.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Learning rate of the weights.
    pub lr: f32,
    /// Learning rate of the biases, and of batch normalisation's weights.
    pub bias_lr: f32,
    /// Share of the velocity that stays.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
    /// Decay of the biases: 0 in the 2012 code and in Caffe, equal to `decay` in PyTorch.
    pub bias_decay: f32,
    /// Where the learning rate stands.
    pub form: MomentumForm,
    /// Trust coefficient of LARS (You, Gitman and Ginsburg 2017), by which each layer's weights learn at a [`Rates::local`] rate
    /// of their own; none: plain SGD. Biases never do.
    pub lars_trust: Option<f32>,
    /// How many times these learning rates a layer's are, by the layer's name: Caffe's `lr_mult`. 0 freezes it; a layer that is
    /// not named has 1.
    pub layers: BTreeMap<String, f32>,
}

/// How fast one parameter moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f32,
    /// Weight decay.
    pub decay: f32,
}

impl Rates {
    /// LARS: the rate, times `lars_trust * |w| / (|g| + decay * |w|)`, for weights and a gradient of these Euclidean norms (You, Gitman
    /// and Ginsburg 2017, algorithm 1). So a step moves all layers by like shares of their weights, however large their gradients
    /// are. Where either norm is 0 or no number there is no such ratio, and the rate stays, so that a layer may begin at zeros.
    #[must_use]
    pub fn local(self, lars_trust: f32, weights: f64, gradient: f64) -> Rates {
        let times = f64::from(lars_trust) * weights / (gradient + f64::from(self.decay) * weights);
        if weights > 0.0 && gradient > 0.0 && times.is_finite() {
            Rates { lr: (f64::from(self.lr) * times) as f32, ..self }
        } else {
            self
        }
    }
}

impl Update {
    /// How fast a parameter such as `conv1.weight` moves; none where its layer is frozen: then neither gradient nor decay nor
    /// old velocity moves it, and its velocity stays as it is.
    pub fn rates(&self, parameter: &str) -> Option<Rates> {
        let (layer, part) = parameter.rsplit_once('.').unwrap_or((parameter, ""));
        if part == "bias" { self.bias_rates(layer) } else { self.weight_rates(layer) }
    }

    /// How fast a layer's weights move; none where it is frozen.
    pub fn weight_rates(&self, layer: &str) -> Option<Rates> {
        self.times(layer).map(|times| Rates { lr: self.lr * times, decay: self.decay })
    }

    /// How fast a layer's biases move; none where it is frozen.
    pub fn bias_rates(&self, layer: &str) -> Option<Rates> {
        self.times(layer).map(|times| Rates { lr: self.bias_lr * times, decay: self.bias_decay })
    }

    /// Whether a layer's parameters stay as they are.
    pub fn is_frozen(&self, layer: &str) -> bool {
        self.times(layer).is_none()
    }

    fn times(&self, layer: &str) -> Option<f32> {
        let times = self.layers.get(layer).copied().unwrap_or(1.0);
        (times != 0.0).then_some(times)
    }
}

/// Where the learning rate stands. Equal while the rate is constant; they differ for some ten steps after it drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentumForm {
    /// `v = momentum v - lr (g + decay w); w = w + v`: the paper, the 2012 code, Caffe.
    RateInside,
    /// `v = momentum v + g + decay w; w = w - lr v`: PyTorch.
    RateOutside,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lars_moves_layers_by_like_shares() {
        let rates = Rates { lr: 8.0, decay: 0.5 };
        // 0.25 * 4 / (6 + 0.5 * 4) = 1 / 8.
        assert_eq!(rates.local(0.25, 4.0, 6.0), Rates { lr: 1.0, decay: 0.5 });
        // Without decay: the share that moves is lr * trust, whatever the gradient.
        let plain = Rates { lr: 2.0, decay: 0.0 };
        for gradient in [1e-20, 1e-3, 5.0, 1e20] {
            let share = f64::from(plain.local(0.001, 3.0, gradient).lr) * gradient / 3.0;
            assert!((share - 0.002).abs() < 1e-8, "{share}");
        }
        for (weights, gradient) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let local = rates.local(0.25, weights, gradient);
            assert!(local == rates || (gradient.is_infinite() && local.lr == 0.0), "{weights} {gradient}: {local:?}");
        }
    }

    #[test]
    fn a_layer_moves_at_its_own_rate_or_not_at_all() {
        let layers = BTreeMap::from([("fc8".to_string(), 10.0), ("conv1".to_string(), 0.0), ("conv2".to_string(), 0.1)]);
        let form = MomentumForm::RateInside;
        let rule = Update { lars_trust: None, lr: 0.3, bias_lr: 0.6, momentum: 0.9, decay: 5e-4, bias_decay: 0.0, form, layers };
        assert_eq!(rule.rates("fc8.weight"), Some(Rates { lr: 0.3 * 10.0, decay: 5e-4 }));
        assert_eq!(rule.rates("conv2.bias"), Some(Rates { lr: 0.6 * 0.1, decay: 0.0 }));
        assert_eq!(rule.rates("fc7.weight"), Some(Rates { lr: 0.3, decay: 5e-4 }));
        assert_eq!((rule.rates("conv1.weight"), rule.rates("conv1.bias")), (None, None));
        assert!(rule.is_frozen("conv1") && !rule.is_frozen("conv10"));
    }
}
