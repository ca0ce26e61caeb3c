//! Resolution of settings to a configuration: defaults come from the recipe, the network, or the resumed run.

use super::config::Config;
use super::finetune::HeadMapping;
use super::param_groups;
use super::recipe::{self, Augmentation, Change, Chosen, CropKind, Recipe};
use super::run_options;
use super::settings::Settings;
use crate::distributed::Parallel;
use crate::formats::Model;
use crate::net::{Activation, Net, presets};
use crate::{Error, Result, labels};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Default image size of the built-in set.
const BUILT_IN_IMAGE_SIZE: usize = 96;
/// Default number of epochs on the built-in set: under three minutes on two cores.
const BUILT_IN_EPOCHS: usize = 8;

/// Error for invalid settings.
fn invalid<T>(message: String) -> Result<T> {
    Err(Error::Invalid(message))
}

/// The recipe without --recipe, and the base of a file that does not name one. `tunes`: with --from.
fn default_recipe(tunes: bool) -> &'static str {
    if tunes { "finetune" } else { "quick" }
}

/// The recipe that --recipe, --set and --optimizer choose. `tunes`: with --from.
pub(super) fn choose(settings: &Settings, tunes: bool) -> Result<Chosen> {
    let default = default_recipe(tunes);
    let name = settings.recipe.as_deref().unwrap_or(default);
    let chosen = Chosen::open(name, default)?;
    if chosen.base == Some("finetune") && !tunes {
        return invalid(format!("--recipe {name} needs a model; add --from"));
    }
    let mut changes = settings.set.iter().map(|text| Change::parse(text, "--set")).collect::<Result<Vec<_>>>()?;
    // Among the changes, so that --set may name keys of this optimizer.
    changes.extend(settings.optimizer.iter().map(|name| Change::word("optimizer.kind", name, "--optimizer")));
    chosen.with(changes)
}

/// Name of the net of a new run from scratch.
fn net_name(settings: &Settings) -> &str {
    settings.net.as_deref().unwrap_or("torchvision")
}

/// Whether a recipe may add batch normalisation to a new run: weights trained without it would not fit, towers have none, and a
/// net with its own normalisation gets no other.
fn may_normalise(settings: &Settings, start: Option<&Model>) -> Result<bool> {
    Ok(start.is_none() && settings.parallel == Parallel::Data && !presets::by_name(net_name(settings))?.has_batch_norm())
}

/// The chosen recipe with the options of a new run, with or without batch normalisation. Without, a recipe that builds on one with
/// it builds on that for plain nets.
fn with_options(settings: &Settings, chosen: &Chosen, start: Option<&Model>, normalised: bool) -> Result<Recipe> {
    let mut recipe = chosen.recipe.clone();
    let batch_norm = recipe.batch_norm && normalised;
    if let Some(base) = chosen.base.map(recipe::by_name).transpose()?.filter(|base| base.batch_norm && !batch_norm) {
        recipe = Recipe { name: recipe.name, ..chosen.restate(base.without_batch_norm())? };
    }
    recipe.batch_norm = batch_norm;
    let built_in = settings.data.is_none() && start.is_none() && !chosen.states("epochs");
    let own = if built_in { BUILT_IN_EPOCHS } else { recipe.epochs };
    recipe.epochs = settings.epochs.unwrap_or(own);
    let lr = recipe.lr;
    if let Some(batch) = settings.batch {
        recipe = recipe.with_batch(batch);
    }
    recipe = recipe.clone().with_accumulate(settings.accumulate.unwrap_or(recipe.accumulate));
    // A stated rate stays.
    recipe.lr = if chosen.states("lr") { lr } else { recipe.lr };
    recipe.lr = settings.lr.unwrap_or(recipe.lr);
    let of_start = start.map(|model| model.preprocess.jpeg).filter(|_| !chosen.states("jpeg"));
    recipe.jpeg = settings.jpeg.or(of_start).unwrap_or(recipe.jpeg);
    run_options::apply(settings, &mut recipe)?;
    recipe.check()?;
    Ok(recipe)
}

/// The configuration with the recipe as it is without batch normalisation.
///
/// # Errors
/// A stated key that this recipe does not have.
pub(super) fn without_batch_norm(settings: &Settings, chosen: &Chosen, config: Config) -> Result<Config> {
    let mut recipe = with_options(settings, chosen, None, false)?;
    recipe.augment = cached_crops(chosen, recipe.augment, config.image_size);
    Ok(Config { blocks: settings.deterministic.or(micro_batches(settings, &recipe)), recipe, ..config })
}

/// Short side from which `quick` takes its random crops, as a multiple of the image size: photographs of cameras would otherwise be
/// decoded anew in every epoch, since few of them fit into the cache. A crop of the mean area has 0.82 of it.
const CROPPED_FROM: f64 = 1.5;

/// The augmentation with random crops of reduced images, if the recipe builds on `quick` and does not say from what they are.
fn cached_crops(chosen: &Chosen, augment: Augmentation, image_size: usize) -> Augmentation {
    let own = chosen.base == Some("quick") && augment.kind == CropKind::RandomResizedCrop && !chosen.states("augment.short_side");
    let side = || ((image_size as f64 * CROPPED_FROM).round() as usize).clamp(16, 8192);
    Augmentation { short_side: if own { Some(side()) } else { augment.short_side }, ..augment }
}

/// Resolves the settings of a new run. `start` is the model of --from.
pub(super) fn anew(settings: &Settings, chosen: &Chosen, start: Option<&Model>) -> Result<Config> {
    let mut recipe = with_options(settings, chosen, start, may_normalise(settings, start)?)?;
    if start.is_none() && (settings.labels.is_some() || settings.label_order.is_some()) {
        return invalid("--labels, --label-order: need --from".into());
    }
    if settings.data.is_none() && settings.val.is_some() {
        return invalid("--val needs --data; the built-in set has its own validation images".into());
    }
    if settings.data.is_none() && (settings.data_root.is_some() || settings.data_classes.is_some()) {
        return invalid("--root, --classes: need --data".into());
    }
    if let Some(activation) = settings.activation.filter(|_| start.is_some()) {
        return invalid(format!("--activation {}: the model of --from keeps its own; omit one of the two", activation.name()));
    }
    let val_share = settings.val_share.unwrap_or(0.1);
    if !(0.0..1.0).contains(&val_share) {
        return invalid(format!("--val-share {val_share}: expected at least 0 and below 1"));
    }
    let (net, image_size) = match start {
        Some(model) => {
            fixed("--net", settings.net.as_ref(), &model.net.name, "the model of --from is")?;
            (model.net.name.clone(), settings.image_size.unwrap_or(model.net.image_size))
        }
        None => {
            let net = presets::by_name(net_name(settings))?;
            let own = if settings.data.is_none() { BUILT_IN_IMAGE_SIZE.min(net.image_size) } else { net.image_size };
            (net.name, settings.image_size.unwrap_or(own))
        }
    };
    recipe.augment = cached_crops(chosen, recipe.augment, image_size);
    let config = Config {
        net,
        image_size,
        activation: settings.activation,
        data: absolute(settings.data.as_deref())?,
        val: absolute(settings.val.as_deref())?,
        data_root: absolute(settings.data_root.as_deref())?,
        data_classes: labels::absolute(settings.data_classes.as_deref())?,
        val_share,
        from: absolute(settings.from.as_deref())?,
        labels: labels::absolute(settings.labels.as_deref())?,
        label_order: settings.label_order,
        seed: settings.seed.unwrap_or(0),
        precision: settings.precision.clone().unwrap_or_else(|| "f32".into()),
        device: settings.device.clone().unwrap_or_else(|| "cpu".into()),
        blocks: settings.deterministic.or(micro_batches(settings, &recipe)),
        snapshots: run_options::snapshots(settings),
        time: budget(settings)?,
        lr_changes: Vec::new(),
        recipe,
    };
    if start.is_none() {
        config.net()?;
    }
    Ok(config)
}

/// Seconds in which the run ends.
fn budget(settings: &Settings) -> Result<Option<f64>> {
    match settings.time.map(|time| time.as_secs_f64()) {
        Some(_) if settings.epochs.is_some() => {
            invalid("--time plans the number of epochs; give it or --epochs, not both".into())
        }
        Some(seconds) if seconds < 1.0 => invalid(format!("--time: {seconds} seconds are too short to train")),
        seconds => Ok(seconds),
    }
}

/// Whether the options allow adapting the recipe to a small set.
fn adapts(settings: &Settings, chosen: &Chosen, config: &Config) -> bool {
    // An explicit batch size or learning rate is deliberate; fine-tuning has its own recipe.
    let deliberate = settings.batch.is_some() || settings.lr.is_some() || chosen.states("batch") || chosen.states("lr");
    !deliberate && config.from.is_none()
}

/// A recipe under the name of the preset that it derives from, which is what adapts to small sets.
fn as_preset(chosen: &Chosen, recipe: &Recipe) -> Recipe {
    Recipe { name: chosen.base.unwrap_or(&recipe.name).into(), ..recipe.clone() }
}

/// Holds out a larger share of a small set, which has `train` training images with the usual one. Returns whether it did.
pub(super) fn more_held_out(settings: &Settings, chosen: &Chosen, config: &mut Config, train: usize) -> bool {
    let small = as_preset(chosen, &config.recipe).adapts_to(train);
    let more = config.data.is_some() && config.val.is_none() && adapts(settings, chosen, config) && small;
    if more {
        config.val_share = recipe::SMALL_SET_VAL_SHARE;
    }
    more
}

/// Keys that say where training images are cropped. What is stated of them stays, with the rest.
const CROP: [&str; 4] = ["augment.kind", "augment.scale", "augment.ratio", "augment.short_side"];

/// Adapts the default recipe of a new run to a small or large set and to a short or long run, as far as the options allow; what was stated stays. Returns
/// the changed keys with their values, for messages.
///
/// # Errors
/// A stated key that the adapted recipe does not have.
pub(super) fn adapt(
    settings: &Settings,
    chosen: &Chosen,
    config: &mut Config,
    train: usize,
    validation: usize,
) -> Result<Option<String>> {
    let mut adapted = as_preset(chosen, &config.recipe).for_large_set(train).for_long_run(train);
    if !CROP.iter().any(|key| chosen.states(key)) {
        adapted = adapted.for_short_run(train);
    }
    if adapts(settings, chosen, config) {
        adapted = adapted.for_small_set(train, validation);
    }
    let mut recipe = chosen.restate(Recipe { name: config.recipe.name.clone(), ..adapted })?;
    recipe.epochs = settings.epochs.unwrap_or(recipe.epochs);
    if recipe == config.recipe {
        return Ok(None);
    }
    let changed = config.recipe.differences(&recipe)?;
    config.recipe = recipe;
    config.blocks = settings.deterministic.or(micro_batches(settings, &config.recipe));
    Ok(Some(changed.iter().map(|[key, _, value]| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")))
}

/// Number of micro-batches per batch.
fn micro_batches(settings: &Settings, recipe: &Recipe) -> Option<usize> {
    settings.micro_batch.map(|most| recipe.batch.div_ceil(most))
}

/// Maximum number of views per image with leading frozen layers.
const VIEWS: usize = 8;

/// Per-layer learning-rate multipliers of a new run by the net's own layer names, and the number of views. `head` maps classes to
/// those of the --from model.
pub(super) fn layer_rates(
    settings: &Settings,
    chosen: &Chosen,
    recipe: &mut Recipe,
    net: &Net,
    head: Option<&HeadMapping>,
) -> Result<()> {
    // A head with known classes does not need the higher rate of fine-tuning.
    let tunes = chosen.base == Some("finetune");
    if tunes && head.is_none_or(HeadMapping::is_known) && !chosen.states("layer_rates.*") {
        recipe.layer_rates.remove(param_groups::HEAD);
    }
    // Nor do the other layers.
    let own_lr = settings.lr.is_none() && !chosen.states("lr");
    if tunes && head.is_some_and(HeadMapping::is_known) && own_lr {
        recipe.lr /= recipe::KNOWN_CLASSES;
    }
    recipe.layer_rates = parse_multipliers(settings, net, &recipe.layer_rates)?;
    param_groups::weight_decays(net, &recipe.layer_weight_decay)?;
    // A preset's changes are for the nets that have the layer.
    let is_stated = chosen.states("layer_rate_changes");
    recipe.layer_rate_changes.retain(|change| is_stated || param_groups::of_list(net, &change.layer).is_ok());
    param_groups::rate_changes(net, &recipe.layer_rate_changes, recipe.epochs)?;
    let frozen_first = param_groups::with_weights(net).first().is_some_and(|first| recipe.layer_rates.get(*first) == Some(&0.0));
    // Caching a view that is used once is pointless: each is used at least twice or, in a single epoch, none is cached.
    let repeats = frozen_first && !recipe.augment.is_fixed() && !recipe.augment.mixes();
    let own = if repeats && !chosen.states("views") { VIEWS.min(recipe.epochs / 2) } else { recipe.views };
    recipe.views = settings.views.unwrap_or(own);
    Ok(())
}

/// Frozen layers of a new run with random parameters, as a list for messages.
///
/// # Errors
/// The head is frozen but has classes unknown to the model, whose outputs would stay random.
pub(super) fn frozen_at_random(recipe: &Recipe, net: &Net, head: Option<&HeadMapping>) -> Result<String> {
    let names = param_groups::with_weights(net);
    let frozen: Vec<&str> = names.iter().copied().filter(|name| recipe.layer_rates.get(*name) == Some(&0.0)).collect();
    if frozen.last() == names.last() && !head.is_some_and(HeadMapping::is_known) {
        return invalid(
            "the head is new for classes unknown to the model, and freezing would keep it random; omit it from --freeze".into(),
        );
    }
    Ok(if head.is_none() { param_groups::to_list(net, &frozen) } else { String::new() })
}

/// Rejects layer rates or views that differ from those of the resumed run.
pub(super) fn same_layer_rates(settings: &Settings, recipe: &Recipe, net: &Net) -> Result<()> {
    fixed("--views", settings.views.as_ref(), &recipe.views, "the run has")?;
    // --freeze lists all frozen layers; --lr-times may list some of the others.
    let kept = recipe.layer_rates.iter().filter(|(_, times)| settings.freeze.is_none() || **times != 0.0);
    let before = kept.map(|(name, times)| (name.clone(), *times)).collect();
    if parse_multipliers(settings, net, &before)? != recipe.layer_rates {
        return invalid("--freeze, --lr-times: they differ from the run's, which cannot change; omit them".into());
    }
    Ok(())
}

/// Applies --lr-times and --freeze to existing multipliers.
fn parse_multipliers(settings: &Settings, net: &Net, before: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>> {
    let mut rates = BTreeMap::new();
    for (name, &times) in before {
        let found = param_groups::of_list(net, name).map_err(|error| error.context("layer_rates"))?;
        rates.extend(found.into_iter().map(|name| (name, times)));
    }
    for part in settings.lr_times.iter().flat_map(|text| text.split(',')) {
        let parsed = part.split_once('=').and_then(|(list, times)| Some((list, times.trim().parse::<f64>().ok()?)));
        let Some((list, times)) = parsed else {
            return invalid(format!("--lr-times {part}: expected a layer and a number, such as head=10"));
        };
        let found = param_groups::of_list(net, list).map_err(|error| error.context("--lr-times"))?;
        rates.extend(found.into_iter().map(|name| (name, times)));
    }
    if let Some(list) = &settings.freeze {
        rates.extend(
            param_groups::of_list(net, list).map_err(|error| error.context("--freeze"))?.into_iter().map(|name| (name, 0.0)),
        );
    }
    param_groups::rates(net, &rates)?;
    Ok(rates)
}

/// Resolves the settings of a resumed run: unchanged. Options may repeat them, and give the images' new location. A new learning rate
/// is the trainer's, see [`Trainer::change_lr`](super::Trainer::change_lr).
pub(super) fn of_run(settings: &Settings, mut config: Config) -> Result<Config> {
    const RUN: &str = "the run has";
    let recipe = &config.recipe;
    fixed("--net", settings.net.as_ref(), &config.net, RUN)?;
    same_recipe(settings, recipe, config.from.is_some())?;
    fixed("--optimizer", settings.optimizer.as_deref(), recipe.optimizer.name(), RUN)?;
    fixed("--epochs", settings.epochs.as_ref(), &recipe.epochs, RUN)?;
    fixed("--batch", settings.batch.as_ref(), &recipe.batch, RUN)?;
    fixed("--accumulate", settings.accumulate.as_ref(), &recipe.accumulate, RUN)?;
    fixed("--image-size", settings.image_size.as_ref(), &config.image_size, RUN)?;
    if let Some(activation) = settings.activation.filter(|activation| config.activation != Some(*activation)) {
        let own = config.activation.map_or("the net's own", Activation::name);
        return invalid(format!("--activation {}: {RUN} {own}, which cannot change; omit the option", activation.name()));
    }
    fixed("--jpeg", settings.jpeg.as_ref(), &recipe.jpeg, RUN)?;
    fixed("--seed", settings.seed.as_ref(), &config.seed, RUN)?;
    fixed("--val-share", settings.val_share.as_ref(), &config.val_share, RUN)?;
    fixed("--time", budget(settings)?.as_ref(), &config.time.unwrap_or_default(), "in seconds, the run has")?;
    fixed("--precision", settings.precision.as_ref(), &config.precision, RUN)?;
    run_options::same(settings, &config)?;
    // A run may move between devices: models and states are device-independent.
    config.device = settings.device.clone().unwrap_or(config.device);
    let parts = micro_batches(settings, &config.recipe);
    if parts.is_some() && parts != config.blocks {
        return invalid(format!(
            "--micro-batch: {RUN} batches of {} in {} parts, which cannot change; omit the option",
            config.recipe.batch,
            config.blocks.unwrap_or(1)
        ));
    }
    if settings.deterministic.is_some() && settings.deterministic != config.blocks {
        let now = config.blocks.map_or("no fixed blocks".into(), |blocks| format!("{blocks} blocks"));
        return invalid(format!("--deterministic: {RUN} {now}, which cannot change; omit the option"));
    }
    // A root with splits contains both, so it moves as a whole.
    let together = config.val.is_some() && config.val == config.data;
    config.data = absolute(settings.data.as_deref())?.or(config.data);
    config.val = absolute(settings.val.as_deref())?.or(if together { config.data.clone() } else { config.val });
    config.data_root = absolute(settings.data_root.as_deref())?.or(config.data_root);
    config.data_classes = labels::absolute(settings.data_classes.as_deref())?.or(config.data_classes);
    config.from = absolute(settings.from.as_deref())?.or(config.from);
    let labels = labels::absolute(settings.labels.as_deref())?;
    if labels.is_some() && labels != config.labels {
        return invalid(format!("--labels: {RUN} other labels, which cannot change; omit the option"));
    }
    let order = settings.label_order;
    if order.is_some() && order != config.label_order {
        return invalid(format!("--label-order: {RUN} another order, which cannot change; omit the option"));
    }
    Ok(config)
}

/// Rejects a recipe or changes that differ from the run's.
fn same_recipe(settings: &Settings, recipe: &Recipe, tunes: bool) -> Result<()> {
    if let Some(name) = &settings.recipe {
        let chosen = Chosen::open(name, default_recipe(tunes))?;
        if chosen.stated.is_empty() {
            fixed("--recipe", Some(&chosen.recipe.name), &recipe.name, "the run has")?;
        } else if chosen.restate(recipe.clone()).ok().as_ref() != Some(recipe) {
            return invalid(format!("--recipe {name}: the run has another recipe, which cannot change; omit the option"));
        }
    }
    for text in &settings.set {
        let change = Change::parse(text, "--set")?;
        if recipe.clone().changed(&[change])? != *recipe {
            return invalid(format!("--set {text}: the run has another value, which cannot change; omit the option"));
        }
    }
    Ok(())
}

/// Rejects an option that contradicts a fixed value.
fn fixed<T: PartialEq + std::fmt::Display + ?Sized>(option: &str, given: Option<&T>, is: &T, whose: &str) -> Result<()> {
    match given {
        Some(given) if given != is => invalid(format!("{option} {given}: {whose} {is}, which cannot change; omit the option")),
        _ => Ok(()),
    }
}

/// Makes a path absolute, so that a run can be resumed from another folder.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>> {
    let path = path.map(|path| std::path::absolute(path).map_err(|error| Error::io(path, error))).transpose()?;
    if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
        return invalid(format!("{}: this path is not UTF-8 and cannot be stored in the run; rename the folder", path.display()));
    }
    Ok(path)
}
