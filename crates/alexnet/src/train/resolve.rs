//! From settings to a configuration: what is not given is the recipe's, the network's, or the resumed run's.

use super::config::Config;
use super::finetune::HeadMapping;
use super::param_groups;
use super::recipe::{self, Augmentation, Recipe};
use super::settings::Settings;
use crate::formats::Model;
use crate::net::{Net, presets};
use crate::{Error, Result, labels};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows and columns of the built-in set's images where no size is given.
const BUILT_IN_IMAGE_SIZE: usize = 96;
/// Passes over the built-in set where no number is given: under three minutes on two cores.
const BUILT_IN_EPOCHS: usize = 12;

/// An error in the settings.
fn invalid<T>(message: String) -> Result<T> {
    Err(Error::Invalid(message))
}

/// Settings of a new run. `start` is the model of --from.
pub(super) fn anew(settings: &Settings, start: Option<&Model>) -> Result<Config> {
    let name = settings.recipe.as_deref().unwrap_or(if start.is_some() { "finetune" } else { "quick" });
    let mut recipe = recipe::by_name(name)?;
    if name == "finetune" && start.is_none() {
        return invalid("--recipe finetune goes on from a model: give one with --from".into());
    }
    let own = if settings.data.is_none() && start.is_none() { BUILT_IN_EPOCHS } else { recipe.epochs };
    recipe.epochs = settings.epochs.unwrap_or(own);
    if let Some(optimizer) = &settings.optimizer {
        recipe = recipe.with_optimizer(optimizer)?;
    }
    recipe = recipe.clone().with_batch(settings.batch.unwrap_or(recipe.batch));
    recipe.lr = settings.lr.unwrap_or(recipe.lr);
    recipe.check()?;
    if start.is_none() && (settings.labels.is_some() || settings.label_order.is_some()) {
        return invalid("--labels, --label-order: they are about the model of --from; give one, or leave them out".into());
    }
    if settings.data.is_none() && settings.val.is_some() {
        return invalid("--val without --data: the built-in set has validation images of its own".into());
    }
    let val_share = settings.val_share.unwrap_or(0.1);
    if !(0.0..1.0).contains(&val_share) {
        return invalid(format!("--val-share {val_share}: a share is at least 0 and below 1"));
    }
    let (net, image_size) = match start {
        Some(model) => {
            fixed("--net", settings.net.as_ref(), &model.net.name, "the model of --from is")?;
            (model.net.name.clone(), settings.image_size.unwrap_or(model.net.image_size))
        }
        None => {
            let net = presets::by_name(settings.net.as_deref().unwrap_or("torchvision"))?;
            let own = if settings.data.is_none() { BUILT_IN_IMAGE_SIZE } else { net.image_size };
            (net.name, settings.image_size.unwrap_or(own))
        }
    };
    let config = Config {
        net,
        image_size,
        data: absolute(settings.data.as_deref())?,
        val: absolute(settings.val.as_deref())?,
        val_share,
        from: absolute(settings.from.as_deref())?,
        labels: labels::absolute(settings.labels.as_deref())?,
        label_order: settings.label_order,
        seed: settings.seed.unwrap_or(0),
        precision: settings.precision.clone().unwrap_or_else(|| "f32".into()),
        device: settings.device.clone().unwrap_or_else(|| "cpu".into()),
        blocks: settings.deterministic.or(micro_batches(settings, &recipe)),
        recipe,
    };
    if start.is_none() {
        config.net()?;
    }
    Ok(config)
}

/// Whether the options leave the recipe open to changes for a small set.
fn adapts(settings: &Settings, config: &Config) -> bool {
    // Who chose a batch or a rate has a plan; a model to start from is the recipe `finetune`'s.
    settings.batch.is_none() && settings.lr.is_none() && config.from.is_none()
}

/// Holds out a larger share of a small set, which has `train` training images with the usual one. Returns whether it did.
pub(super) fn more_held_out(settings: &Settings, config: &mut Config, train: usize) -> bool {
    let more = config.data.is_some() && config.val.is_none() && adapts(settings, config) && config.recipe.adapts_to(train);
    if more {
        config.val_share = recipe::SMALL_SET_VAL_SHARE;
    }
    more
}

/// Changes the default recipe of a new run for a small set, where the options leave that open. Returns whether it did.
pub(super) fn small_set(settings: &Settings, config: &mut Config, train: usize, validation: usize) -> bool {
    if !adapts(settings, config) {
        return false;
    }
    let mut recipe = config.recipe.clone().for_small_set(train, validation);
    recipe.epochs = settings.epochs.unwrap_or(recipe.epochs);
    if recipe == config.recipe {
        return false;
    }
    config.recipe = recipe;
    config.blocks = settings.deterministic.or(micro_batches(settings, &config.recipe));
    true
}

/// How many parts of up to --micro-batch images a batch has.
fn micro_batches(settings: &Settings, recipe: &Recipe) -> Option<usize> {
    settings.micro_batch.map(|most| recipe.batch.div_ceil(most))
}

/// Most views of each image where layers at the beginning are frozen.
const VIEWS: usize = 8;

/// How fast each layer of a new run's net learns, by the net's own names, and how often its images change. `head` tells which
/// classes the model of --from knows.
pub(super) fn layer_rates(settings: &Settings, recipe: &mut Recipe, net: &Net, head: Option<&HeadMapping>) -> Result<()> {
    // A head that knows its classes needs no haste.
    if head.is_none_or(HeadMapping::is_known) {
        recipe.layer_rates.remove(param_groups::HEAD);
    }
    // Nor do the other layers.
    if head.is_some_and(HeadMapping::is_known) && recipe.name == "finetune" && settings.lr.is_none() {
        recipe.lr /= recipe::KNOWN_CLASSES;
    }
    recipe.layer_rates = told(settings, net, &recipe.layer_rates)?;
    let frozen_first = param_groups::with_weights(net).first().is_some_and(|first| recipe.layer_rates.get(*first) == Some(&0.0));
    // A view that is seen once is kept for nothing: each comes twice at least, or, in a single epoch, none is kept.
    let own = if frozen_first && recipe.augment != Augmentation::None { VIEWS.min(recipe.epochs / 2) } else { recipe.views };
    recipe.views = settings.views.unwrap_or(own);
    Ok(())
}

/// The layers of a new run that are frozen though nothing has taught them, as users name them.
///
/// # Errors
/// When the head is frozen and has classes that the model does not know: their answers would be chance for ever.
pub(super) fn frozen_at_random(recipe: &Recipe, net: &Net, head: Option<&HeadMapping>) -> Result<String> {
    let names = param_groups::with_weights(net);
    let frozen: Vec<&str> = names.iter().copied().filter(|name| recipe.layer_rates.get(*name) == Some(&0.0)).collect();
    if frozen.last() == names.last() && !head.is_some_and(HeadMapping::is_known) {
        return invalid(
            "the head is new for classes that no model knows, and frozen it would stay random: leave it out of --freeze".into(),
        );
    }
    Ok(if head.is_none() { param_groups::to_list(net, &frozen) } else { String::new() })
}

/// Refuses other layers or views than those of the run that goes on.
pub(super) fn same_layer_rates(settings: &Settings, recipe: &Recipe, net: &Net) -> Result<()> {
    fixed("--views", settings.views.as_ref(), &recipe.views, "the run has")?;
    // --freeze names all that is frozen; --lr-times may name some of the others.
    let kept = recipe.layer_rates.iter().filter(|(_, times)| settings.freeze.is_none() || **times != 0.0);
    let before = kept.map(|(name, times)| (name.clone(), *times)).collect();
    if told(settings, net, &before)? != recipe.layer_rates {
        return invalid(
            "--freeze, --lr-times: the run has other layers that learn, and that cannot change now; leave them out".into(),
        );
    }
    Ok(())
}

/// What --lr-times and --freeze say, over what is so already.
fn told(settings: &Settings, net: &Net, before: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>> {
    let mut rates = BTreeMap::new();
    for (name, &times) in before {
        rates.extend(param_groups::of_list(net, name)?.into_iter().map(|name| (name, times)));
    }
    for part in settings.lr_times.iter().flat_map(|text| text.split(',')) {
        let parsed = part.split_once('=').and_then(|(list, times)| Some((list, times.trim().parse::<f64>().ok()?)));
        let Some((list, times)) = parsed else {
            return invalid(format!("--lr-times {part}: not a layer and a number, such as head=10"));
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

/// Settings of a run that goes on: as they were. Options may repeat them, and say where the images are now.
pub(super) fn of_run(settings: &Settings, mut config: Config) -> Result<Config> {
    const RUN: &str = "the run has";
    let recipe = &config.recipe;
    fixed("--net", settings.net.as_ref(), &config.net, RUN)?;
    fixed("--recipe", settings.recipe.as_ref(), &recipe.name, RUN)?;
    fixed("--optimizer", settings.optimizer.as_deref(), recipe.optimizer.name(), RUN)?;
    fixed("--epochs", settings.epochs.as_ref(), &recipe.epochs, RUN)?;
    fixed("--batch", settings.batch.as_ref(), &recipe.batch, RUN)?;
    fixed("--lr", settings.lr.as_ref(), &recipe.lr, RUN)?;
    fixed("--image-size", settings.image_size.as_ref(), &config.image_size, RUN)?;
    fixed("--seed", settings.seed.as_ref(), &config.seed, RUN)?;
    fixed("--val-share", settings.val_share.as_ref(), &config.val_share, RUN)?;
    fixed("--precision", settings.precision.as_ref(), &config.precision, RUN)?;
    // A run may move: models and states are the same for every device.
    config.device = settings.device.clone().unwrap_or(config.device);
    let parts = micro_batches(settings, &config.recipe);
    if parts.is_some() && parts != config.blocks {
        return invalid(format!(
            "--micro-batch: {RUN} batches of {} in {} parts, and that cannot change now; leave it out",
            config.recipe.batch,
            config.blocks.unwrap_or(1)
        ));
    }
    if settings.deterministic.is_some() && settings.deterministic != config.blocks {
        let now = config.blocks.map_or("no fixed blocks".into(), |blocks| format!("{blocks} blocks"));
        return invalid(format!("--deterministic: {RUN} {now}, and that cannot change now; leave it out"));
    }
    // A root with splits is both: it moves as a whole.
    let together = config.val.is_some() && config.val == config.data;
    config.data = absolute(settings.data.as_deref())?.or(config.data);
    config.val = absolute(settings.val.as_deref())?.or(if together { config.data.clone() } else { config.val });
    config.from = absolute(settings.from.as_deref())?.or(config.from);
    let labels = labels::absolute(settings.labels.as_deref())?;
    if labels.is_some() && labels != config.labels {
        return invalid(format!("--labels: {RUN} other labels, and that cannot change now; leave it out"));
    }
    let order = settings.label_order;
    if order.is_some() && order != config.label_order {
        return invalid(format!("--label-order: {RUN} another order, and that cannot change now; leave it out"));
    }
    Ok(config)
}

/// Refuses an option that says something else than what is so already.
fn fixed<T: PartialEq + std::fmt::Display + ?Sized>(option: &str, given: Option<&T>, is: &T, whose: &str) -> Result<()> {
    match given {
        Some(given) if given != is => {
            return invalid(format!("{option} {given}: {whose} {is}, and that cannot change now; leave it out"));
        }
        _ => Ok(()),
    }
}

/// So that a run can go on from another folder.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>> {
    let path = path.map(|path| std::path::absolute(path).map_err(|error| Error::io(path, error))).transpose()?;
    if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
        return invalid(format!("{}: this path is not UTF-8, and a run cannot keep it; rename the folder", path.display()));
    }
    Ok(path)
}
