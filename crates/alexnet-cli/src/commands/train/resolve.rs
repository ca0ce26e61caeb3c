//! From options to settings: what is not given is the recipe's, the net's, or the run's that goes on.

use super::{Args, BUILT_IN_EPOCHS, BUILT_IN_IMAGE_SIZE};
use alexnet::net::presets;
use alexnet::train::config::Config;
use alexnet::train::recipe;
use alexnet::weights::Model;
use anyhow::bail;
use std::path::{Path, PathBuf};

/// Settings of a new run. `start` is the model of --from.
pub(super) fn anew(args: &Args, start: Option<&Model>) -> anyhow::Result<Config> {
    let mut recipe = recipe::named(args.recipe.as_deref().unwrap_or("quick"))?;
    let own = if args.data.is_none() { BUILT_IN_EPOCHS } else { recipe.epochs };
    recipe.epochs = args.epochs.unwrap_or(own);
    recipe.batch = args.batch.unwrap_or(recipe.batch);
    recipe.lr = args.lr.unwrap_or(recipe.lr);
    recipe.check()?;
    if args.data.is_none() && args.val.is_some() {
        bail!("--val without --data: the built-in set has validation pictures of its own");
    }
    let val_share = args.val_share.unwrap_or(0.1);
    if !(0.0..1.0).contains(&val_share) {
        bail!("--val-share {val_share}: a share is at least 0 and below 1");
    }
    let (net, image_size) = match start {
        Some(model) => {
            fixed("--net", args.net.as_ref(), &model.net.name, "the model of --from is")?;
            fixed("--image-size", args.image_size.as_ref(), &model.net.image_size, "the model of --from takes")?;
            (model.net.name.clone(), model.net.image_size)
        }
        None => {
            let net = presets::by_name(args.net.as_deref().unwrap_or("torchvision"))?;
            let own = if args.data.is_none() { BUILT_IN_IMAGE_SIZE } else { net.image_size };
            (net.name, args.image_size.unwrap_or(own))
        }
    };
    let config = Config {
        net,
        image_size,
        data: absolute(args.data.as_deref())?,
        val: absolute(args.val.as_deref())?,
        val_share,
        from: absolute(args.from.as_deref())?,
        seed: args.seed.unwrap_or(0),
        precision: args.machine.precision.unwrap_or_default().to_string(),
        device: args.machine.device.clone(),
        recipe,
    };
    if start.is_none() {
        config.net()?;
    }
    Ok(config)
}

/// Settings of a run that goes on: as they were. Options may repeat them, and say where the pictures are now.
pub(super) fn of_run(args: &Args, mut config: Config) -> anyhow::Result<Config> {
    const RUN: &str = "the run has";
    let recipe = &config.recipe;
    fixed("--net", args.net.as_ref(), &config.net, RUN)?;
    fixed("--recipe", args.recipe.as_ref(), &recipe.name, RUN)?;
    fixed("--epochs", args.epochs.as_ref(), &recipe.epochs, RUN)?;
    fixed("--batch", args.batch.as_ref(), &recipe.batch, RUN)?;
    fixed("--lr", args.lr.as_ref(), &recipe.lr, RUN)?;
    fixed("--image-size", args.image_size.as_ref(), &config.image_size, RUN)?;
    fixed("--seed", args.seed.as_ref(), &config.seed, RUN)?;
    fixed("--val-share", args.val_share.as_ref(), &config.val_share, RUN)?;
    fixed("--precision", args.machine.precision.map(|p| p.to_string()).as_ref(), &config.precision, RUN)?;
    config.data = absolute(args.data.as_deref())?.or(config.data);
    config.val = absolute(args.val.as_deref())?.or(config.val);
    config.from = absolute(args.from.as_deref())?.or(config.from);
    Ok(config)
}

/// Refuses an option that says something else than what is so already.
fn fixed<T: PartialEq + std::fmt::Display>(option: &str, given: Option<&T>, is: &T, whose: &str) -> anyhow::Result<()> {
    match given {
        Some(given) if given != is => bail!("{option} {given}: {whose} {is}, and that cannot change now; leave it out"),
        _ => Ok(()),
    }
}

/// So that a run can go on from another folder.
fn absolute(path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    Ok(path.map(std::path::absolute).transpose()?)
}
