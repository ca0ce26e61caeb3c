//! The program `alexnet`.

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Train, evaluate and use every published AlexNet.
#[derive(Parser)]
#[command(name = "alexnet", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the networks.
    Nets(commands::nets::Args),
    /// Train a network on pictures.
    Train(Box<commands::train::Args>),
    /// Measure how good a model is.
    Eval(commands::eval::Args),
    /// Say what is in pictures.
    Predict(commands::predict::Args),
}

/// Exit status: 0 done, 1 failed, 2 bad usage (clap's own).
fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Nets(args) => commands::nets::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
