//! Recipe presets by name.

use super::super::param_groups;
use super::{
    Augmentation, BiasRate, Choice, Colour, CropKind, ImagePreprocessing, Init, LossSettings, MomentumForm, Monitor, Recipe,
    Sampling, Schedule, Sgd,
};
use crate::image::JpegDecoding;
use crate::image::pca_noise::Strength;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The names of all recipes.
pub const NAMES: [&str; 10] =
    ["quick", "simple", "finetune", "paper", "original", "caffe", "torchvision", "large-batch", "cifar-18pct", "cifar-11pct"];

/// What a preset is, in a line.
pub fn summary(name: &str) -> &'static str {
    match name {
        "quick" => "the default: trains well on a few thousand images, and adapts to fewer",
        "simple" => "plain PyTorch: constant learning rate, a tenth of it in the last third",
        "finetune" => "the default with --from: low learning rate, ten times higher for a new head",
        "paper" => "Krizhevsky, Sutskever and Hinton 2012",
        "original" => "the 2012 code, layers-145",
        "caffe" => "Caffe's bvlc_alexnet",
        "torchvision" => "torchvision's references/classification",
        "cifar-18pct" => "cuda-convnet's training of the net cifar-18pct",
        "cifar-11pct" => "cuda-convnet's training of cifar-13pct and cifar-11pct",
        "large-batch" => "LARS for batches of 32,768 (You, Gitman and Ginsburg 2017)",
        _ => "",
    }
}

/// Divisor of the learning rate of the recipe `finetune` if the model already knows all classes. A net with 61.30 %
/// accuracy on five of ten CIFAR-10 classes reached 61.50 % after 30 epochs of 250 images with it, and 60.52 %
/// without.
pub const KNOWN_CLASSES: f64 = 10.0;

/// SGD as in the paper, the 2012 code and Caffe.
const RATE_INSIDE: Sgd = Sgd { momentum: 0.9, form: MomentumForm::RateInside, lars_trust: None, nesterov: false };

/// torchvision's RandomResizedCrop of at least this share of the image's area.
fn random_resized_crop(least: f32) -> Augmentation {
    let (scale, ratio) = (Some([least, 1.0]), Some([3.0 / 4.0, 4.0 / 3.0]));
    Augmentation { kind: CropKind::RandomResizedCrop, scale, ratio, ..Augmentation::none() }
}

/// What cuda-convnet's examples for CIFAR-10 share: the model is that of the last epoch.
fn cuda_convnet(simple: Recipe) -> Recipe {
    let optimizer = RATE_INSIDE.into();
    let (images, best) = (ImagePreprocessing::MeanImage, Choice::Last);
    Recipe { batch: 128, drop_last: false, bias_weight_decay: 0.0, optimizer, images, best, ..simple }
}

/// Weight decay of some layers.
fn decays(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
    of.iter().map(|(layer, decay)| (layer.to_string(), *decay)).collect()
}

/// A recipe by name.
///
/// | name | source |
/// |---|---|
/// | `quick` | ours, the default: batch normalisation that is folded into the saved weights, RandomResizedCrop, little dropout, warm-up, cosine; [`Recipe::for_small_set`] changes it for a few hundred images, and [`Recipe::without_batch_norm`] for nets that are trained without normalisation |
/// | `simple` | plain PyTorch: constant rate, a tenth of it in the last third, decay on everything |
/// | `finetune` | ours, the default for fine-tuning: a low learning rate, and a new head with ten times that rate, as in Caffe's `finetune_flickr_style`; see [`KNOWN_CLASSES`] |
/// | `paper` | Krizhevsky, Sutskever and Hinton 2012, sections 4 and 5; the patience is not given there, we use 5 epochs |
/// | `original` | the 2012 code, `layers-145`: learning rates drop at epochs 25, 51 and 79 of 91 (in proportion for other lengths), except that of the biases; conv1 learns at a tenth of the rate from epoch 67 on and is frozen from epoch 72 on. There the colour noise also ended at epoch 67, which is omitted |
/// | `caffe` | Caffe's `bvlc_alexnet`: drops every 100,000 of 450,000 iterations become drops after every two ninths of the run |
/// | `torchvision` | torchvision's `references/classification`, AlexNet's settings |
/// | `large-batch` | You, Gitman and Ginsburg 2017: LARS for batches of 32,768; borisgin/nvcaffe, `models/alexnet_bn/solver_32k.prototxt` |
/// | `cifar-18pct` | cuda-convnet, `example-layers/layer-params-18pct.cfg`: 120 epochs, 10 at a tenth of the rates and 10 at a hundredth, without augmentation |
/// | `cifar-11pct` | the same, `layer-params-conv-local-11pct.cfg`, for the nets with and without normalisation: random crops and mirrors; 450 epochs, 10 at a tenth and 10 at a hundredth, the biases' rate constant. The file's 450 are some 300 on four fifths of the set, until validation stops improving, and some 150 on all of it |
///
/// # Errors
/// An unknown name.
pub fn by_name(name: &str) -> Result<Recipe> {
    // Common PyTorch settings; each recipe below lists its differences.
    let simple = Recipe {
        name: name.into(),
        epochs: 24,
        batch: 64,
        drop_last: true,
        views: 0,
        lr: 0.01,
        weight_decay: 5e-4,
        bias_weight_decay: 5e-4,
        optimizer: Sgd::default().into(),
        accumulate: 1,
        clip_norm: None,
        ema: None,
        init: Init::Net,
        images: ImagePreprocessing::ImageNet,
        crop_pct: None,
        jpeg: JpegDecoding::Exact,
        bias_lr: BiasRate::Times(1.0),
        schedule: Schedule::Steps { at: vec![[2, 3]], by: 10.0 },
        warmup_epochs: 0.0,
        warmup_fraction: 0.0,
        augment: Augmentation::crop_mirror(),
        colour: None,
        best: Choice::Validation,
        dropout: None,
        batch_norm: false,
        loss: LossSettings::default(),
        sampling: Sampling::Uniform,
        monitor: Monitor::Top1,
        patience: 0,
        layer_rates: BTreeMap::new(),
        layer_weight_decay: BTreeMap::new(),
        layer_rate_changes: Vec::new(),
        timeline: Vec::new(),
    };
    Ok(match name {
        "simple" => simple,
        // docs/guide/train.md has what each of these is worth. All layers but the last are normalised, so that their rate may be
        // high; the last one, with 4,096 inputs, has a rate of 0.002. Weight decay does not shrink what a normalised layer
        // computes; it keeps its weights small, so that each step turns them further, until the schedule ends.
        "quick" => Recipe {
            epochs: 30,
            lr: 0.04,
            layer_rates: BTreeMap::from([(param_groups::HEAD.to_string(), 0.05)]),
            init: Init::He,
            schedule: Schedule::WarmupCosine { warmup: 0.05 },
            batch_norm: true,
            weight_decay: 0.01,
            dropout: Some(0.2),
            crop_pct: Some(1.0),
            augment: random_resized_crop(0.35),
            ..simple
        },
        // A few hundred images make a dozen steps an epoch, so the last, smaller batch matters.
        "finetune" => Recipe {
            epochs: 30,
            batch: 32,
            drop_last: false,
            lr: 0.001,
            schedule: Schedule::WarmupCosine { warmup: 0.05 },
            layer_rates: BTreeMap::from([(param_groups::HEAD.to_string(), 10.0)]),
            ..simple
        },
        "paper" => Recipe {
            epochs: 90,
            batch: 128,
            bias_weight_decay: 0.0,
            optimizer: RATE_INSIDE.into(),
            images: ImagePreprocessing::MeanImage,
            schedule: Schedule::Plateau { patience: 5, by: 10.0, times: 3 },
            colour: Some(Colour { sigma: 0.1, strength: Strength::Variance }),
            ..simple
        },
        "original" => Recipe {
            epochs: 91,
            batch: 128,
            bias_weight_decay: 0.0,
            optimizer: RATE_INSIDE.into(),
            images: ImagePreprocessing::MeanImage,
            bias_lr: BiasRate::Fixed(0.02),
            schedule: Schedule::Steps { at: vec![[25, 91], [51, 91], [79, 91]], by: 10.0 },
            colour: Some(Colour { sigma: 0.1, strength: Strength::Deviation }),
            layer_rate_changes: vec![(67, 91, "conv1".into(), 0.1).into(), (72, 91, "conv1".into(), 0.0).into()],
            ..simple
        },
        "caffe" => Recipe {
            epochs: 90,
            batch: 256,
            bias_weight_decay: 0.0,
            optimizer: RATE_INSIDE.into(),
            images: ImagePreprocessing::Net,
            bias_lr: BiasRate::Times(2.0),
            schedule: Schedule::Steps { at: vec![[2, 9], [4, 9], [6, 9], [8, 9]], by: 10.0 },
            ..simple
        },
        "torchvision" => Recipe {
            epochs: 90,
            batch: 256,
            drop_last: false,
            weight_decay: 1e-4,
            bias_weight_decay: 1e-4,
            schedule: Schedule::Every { epochs: 30, by: 10.0 },
            augment: random_resized_crop(0.08),
            ..simple
        },
        // All numbers are those of the authors' solver_32k. Theirs warms up from a rate of 1, ours from 0. LARS
        // multiplies the rate of weights by about its trust coefficient; biases, which LARS does not scale, get the
        // same factor, because they would diverge otherwise.
        "large-batch" => Recipe {
            epochs: 100,
            batch: 32_768,
            lr: 32.0,
            bias_weight_decay: 0.0,
            optimizer: Sgd { lars_trust: Some(0.001), ..RATE_INSIDE }.into(),
            bias_lr: BiasRate::Times(0.001),
            schedule: Schedule::WarmupPoly { epochs: 10.0, power: 2.0 },
            ..simple
        },
        "cifar-18pct" => Recipe {
            epochs: 140,
            lr: 0.001,
            weight_decay: 0.004,
            layer_weight_decay: decays(&[(param_groups::HEAD, 1.0)]),
            schedule: Schedule::Steps { at: vec![[120, 140], [130, 140]], by: 10.0 },
            augment: Augmentation::none(),
            bias_lr: BiasRate::Times(2.0),
            ..cuda_convnet(simple)
        },
        "cifar-11pct" => Recipe {
            epochs: 470,
            lr: 0.001,
            weight_decay: 0.004,
            layer_weight_decay: decays(&[("conv1", 0.0), ("conv2", 0.0)]),
            schedule: Schedule::Steps { at: vec![[450, 470], [460, 470]], by: 10.0 },
            bias_lr: BiasRate::Fixed(0.002),
            ..cuda_convnet(simple)
        },
        _ => {
            let near = alexnet_hub::nearest_of(name, NAMES.into_iter());
            let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
            let message = format!("unknown recipe `{name}`; {near}choose one of {}, or a file", NAMES.join(", "));
            return Err(Error::Invalid(message));
        }
    })
}
