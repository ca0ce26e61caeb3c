//! `alexnet train`: from pictures to a model.

mod recording;
mod resolve;
mod show;
mod spread;

use self::recording::Recording;
use self::show::Show;
use self::spread::Parallel;
use super::arithmetic::Arithmetic;
use super::machine::Machine;
use super::ranks;
use alexnet::data::{self, Source};
use alexnet::engine::init;
use alexnet::eval;
use alexnet::image::Preprocess;
use alexnet::net::Net;
use alexnet::parallel::{Communicator, Cut};
use alexnet::train::begin::{self, Head};
use alexnet::train::config::Config;
use alexnet::train::folder::RunFolder;
use alexnet::train::{Ending, OnBad, Options, Trainer, prepare, state};
use alexnet::weights::{self, Model};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// The network; `alexnet nets` lists them. With --from: which one FILE is, where it does not tell [default: torchvision]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// How it is trained: quick, simple, finetune, paper, original, caffe, torchvision or large-batch [default: quick; finetune with --from]
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
    /// Rows and columns that the network sees [default: the net's or the model's own; 96 for the built-in set]
    #[arg(long, value_name = "N")]
    image_size: Option<usize>,
    /// Model file to begin with, of any format that `inspect` knows; its preprocessing is kept, in proportion to --image-size. The head (the last layer) keeps the
    /// rows of classes that it knows by name, and is new for all others
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Layers that stay as they are: names, `head`, or ranges, such as conv1-conv5,fc6. What frozen layers at the beginning give is
    /// computed once and kept, where it has room
    #[arg(long, value_name = "LAYERS")]
    freeze: Option<String>,
    /// How many times the learning rate some layers' is, such as head=10 or conv1-conv5=0.1,fc6=0.5; 0 freezes
    /// [default: 1, and 10 for a head with new classes in the recipe finetune]
    #[arg(long, value_name = "LAYERS=X,...")]
    lr_times: Option<String>,
    /// After how many epochs the pictures' random changes come again; 0: never [default: with frozen layers at the beginning 8
    /// or half of the epochs, whichever is less, so that what these give can be kept; else 0]
    #[arg(long, value_name = "N")]
    views: Option<usize>,
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
    /// How the processes of a job share the work
    #[arg(long, value_enum, default_value_t = Parallel::Data)]
    parallel: Parallel,
    #[command(flatten)]
    ranks: ranks::Ranks,
    /// The same bits for any number of processes: each batch is cut into BLOCKS [8 if not told], and sums go over these in a fixed
    /// order. A step takes longer
    #[arg(long, value_name = "BLOCKS", num_args = 0..=1, require_equals = true, default_missing_value = "8")]
    deterministic: Option<usize>,
    /// Sum the gradients of each batch over parts of up to N pictures, which take less memory; the same result to rounding, but
    /// that batch normalisation sees one part at a time
    #[arg(long, value_name = "N", conflicts_with = "deterministic")]
    micro_batch: Option<std::num::NonZeroUsize>,
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
    ranks::together(&args.ranks, quiet, |ranks, quiet| run_on(args, quiet, ranks))
}

/// As one of several ranks. All of them have the same settings and pictures and hold the same state; the first one has the folder.
fn run_on(args: &Args, quiet: bool, ranks: &Arc<dyn Communicator>) -> anyhow::Result<()> {
    let first = ranks.rank() == 0;
    let save_every = Duration::try_from_secs_f64(args.save_every * 60.0).ok();
    let save_every = save_every.with_context(|| format!("--save-every {}: not a number of minutes", args.save_every))?;
    // A run that goes on keeps others out from the beginning; a new one makes its folder when all else is known to work.
    let open = |path: &Path| if first { RunFolder::open(path) } else { Ok(RunFolder::of_other(path)) };
    let resumed = args.resume.as_deref().map(open).transpose()?;
    let start = args.from.as_deref().map(|path| crate::model_file::open_for_finetuning(path, args.net.as_deref())).transpose()?;
    let mut config = match &resumed {
        Some(folder) => resolve::of_run(args, Config::read(&folder.config())?)?,
        None => resolve::anew(args, start.as_ref())?,
    };
    let saved = resumed.as_ref().map(RunFolder::state).filter(|state| state.exists());
    let start = match (&config.from, start, &saved) {
        (Some(_), _, Some(state)) => Some(state::description(state)?),
        (Some(path), None, None) => Some(of_format(path, &config.net)?),
        (_, start, _) => start,
    };
    let start = start.map(|model| begin::at_size(model, config.image_size)).transpose().context("--image-size with --from")?;
    let (train, val) = pictures(&config)?;
    let (net, preprocess) = network(&config, start.as_ref(), train.classes().len())?;
    let head = start.as_ref().map(|model| Head::of(model, train.classes()));
    match &resumed {
        Some(_) => resolve::same_layer_rates(args, &config.recipe, &net)?,
        None => {
            resolve::layer_rates(args, &mut config.recipe, &net, head.as_ref())?;
            let frozen = resolve::frozen_at_random(&config.recipe, &net, head.as_ref())?;
            if !frozen.is_empty() && first {
                eprintln!("warning: frozen without --from: {frozen} stay as random as they begin");
            }
        }
    }
    if args.parallel != Parallel::Data && config.blocks.is_some() {
        bail!(
            "--parallel {}: its sums depend on the number of processes; --deterministic and --micro-batch go with --parallel data",
            args.parallel
        );
    }
    let cut = match args.parallel {
        Parallel::Towers => Cut::WHOLE,
        _ => Cut::new(ranks.rank(), ranks.size(), config.blocks)?,
    };
    let loaders = prepare::loaders(&config.recipe, &net, preprocess, &train, &val, config.seed, args.machine.threads)?;
    let loaders = loaders.with_cut(cut);
    let precision =
        Arithmetic::from_str(&config.precision, false).map_err(|why| anyhow::anyhow!("precision {}: {why}", config.precision))?;
    if precision.is_of_bytes() {
        bail!("--precision {precision}: that is for inference; train in f32 or bf16, then `alexnet quantize`");
    }
    let device = Some(config.device.clone());
    let machine = Machine { precision: Some(precision), device, ..args.machine.clone() }.of_rank(&**ranks);
    let mut engine = spread::engine(&machine, &net, config.recipe.batch.min(train.len()), ranks, cut, args.parallel)?;
    // A run that goes on has its parameters in its state.
    match (&saved, &start, &head) {
        (Some(_), _, _) => {}
        (None, Some(model), Some(head)) => begin::begin(&mut *engine, model, head, config.seed)?,
        _ => init::initialise(&mut *engine, config.seed)?,
    }
    drop(start);
    let folder = match resumed {
        Some(folder) => folder,
        None => new_folder(args.out.as_deref(), &config, ranks)?,
    };

    let on_bad = if args.on_bad == "stop" { OnBad::Stop } else { OnBad::Skip };
    let options = Options { max_steps: args.max_steps, save_every, on_bad, frozen_room: None };
    let stop = ranks::stop_on_signal(ranks)?;
    let mut show = if first { Show::new(args.json, quiet, config.recipe.epochs)? } else { Show::nothing() };
    show.begin(&config, &net, &train, &val, folder.path())?;
    let pictures = (train.clone(), val.clone());
    let mut trainer = Trainer::new(&mut *engine, &config.recipe, config.seed, &loaders, train, val, &folder, options)?;
    trainer = trainer.with_ranks(ranks.clone());
    if saved.is_none() && head.as_ref().is_some_and(Head::is_known) {
        trainer = trainer.validating_first();
    }
    show.ranks(ranks.size(), args.parallel, config.blocks);
    show.tuning(&config, &net, head.as_ref().filter(|_| saved.is_none()), trainer.frozen());
    show.from(trainer.state(), trainer.step());
    let mut recording = match first {
        true => Recording::begin(args, &config, &net, pictures, &loaders, &trainer, &folder),
        false => Recording::nothing(),
    };
    let ending = trainer.run(&stop, &mut |event| {
        show.event(&event);
        recording.event(&event);
    });
    recording.end(&ending);
    let ending = ending?;
    show.end(ending, trainer.state(), trainer.step(), &folder, trainer.traffic()?);
    if ending == Ending::Interrupted && first {
        let run = folder.path().display();
        let message = format!("stopped at step {}, all saved; go on with: alexnet train --resume {run}", trainer.step());
        return Err(ranks::Agreed(message).into());
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

/// A model that a run knows to be of a net; a file that tells so itself need not hear it.
fn of_format(path: &Path, net: &str) -> anyhow::Result<Model> {
    let open = |net| weights::open_for_finetuning(path, net).map(|(model, _)| model);
    let model = open(Some(net)).or_else(|_| open(None))?;
    if model.net.name != net {
        bail!("{}: the run began with a {net}, and this is a {}", path.display(), model.net.name);
    }
    Ok(model)
}

/// The folder of a new run, which the first rank makes.
fn new_folder(out: Option<&Path>, config: &Config, ranks: &Arc<dyn Communicator>) -> anyhow::Result<RunFolder> {
    if ranks.rank() > 0 {
        let path = ranks.broadcast(&[])?;
        return Ok(RunFolder::of_other(Path::new(&String::from_utf8(path)?)));
    }
    let folder = match out {
        Some(path) => RunFolder::create(path)?,
        None => RunFolder::fresh(Path::new("runs"), &config.net)?,
    };
    config.write(&folder.config())?;
    ranks.broadcast(folder.path().to_str().context("the run's folder has a name that is no text")?.as_bytes())?;
    Ok(folder)
}
