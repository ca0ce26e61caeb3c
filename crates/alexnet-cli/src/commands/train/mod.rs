//! `alexnet train`: training of a network.

mod dashboard;
mod ending;
pub(crate) mod lr_find;
mod pace;
mod parallel;
mod plan;
mod progress;
mod warnings;

use self::dashboard::LivePage;
use self::parallel::{AllEngines, strategies};
use self::progress::ProgressPrinter;
use super::dist_args;
use super::engine_args::EngineArgs;
use super::labels::Labels;
use crate::{model_file, numbers, output};
use alexnet::class_match::LabelOrder;
use alexnet::distributed::{Communicator, Parallel};
use alexnet::image::JpegDecoding;
use alexnet::net::Activation;
use alexnet::report::{RunReport, Writes};
use alexnet::train::recipe::{Monitor, Optimizer};
use alexnet::train::snapshots::Keep;
use alexnet::train::{Environment, OnDecodeError, Settings, StopReason};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Whether this build can share training among processes or devices.
const CAN_SHARE: bool = cfg!(any(feature = "mpi", feature = "nccl", feature = "gpu"));

/// Examples at the end of `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  alexnet train clothing/train
      train on your own images, one folder per class
  alexnet train clothing/train --from torchvision
      fine-tune a trained model: more accurate, especially with few images
  alexnet train --resume runs/torchvision-1
      resume a stopped run, with bit-identical results";

/// Options of `alexnet train`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Same as --data PATH
    #[arg(value_name = "PATH", conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Training images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: a built-in synthetic set]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    /// Validation images, in the same form [default: a fraction of the training images]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    val: Option<PathBuf>,
    #[command(flatten)]
    lists: crate::data_set::ListArgs,
    /// Fraction of the training images held out for validation without --val [default: 0.1; 0.2 with --recipe quick if fewer than
    /// 640 would remain for training]
    #[arg(long, value_name = "SHARE", conflicts_with = "val", value_parser = numbers::share, help_heading = "Data")]
    val_share: Option<f64>,
    /// Network; `alexnet nets` lists them. With --from: the network in FILE, if the file does not specify it [default:
    /// torchvision]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::names(), hide_possible_values = true, help_heading = "Model")]
    net: Option<String>,
    /// Training recipe: a name that `alexnet recipes` lists, a file (`docs/guide/recipes.md`), or the folder of a run [default:
    /// quick; finetune with --from]
    #[arg(long, value_name = "NAME|FILE|RUN", help_heading = "Recipe")]
    recipe: Option<String>,
    /// Change a key of the recipe, such as momentum=0.8; `alexnet recipes keys` lists all. May be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Recipe")]
    set: Vec<String>,
    #[arg(long, value_name = "NAME", help = optimizer_help(), value_parser = PossibleValuesParser::new(Optimizer::NAMES), hide_possible_values = true, help_heading = "Recipe")]
    optimizer: Option<String>,
    /// Number of epochs [default: the recipe's; 8 for the built-in set]
    #[arg(long, value_name = "N", value_parser = numbers::count, help_heading = "Recipe")]
    epochs: Option<usize>,
    /// Time in which the run ends, validated and saved, instead of a number of epochs: 90s, 30m, 1h30m. The learning-rate schedule
    /// follows the time, which is planned from measured steps
    #[arg(long, value_name = "TIME", conflicts_with = "epochs", value_parser = numbers::time, help_heading = "Recipe")]
    time: Option<Duration>,
    /// Batch size [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::batch, help_heading = "Recipe")]
    batch: Option<usize>,
    /// Accumulate the gradients of N batches for each optimizer step, as with a batch of N times as many images; equal up to
    /// rounding, except that batch normalisation sees one batch at a time. Unlike --micro-batch, which splits a batch, this makes
    /// it larger [default: the recipe's, 1]
    #[arg(long, value_name = "N", value_parser = numbers::count, help_heading = "Recipe")]
    accumulate: Option<usize>,
    /// Initial learning rate [default: the recipe's]. With --resume another one than given last: the rate from here on, with the
    /// schedule's later rates multiplied alike
    #[arg(long, value_name = "X", value_parser = numbers::learning_rate, help_heading = "Recipe")]
    lr: Option<f64>,
    /// Image size in pixels (rows and columns) [default: the net's or the model's own; 96 for the built-in set]
    #[arg(long, value_name = "N", value_parser = numbers::pixels, help_heading = "Model")]
    image_size: Option<usize>,
    /// Activation function after every hidden layer [default: the network's own, relu]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::activations(), help_heading = "Model")]
    activation: Option<Activation>,
    /// Model to fine-tune: a file in any format supported by `inspect`, or the name of published weights (`alexnet pull` lists
    /// them). Its preprocessing is kept, scaled to --image-size. The head
    /// (the last layer) keeps its rows for classes matched by name; the others are initialized
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    from: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Model")]
    labels: Labels,
    /// Layers to freeze: names, `head`, or ranges, such as conv1-conv5,fc6. The features behind leading frozen layers are
    /// computed once and cached, if memory allows
    #[arg(long, value_name = "LAYERS", help_heading = "Model")]
    freeze: Option<String>,
    /// Per-layer learning-rate multipliers, such as head=10 or conv1-conv5=0.1,fc6=0.5; 0 freezes [default: 1, and 10 for a head
    /// with new classes in the recipe finetune]
    #[arg(long, value_name = "LAYERS=X,...", help_heading = "Recipe")]
    lr_times: Option<String>,
    /// Number of epochs after which the random augmentations repeat; 0: never [default: with leading frozen layers 8 or half of
    /// the epochs, whichever is less, so that features can be cached; else 0]
    #[arg(long, value_name = "N", value_parser = numbers::count_or_zero, help_heading = "Recipe")]
    views: Option<usize>,
    /// Decoding of JPEGs: exact, or scaled to 1/2, 1/4 or 1/8 while they keep at least twice the size that they are resized to,
    /// which is faster for large photographs. The model keeps the setting [default: exact; with --from the model's]
    #[arg(long, value_name = "exact|scaled", value_parser = PossibleValuesParser::new(JpegDecoding::NAMES), hide_possible_values = true, help_heading = "Data")]
    jpeg: Option<String>,
    /// Class weights of the loss: auto (inversely proportional to the classes' numbers of images), none, or a file with a class
    /// and its weight per line [default: the recipe's]
    #[arg(long, value_name = "auto|none|FILE", help_heading = "Recipe")]
    class_weights: Option<PathBuf>,
    /// Draw the same number of images of each class in every epoch, repeating those of small classes
    #[arg(long, help_heading = "Recipe")]
    balanced: bool,
    /// Metric that selects the best model, and by which --patience and plateau schedules count: top1, loss or macro-f1 [default:
    /// the recipe's, top1]
    #[arg(long, value_name = "top1|loss|macro-f1", value_parser = PossibleValuesParser::new(Monitor::NAMES), hide_possible_values = true, help_heading = "Recipe")]
    monitor: Option<String>,
    /// End the run after N epochs without a better one; 0: never [default: the recipe's, 0]
    #[arg(long, value_name = "N", value_parser = numbers::count_or_zero, help_heading = "Recipe")]
    patience: Option<usize>,
    /// Keep the model of every N-th epoch as RUN/epoch-0010.safetensors; 0: none [default: 0; with --keep 1]
    #[arg(long, value_name = "N", value_parser = numbers::count_or_zero, help_heading = "Run")]
    keep_every: Option<usize>,
    /// Which of these models remain: all, last:N, or best:N by --monitor [default: all]
    #[arg(long, value_name = "all|last:N|best:N", help_heading = "Run")]
    keep: Option<Keep>,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N", value_parser = numbers::seed, help_heading = "Run")]
    seed: Option<u64>,
    #[command(flatten, next_help_heading = "Devices and ranks")]
    machine: EngineArgs,
    /// Run folder, new or empty [default: runs/NET-1, or the next free number]
    #[arg(long, value_name = "RUN", conflicts_with = "resume", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Resume a stopped run, with results bit-identical to an uninterrupted one
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    resume: Option<PathBuf>,
    /// Stop after this many steps, counted from the start of the run
    #[arg(long, value_name = "N", value_parser = numbers::seed, help_heading = "Run")]
    max_steps: Option<u64>,
    /// Interval of checkpoints within an epoch, in minutes
    #[arg(long, value_name = "MIN", default_value_t = 5.0, value_parser = numbers::minutes, help_heading = "Run")]
    save_every: f64,
    /// Handling of unreadable images: skip and list them in RUN/broken.txt, or stop
    #[arg(long, default_value = "skip", value_parser = ["skip", "stop"], help_heading = "Data")]
    on_bad: String,
    /// How the processes of a job share the work
    #[arg(long, value_name = "STRATEGY", default_value = "data", value_parser = strategies(), hide = !CAN_SHARE, help_heading = "Devices and ranks")]
    parallel: Parallel,
    #[command(flatten, next_help_heading = "Devices and ranks")]
    ranks: dist_args::DistArgs,
    /// Bit-identical results for any number of processes: each batch is split into BLOCKS [8 without a number], which are summed
    /// in a fixed order. Steps are slower
    #[arg(long, value_name = "BLOCKS", num_args = 0..=1, require_equals = true, default_missing_value = "8", value_parser = numbers::blocks, help_heading = "Devices and ranks")]
    deterministic: Option<usize>,
    /// Accumulate each batch's gradients over micro-batches of up to N images to save memory; equal up to rounding, except that
    /// batch normalisation sees one micro-batch at a time. See --accumulate for larger batches
    #[arg(long, value_name = "N", conflicts_with = "deterministic", value_parser = numbers::batch, help_heading = "Recipe")]
    micro_batch: Option<usize>,
    /// Show the run live on a web page of this machine, with a button that stops it: at this port, or at a free one that is
    /// printed
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0", conflicts_with = "no_report", help_heading = "Output")]
    dashboard: Option<u16>,
    /// Also write TensorBoard event files to RUN; a resumed run continues them
    #[arg(long, help_heading = "Output")]
    tensorboard: bool,
    /// Do not write RUN/report.html, also when the run is resumed
    #[arg(long, help_heading = "Output")]
    no_report: bool,
    /// Print a JSON object with the plan, one per epoch, and one at the end
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What `--help` says of `--optimizer`.
fn optimizer_help() -> String {
    let names = Optimizer::NAMES.join(" or ");
    format!("Optimizer: {names}; the recipe's learning rate is scaled for it [default: the recipe's]")
}

impl Args {
    /// Resolves the settings of the run.
    fn settings(&self, quiet: bool) -> anyhow::Result<Settings> {
        let save_every = Duration::try_from_secs_f64(self.save_every * 60.0).ok();
        Ok(Settings {
            data: self.data.clone().or(self.images.clone()),
            val: self.val.clone(),
            data_root: self.lists.root.clone(),
            data_classes: self.lists.classes.clone(),
            val_share: self.val_share,
            net: self.net.clone(),
            recipe: self.recipe.clone(),
            set: self.set.clone(),
            optimizer: self.optimizer.clone(),
            epochs: self.epochs,
            time: self.time,
            batch: self.batch,
            accumulate: self.accumulate,
            lr: self.lr,
            image_size: self.image_size,
            activation: self.activation,
            from: self.from.as_ref().map(|from| model_file::locate(from, quiet)).transpose()?,
            labels: self.labels.labels.clone(),
            label_order: self.labels.label_order.map(LabelOrder::from),
            freeze: self.freeze.clone(),
            lr_times: self.lr_times.clone(),
            views: self.views,
            jpeg: self.jpeg.as_deref().and_then(JpegDecoding::of_name),
            seed: self.seed,
            precision: self.machine.precision.map(|precision| precision.to_string()),
            device: self.machine.device.clone(),
            threads: self.machine.threads,
            out: self.out.clone(),
            resume: self.resume.clone(),
            max_steps: self.max_steps,
            save_every: save_every.with_context(|| format!("--save-every {}: not a valid duration", self.save_every))?,
            on_decode_error: if self.on_bad == "stop" { OnDecodeError::Stop } else { OnDecodeError::Skip },
            parallel: self.parallel,
            deterministic: self.deterministic,
            micro_batch: self.micro_batch,
            class_weights: self.class_weights.clone(),
            balanced: self.balanced,
            monitor: self.monitor.as_deref().and_then(Monitor::of_name),
            patience: self.patience,
            keep_every: self.keep_every,
            keep: self.keep,
        })
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    dist_args::together(&args.ranks, quiet, |ranks, quiet| run_on(args, quiet, ranks))
}

/// Trains as one of several ranks.
fn run_on(args: &Args, quiet: bool, ranks: &Arc<dyn Communicator>) -> anyhow::Result<()> {
    // Before Ctrl-C means to save the run: it ends a download, which resumes.
    let settings = args.settings(quiet)?;
    let stop = Arc::new(AtomicBool::new(false));
    let progress = ProgressPrinter::new(args.json, quiet, ranks.clone(), stop.clone())?;
    // A resumed run keeps writing what it wrote before; the dashboard shows the report.
    let before = args.resume.as_deref().map_or(Writes { report: true, tensorboard: false }, Writes::of_run);
    let writes = Writes {
        report: !args.no_report && (before.report || args.dashboard.is_some()),
        tensorboard: args.tensorboard || before.tensorboard,
    };
    let report = RunReport::new(writes, args.machine.threads, output::note);
    let engines = AllEngines(&args.machine);
    let environment = Environment { ranks, engines: &engines, stop: &stop };
    let live = LivePage::new(args.dashboard, ranks.rank(), stop.clone())?;
    let outcome = settings.run_in(&environment, &mut (progress, (report, live)))?;
    if outcome.reason == StopReason::Interrupted && ranks.rank() == 0 {
        let run = outcome.dir.display();
        let message = format!("stopped at step {}, checkpoint saved; resume with: alexnet train --resume {run}", outcome.step);
        return Err(dist_args::Agreed(message).into());
    }
    Ok(())
}
