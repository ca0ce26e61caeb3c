//! Command-line parsing beyond what clap offers: negative numbers as values, and a suggested model file.

use crate::runs;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::Path;

/// Parses a command line.
///
/// # Errors
/// Bad usage, and also help and version, which clap reports as errors.
pub(crate) fn parse<T: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<T, clap::Error> {
    let mut program = with_negative_numbers(T::command());
    let matches =
        program.try_get_matches_from_mut(arguments).map_err(|error| with_newest_model(error, Path::new(runs::FOLDER)))?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut program))
}

/// Makes every option accept negative numbers, so that `--lr -1` is an out-of-range rate rather than an unknown option `-1`.
fn with_negative_numbers(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_action().takes_values() && !argument.is_positional() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    });
    command.mut_subcommands(with_negative_numbers)
}

/// Extends a "missing --model" error with the model file of the newest run, if a run has left one.
fn with_newest_model(error: clap::Error, folder: &Path) -> clap::Error {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) if error.kind() == ErrorKind::MissingRequiredArgument => missing,
        _ => return error,
    };
    let model = missing.iter().any(|argument| argument.starts_with("--model"));
    let Some(newest) = model.then(|| runs::newest_model(folder)).flatten() else { return error };
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let usage = with_value(usage.trim_start_matches("Usage:").trim(), "--model ", &newest.display().to_string());
    let text = format!("a model file is missing; the newest run has one, try: {usage}\n\nFor more information, try '--help'.\n");
    clap::Error::raw(ErrorKind::MissingRequiredArgument, text)
}

/// A line of usage in which `option` has a value instead of the value's name in angle brackets.
fn with_value(usage: &str, option: &str, value: &str) -> String {
    match usage.split_once(option).and_then(|(before, rest)| Some((before, rest.split_once('>')?.1))) {
        Some((before, after)) => format!("{before}{option}{value}{after}"),
        None => format!("{usage} {option}{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_line_names_the_newest_model() {
        let with = |usage| with_value(usage, "--model ", "runs/a-1/best.safetensors");
        assert_eq!(with("alexnet eval --model <FILE> [IMAGE]"), "alexnet eval --model runs/a-1/best.safetensors [IMAGE]");
        assert_eq!(with("alexnet serve --model <[NAME=]FILE>"), "alexnet serve --model runs/a-1/best.safetensors");
        assert_eq!(with("alexnet predict"), "alexnet predict --model runs/a-1/best.safetensors");
    }
}
