//! The program `alexnet`.

// These panic where the reader of the output has gone; `out` does not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod arguments;
mod commands;
mod data_set;
mod faults;
mod image_files;
mod model_file;
mod net_option;
mod numbers;
mod output;
mod progress;
mod runs;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Ends with a line where the system has no memory.
#[global_allocator]
static ALLOCATOR: alexnet_kernels::allocator::Reporting = alexnet_kernels::allocator::Reporting;

/// Train, evaluate and use every published AlexNet.
#[derive(Parser)]
#[command(name = "alexnet", version, about, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 bad usage.")]
struct Cli {
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the networks
    Nets(commands::nets::Args),
    /// Train a network on images.
    #[command(after_help = commands::train::EXAMPLES)]
    Train(Box<commands::train::Args>),
    /// Measure how good a model is.
    Eval(commands::eval::Args),
    /// Write a run's report again: curves, confusion, calibration, images
    Report(commands::report::Args),
    /// Show runs side by side: what they came to, and how their settings differ
    Compare(commands::compare::Args),
    /// Say what is in images.
    Predict(commands::predict::Args),
    /// Answer requests over HTTP, with a page to drop images on
    Serve(Box<commands::serve::Args>),
    /// Write what a layer makes of images, for search and other learners
    Features(commands::features::Args),
    /// Find the images of an index that are nearest to others
    Similar(commands::similar::Args),
    /// Tell how different images look (LPIPS)
    Lpips(commands::lpips::Args),
    /// Show what a model sees: filters, maps, heat over images, mistakes
    Explain(commands::explain::Args),
    /// Check a data set, or draw it as training sees it
    Data(commands::data::Args),
    /// Prepare a model to run in int8 and int4
    Quantize(commands::quantize::Args),
    /// Tell what a model file is: format, network, tensors, preprocessing
    Inspect(commands::inspect::Args),
    /// Rewrite a model file in another format
    Convert(commands::convert::Args),
    /// Show a network layer by layer, or draw it
    Summary(commands::summary::Args),
    /// Time training or inference, and what they are made of
    Bench(commands::bench::Args),
    /// List what can run a network on this machine, and why something cannot
    Devices(commands::devices::Args),
    /// Predict what training takes on other or more machines
    Plan(commands::plan::Args),
    /// Compare this machine's figures with PyTorch's
    Selftest(commands::selftest::Args),
    /// Print a script that completes options in a shell
    Completions(commands::completions::Args),
    /// Print or write manual pages
    Man(commands::man::Args),
}

/// Exit status: 0 done, 1 failed, 2 bad usage (clap's own).
fn main() -> ExitCode {
    faults::prepare();
    let cli: Cli = match arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // RUST_LOG=debug tells which algorithm each layer uses.
    env_logger::Builder::from_default_env().init();
    // Training saves and servers answer what they have taken before they end; everything else ends at once.
    if !matches!(cli.command, Command::Train(_) | Command::Serve(_)) {
        commands::dist_args::end_on_signal();
    }
    let result = match cli.command {
        Command::Nets(args) => commands::nets::run(&args),
        Command::Train(args) => commands::train::run(&args, cli.quiet),
        Command::Eval(args) => commands::eval::run(&args, cli.quiet),
        Command::Report(args) => commands::report::run(&args, cli.quiet),
        Command::Compare(args) => commands::compare::run(&args, cli.quiet),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Serve(args) => commands::serve::run(&args, cli.quiet),
        Command::Features(args) => commands::features::run(&args, cli.quiet),
        Command::Similar(args) => commands::similar::run(&args),
        Command::Lpips(args) => commands::lpips::run(&args, cli.quiet),
        Command::Explain(args) => commands::explain::run(&args, cli.quiet),
        Command::Data(args) => commands::data::run(&args, cli.quiet),
        Command::Quantize(args) => commands::quantize::run(&args, cli.quiet),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Convert(args) => commands::convert::run(&args, cli.quiet),
        Command::Summary(args) => commands::summary::run(&args, cli.quiet),
        Command::Bench(args) => commands::bench::run(&args, cli.quiet),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    };
    if let Some(note) = alexnet::draw::text::missing_letters() {
        output::note(&format!("note: {note}"));
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
