//! Command-line program `alexnet`, as a library, so that the Python package has it too.

// These macros panic when the reader of the output has closed it; `output` does not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod answer_file;
mod arguments;
mod commands;
mod data_set;
mod download;
mod exit_status;
mod faults;
mod image_files;
mod model_file;
mod net_option;
mod numbers;
mod output;
mod progress;
mod runs;

use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;

/// Exit statuses of success and failure.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

/// Train, evaluate and use every published AlexNet.
#[derive(Parser)]
#[command(name = "alexnet", version, about, max_term_width = 100)]
#[command(after_help = "Exit status: 0 success, 1 failure, 2 bad usage; predict: 3 if some images could not be read.")]
struct Cli {
    /// Print only results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the networks
    Nets(commands::nets::Args),
    /// Train a network on images
    #[command(after_help = commands::train::EXAMPLES)]
    Train(Box<commands::train::Args>),
    /// List the training recipes, show one, or compare two
    Recipes(commands::recipes::Args),
    /// Find a learning rate by a range test: losses at growing rates
    LrFind(Box<commands::train::lr_find::Args>),
    /// Put a claim of the paper to the test: train what it needs, and compare with the paper's number
    #[command(after_help = commands::reproduce::EXAMPLES)]
    Reproduce(Box<commands::reproduce::Args>),
    /// Average the weights of several models into one
    Average(commands::average::Args),
    /// Evaluate a model on a labelled data set
    Eval(commands::eval::Args),
    /// Regenerate a run's report: curves, confusion, calibration, images
    Report(commands::report::Args),
    /// Compare runs side by side: results and differing settings
    Compare(commands::compare::Args),
    /// Classify images
    #[command(after_help = commands::predict::EXAMPLES)]
    Predict(Box<commands::predict::Args>),
    /// Serve a model over HTTP, with a web page
    Serve(Box<commands::serve::Args>),
    /// Extract a layer's features from images, for search or other models
    Features(commands::features::Args),
    /// Find the nearest images in a feature index
    Similar(commands::similar::Args),
    /// Compute the perceptual distance (LPIPS) between images
    Lpips(commands::lpips::Args),
    /// Visualize a model: filters, activations, heatmaps, mistakes
    Explain(commands::explain::Args),
    /// Check a data set, pack it into one file, or preview it as augmented for training
    Data(commands::data::Args),
    /// Prepare a model for int8 and int4 inference
    Quantize(commands::quantize::Args),
    /// Download published weights, or list them
    #[command(after_help = commands::pull::AFTER_HELP)]
    Pull(commands::pull::Args),
    /// Fit a temperature, so that a model's probabilities match its accuracy
    Calibrate(commands::calibrate::Args),
    /// Describe a model file: format, network, tensors, preprocessing
    Inspect(commands::inspect::Args),
    /// Convert a model file to another format
    Convert(commands::convert::Args),
    /// Print a network layer by layer, or draw it
    Summary(commands::summary::Args),
    /// Benchmark training, inference, kernels or data loading
    Bench(commands::bench::Args),
    /// List compute devices, with reasons for unavailable ones
    Devices(commands::devices::Args),
    /// Examine this machine: processor, speeds, devices, selftest, and what makes it slow
    Doctor(commands::doctor::Args),
    /// Estimate training time on other or more machines
    Plan(commands::plan::Args),
    /// Check this machine's results against PyTorch's
    Selftest(commands::selftest::Args),
    /// Generate a shell completion script
    Completions(commands::completions::Args),
    /// Print or write manual pages
    Man(commands::man::Args),
}

/// Runs a command line, whose first argument is the program's name, and returns its exit status: 0 success, 1 failure, 3 some images
/// could not be read. Bad usage ends the process with status 2. To be called once: it installs a logger and signal handlers.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    faults::prepare();
    let cli: Cli = match arguments::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // RUST_LOG=debug logs the algorithm of each layer.
    env_logger::Builder::from_default_env().init();
    // On a signal, training and studies save, and the server finishes accepted requests; every other command exits at once.
    if !matches!(cli.command, Command::Train(_) | Command::Serve(_) | Command::Reproduce(_)) {
        commands::dist_args::end_on_signal();
    }
    let result = match cli.command {
        Command::Nets(args) => commands::nets::run(&args),
        Command::Train(args) => commands::train::run(&args, cli.quiet),
        Command::Recipes(args) => commands::recipes::run(&args, cli.quiet),
        Command::LrFind(args) => commands::train::lr_find::run(&args, cli.quiet),
        Command::Reproduce(args) => commands::reproduce::run(&args, cli.quiet),
        Command::Average(args) => commands::average::run(&args, cli.quiet),
        Command::Eval(args) => commands::eval::run(&args, cli.quiet),
        Command::Report(args) => commands::report::run(&args, cli.quiet),
        Command::Compare(args) => commands::compare::run(&args, cli.quiet),
        Command::Predict(args) => commands::predict::run(&args, cli.quiet),
        Command::Serve(args) => commands::serve::run(&args, cli.quiet),
        Command::Features(args) => commands::features::run(&args, cli.quiet),
        Command::Similar(args) => commands::similar::run(&args, cli.quiet),
        Command::Lpips(args) => commands::lpips::run(&args, cli.quiet),
        Command::Explain(args) => commands::explain::run(&args, cli.quiet),
        Command::Data(args) => commands::data::run(&args, cli.quiet),
        Command::Quantize(args) => commands::quantize::run(&args, cli.quiet),
        Command::Pull(args) => commands::pull::run(&args, cli.quiet),
        Command::Inspect(args) => commands::inspect::run(&args, cli.quiet),
        Command::Calibrate(args) => commands::calibrate::run(&args, cli.quiet),
        Command::Convert(args) => commands::convert::run(&args, cli.quiet),
        Command::Summary(args) => commands::summary::run(&args, cli.quiet),
        Command::Bench(args) => commands::bench::run(&args, cli.quiet),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    };
    if let Some(note) = alexnet::draw::text::missing_letters() {
        output::note(&format!("note: {note}"));
    }
    match result {
        Ok(()) => SUCCESS,
        Err(error) if output::reader_has_gone(&error) => SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error:#}"));
            if error.is::<exit_status::SomeFailed>() { exit_status::SOME_FAILED } else { FAILURE }
        }
    }
}
