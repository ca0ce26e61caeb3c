//! Opens a data set and prints its notes, the time that this took, and the peak of memory.
//!
//!     cargo run --release -p alexnet-data --example open DATA [train|val|test|all] [CLASSES.txt]

use alexnet_data::{Demand, Source, Split};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.first() else {
        eprintln!("usage: open DATA [train|val|test|all] [CLASSES.txt]");
        return ExitCode::FAILURE;
    };
    let source = Source { classes: arguments.get(2).map(Into::into), ..Source::new(path) };
    let split = match arguments.get(1).map_or("train", String::as_str) {
        "all" => None,
        "val" => Some(Split::Validation),
        "test" => Some(Split::Test),
        _ => Some(Split::Train),
    };
    let started = Instant::now();
    let opened = match split {
        Some(Split::Train) => source.open(Split::Train, Demand::Trainable),
        Some(split) => source.open(split, Demand::WithImages),
        None => source.open_any(),
    };
    let seconds = started.elapsed().as_secs_f64();
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for line in opened.lines() {
        eprintln!("{line}");
    }
    let memory = peak_memory().map_or(String::new(), |megabytes| format!(", {megabytes} MB at most"));
    eprintln!("opened in {seconds:.2} s{memory}");
    ExitCode::SUCCESS
}

/// Peak of this process's resident memory in megabytes, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}
