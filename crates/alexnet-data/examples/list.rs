//! Lists a data set: its notes, the time to open it, and the peak of memory.
//!
//!     cargo run --release -p alexnet-data --example list DATA [train|val|test|all] [CLASSES.txt]
//!
//! With `--each` as the last argument, also each image's CRC-32 and number of bytes, label, class and name, separated by tabs.

use alexnet_data::{Demand, Source, Split};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let each = arguments.pop_if(|last| last == "--each").is_some();
    let Some(path) = arguments.first() else {
        eprintln!("usage: list DATA [train|val|test|all] [CLASSES.txt] [--each]");
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
    if each {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let set = opened.source;
        for i in 0..set.len() {
            let bytes = match set.file(i) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(error) => {
                    eprintln!("{}: {error}", set.name(i));
                    return ExitCode::FAILURE;
                }
            };
            let class = set.classes().get(set.label(i) as usize).map_or("", String::as_str);
            let (crc, size) = (crc32fast::hash(&bytes), bytes.len());
            if writeln!(out, "{crc:08x}\t{size}\t{}\t{class}\t{}", set.label(i), set.name(i)).is_err() {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Peak of this process's resident memory in megabytes, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}
