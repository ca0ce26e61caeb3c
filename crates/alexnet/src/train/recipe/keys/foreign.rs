//! Names of PyTorch, timm, ultralytics and Lightning, and what a recipe has in their place.

/// What stands for another library's setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instead {
    /// This key.
    Key(&'static str),
    /// This option of `train`: the setting is not part of a recipe.
    TrainOption(&'static str),
    /// Several keys, or a key with a value.
    Keys(&'static str),
}

use Instead::{Key, Keys, TrainOption};

/// Settings, and their names elsewhere: in small letters, without underscores and hyphens.
const NAMES: &[(Instead, &[&str])] = &[
    (Key("epochs"), &["numepochs", "nepochs", "maxepochs", "totalepochs", "numtrainepochs"]),
    (Key("batch"), &["bs", "trainbatchsize", "perdevicetrainbatchsize"]),
    (Key("lr"), &["lr0", "baselr", "initiallr", "maxlr", "rate"]),
    (Key("weight_decay"), &["wd", "l2", "l2reg", "weightdecayrate"]),
    (
        Key("accumulate"),
        &["gradientaccumulationsteps", "accumulategradbatches", "gradaccum", "gradaccumsteps", "accumsteps", "nbs"],
    ),
    (
        Key("clip_norm"),
        &[
            "clipgrad",
            "clipgradnorm",
            "maxgradnorm",
            "maxnorm",
            "gradclip",
            "gradclipnorm",
            "gradientclipval",
            "gradientclipping",
        ],
    ),
    (Key("schedule.kind"), &["scheduler", "lrscheduler", "lrschedule", "sched", "lrpolicy", "lrschedulertype"]),
    (Key("schedule.at"), &["milestones", "lrsteps", "decaymilestones"]),
    (Keys("`schedule.kind = \"every\"` has `schedule.epochs`"), &["stepsize", "lrstepsize", "decayepochs"]),
    (Keys("the rate is divided by `schedule.by`: 10 stands for a gamma of 0.1"), &["gamma", "lrgamma", "decayrate", "factor"]),
    (Keys("`schedule.final_fraction` is the final rate as a fraction of `lr`"), &["minlr", "lrf", "etamin", "endlr"]),
    (Key("warmup_fraction"), &["warmupratio"]),
    (Key("schedule.rise"), &["pctstart"]),
    (Keys("a warm-up is given as `warmup_epochs` or `warmup_fraction`"), &["warmupsteps", "warmupiters", "warmuplr"]),
    (Key("optimizer.kind"), &["opt", "optim", "solver"]),
    (Key("optimizer.eps"), &["epsilon", "opteps", "adamepsilon"]),
    (Keys("the two betas are `beta1` and `beta2`"), &["betas", "optbetas"]),
    (Key("ema"), &["modelema", "useema", "exponentialmovingaverage"]),
    (Key("ema.decay"), &["modelemadecay", "emadecay", "emamomentum"]),
    (Key("ema.every"), &["modelemasteps", "emasteps", "emaevery"]),
    (Keys("`alexnet average RUN` averages the models of a run"), &["swa", "useswa"]),
    (Key("dropout"), &["drop", "droprate", "dropoutrate", "dropoutp", "pdrop"]),
    (Key("loss.smoothing"), &["labelsmooth", "smoothingfactor"]),
    (Key("loss.focal"), &["focalloss", "focalgamma", "flgamma"]),
    (Key("loss.class_weights"), &["classweight", "lossweights"]),
    (Key("sampling"), &["sampler", "balanced", "classbalanced", "weightedsampler", "weightedrandomsampler"]),
    (Key("patience"), &["earlystopping", "earlystop", "earlystoppingpatience"]),
    (Key("monitor"), &["metric", "evalmetric", "monitormetric", "metricforbestmodel"]),
    (Key("batch_norm"), &["bn", "usebn", "usebatchnorm"]),
    (Key("crop_pct"), &["cropratio", "cropfraction"]),
    (Key("augment.kind"), &["crop", "croptype"]),
    (Keys("`augment.kind = \"random_resized_crop\"`"), &["randomresizedcrop", "rrc", "resizedcrop"]),
    (Key("augment.flip"), &["hflip", "fliplr", "horizontalflip", "randomhorizontalflip", "mirror", "flipprob", "hflipprob"]),
    (Key("augment.vertical_flip"), &["vflip", "flipud", "randomverticalflip", "vflipprob"]),
    (Key("augment.rotation"), &["degrees", "rotate", "randomrotation", "rotationdegrees"]),
    (Key("augment.translate"), &["translation", "shift"]),
    (Key("augment.hue"), &["hsvh"]),
    (Key("augment.saturation"), &["hsvs"]),
    (Key("augment.brightness"), &["hsvv"]),
    (
        Keys("its parts are `augment.brightness`, `augment.contrast`, `augment.saturation` and `augment.hue`"),
        &["colorjitter", "colourjitter", "jitter"],
    ),
    (Key("augment.grayscale"), &["gray", "grey", "greyscale", "randomgrayscale", "grayscaleprob"]),
    (Key("augment.blur"), &["gaussianblur", "gaussianblurprob"]),
    (Key("augment.erasing"), &["randomerasing", "randomerase", "reprob", "erasingprob", "randomerasingprob", "cutout"]),
    (Key("augment.auto"), &["autoaugment", "aa", "autoaugmentpolicy"]),
    (Keys("`augment.auto = \"rand\"`"), &["randaugment", "randaug", "raugment"]),
    (Keys("`augment.auto = \"trivial\"`"), &["trivialaugment", "trivialaugmentwide", "tawide"]),
    (Keys("`augment.auto = \"augmix\"`"), &["augmix"]),
    (Key("augment.mixup"), &["mixupalpha"]),
    (Key("augment.cutmix"), &["cutmixalpha"]),
    (Key("augment.mix_probability"), &["mixupprob", "cutmixprob", "mixprob"]),
    (Key("augment.mix_off_last"), &["mixupoffepoch", "closemosaic"]),
    (Key("colour.sigma"), &["pcanoise", "lighting", "colornoise", "colournoise"]),
    (
        Keys("`layer_rates.head = 10` multiplies the learning rate of a layer"),
        &["headlr", "lrmult", "layerlr", "lrtimes", "paramgroups", "layerdecay"],
    ),
    (Keys("`layer_rates.conv1 = 0` freezes a layer, and so does the option --freeze of `train`"), &["freeze", "frozen"]),
    (Key("images"), &["normalize", "normalization", "preprocessing", "preprocess"]),
    (TrainOption("--seed"), &["seed", "randomseed", "randomstate", "manualseed"]),
    (TrainOption("--image-size"), &["imagesize", "imgsize", "imgsz", "inputsize", "resolution", "size"]),
    (TrainOption("--net"), &["net", "model", "arch", "architecture", "network", "backbone"]),
    (TrainOption("--from"), &["from", "pretrained", "checkpoint", "weights", "initfrom"]),
    (TrainOption("--data"), &["data", "dataset", "datadir", "trainset", "traindata"]),
    (TrainOption("--val"), &["val", "valset", "valdata", "validation"]),
    (TrainOption("--val-share"), &["valshare", "valsplit", "validationsplit"]),
    (TrainOption("--out"), &["out", "output", "outputdir", "savedir", "project"]),
    (TrainOption("--device"), &["device", "gpu", "gpus", "accelerator"]),
    (TrainOption("--threads"), &["threads", "workers", "numworkers", "numthreads"]),
    (TrainOption("--precision"), &["precision", "amp", "fp16", "bf16", "half", "dtype"]),
    (TrainOption("--deterministic"), &["deterministic"]),
    (TrainOption("--micro-batch"), &["microbatch", "microbatchsize"]),
    (TrainOption("--time"), &["time", "maxtime", "budget"]),
    (TrainOption("--max-steps"), &["maxsteps", "maxiters", "maxiter", "numsteps", "iterations"]),
    (TrainOption("--keep-every"), &["keepevery", "saveperiod", "savefreq"]),
    (TrainOption("--keep"), &["keep", "savetopk", "savetotallimit"]),
    (TrainOption("--resume"), &["resume", "resumefrom"]),
];

/// Tables, and their names elsewhere. An empty one stands for keys outside tables.
const TABLES: &[(&str, &[&str])] = &[
    ("schedule", &["scheduler", "lrscheduler", "lrschedule", "sched"]),
    ("optimizer", &["optimiser", "optim", "opt"]),
    ("augment", &["augmentation", "augmentations", "aug", "transform", "transforms"]),
    ("loss", &["criterion", "lossfunction"]),
    ("ema", &["modelema"]),
    ("layer_weight_decay", &["layerwd", "decaymult", "layerdecays"]),
    ("layer_rates", &["layerrate", "lrmult", "layerlr", "lrtimes"]),
    ("", &["train", "training", "trainer", "recipe", "hyp", "hyperparameters", "hparams", "params"]),
];

/// Words of a key, and their names elsewhere.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("optimizer.kind", "adamw", &["adam", "radam", "nadam"]),
    ("optimizer.kind", "sgd", &["momentum", "nesterov", "lars"]),
    ("schedule.kind", "cosine", &["cos", "cosineannealing", "cosineannealinglr", "cosinelr"]),
    ("schedule.kind", "steps", &["multistep", "multisteplr"]),
    ("schedule.kind", "every", &["steplr"]),
    ("schedule.kind", "polynomial", &["linear", "poly", "linearlr", "polynomiallr"]),
    ("schedule.kind", "plateau", &["reducelronplateau", "reduceonplateau"]),
    ("schedule.kind", "exponential", &["exp", "exponentiallr"]),
    ("schedule.kind", "one_cycle", &["onecyclelr", "1cycle"]),
    ("schedule.kind", "constant", &["none", "constantlr", "fixed"]),
    ("augment.auto", "rand", &["randaugment", "randaug", "ra"]),
    ("augment.auto", "trivial", &["trivialaugment", "trivialaugmentwide", "ta", "tawide"]),
    ("augment.kind", "random_resized_crop", &["rrc", "resizedcrop"]),
    ("augment.kind", "crop_mirror", &["randomcrop", "crop"]),
    ("augment.kind", "none", &["centercrop", "centrecrop", "center", "centre"]),
    ("monitor", "top1", &["accuracy", "acc", "acc1", "valacc", "valaccuracy"]),
    ("monitor", "loss", &["valloss", "evalloss"]),
    ("monitor", "macro-f1", &["f1", "f1macro", "f1score"]),
    ("init", "he", &["kaiming", "kaimingnormal", "henormal"]),
    ("init", "net", &["default", "pytorch", "none"]),
    ("sampling", "balanced", &["classbalanced", "weighted", "stratified"]),
    ("sampling", "uniform", &["none", "random", "shuffle"]),
    ("loss.class_weights", "auto", &["balanced", "inverse", "true"]),
    ("best", "validation", &["val", "best"]),
];

/// What stands for another library's setting; `name` has no underscores.
pub(super) fn name(name: &str) -> Option<Instead> {
    NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(instead, _)| *instead)
}

/// The table that stands for another library's.
pub(super) fn table(name: &str) -> Option<&'static str> {
    TABLES.iter().find(|(_, names)| names.contains(&name)).map(|(table, _)| *table)
}

/// The word that stands for another library's as the value of a key.
pub(super) fn word(key: &str, word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(of, _, words)| *of == key && words.contains(&word)).map(|(_, word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::super::advice::plain;
    use super::super::{KEYS, Kind, of_name};
    use super::*;

    #[test]
    fn every_name_is_foreign_and_stands_for_something_that_exists() {
        let ours: Vec<String> =
            KEYS.iter().flat_map(|key| [key.name].into_iter().chain(key.aliases.iter().copied())).map(plain).collect();
        let all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for (i, name) in all.iter().enumerate() {
            assert!(plain(name) == *name && !ours.contains(&name.to_string()) && !all[..i].contains(name), "{name}");
        }
        for (instead, _) in NAMES {
            match instead {
                Key(key) => assert_eq!(of_name(key).first().map(|found| found.name), Some(*key)),
                TrainOption(option) => assert!(option.starts_with("--")),
                Keys(text) => assert!(text.contains('`')),
            }
        }
        for (key, word, words) in WORDS {
            let Kind::Word(known) = of_name(key)[0].kind else { panic!("{key} takes no words") };
            assert!(known.contains(word) && words.iter().all(|word| !known.contains(word)), "{key}: {word}");
        }
    }
}
