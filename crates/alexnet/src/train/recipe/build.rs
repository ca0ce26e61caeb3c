//! What a recipe means for the parts of a run: optimizer steps, initialisation, preprocessing, augmentation.

use super::{Augmentation, BiasRate, Init, Optimizer, Pictures, Progress, Recipe};
use crate::data::loader::Augment;
use crate::engine::OptimizerStep;
use crate::image::pca_noise::{ColourNoise, Pca};
use crate::image::{Channels, Mean, Preprocess, Resize};
use crate::net::{BiasInit, Net, Op, WeightInit};
use crate::{Error, Result};
use std::collections::BTreeMap;

impl Recipe {
    /// Learning rate of the weights at a point of the run.
    pub fn lr_at(&self, at: Progress) -> f64 {
        self.schedule.lr_at(self.lr, self.epochs, at)
    }

    /// The optimizer's step at a point of the run, the same for all layers:
    /// [`param_groups::rates`](super::super::param_groups::rates) says how they differ.
    pub fn step_at(&self, at: Progress) -> OptimizerStep {
        let lr = self.lr_at(at);
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
        }
    }

    /// The recipe for another number of images in a step. With LARS the learning rate grows or falls in proportion (Goyal et al.
    /// 2017), since it was chosen for a batch of one size; other recipes keep theirs.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Recipe {
        let times = if self.optimizer.lars_trust().is_some() { batch as f64 / self.batch.max(1) as f64 } else { 1.0 };
        Recipe { lr: self.lr * times, batch, ..self }
    }

    /// The recipe with the optimizer of a name and its usual settings; the recipe's own if that has the name. The learning rate is
    /// scaled to what the optimizer needs to be about as fast.
    ///
    /// # Errors
    /// An unknown name.
    pub fn with_optimizer(self, name: &str) -> Result<Recipe> {
        if self.optimizer.name() == name {
            return Ok(self);
        }
        let optimizer = Optimizer::named(name)
            .ok_or_else(|| Error::Invalid(format!("no optimizer `{name}`; choose one of {}", Optimizer::NAMES.join(", "))))?;
        let lr = self.lr * optimizer.lr_scale() / self.optimizer.lr_scale();
        Ok(Recipe { lr, optimizer, ..self })
    }

    /// The net with the recipe's initialisation.
    #[must_use]
    pub fn prepare(&self, mut net: Net) -> Net {
        if self.init == Init::HeDropout {
            return he_dropout(net);
        }
        if self.init == Init::He {
            let last = net.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. }));
            for (i, layer) in net.layers.iter_mut().enumerate() {
                if let Op::Conv { weight_init, bias_init, .. } | Op::Linear { weight_init, bias_init, .. } = &mut layer.op {
                    // Small at the end: the first loss is ln(classes), not that of random certainties.
                    *weight_init = if Some(i) == last { WeightInit::Normal(0.01) } else { WeightInit::HeNormal };
                    *bias_init = BiasInit::Constant(0.0);
                }
            }
        }
        net
    }

    /// The preprocessing for a net; a mean picture is still to be computed then, see [`Recipe::wants_mean_picture`].
    pub fn preprocess(&self, net: &Net) -> Preprocess {
        match self.pictures {
            Pictures::Net | Pictures::MeanPicture => Preprocess::for_net(net),
            Pictures::ImageNet => Preprocess {
                resize: Resize::ShortSide((net.image_size as f64 * 256.0 / 224.0).round_ties_even() as usize),
                crop: net.image_size,
                channels: Channels::Rgb,
                scale: 1.0 / 255.0,
                mean: Mean::Channel([0.485, 0.456, 0.406]),
                std: [0.229, 0.224, 0.225],
            },
        }
    }

    /// Whether the mean picture of the training set is to be subtracted.
    pub fn wants_mean_picture(&self) -> bool {
        self.pictures == Pictures::MeanPicture
    }

    /// The loader's augmentation; `pca` is needed where the recipe has colour noise.
    pub fn augment(&self, pca: Option<&Pca>) -> Augment {
        let colour = self.colour.zip(pca).map(|(c, pca)| ColourNoise { pca: pca.clone(), sigma: c.sigma, strength: c.strength });
        match self.augment {
            Augmentation::None => Augment::None,
            Augmentation::CropMirror => Augment::CropMirror { colour },
            Augmentation::RandomResizedCrop { scale: [a, b], ratio: [c, d] } => {
                Augment::RandomResizedCrop { scale: (a, b), ratio: (c, d), colour }
            }
        }
    }

    /// Checks what a user may have set.
    ///
    /// # Errors
    /// A line that names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str, value: f64| Err(Error::Invalid(format!("{what} of {value} cannot work")));
        if self.epochs == 0 || self.batch == 0 {
            return Err(Error::Invalid("there must be at least 1 epoch, and 1 picture in a batch".into()));
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return wrong("a learning rate", self.lr);
        }
        self.optimizer.check().map_err(Error::Invalid)?;
        self.schedule.check()?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return wrong("a weight decay", self.weight_decay);
        }
        Ok(())
    }
}

/// By what a maximum pool of 3 x 3 multiplies the mean of squares: 2.4, 3.0 and 3.9 in AlexNet's three, measured with photographs and these
/// first values.
const MAX_POOL: f32 = 3.0;

/// The net with the initialisation [`Init::HeDropout`]. A net whose shapes do not fit stays as it is: whoever builds it says so.
fn he_dropout(mut net: Net) -> Net {
    let Ok(shapes) = net.shapes() else { return net };
    let last = net.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. }));
    // By what pools and dropout multiply the mean of squares on the way to the next layer with weights.
    let mut times = 1.0;
    for (i, (layer, shape)) in net.layers.iter_mut().zip(&shapes).enumerate() {
        match &mut layer.op {
            Op::MaxPool { .. } => times *= MAX_POOL,
            Op::Dropout { rate, style } => times *= (1.0 - *rate) * style.in_training(*rate).powi(2),
            Op::Conv { weight_init, bias_init, .. } | Op::Linear { weight_init, bias_init, .. } => {
                let inputs = shape.weight[1..].iter().product::<usize>() as f32 * times;
                *weight_init = WeightInit::Normal(if Some(i) == last { 0.001 } else { (2.0 / inputs).sqrt() });
                *bias_init = BiasInit::Constant(0.0);
                times = 1.0;
            }
            _ => {}
        }
    }
    net
}
