//! Components built from a recipe: optimizer steps, initialisation, preprocessing, augmentation.

use super::{BiasRate, ImagePreprocessing, Init, Optimizer, Progress, Recipe};
use crate::data::loader::Augment;
use crate::engine::OptimizerStep;
use crate::image::pca_noise::{ColourNoise, Pca};
use crate::image::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use crate::net::{BiasInit, Net, Op, WeightInit};
use crate::{Error, Result};
use std::collections::BTreeMap;

impl Recipe {
    /// Learning rate of the weights at a given progress.
    pub fn lr_at(&self, at: Progress) -> f64 {
        self.schedule.lr_at(self.lr, self.epochs, self.warmup_steps(at.steps_per_epoch), at)
    }

    /// Optimizer steps in an epoch of this many batches. The last one may have fewer batches.
    pub fn steps_per_epoch(&self, batches: usize) -> usize {
        batches.div_ceil(self.accumulate.max(1))
    }

    /// Optimizer step at a given progress, without per-layer settings; [`param_groups`](super::super::param_groups) adds them.
    pub fn step_at(&self, at: Progress) -> OptimizerStep {
        self.step_with(at, self.lr_at(at))
    }

    /// As [`step_at`](Self::step_at), with another learning rate than the schedule's. A fixed rate of the biases stays.
    pub(in crate::train) fn step_with(&self, at: Progress, lr: f64) -> OptimizerStep {
        let bias_lr = match self.bias_lr {
            BiasRate::Times(times) => lr * times,
            BiasRate::Fixed(rate) => rate,
        };
        OptimizerStep {
            optimizer: self.optimizer,
            number: at.step + 1,
            lr: lr as f32,
            bias_lr: bias_lr as f32,
            weight_decay: self.weight_decay as f32,
            bias_weight_decay: self.bias_weight_decay as f32,
            layers: BTreeMap::new(),
            layer_weight_decay: BTreeMap::new(),
        }
    }

    /// Changes the batch size. With LARS the learning rate scales in proportion (Goyal et al. 2017), since it was
    /// tuned for one batch size; other recipes keep theirs.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Recipe {
        let times = if self.optimizer.lars_trust().is_some() { batch as f64 / self.batch.max(1) as f64 } else { 1.0 };
        Recipe { lr: self.lr * times, batch, ..self }
    }

    /// Changes the number of batches that are accumulated for a step. With LARS the learning rate scales in proportion, as in
    /// [`with_batch`](Self::with_batch).
    #[must_use]
    pub fn with_accumulate(self, accumulate: usize) -> Recipe {
        let (from, to) = (self.accumulate.max(1) as f64, accumulate as f64);
        let times = if self.optimizer.lars_trust().is_some() { to / from } else { 1.0 };
        Recipe { lr: self.lr * times, accumulate, ..self }
    }

    /// Changes the optimizer by name, with its usual settings; no change if the recipe already uses it. The learning
    /// rate is scaled so that the new optimizer trains about as fast.
    ///
    /// # Errors
    /// An unknown name.
    pub fn with_optimizer(self, name: &str) -> Result<Recipe> {
        if self.optimizer.name() == name {
            return Ok(self);
        }
        let optimizer = Optimizer::named(name).ok_or_else(|| {
            Error::Invalid(format!("unknown optimizer `{name}`; choose one of {}", Optimizer::NAMES.join(", ")))
        })?;
        let lr = divided(self.lr * self.optimizer.lr_divisor(), optimizer.lr_divisor());
        Ok(Recipe { lr, optimizer, ..self })
    }

    /// Applies the recipe's dropout rate to a net.
    #[must_use]
    pub fn with_dropout(&self, mut net: Net) -> Net {
        for layer in &mut net.layers {
            if let (Op::Dropout { rate, .. }, Some(own)) = (&mut layer.op, self.dropout) {
                *rate = own;
            }
        }
        net
    }

    /// Applies the recipe's initialisation, dropout rate and added batch normalisation to a net.
    #[must_use]
    pub fn prepare(&self, mut net: Net) -> Net {
        net = self.with_dropout(net);
        if self.batch_norm {
            net = net.with_batch_norm();
        }
        if self.init == Init::HeDropout {
            return he_dropout(net);
        }
        if self.init == Init::He {
            let last = net.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. }));
            for (i, layer) in net.layers.iter_mut().enumerate() {
                if let Op::Conv { weight_init, bias_init, .. }
                | Op::LocalConv { weight_init, bias_init, .. }
                | Op::Linear { weight_init, bias_init, .. } = &mut layer.op
                {
                    // The last layer is small, so that the first loss is ln(classes) rather than that of random
                    // confident predictions.
                    *weight_init = if Some(i) == last { WeightInit::Normal(0.01) } else { WeightInit::HeNormal };
                    *bias_init = BiasInit::Constant(0.0);
                }
            }
        }
        net
    }

    /// Preprocessing for a net. A mean image must still be computed, see [`Recipe::wants_mean_image`].
    pub fn preprocess(&self, net: &Net) -> Preprocess {
        let preprocess = match self.images {
            ImagePreprocessing::Net | ImagePreprocessing::MeanImage => Preprocess::for_net(net),
            ImagePreprocessing::ImageNet => Preprocess {
                resize: Resize::ShortSide((net.image_size as f64 * 256.0 / 224.0).round_ties_even() as usize),
                crop: net.image_size,
                channels: Channels::Rgb,
                scale: 1.0 / 255.0,
                mean: Mean::Channel([0.485, 0.456, 0.406]),
                std: [0.229, 0.224, 0.225],
                jpeg: JpegDecoding::Exact,
            },
        };
        let resized = |side: usize| match self.crop_pct {
            Some(share) => ((preprocess.crop as f64 / share).round_ties_even() as usize).max(preprocess.crop),
            None => side,
        };
        let resize = match preprocess.resize {
            Resize::ShortSide(side) => Resize::ShortSide(resized(side)),
            Resize::Square(side) => Resize::Square(resized(side)),
            Resize::Warp(side) => Resize::Warp(resized(side)),
        };
        Preprocess { resize, jpeg: self.jpeg, ..preprocess }
    }

    /// Whether the training set's mean image is subtracted.
    pub fn wants_mean_image(&self) -> bool {
        self.images == ImagePreprocessing::MeanImage
    }

    /// The loader's augmentation; recipes with colour noise require `pca`.
    pub fn augment(&self, pca: Option<&Pca>) -> Augment {
        let colour = self.colour.zip(pca).map(|(c, pca)| ColourNoise { pca: pca.clone(), sigma: c.sigma, strength: c.strength });
        self.augment_with(colour)
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: &str, value: f64, range: &str| {
            Err(Error::Invalid(format!("invalid {what} {value}: must be {range} and finite")))
        };
        if self.epochs == 0 || self.batch == 0 {
            return Err(Error::Invalid("epochs and batch size must be at least 1".into()));
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return invalid("learning rate", self.lr, "positive");
        }
        self.optimizer.check().map_err(Error::Invalid)?;
        self.schedule.check()?;
        self.check_warmup()?;
        self.augment.check()?;
        self.loss.check()?;
        if self.accumulate == 0 {
            return Err(Error::Invalid("invalid accumulate 0: must be at least 1".into()));
        }
        if let Some(norm) = self.clip_norm.filter(|norm| !(*norm > 0.0 && norm.is_finite())) {
            return invalid("clip_norm", norm, "positive");
        }
        self.ema.as_ref().map_or(Ok(()), super::Ema::check)?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return invalid("weight decay", self.weight_decay, "at least 0");
        }
        super::RateChange::check(&self.layer_rate_changes)?;
        super::super::timeline::check(&self.timeline).map_err(Error::Invalid)?;
        // Files and `--set` also limit the learning rate, which is checked above.
        super::keys::check(self, &["lr"])
    }
}

/// Divides a learning rate by a round number, and rounds it, so that config.toml says 0.0003 and not 0.00030000000000000003.
pub(super) fn divided(lr: f64, by: f64) -> f64 {
    if by == 1.0 { lr } else { (lr / by * 1e12).round() / 1e12 }
}

/// Factor by which 3 x 3 max pooling multiplies the mean square: 2.4, 3.0 and 3.9 in AlexNet's three pools, measured
/// on photographs with these initial values.
const MAX_POOL: f32 = 3.0;

/// Applies [`Init::HeDropout`]. A net with inconsistent shapes is returned unchanged; building it reports the error.
fn he_dropout(mut net: Net) -> Net {
    let Ok(shapes) = net.shapes() else { return net };
    let last = net.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. }));
    // Factor by which pools and dropout multiply the mean square before the next layer with weights.
    let mut times = 1.0;
    for (i, (layer, shape)) in net.layers.iter_mut().zip(&shapes).enumerate() {
        match &mut layer.op {
            Op::MaxPool { .. } => times *= MAX_POOL,
            Op::Dropout { rate, style } => times *= (1.0 - *rate) * style.in_training(*rate).powi(2),
            Op::Conv { weight_init, bias_init, .. }
            | Op::LocalConv { weight_init, bias_init, .. }
            | Op::Linear { weight_init, bias_init, .. } => {
                let inputs = shape.fan_in() as f32 * times;
                *weight_init = WeightInit::Normal(if Some(i) == last { 0.001 } else { (2.0 / inputs).sqrt() });
                *bias_init = BiasInit::Constant(0.0);
                times = 1.0;
            }
            _ => {}
        }
    }
    net
}
