//! How a network is trained, as data: a recipe is a row in [`named`].

use super::layers;
use crate::data::loader::Augment;
use crate::engine::{Update, UpdateForm};
use crate::image::colour::{ColourNoise, Pca, Strength};
use crate::image::{Channels, Mean, Preprocess, Resize};
use crate::net::{BiasInit, Net, Op, WeightInit};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every setting in which published trainings of AlexNet differ. It is stored in the model and in the run's config.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures in a step.
    pub batch: usize,
    /// Whether a last, incomplete batch of an epoch is left out.
    pub drop_last: bool,
    /// After how many epochs a picture's random changes come again; 0: never. What frozen layers make of it is then kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub views: usize,
    /// Learning rate of the weights at the beginning.
    pub lr: f64,
    /// Share of the velocity that stays.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// Decay of the biases: 0 in the 2012 code and in Caffe, equal to `decay` in PyTorch.
    pub bias_decay: f64,
    /// Where the learning rate stands in the update.
    pub form: UpdateForm,
    /// Trust coefficient of LARS; none: plain SGD. With it, the rate is that of `batch` pictures, see [`Recipe::with_batch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<f64>,
    /// How parameters begin.
    pub init: Init,
    /// How pictures become numbers.
    pub pictures: Pictures,
    /// Learning rate of the biases.
    pub bias_lr: BiasRate,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Random changes of the training pictures.
    pub augment: Augmentation,
    /// Random changes of their colours.
    pub colour: Option<Colour>,
    /// How many times these learning rates a layer's are, by its name or by `head` for the last one; 0 freezes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_rates: BTreeMap<String, f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Learning rate of the biases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasRate {
    /// This many times that of the weights.
    Times(f64),
    /// Always the same: the 2012 code never lowered it.
    Fixed(f64),
}

/// How the learning rate changes. Epochs count from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Divided by `by` as soon as a share of the epochs has passed: from epoch floor(epochs * n / d) on for each `[n, d]`.
    Steps {
        /// Numerators and denominators.
        at: Vec<[usize; 2]>,
        /// Divisor.
        by: f64,
    },
    /// Divided by `by` after every so many epochs, however long the run.
    Every {
        /// Epochs.
        epochs: usize,
        /// Divisor.
        by: f64,
    },
    /// Divided by `by`, at most `times` times, whenever validation has not improved for `patience` epochs.
    Plateau {
        /// Epochs without a better top-1.
        patience: usize,
        /// Divisor.
        by: f64,
        /// Most divisions.
        times: u32,
    },
    /// Rises in a line over the first share of all steps, then falls along half a cosine towards 0.
    WarmupCosine {
        /// Share of all steps, 0 to 1.
        warmup: f64,
    },
    /// Rises in a line over the first epochs, then falls as `(1 - share of the rest that is done)^power` towards 0.
    WarmupPoly {
        /// Epochs, or parts of one; at most half of the run.
        epochs: f64,
        /// Exponent.
        power: f64,
    },
}

/// How parameters begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As the net says.
    Net,
    /// He et al. 2015: deviation sqrt(2 / fan_in), biases 0, so that signals neither die nor grow from layer to layer. With
    /// the initialisation of 2012 or of PyTorch, AlexNet may stay at a loss of ln(classes) for long on a small set.
    He,
}

/// How pictures become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pictures {
    /// As [`Preprocess::for_net`] says.
    Net,
    /// The same, but the mean picture of the training set is subtracted, at its centre, as the paper and the 2012 code do.
    MeanPicture,
    /// torchvision's: short side to 256/224 of the crop, rounded; ImageNet's mean and deviation.
    ImageNet,
}

/// Random changes of the training pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augmentation {
    /// None.
    None,
    /// The paper's: a random crop of the resized picture, mirrored in half of the cases.
    CropMirror,
    /// torchvision's: a random area of the original picture, resized, mirrored in half of the cases.
    RandomResizedCrop {
        /// Smallest and largest share of the picture's pixels.
        scale: [f32; 2],
        /// Smallest and largest width / height.
        ratio: [f32; 2],
    },
}

/// The paper's colour noise, along the principal components of the user's own training pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Deviation of alpha; the paper's is 0.1.
    pub sigma: f32,
    /// Which of the two published strengths.
    pub strength: Strength,
}

/// The names of all recipes.
pub const NAMES: [&str; 8] = ["quick", "simple", "finetune", "paper", "original", "caffe", "torchvision", "large-batch"];

/// By what the rate of the recipe `finetune` is divided where the model knows all classes already. Five of ten classes of CIFAR-10
/// that a net had 61.30 % of right were, after 30 epochs of 250 pictures, at 61.50 % with it and at 60.52 % without.
pub const KNOWN_CLASSES: f64 = 10.0;

/// A recipe by name.
///
/// | name | source |
/// |---|---|
/// | `quick` | ours, the default: He's initialisation, warm-up, cosine; learns small sets of pictures quickly and surely |
/// | `simple` | plain PyTorch: constant rate, a tenth of it in the last third, decay on everything |
/// | `finetune` | ours, the default for a run that begins with a model: its layers change little, a new head learns ten times as fast, as in Caffe's `finetune_flickr_style`; see [`KNOWN_CLASSES`] |
/// | `paper` | Krizhevsky, Sutskever and Hinton 2012, sections 4 and 5; patience is not told there: 5 epochs |
/// | `original` | the 2012 code, `layers-145`: rates fall at epochs 25, 51 and 79 of 91 (in proportion in other lengths), that of the biases never. Its special rates for conv1 from epoch 67 on are left out |
/// | `caffe` | Caffe's `bvlc_alexnet`: every 100,000 of 450,000 iterations is here every two ninths of the run |
/// | `torchvision` | torchvision's `references/classification`, AlexNet's settings |
/// | `large-batch` | You, Gitman and Ginsburg 2017: LARS for 32,768 pictures a step; borisgin/nvcaffe, `models/alexnet_bn/solver_32k.prototxt` |
///
/// # Errors
/// An unknown name.
pub fn named(name: &str) -> Result<Recipe> {
    // What is common to PyTorch's world; each recipe below says where it differs.
    let simple = Recipe {
        name: name.into(),
        epochs: 24,
        batch: 64,
        drop_last: true,
        views: 0,
        lr: 0.01,
        momentum: 0.9,
        decay: 5e-4,
        bias_decay: 5e-4,
        form: UpdateForm::RateOutside,
        trust: None,
        init: Init::Net,
        pictures: Pictures::ImageNet,
        bias_lr: BiasRate::Times(1.0),
        schedule: Schedule::Steps { at: vec![[2, 3]], by: 10.0 },
        augment: Augmentation::CropMirror,
        colour: None,
        layer_rates: BTreeMap::new(),
    };
    Ok(match name {
        "simple" => simple,
        // At a rate of 0.01 He's initialisation lost most ReLUs of fc6 and fc7 in the first epoch, and the loss stayed at
        // ln(classes); at 0.003 the built-in set was at 90 % after 6 epochs, where `simple` needed 9.
        "quick" => Recipe {
            epochs: 30,
            batch: 32,
            lr: 0.003,
            init: Init::He,
            schedule: Schedule::WarmupCosine { warmup: 0.05 },
            ..simple
        },
        // A few hundred pictures are a dozen steps an epoch: the last, smaller batch counts.
        "finetune" => Recipe {
            epochs: 30,
            batch: 32,
            drop_last: false,
            lr: 0.001,
            schedule: Schedule::WarmupCosine { warmup: 0.05 },
            layer_rates: BTreeMap::from([(layers::HEAD.to_string(), 10.0)]),
            ..simple
        },
        "paper" => Recipe {
            epochs: 90,
            batch: 128,
            bias_decay: 0.0,
            form: UpdateForm::RateInside,
            pictures: Pictures::MeanPicture,
            schedule: Schedule::Plateau { patience: 5, by: 10.0, times: 3 },
            colour: Some(Colour { sigma: 0.1, strength: Strength::Variance }),
            ..simple
        },
        "original" => Recipe {
            epochs: 91,
            batch: 128,
            bias_decay: 0.0,
            form: UpdateForm::RateInside,
            pictures: Pictures::MeanPicture,
            bias_lr: BiasRate::Fixed(0.02),
            schedule: Schedule::Steps { at: vec![[25, 91], [51, 91], [79, 91]], by: 10.0 },
            colour: Some(Colour { sigma: 0.1, strength: Strength::Deviation }),
            ..simple
        },
        "caffe" => Recipe {
            epochs: 90,
            batch: 256,
            bias_decay: 0.0,
            form: UpdateForm::RateInside,
            pictures: Pictures::Net,
            bias_lr: BiasRate::Times(2.0),
            schedule: Schedule::Steps { at: vec![[2, 9], [4, 9], [6, 9], [8, 9]], by: 10.0 },
            ..simple
        },
        "torchvision" => Recipe {
            epochs: 90,
            batch: 256,
            drop_last: false,
            decay: 1e-4,
            bias_decay: 1e-4,
            schedule: Schedule::Every { epochs: 30, by: 10.0 },
            augment: Augmentation::RandomResizedCrop { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] },
            ..simple
        },
        // All numbers are those of the authors' solver_32k. Theirs warms up from a rate of 1, ours from 0. LARS multiplies the rate of weights by about its
        // trust coefficient; biases, which do without it, get the same factor, or they would run away.
        "large-batch" => Recipe {
            epochs: 100,
            batch: 32_768,
            lr: 32.0,
            bias_decay: 0.0,
            form: UpdateForm::RateInside,
            trust: Some(0.001),
            bias_lr: BiasRate::Times(0.001),
            schedule: Schedule::WarmupPoly { epochs: 10.0, power: 2.0 },
            ..simple
        },
        _ => return Err(Error::Invalid(format!("no recipe `{name}`; there are {}", NAMES.join(", ")))),
    })
}

/// Where a run stands, as schedules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Step of the whole run, from 0.
    pub step: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// How often a plateau has lowered the rate.
    pub drops: u32,
}

impl Recipe {
    /// Learning rate of the weights at a position.
    pub fn rate(&self, at: Position) -> f64 {
        match &self.schedule {
            Schedule::Constant => self.lr,
            Schedule::Steps { at: shares, by } => {
                let passed = shares.iter().filter(|[n, d]| at.epoch >= self.epochs * n / (*d).max(1)).count();
                self.lr / by.powi(passed as i32)
            }
            Schedule::Every { epochs, by } => self.lr / by.powi((at.epoch / (*epochs).max(1)) as i32),
            Schedule::Plateau { by, .. } => self.lr / by.powi(at.drops as i32),
            Schedule::WarmupCosine { warmup } => {
                let all = (self.epochs as u64 * at.steps_per_epoch).max(1) as f64;
                let rise = (all * warmup).floor();
                // The middle of the step: neither the first nor the last step is wasted on a rate of 0.
                let step = at.step as f64 + 0.5;
                if step < rise {
                    self.lr * step / rise
                } else {
                    self.lr * 0.5 * (1.0 + (std::f64::consts::PI * (step - rise) / (all - rise)).cos()).max(0.0)
                }
            }
            Schedule::WarmupPoly { epochs, power } => {
                let all = (self.epochs as u64 * at.steps_per_epoch).max(1) as f64;
                // A short run still comes down.
                let rise = (epochs * at.steps_per_epoch as f64).min(all / 2.0).floor();
                let step = at.step as f64 + 0.5;
                if step < rise {
                    self.lr * step / rise
                } else {
                    self.lr * (1.0 - (step - rise) / (all - rise)).max(0.0).powf(*power)
                }
            }
        }
    }

    /// The update rule at a position, the same for all layers: [`layers::rates`] says how they differ.
    pub fn update(&self, at: Position) -> Update {
        let lr = self.rate(at);
        let bias_lr = match self.bias_lr {
            BiasRate::Times(times) => lr * times,
            BiasRate::Fixed(rate) => rate,
        };
        Update {
            lr: lr as f32,
            bias_lr: bias_lr as f32,
            momentum: self.momentum as f32,
            decay: self.decay as f32,
            bias_decay: self.bias_decay as f32,
            form: self.form,
            trust: self.trust.map(|trust| trust as f32),
            layers: BTreeMap::new(),
        }
    }

    /// The recipe for another number of pictures in a step. With LARS the learning rate grows or falls in proportion (Goyal et al.
    /// 2017), since it was chosen for a batch of one size; other recipes keep theirs.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Recipe {
        let times = if self.trust.is_some() { batch as f64 / self.batch.max(1) as f64 } else { 1.0 };
        Recipe { lr: self.lr * times, batch, ..self }
    }

    /// The net with the recipe's initialisation.
    #[must_use]
    pub fn prepare(&self, mut net: Net) -> Net {
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
        if !(0.0..1.0).contains(&self.momentum) {
            return wrong("a momentum", self.momentum);
        }
        if let Some(trust) = self.trust
            && !(trust > 0.0 && trust.is_finite())
        {
            return wrong("a trust coefficient", trust);
        }
        if let Schedule::WarmupPoly { epochs, power } = self.schedule
            && !(epochs >= 0.0 && epochs.is_finite() && power > 0.0 && power.is_finite())
        {
            return Err(Error::Invalid(format!("{epochs} epochs of warm-up and a power of {power} cannot work")));
        }
        if !(self.decay >= 0.0 && self.decay.is_finite()) {
            return wrong("a weight decay", self.decay);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: usize) -> Position {
        Position { epoch, step: epoch as u64 * 10, steps_per_epoch: 10, drops: 0 }
    }

    fn rates(recipe: &Recipe, epochs: &[usize]) -> Vec<f32> {
        epochs.iter().map(|&e| recipe.update(at(e)).lr).collect()
    }

    #[test]
    fn simple_divides_by_ten_at_two_thirds_as_the_reference_does() {
        let mut recipe = named("simple").unwrap();
        assert_eq!(rates(&recipe, &[0, 15, 16, 23]), [0.01, 0.01, 0.001, 0.001]);
        // Python: 20 * 2 // 3 == 13.
        recipe.epochs = 20;
        assert_eq!(rates(&recipe, &[12, 13]), [0.01, 0.001]);
        let update = recipe.update(at(0));
        assert_eq!((update.decay, update.bias_decay, update.bias_lr), (5e-4, 5e-4, 0.01));
        assert_eq!(update.form, UpdateForm::RateOutside);
        let net = crate::net::presets::by_name("torchvision").unwrap().with_image_size(128);
        assert_eq!(recipe.preprocess(&net).resize, Resize::ShortSide(146));
        assert_eq!(recipe.prepare(net.clone()), net);
    }

    #[test]
    fn the_original_falls_at_25_51_and_79_and_its_biases_never() {
        let recipe = named("original").unwrap();
        assert_eq!(rates(&recipe, &[0, 24, 25, 50, 51, 78, 79, 90]), [0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]);
        assert_eq!(recipe.update(at(90)).bias_lr, 0.02);
        assert_eq!(recipe.update(at(0)).bias_decay, 0.0);
    }

    #[test]
    fn caffe_falls_every_20_of_90_and_torchvision_every_30_epochs() {
        assert_eq!(rates(&named("caffe").unwrap(), &[19, 20, 40, 60, 80]), [0.01, 1e-3, 1e-4, 1e-5, 1e-6]);
        assert_eq!(named("caffe").unwrap().update(at(20)).bias_lr, 2e-3);
        assert_eq!(rates(&named("torchvision").unwrap(), &[29, 30, 59, 60, 90]), [0.01, 1e-3, 1e-3, 1e-4, 1e-5]);
    }

    #[test]
    fn warm_up_rises_and_cosine_falls() {
        let recipe = Recipe { epochs: 10, lr: 1.0, schedule: Schedule::WarmupCosine { warmup: 0.1 }, ..named("quick").unwrap() };
        let rate = |step| recipe.rate(Position { epoch: 0, step, steps_per_epoch: 10, drops: 0 });
        // 10 steps up, 90 down: cos(pi 0.5 / 90), and near the middle of the fall cos(pi 44.5 / 90), cos(pi 45.5 / 90).
        assert_eq!((rate(0), rate(9)), (0.05, 0.95));
        assert!((rate(10) - 0.999_923_85).abs() < 1e-6);
        assert!((rate(54) + rate(55) - 1.0).abs() < 1e-12);
        assert!(rate(99) > 0.0 && rate(99) < 1e-3);
    }

    #[test]
    fn warm_up_rises_and_a_polynomial_falls() {
        let schedule = Schedule::WarmupPoly { epochs: 2.0, power: 2.0 };
        let recipe = Recipe { epochs: 12, lr: 1.0, schedule, ..named("large-batch").unwrap() };
        let rate = |step| recipe.rate(Position { epoch: 0, step, steps_per_epoch: 10, drops: 0 });
        // 20 steps up, 100 down: (1 - 0.5 / 100)^2, in the middle (1 - 50.5 / 100)^2, at the end (0.5 / 100)^2.
        assert_eq!((rate(0), rate(19)), (0.025, 0.975));
        for (step, share) in [(20, 0.995f64), (70, 0.495), (119, 0.005)] {
            assert!((rate(step) - share * share).abs() < 1e-12, "step {step}: {}", rate(step));
        }
        // Two epochs of warm-up in a run of two: half of it rises.
        let short = Recipe { epochs: 2, ..recipe.clone() };
        assert_eq!(short.rate(Position { epoch: 0, step: 9, steps_per_epoch: 10, drops: 0 }), 0.95);
        assert!(Recipe { trust: Some(0.0), ..recipe.clone() }.check().is_err());
        let schedule = Schedule::WarmupPoly { epochs: f64::NAN, power: 2.0 };
        assert!(Recipe { schedule, ..recipe }.check().is_err());
    }

    #[test]
    fn the_rate_for_large_batches_goes_with_the_batch_and_no_other_does() {
        let large = named("large-batch").unwrap();
        assert_eq!((large.batch, large.lr, large.trust), (32_768, 32.0, Some(0.001)));
        let small = large.with_batch(512);
        assert_eq!((small.batch, small.lr), (512, 0.5));
        assert_eq!(small.update(at(50)).trust, Some(0.001));
        assert_eq!(named("caffe").unwrap().with_batch(512).lr, 0.01);
    }

    #[test]
    fn a_plateau_lowers_by_what_it_is_told() {
        let recipe = named("paper").unwrap();
        assert_eq!(recipe.rate(Position { drops: 2, ..at(5) }), 0.01 / 100.0);
        let constant = Recipe { schedule: Schedule::Constant, ..recipe };
        assert_eq!(constant.rate(Position { drops: 2, ..at(80) }), 0.01);
    }

    #[test]
    fn he_starts_every_layer_by_its_inputs_and_the_last_one_small() {
        let net = named("quick").unwrap().prepare(crate::net::presets::by_name("torchvision").unwrap());
        let inits: Vec<WeightInit> = net
            .layers
            .iter()
            .filter_map(|l| match l.op {
                Op::Conv { weight_init, .. } | Op::Linear { weight_init, .. } => Some(weight_init),
                _ => None,
            })
            .collect();
        assert_eq!(inits.len(), 8);
        assert!(inits[..7].iter().all(|i| *i == WeightInit::HeNormal));
        assert_eq!(inits[7], WeightInit::Normal(0.01));
    }

    #[test]
    fn every_recipe_has_its_name_survives_json_and_works() {
        for name in NAMES {
            let recipe = named(name).unwrap();
            recipe.check().unwrap();
            assert_eq!(recipe.name, name);
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
        }
        assert!(named("papper").unwrap_err().to_string().contains("paper, original"));
        assert!(Recipe { lr: f64::NAN, ..named("paper").unwrap() }.check().is_err());
    }
}
