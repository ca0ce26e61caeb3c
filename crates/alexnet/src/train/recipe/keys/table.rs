//! The table of all keys: a line each, in the order in which recipes are written.

use super::Kind::{self, Count, Fractions, Number, Pair, Switch, Table, Text, Word};
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
    Key::new("lr", Number(Range { max: 1e6, ..Range::POSITIVE }), "", "initial learning rate of the weights")
        .alias(&["learning_rate"]),
    Key::new("weight_decay", Kind::FROM_ZERO, "", "weight decay of the weights").alias(&["decay"]),
    Key::new("bias_weight_decay", Kind::FROM_ZERO, "", "weight decay of the biases").alias(&["bias_decay"]),
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
    Key::new("loss.class_weights.*", Kind::POSITIVE, "none", "weight of a class in the loss, by its name; 1 for others"),
    Key::new("optimizer.kind", Word(Optimizer::NAMES), "", "optimizer; the learning rate is scaled for it unless stated")
        .alias(&["optimizer"]),
    Key::new("optimizer.momentum", Kind::BELOW_ONE, "0.9", "share of the velocity that is kept")
        .only(&["sgd"])
        .alias(&["momentum"]),
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
        Word(&["constant", "steps", "every", "plateau", "warmup_cosine", "warmup_poly"]),
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
    Key::new("schedule.warmup", Kind::BELOW_ONE, "0.05", "fraction of all steps in which the rate rises")
        .only(&["warmup_cosine"])
        .alias(&["warmup"]),
    Key::new("schedule.epochs", Kind::FROM_ZERO, "5", "epochs in which the rate rises, at most half of the run")
        .only(&["warmup_poly"]),
    Key::new("schedule.power", Kind::POSITIVE, "2", "exponent of the decay").only(&["warmup_poly"]),
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
];
