//! `alexnet train`: from pictures to a model.

mod recording;
mod resolve;
mod show;

use self::recording::Recording;
use self::show::Show;
use super::machine::Machine;
use alexnet::data::{self, Source};
use alexnet::engine::cpu::Precision;
use alexnet::engine::{Engine, init};
use alexnet::eval;
use alexnet::image::Preprocess;
use alexnet::net::Net;
use alexnet::train::config::Config;
use alexnet::train::folder::RunFolder;
use alexnet::train::{Ending, OnBad, Options, Trainer, prepare};
use alexnet::weights::{self, Model};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rows and columns of the built-in set's pictures where --image-size is not given.
pub(crate) const BUILT_IN_IMAGE_SIZE: usize = 96;
/// Passes over the built-in set where --epochs is not given: under three minutes on two cores.
const BUILT_IN_EPOCHS: usize = 12;
/// Seed of the built-in set, whatever the run's: runs of other seeds see the same pictures.
const BUILT_IN_SEED: u64 = 0;

/// Options of `alexnet train`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pictures: a folder with one folder per class, or a .tar of the same [default: a built-in set, drawn by the program]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Validation pictures, likewise [default: a share of the training pictures]
    #[arg(long, value_name = "PATH")]
    val: Option<PathBuf>,
    /// Share of the training pictures held out where --val is not given [default: 0.1]
    #[arg(long, value_name = "SHARE", conflicts_with = "val")]
    val_share: Option<f64>,
    /// The network; `alexnet nets` lists them [default: torchvision]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// How it is trained: quick, simple, paper, original, caffe or torchvision [default: quick]
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Passes over the pictures [default: the recipe's; 12 for the built-in set]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pictures in a step [default: the recipe's]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate at the beginning [default: the recipe's]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// Rows and columns that the network sees [default: the net's own; 96 for the built-in set]
    #[arg(long, value_name = "N")]
    image_size: Option<usize>,
    /// Model file to begin with; its last layer is made anew for other classes
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    /// Folder for the run's files, new or empty [default: runs/NET-1, or the next free number]
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with a stopped run, to the same bits as if it had not been stopped
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Stop after this many steps of the whole run
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Save the state this often within an epoch, in minutes
    #[arg(long, value_name = "MIN", default_value_t = 5.0)]
    save_every: f64,
    /// What to do with a picture that cannot be read: list it in RUN/broken.txt and go on, or stop
    #[arg(long, default_value = "skip", value_parser = ["skip", "stop"])]
    on_bad: String,
    /// Write TensorBoard's event files into RUN, too
    #[arg(long)]
    tensorboard: bool,
    /// Do not write RUN/report.html
    #[arg(long)]
    no_report: bool,
    /// A JSON object for each epoch, and one at the end
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let save_every = Duration::try_from_secs_f64(args.save_every * 60.0).ok();
    let save_every = save_every.with_context(|| format!("--save-every {}: not a number of minutes", args.save_every))?;
    // A run that goes on keeps others out from the beginning; a new one makes its folder when all else is known to work.
    let resumed = args.resume.as_deref().map(RunFolder::open).transpose()?;
    let start = match &args.from {
        Some(path) => Some(weights::read(path)?),
        None => None,
    };
    let config = match &resumed {
        Some(folder) => resolve::of_run(args, Config::read(&folder.config())?)?,
        None => resolve::anew(args, start.as_ref())?,
    };
    let start = match (&config.from, start) {
        (Some(path), None) => Some(weights::read(path)?),
        (_, start) => start,
    };
    let (train, val) = pictures(&config)?;
    let (net, preprocess) = network(&config, start.as_ref(), train.classes().len())?;
    let loaders = prepare::loaders(&config.recipe, &net, preprocess, &train, &val, config.seed, args.machine.threads)?;
    let precision = config.precision.parse().map_err(|why| anyhow::anyhow!("precision {}: {why}", config.precision))?;
    if precision == Precision::Int8 {
        bail!("--precision int8: that is for inference; train in f32 or bf16, then `alexnet quantize`");
    }
    let machine = Machine { precision: Some(precision), ..args.machine.clone() };
    let mut engine = machine.engine(&net, config.recipe.batch.min(train.len()))?;
    init::initialise(&mut engine, config.seed)?;
    if let Some(model) = start {
        begin_with(&mut engine, &model)?;
    }
    let folder = match resumed {
        Some(folder) => folder,
        None => new_folder(args.out.as_deref(), &config)?,
    };

    let on_bad = if args.on_bad == "stop" { OnBad::Stop } else { OnBad::Skip };
    let options = Options { max_steps: args.max_steps, save_every, on_bad };
    let stop = stop_on_signal()?;
    let mut show = Show::new(args.json, quiet, config.recipe.epochs)?;
    show.begin(&config, &net, &train, &val, folder.path())?;
    let pictures = (train.clone(), val.clone());
    let mut trainer = Trainer::new(&mut engine, &config.recipe, config.seed, &loaders, train, val, &folder, options)?;
    show.from(trainer.state(), trainer.step());
    let mut recording = Recording::begin(args, &config, &net, pictures, &loaders, &trainer, &folder);
    let ending = trainer.run(&stop, &mut |event| {
        show.event(&event);
        recording.event(&event);
    });
    recording.end(&ending);
    let ending = ending?;
    show.end(ending, trainer.state(), trainer.step(), &folder);
    if ending == Ending::Interrupted {
        bail!("stopped at step {}, all saved; go on with: alexnet train --resume {}", trainer.step(), folder.path().display());
    }
    Ok(())
}

/// Training and validation pictures, both with the training pictures' classes.
pub(crate) fn pictures(config: &Config) -> anyhow::Result<(Arc<dyn Source>, Arc<dyn Source>)> {
    let Some(path) = &config.data else {
        let of = |split| data::built_in(split, BUILT_IN_SEED);
        return Ok((of(data::Split::Train), of(data::Split::Validation)));
    };
    let train = data::open(path)?;
    match &config.val {
        Some(val) => {
            let val = eval::by_name(data::open(val)?, train.classes()).with_context(|| format!("{}", val.display()))?;
            Ok((train, val))
        }
        None => Ok(data::hold_out(train, config.val_share)),
    }
}

/// The network for this many classes, and the preprocessing of the model that it begins with.
fn network(config: &Config, start: Option<&Model>, classes: usize) -> anyhow::Result<(Net, Option<Preprocess>)> {
    let net = match start {
        Some(model) => model.net.clone(),
        None => config.recipe.prepare(config.net()?),
    };
    Ok((net.with_classes(classes), start.map(|model| model.preprocess.clone())))
}

/// Copies a model's parameters, but for a last layer of another number of classes.
fn begin_with(engine: &mut dyn Engine, model: &Model) -> anyhow::Result<()> {
    for (name, shape) in weights::parameters(engine.net())? {
        if let Some(values) = model.tensors.get(&name)
            && values.len() == shape.iter().product::<usize>()
        {
            engine.set_parameter(&name, values)?;
        }
    }
    Ok(())
}

fn new_folder(out: Option<&Path>, config: &Config) -> anyhow::Result<RunFolder> {
    let folder = match out {
        Some(path) => RunFolder::create(path)?,
        None => RunFolder::fresh(Path::new("runs"), &config.net)?,
    };
    config.write(&folder.config())?;
    Ok(folder)
}

/// A flag that Ctrl-C (or a polite kill) sets; the second one ends the program at once, which harms no file.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("\nsaving; once more stops at once");
    })?;
    Ok(stop)
}
