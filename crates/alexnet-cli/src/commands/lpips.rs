//! `alexnet lpips`: perceptual distance between images.

use crate::{data_set, model_file, net_option, numbers, output};
use alexnet::data::Source;
use alexnet::engine::cpu::Cpu;
use alexnet::image::{Image, Resize, decode};
use alexnet::lpips::{Backbone, Distance, Heads, Lpips};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options of `alexnet lpips`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Image, or folder of images
    a: PathBuf,
    /// Image of the same size, or folder of images with the same names (extensions may differ)
    b: PathBuf,
    /// Backbone: torchvision's AlexNet in any format, such as the published `torchvision`; only its `features`, or an `lpips.LPIPS`
    /// state, also work
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Linear heads: alex.pth of the Python package `lpips`, or its published name `lpips` [default: equal weight for every channel, as with `lpips=False`]
    #[arg(long, value_name = "FILE")]
    linear: Option<PathBuf>,
    /// First resize the images to N x N pixels (short side, then centre crop), which the Python package does not do
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(31..=4096))]
    size: Option<usize>,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    threads: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let pairs = pairs(&args.a, &args.b, quiet)?;
    let linear = args.linear.as_ref().map(|path| model_file::locate(path, quiet)).transpose()?;
    let heads = linear.as_ref().map(Heads::read).transpose()?;
    let path = model_file::locate(&args.model, quiet)?;
    let trunk = match model_file::open_unchecked(&path, args.net.as_deref()) {
        Ok(model) => {
            model_file::finite(&path, &model)?;
            Backbone::of(&model)?
        }
        // A file that is not a whole model may still contain the backbone.
        Err(why) => Backbone::read(&path).ok().flatten().ok_or(why)?,
    };
    let engine = Box::new(Cpu::of_layers(&trunk.net, Lpips::BATCH, args.threads)?);
    let mut lpips = Lpips::new(engine, &trunk, heads)?;
    if args.linear.is_none() && !quiet {
        output::note(
            "note: without --linear all channels have equal weight, which is the package's baseline, not the learned LPIPS",
        );
    }
    let (all, mut results, mut errors) = (pairs.len(), Vec::new(), Vec::new());
    for pair in pairs {
        match compare(&mut lpips, &pair, args.size) {
            Ok(found) => {
                if !args.json {
                    output::print(&format!("{:.6}  {}\n", found.distance, output::name(&pair.name)))?;
                }
                results.push((pair.name, found));
            }
            // One bad image does not stop the comparison of the others.
            Err(why) => {
                let message = format!("{why:#}");
                output::note(&format!("error: {message}"));
                errors.push(serde_json::json!({ "name": pair.name, "error": message }));
            }
        }
    }
    let mean = results.iter().map(|(_, found)| found.distance).sum::<f64>() / results.len() as f64;
    if args.json {
        let pair = |(name, found): &(String, Distance)| serde_json::json!({ "name": name, "distance": found.distance, "layers": found.layers });
        output::print_json(&serde_json::json!({
            "version": "0.1", "linear": args.linear.is_some(), "pairs": results.iter().map(pair).collect::<Vec<_>>(), "mean": mean,
            "errors": errors,
        }))?;
    } else if results.len() > 1 {
        output::print(&format!("{mean:.6}  mean of {}\n", results.len()))?;
    }
    if !errors.is_empty() {
        bail!("{} of {all} pairs could not be compared", errors.len());
    }
    Ok(())
}

/// Compares the images of a pair, resized to `size` if given.
fn compare(lpips: &mut Lpips, pair: &Pair, size: Option<usize>) -> anyhow::Result<Distance> {
    let read = |path: &Path| -> anyhow::Result<Image> {
        let image = decode::read(path).and_then(|bytes| decode::decode(&bytes));
        let image = image.map_err(anyhow::Error::msg).with_context(|| path.display().to_string())?;
        Ok(match size {
            Some(side) => image.resized_as(Resize::Square(side)),
            None => image,
        })
    };
    lpips.compare(&read(&pair.a)?, &read(&pair.b)?).with_context(|| pair.name.clone())
}

/// Two files to compare.
struct Pair {
    name: String,
    a: PathBuf,
    b: PathBuf,
}

/// The pair of two files, or the pairs of two folders matched by name.
fn pairs(a: &Path, b: &Path, quiet: bool) -> anyhow::Result<Vec<Pair>> {
    match (a.is_dir(), b.is_dir()) {
        (false, false) => {
            let name = format!("{} {}", a.display(), b.display());
            Ok(vec![Pair { name, a: a.into(), b: b.into() }])
        }
        (true, true) => {
            let (in_a, in_b) = (by_stem(a, quiet)?, by_stem(b, quiet)?);
            let alone: Vec<String> = [(a, &in_a, &in_b), (b, &in_b, &in_a)]
                .into_iter()
                .flat_map(|(folder, here, there)| {
                    here.iter()
                        .filter(|(stem, _)| !there.contains_key(*stem))
                        .map(|(_, name)| folder.join(name).display().to_string())
                })
                .collect();
            if !alone.is_empty() {
                let more = if alone.len() > 5 { format!(" and {} more", alone.len() - 5) } else { String::new() };
                bail!("no file of the same name in the other folder for: {}{more}", alone[..alone.len().min(5)].join(", "));
            }
            Ok(in_a.iter().map(|(stem, name)| Pair { name: stem.clone(), a: a.join(name), b: b.join(&in_b[stem]) }).collect())
        }
        _ => {
            for path in [a, b] {
                path.metadata().with_context(|| path.display().to_string())?;
            }
            bail!("{} and {}: expected two images or two folders", a.display(), b.display())
        }
    }
}

/// The images of a folder, keyed by file stem.
fn by_stem(folder: &Path, quiet: bool) -> anyhow::Result<BTreeMap<String, String>> {
    let source = data_set::open_any(&Source::new(folder), quiet)?.source;
    let mut found = BTreeMap::new();
    for i in 0..source.len() {
        let name = source.name(i);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if let Some(other) = found.insert(stem.to_string(), name.to_string()) {
            bail!("{}: {other} and {name} have the same stem", folder.display());
        }
    }
    Ok(found)
}
