//! `alexnet train`: from images to a model.

mod config;
mod pace;
mod parallel;
mod progress;
mod run_report;
mod warnings;

use self::parallel::Parallel;
use self::progress::ProgressPrinter;
use self::run_report::RunReport;
use super::arithmetic::Arithmetic;
use super::dist_args;
use super::engine_args::EngineArgs;
use super::labels::{self, Labels};
use crate::{data_set, numbers, output, runs};
use alexnet::class_match::LabelOrder;
use alexnet::data::{self, Dataset};
use alexnet::distributed::{Communicator, Partition};
use alexnet::engine::init;
use alexnet::eval;
use alexnet::formats::{self, Model};
use alexnet::image::Preprocess;
use alexnet::net::Net;
use alexnet::train::config::Config;
use alexnet::train::finetune::{self, HeadMapping};
use alexnet::train::run_dir::RunDir;
use alexnet::train::{OnDecodeError, StopReason, Trainer, TrainerOptions, loaders, state};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Rows and columns of the built-in set's images where --image-size is not given.
pub(crate) const BUILT_IN_IMAGE_SIZE: usize = 96;
/// Passes over the built-in set where --epochs is not given: under three minutes on two cores.
const BUILT_IN_EPOCHS: usize = 12;
/// Seed of the built-in set, whatever the run's: runs of other seeds see the same images.
const BUILT_IN_SEED: u64 = 0;

/// Whether this build can share a training among processes or devices.
const CAN_SHARE: bool = cfg!(any(feature = "mpi", feature = "nccl", feature = "gpu"));

/// The end of `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  alexnet train clothing/train
      a network for your own images: one folder per class
  alexnet train clothing/train --from alexnet-owt-7be5be79.pth
      the same from a trained model: better, above all with few images
  alexnet train --resume runs/torchvision-1
      continue a stopped run, to the same bits";

/// Options of `alexnet train`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The same as --data PATH
    #[arg(value_name = "PATH", conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Images: a folder with one folder per class, or a .tar of the same [default: a built-in set, drawn by the program]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    /// Validation images, likewise [default: a share of the training images]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    val: Option<PathBuf>,
    /// Share of the training images held out where --val is not given [default: 0.1; 0.2 with --recipe quick where fewer than 640 would be left to train with]
    #[arg(long, value_name = "SHARE", conflicts_with = "val", value_parser = numbers::share, help_heading = "Data")]
    val_share: Option<f64>,
    /// The network; `alexnet nets` lists them. With --from: which one FILE is, where it does not tell [default: torchvision]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::names(), hide_possible_values = true, help_heading = "Model")]
    net: Option<String>,
    /// How it is trained: quick, simple, finetune, paper, original, caffe, torchvision or large-batch [default: quick; finetune with --from]
    #[arg(long, value_name = "NAME", help_heading = "Recipe")]
    recipe: Option<String>,
    /// Passes over the images [default: the recipe's; 12 for the built-in set]
    #[arg(long, value_name = "N", value_parser = numbers::count, help_heading = "Recipe")]
    epochs: Option<usize>,
    /// Images in a step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::batch, help_heading = "Recipe")]
    batch: Option<usize>,
    /// Learning rate at the beginning [default: the recipe's]
    #[arg(long, value_name = "X", value_parser = numbers::learning_rate, help_heading = "Recipe")]
    lr: Option<f64>,
    /// Rows and columns that the network sees [default: the net's or the model's own; 96 for the built-in set]
    #[arg(long, value_name = "N", value_parser = numbers::pixels, help_heading = "Model")]
    image_size: Option<usize>,
    /// Model file to begin with, of any format that `inspect` knows; its preprocessing is kept, in proportion to --image-size. The head (the last layer) keeps the
    /// rows of classes that it knows by name, and is new for all others
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    from: Option<PathBuf>,
    #[command(flatten)]
    labels: Labels,
    /// Layers that stay as they are: names, `head`, or ranges, such as conv1-conv5,fc6. What frozen layers at the beginning give is
    /// computed once and kept, where it has room
    #[arg(long, value_name = "LAYERS", help_heading = "Model")]
    freeze: Option<String>,
    /// How many times the learning rate some layers' is, such as head=10 or conv1-conv5=0.1,fc6=0.5; 0 freezes
    /// [default: 1, and 10 for a head with new classes in the recipe finetune]
    #[arg(long, value_name = "LAYERS=X,...", help_heading = "Recipe")]
    lr_times: Option<String>,
    /// After how many epochs the images' random changes come again; 0: never [default: with frozen layers at the beginning 8
    /// or half of the epochs, whichever is less, so that what these give can be kept; else 0]
    #[arg(long, value_name = "N", value_parser = numbers::count_or_zero, help_heading = "Recipe")]
    views: Option<usize>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "N", value_parser = numbers::seed, help_heading = "Run")]
    seed: Option<u64>,
    #[command(flatten, next_help_heading = "Devices and ranks")]
    machine: EngineArgs,
    /// Folder for the run's files, new or empty [default: runs/NET-1, or the next free number]
    #[arg(long, value_name = "RUN", conflicts_with = "resume", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Go on with a stopped run, to the same bits as if it had not been stopped
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    resume: Option<PathBuf>,
    /// Stop after this many steps of the whole run
    #[arg(long, value_name = "N", value_parser = numbers::seed, help_heading = "Run")]
    max_steps: Option<u64>,
    /// Save the state this often within an epoch, in minutes
    #[arg(long, value_name = "MIN", default_value_t = 5.0, value_parser = numbers::minutes, help_heading = "Run")]
    save_every: f64,
    /// What to do with an image that cannot be read: list it in RUN/broken.txt and go on, or stop
    #[arg(long, default_value = "skip", value_parser = ["skip", "stop"], help_heading = "Data")]
    on_bad: String,
    /// How the processes of a job share the work
    #[arg(long, value_enum, default_value_t = Parallel::Data, hide = !CAN_SHARE, help_heading = "Devices and ranks")]
    parallel: Parallel,
    #[command(flatten, next_help_heading = "Devices and ranks")]
    ranks: dist_args::DistArgs,
    /// The same bits for any number of processes: each batch is cut into BLOCKS [8 if not told], and sums go over these in a fixed
    /// order. A step takes longer
    #[arg(long, value_name = "BLOCKS", num_args = 0..=1, require_equals = true, default_missing_value = "8", value_parser = numbers::blocks, help_heading = "Devices and ranks")]
    deterministic: Option<usize>,
    /// Sum the gradients of each batch over parts of up to N images, which take less memory; the same result to rounding, but
    /// that batch normalisation sees one part at a time
    #[arg(long, value_name = "N", conflicts_with = "deterministic", value_parser = numbers::batch, help_heading = "Recipe")]
    micro_batch: Option<usize>,
    /// Write TensorBoard's event files into RUN, too
    #[arg(long, help_heading = "Output")]
    tensorboard: bool,
    /// Do not write RUN/report.html
    #[arg(long, help_heading = "Output")]
    no_report: bool,
    /// A JSON object for each epoch, and one at the end
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl Args {
    /// The training images, however they were given.
    fn data(&self) -> Option<&Path> {
        self.data.as_deref().or(self.images.as_deref())
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    dist_args::together(&args.ranks, quiet, |ranks, quiet| run_on(args, quiet, ranks))
}

/// As one of several ranks. All of them have the same settings and images and hold the same state; the first one has the folder.
fn run_on(args: &Args, quiet: bool, ranks: &Arc<dyn Communicator>) -> anyhow::Result<()> {
    let first = ranks.rank() == 0;
    parallel::check(args.parallel, &args.machine)?;
    let save_every = Duration::try_from_secs_f64(args.save_every * 60.0).ok();
    let save_every = save_every.with_context(|| format!("--save-every {}: not a number of minutes", args.save_every))?;
    // A run that goes on keeps others out from the beginning; a new one makes its folder when all else is known to work.
    let open = |path: &Path| if first { RunDir::open(path) } else { Ok(RunDir::of_other(path)) };
    // What cannot be written into config.toml is refused before a folder is made.
    for path in [&args.data, &args.val, &args.from, &args.labels.labels, &args.out].into_iter().flatten() {
        if path.to_str().is_none() {
            bail!("{}: its name is not UTF-8, and a run cannot keep it; rename it or choose another", path.display());
        }
    }
    let resumed = args.resume.as_deref().map(open).transpose()?;
    let start = args.from.as_deref().map(|path| crate::model_file::open_for_finetuning(path, args.net.as_deref())).transpose()?;
    let mut config = match &resumed {
        Some(folder) => config::of_run(args, Config::read(&folder.config())?)?,
        None => config::anew(args, start.as_ref())?,
    };
    let saved = resumed.as_ref().map(RunDir::state).filter(|state| state.exists());
    let start = match (&config.from, start, &saved) {
        (Some(_), _, Some(state)) => Some(state::description(state)?),
        (Some(path), None, None) => Some(of_format(path, &config.net)?),
        (_, start, _) => start,
    };
    let mut start =
        start.map(|model| finetune::at_size(model, config.image_size)).transpose().context("--image-size with --from")?;
    let own_split = args.val_share.is_none() && resumed.is_none();
    let (mut train, mut val) = pictures(&mut config, own_split, quiet || !first)?;
    let more_held_out = own_split && config::more_held_out(args, &mut config, train.len());
    if more_held_out {
        (train, val) = pictures(&mut config, false, true)?;
    }
    let adapted = resumed.is_none() && config::small_set(args, &mut config, train.len(), val.len());
    let adapted = adapted.then_some(match more_held_out {
        true => "batch, learning rate, epochs, warm-up and a larger share to validate with",
        false => "batch, learning rate, epochs and warm-up",
    });
    let (net, preprocess) = network(&config, start.as_ref(), train.classes().len())?;
    let head = match (start.as_mut(), &saved) {
        // The state of a run names its classes.
        (Some(model), Some(_)) => Some(HeadMapping::of(model, train.classes(), LabelOrder::Names)?),
        (Some(model), None) => {
            let order = labels::apply(model, config.labels.as_deref(), config.label_order)?;
            Some(HeadMapping::of(model, train.classes(), order).with_context(|| from_name(&config))?)
        }
        (None, _) => None,
    };
    match &resumed {
        Some(_) => config::same_layer_rates(args, &config.recipe, &net)?,
        None => {
            config::layer_rates(args, &mut config.recipe, &net, head.as_ref())?;
            let frozen = config::frozen_at_random(&config.recipe, &net, head.as_ref())?;
            if !frozen.is_empty() && first {
                output::note(&format!("warning: frozen without --from: {frozen} stay as random as they begin"));
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
        Parallel::Towers => Partition::WHOLE,
        _ => Partition::new(ranks.rank(), ranks.size(), config.blocks)?,
    };
    let loaders = loaders::loaders(&config.recipe, &net, preprocess, &train, &val, config.seed, args.machine.threads)?;
    let loaders = loaders.with_cut(cut);
    let precision =
        Arithmetic::from_str(&config.precision, false).map_err(|why| anyhow::anyhow!("precision {}: {why}", config.precision))?;
    if precision.is_of_bytes() {
        bail!("--precision {precision}: that is for inference; train in f32 or bf16, then `alexnet quantize`");
    }
    let device = Some(config.device.clone());
    let machine = EngineArgs { precision: Some(precision), device, ..args.machine.clone() }.of_rank(&**ranks);
    let mut engine = parallel::engine(&machine, &net, config.recipe.batch.min(train.len()), ranks, cut, args.parallel)?;
    // A run that goes on has its parameters in its state.
    match (&saved, &start, &head) {
        (Some(_), _, _) => {}
        (None, Some(model), Some(head)) => finetune::init_from(&mut *engine, model, head, config.seed)?,
        _ => init::initialise(&mut *engine, config.seed)?,
    }
    drop(start);
    let folder = match resumed {
        Some(folder) => folder,
        None => new_folder(args.out.as_deref(), &config, ranks)?,
    };

    let on_bad = if args.on_bad == "stop" { OnDecodeError::Stop } else { OnDecodeError::Skip };
    let options = TrainerOptions { max_steps: args.max_steps, save_every, on_bad, frozen_room: None };
    let stop = dist_args::stop_on_signal(ranks)?;
    let mut show = if first { ProgressPrinter::new(args.json, quiet, config.recipe.epochs)? } else { ProgressPrinter::nothing() };
    show.begin(&config, &net, &train, &val, folder.path(), adapted)?;
    let pictures = (train.clone(), val.clone());
    let mut trainer = Trainer::new(&mut *engine, &config.recipe, config.seed, &loaders, train, val, &folder, options)?;
    trainer = trainer.with_ranks(ranks.clone());
    if saved.is_none() && head.as_ref().is_some_and(HeadMapping::is_known) {
        trainer = trainer.validating_first();
    }
    show.ranks(ranks.size(), args.parallel, config.blocks);
    show.tuning(&config, &net, head.as_ref().filter(|_| saved.is_none()), trainer.frozen());
    show.from(trainer.state(), trainer.step(), loaders.train.batches());
    let mut recording = match first {
        true => RunReport::begin(args, &config, &net, pictures, &loaders, &trainer, &folder),
        false => RunReport::nothing(),
    };
    let ending = trainer.run(&stop, &mut |event| {
        show.event(&event);
        recording.event(&event);
    });
    recording.end(&ending);
    let ending = ending?;
    show.end(ending, trainer.state(), trainer.step(), &folder, trainer.traffic()?);
    if ending == StopReason::Interrupted && first {
        let run = folder.path().display();
        let message = format!("stopped at step {}, all saved; go on with: alexnet train --resume {run}", trainer.step());
        return Err(dist_args::Agreed(message).into());
    }
    Ok(())
}

/// Training and validation images, both with the training images' classes. With `own_split`, a validation split beside the training
/// split becomes the setting `val`, unless that names other images.
pub(crate) fn pictures(
    config: &mut Config,
    own_split: bool,
    quiet: bool,
) -> anyhow::Result<(Arc<dyn Dataset>, Arc<dyn Dataset>)> {
    let Some(path) = &config.data else {
        let of = |split| data::synthetic(split, BUILT_IN_SEED);
        return Ok((of(data::Split::Train), of(data::Split::Validation)));
    };
    let opened = data_set::open(path, data::Split::Train, data::Demand::Trainable, quiet)?;
    let trained_on = opened.path();
    let data::Opened { source: train, splits, .. } = opened;
    if own_split && config.val.is_none() && splits.is_some_and(|splits| splits.validation.is_some()) {
        config.val = config.data.clone();
    }
    match &config.val {
        Some(val) => {
            let found = data_set::open(val, data::Split::Validation, data::Demand::WithImages, quiet)?;
            let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
            if !quiet && real(found.path()) == real(trained_on) {
                output::note(
                    "warning: the validation images are the training images: this accuracy says nothing about other images",
                );
            }
            let val = eval::by_name(found.source, train.classes()).with_context(|| format!("{}", val.display()))?;
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
    let open = |net| formats::load_for_finetuning(path, net).map(|(model, _)| model);
    let model = open(Some(net)).or_else(|_| open(None))?;
    if model.net.name != net {
        bail!("{}: the run began with a {net}, and this is a {}", path.display(), model.net.name);
    }
    Ok(model)
}

/// The model that a run begins with, for messages.
fn from_name(config: &Config) -> String {
    config.from.as_ref().map_or("--from".into(), |path| path.display().to_string())
}

/// The folder of a new run, which the first rank makes.
fn new_folder(out: Option<&Path>, config: &Config, ranks: &Arc<dyn Communicator>) -> anyhow::Result<RunDir> {
    if ranks.rank() > 0 {
        let path = ranks.broadcast(&[])?;
        return Ok(RunDir::of_other(Path::new(&String::from_utf8(path)?)));
    }
    let folder = match out {
        Some(path) => RunDir::create(path)?,
        None => RunDir::fresh(Path::new(runs::FOLDER), &config.net)?,
    };
    config.write(&folder.config())?;
    ranks.broadcast(folder.path().to_str().context("the run's folder has a name that is no text")?.as_bytes())?;
    Ok(folder)
}
