//! The table of all keys: a line each, in the order in which recipes are written.

use super::Kind::{self, Between, Count, Fractions, Legs, Number, Pair, RateChanges, Switch, Table, Text, Word};
use super::{Key, Range};
use crate::image::JpegDecoding;
use crate::train::recipe::{Monitor, Optimizer};

/// Every key of a recipe.
pub static KEYS: &[Key] = &[
    Key::new("name", Text, "", "name, shown in reports"),
    Key::new("epochs", Count(1), "", "number of epochs"),
    Key::new("batch", Count(1), "", "batch size").alias(&["batch_size"]),
    Key::new("drop_last", Switch, "", "whether the last, incomplete batch of an epoch is dropped"),
    Key::new("views", Count(0), "0", "number of epochs after which an image's random augmentations repeat; 0: never"),
    Key::new("lr", Number(Range { max: 1000.0, ..Range::POSITIVE }), "", "initial learning rate of the weights")
        .alias(&["learning_rate"]),
    Key::new(
        "weight_decay",
        Kind::FROM_ZERO,
        "",
        "weight decay of the weights, and of biases that have the same one in the base",
    )
    .alias(&["decay"]),
    Key::new("bias_weight_decay", Kind::FROM_ZERO, "", "weight decay of the biases, if it is not that of the weights")
        .alias(&["bias_decay"]),
    Key::new("accumulate", Count(1), "1", "number of batches whose gradients are accumulated for one optimizer step"),
    Key::new("clip_norm", Kind::POSITIVE, "none", "maximum norm of all gradients together; larger ones are scaled down to it"),
    Key::new(
        "init",
        Word(&["net", "he", "he_dropout"]),
        "",
        "initialisation: the net's own, He's, or He's corrected for pooling and dropout",
    ),
    Key::new(
        "images",
        Word(&["net", "mean_image", "image_net"]),
        "",
        "preprocessing: the net's own, the same with the training set's mean image, or torchvision's",
    )
    .stored("pictures"),
    Key::new(
        "crop_pct",
        Number(Range::of(0.1, 1.0)),
        "none",
        "crop as a fraction of the size to which images are resized; none: that of `images`, 0.875 for torchvision's",
    ),
    Key::new("jpeg", Word(&JpegDecoding::NAMES), "exact", "decoding of JPEG files"),
    Key::new(
        "best",
        Word(&["validation", "last"]),
        "validation",
        "the model saved as best.safetensors: of the best validation, or the last one",
    ),
    Key::new("sampling", Word(&["uniform", "balanced"]), "uniform", "images of an epoch: each once, or as many of every class"),
    Key::new(
        "monitor",
        Word(&Monitor::NAMES),
        "top1",
        "metric that selects the best model, and by which patience and plateaus count",
    ),
    Key::new("patience", Count(0), "0", "number of epochs without a better one after which the run ends; 0: never"),
    Key::new(
        "loss.smoothing",
        Kind::BELOW_ONE,
        "0",
        "label smoothing: the share of every target that is spread over all classes",
    )
    .alias(&["smoothing", "label_smoothing"]),
    Key::new("loss.focal", Kind::FROM_ZERO, "0", "exponent gamma of the focal loss; 0: cross-entropy").alias(&["focal"]),
    Key::new("loss.class_weights", Word(&["auto"]), "none", "class weights inversely proportional to the numbers of images")
        .alias(&["class_weights"]),
    Key::new("loss.class_weights.*", Kind::POSITIVE, "none", "weight of a class in the loss, by its name; 1 for others")
        .alias(&["class_weights.*"]),
    Key::new("dropout", Kind::BELOW_ONE, "none", "probability of zero in all dropout layers; none: the net's own"),
    Key::new(
        "batch_norm",
        Switch,
        "false",
        "whether batch normalisation is added for training, and folded into the weights of saved models; not with --from",
    ),
    Key::new("optimizer.kind", Word(Optimizer::NAMES), "", "optimizer; the learning rate is scaled for it unless stated")
        .alias(&["optimizer"]),
    Key::new("optimizer.momentum", Kind::BELOW_ONE, "0.9", "share of the velocity that is kept")
        .only(&["sgd"])
        .alias(&["momentum"]),
    Key::new("optimizer.nesterov", Switch, "false", "Nesterov momentum").only(&["sgd"]).alias(&["nesterov"]),
    Key::new(
        "optimizer.form",
        Word(&["rate_inside", "rate_outside"]),
        "rate_outside",
        "whether the learning rate stands inside the velocity (Caffe) or outside (PyTorch)",
    )
    .only(&["sgd"]),
    Key::new("optimizer.lars_trust", Kind::POSITIVE, "none", "trust coefficient of LARS").only(&["sgd"]).alias(&["lars_trust"]),
    Key::new("optimizer.beta1", Kind::BELOW_ONE, "0.9", "share of the mean of gradients that is kept")
        .only(&["adamw"])
        .alias(&["beta1"]),
    Key::new("optimizer.beta2", Kind::BELOW_ONE, "0.999", "share of the mean of squared gradients that is kept")
        .only(&["adamw"])
        .alias(&["beta2"]),
    Key::new("optimizer.eps", Kind::POSITIVE, "1e-8", "number added to the root of the mean of squares")
        .only(&["adamw"])
        .alias(&["eps"]),
    Key::new("bias_lr.times", Kind::FROM_ZERO, "1", "learning rate of the biases as a multiple of the weights'").alone(),
    Key::new("bias_lr.fixed", Kind::FROM_ZERO, "none", "constant learning rate of the biases, instead").alone(),
    Key::new(
        "schedule.kind",
        Word(&[
            "constant",
            "steps",
            "every",
            "plateau",
            "cosine",
            "polynomial",
            "exponential",
            "one_cycle",
            "warmup_cosine",
            "warmup_poly",
        ]),
        "",
        "learning-rate schedule",
    )
    .alias(&["schedule"]),
    Key::new("schedule.at", Fractions, "[[1, 2], [3, 4]]", "fractions [n, d] of the run at which the rate is divided")
        .only(&["steps"]),
    Key::new("schedule.epochs", Count(1), "30", "epochs between divisions of the rate").only(&["every"]),
    Key::new("schedule.patience", Count(1), "5", "epochs without an improvement before the rate is divided").only(&["plateau"]),
    Key::new("schedule.times", Count(0), "3", "maximum number of divisions").only(&["plateau"]),
    Key::new("schedule.by", Number(Range { min: 1.0, ..Range::FROM_ZERO }), "10", "divisor of the rate")
        .only(&["steps", "every", "plateau"]),
    Key::new("schedule.epochs", Kind::POSITIVE, "10", "epochs in which the rate falls by a factor").only(&["exponential"]),
    Key::new("schedule.by", Kind::POSITIVE, "10", "the factor, reached a little at each step").only(&["exponential"]),
    Key::new("schedule.rise", Kind::SHARE, "0.3", "fraction of all steps in which the rate rises").only(&["one_cycle"]),
    Key::new("schedule.start_fraction", Kind::SHARE, "0.04", "first rate as a fraction of the highest").only(&["one_cycle"]),
    Key::new("schedule.final_fraction", Kind::SHARE, "0.000004", "final rate as a fraction of the highest").only(&["one_cycle"]),
    Key::new("schedule.final_fraction", Kind::SHARE, "0", "final rate as a fraction of the initial one")
        .only(&["cosine", "polynomial"]),
    Key::new("schedule.power", Kind::POSITIVE, "1", "exponent of the decay; 1 is a line").only(&["polynomial"]),
    Key::new("schedule.warmup", Kind::BELOW_ONE, "0.05", "fraction of all steps in which the rate rises")
        .only(&["warmup_cosine"])
        .alias(&["warmup"]),
    Key::new("schedule.epochs", Kind::FROM_ZERO, "5", "epochs in which the rate rises, at most half of the run")
        .only(&["warmup_poly"]),
    Key::new("schedule.power", Kind::POSITIVE, "2", "exponent of the decay").only(&["warmup_poly"]),
    Key::new(
        "warmup_epochs",
        Kind::FROM_ZERO,
        "0",
        "epochs of linear warm-up in front of a schedule without its own, at most half of the run",
    ),
    Key::new("warmup_fraction", Kind::SHARE, "0", "the same as a fraction of all steps"),
    Key::new("ema", Table, "none", "exponential moving average of the weights, which is validated and saved"),
    Key::new("ema.decay", Kind::BELOW_ONE, "0.999", "share of the average that each step keeps"),
    Key::new("ema.every", Count(1), "8", "steps from one update of the average to the next, which keep decay^every"),
    Key::new("ema.warmup", Switch, "true", "whether step t keeps (1 + t) / (10 + t) at most"),
    Key::new(
        "augment.kind",
        Word(&["none", "crop_mirror", "random_resized_crop"]),
        "",
        "cropping: the centre, random crop and mirror (the paper), or RandomResizedCrop (torchvision)",
    ),
    Key::new(
        "augment.scale",
        Pair(Range { max: 1.0, ..Range::POSITIVE }),
        "[0.08, 1]",
        "smallest and largest fraction of the image's area",
    )
    .only(&["random_resized_crop"]),
    Key::new(
        "augment.ratio",
        Pair(Range::of(0.01, 100.0)),
        "[0.75, 1.3333333333333333]",
        "smallest and largest aspect ratio, width / height",
    )
    .only(&["random_resized_crop"]),
    Key::new(
        "augment.short_side",
        Between(16, 8192),
        "none",
        "short side in pixels to which larger images are reduced before the crop, so that more of them fit into the cache",
    )
    .only(&["random_resized_crop"]),
    Key::new(
        "augment.flip",
        Kind::SHARE,
        "none",
        "probability of mirroring left to right; none: 0.5, or 0 without a random crop",
    ),
    Key::new("augment.vertical_flip", Kind::SHARE, "0", "probability of turning upside down"),
    Key::new("augment.rotation", Number(Range::of(0.0, 180.0)), "0", "maximum rotation in degrees, either way"),
    Key::new("augment.translate", Kind::SHARE, "0", "maximum translation as a fraction of each side"),
    Key::new("augment.zoom", Pair(Range::of(0.01, 100.0)), "[1, 1]", "smallest and largest scale factor"),
    Key::new("augment.shear", Number(Range::of(0.0, 80.0)), "0", "maximum shear along x in degrees, either way"),
    Key::new(
        "augment.interpolation",
        Word(&["nearest", "bilinear"]),
        "none",
        "sampling of rotated and sheared images; none: torchvision's default",
    ),
    Key::new(
        "augment.auto",
        Word(&["trivial", "rand", "augmix"]),
        "none",
        "automatic augmentation: TrivialAugmentWide, RandAugment or AugMix",
    ),
    Key::new("augment.auto_operations", Between(1, 20), "2", "number of operations of RandAugment"),
    Key::new("augment.auto_magnitude", Between(0, 30), "9", "magnitude of RandAugment's operations"),
    Key::new("augment.brightness", Number(Range::of(0.0, 100.0)), "0", "maximum change of the brightness factor from 1"),
    Key::new("augment.contrast", Number(Range::of(0.0, 100.0)), "0", "maximum change of the contrast factor from 1"),
    Key::new("augment.saturation", Number(Range::of(0.0, 100.0)), "0", "maximum change of the saturation factor from 1"),
    Key::new("augment.hue", Number(Range::of(0.0, 0.5)), "0", "maximum shift of hues in turns"),
    Key::new("augment.grayscale", Kind::SHARE, "0", "probability of removing colours"),
    Key::new("augment.blur", Kind::SHARE, "0", "probability of a Gaussian blur"),
    Key::new(
        "augment.blur_sigma",
        Pair(Range::of(0.01, 50.0)),
        "[0.1, 2]",
        "smallest and largest standard deviation of the blur in pixels",
    ),
    Key::new("augment.erasing", Kind::SHARE, "0", "probability of erasing a random rectangle"),
    Key::new("augment.mixup", Number(Range::of(0.0, 1000.0)), "0", "parameter alpha of mixup; 0: none"),
    Key::new(
        "augment.cutmix",
        Number(Range::of(0.0, 1000.0)),
        "0",
        "parameter alpha of CutMix; 0: none. With mixup too, a batch gets either with probability 0.5",
    ),
    Key::new("augment.mix_probability", Kind::SHARE, "1", "probability that a batch is mixed"),
    Key::new(
        "augment.mix_off_last",
        Kind::FROM_ZERO,
        "0",
        "epochs at the end without mixup and CutMix, such as 5; below 1 a fraction of the run, such as 0.1",
    ),
    Key::new("colour", Table, "none", "colour noise along the principal components of the training images").alias(&["color"]),
    Key::new("colour.sigma", Number(Range::of(0.0, 100.0)), "0.1", "standard deviation of the colour noise")
        .alias(&["color.sigma"]),
    Key::new(
        "colour.strength",
        Word(&["variance", "deviation"]),
        "variance",
        "strength of the colour noise: the paper's formula, or the 2012 code's",
    )
    .alias(&["color.strength"]),
    Key::new(
        "layer_rates.*",
        Kind::FROM_ZERO,
        "none",
        "learning-rate multiplier of a layer, by its name or `head` for the last one; 0 freezes it",
    ),
    Key::new(
        "layer_weight_decay.*",
        Kind::FROM_ZERO,
        "none",
        "weight decay of a layer's weights, by its name or `head` for the last one, instead of `weight_decay`",
    ),
    Key::new(
        "layer_rate_changes",
        RateChanges,
        "[]",
        "changes [n, d, layer, times]: from n/d of the epochs on, multiplier of a layer's learning rate on top of layer_rates; 0 freezes it",
    ),
    Key::new(
        "timeline",
        Legs,
        "[]",
        "plans [step, share, until] of a run with --time, which the recipe then repeats; empty: whole epochs",
    ),
];
