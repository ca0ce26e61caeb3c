//! Extreme values for every numeric option of every command: rejected or processed, never a panic, an abort or a hang.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Value names of numeric options, as printed by `--help`.
const NUMBERS: [&str; 20] = [
    "N", "X", "S", "K", "MIN", "SHARE", "BLOCKS", "B", "D", "E", "M", "MS", "GB", "GBPS", "US", "BYTES", "PIXELS", "LARGEST",
    "1|10", "COUNT",
];
/// Prefixes of the value names of other options. A new value name must be added to one of the two lists.
const WORDS: [&str; 43] = [
    "KEY=VALUE",
    "TIME",
    "auto|none|FILE",
    "top1|loss|macro-f1",
    "all|last:N|best:N",
    "exact|scaled",
    "train|val|test",
    "PATH",
    "NAME",
    "FILE",
    "RUN",
    "LAYER",
    "KIND",
    "DEVICE",
    "PARALLEL",
    "COMMUNICATOR",
    "ON_BAD",
    "CLASS",
    "METHOD",
    "ADDRESS",
    "NUMBERS",
    "WHOSE",
    "[NAME=]",
    "none|",
    "rgb|",
    "imagenet|",
    "text|",
    "towers",
    "MODE",
    "DIR",
    "ORDER",
    "LABELS",
    "IMAGE",
    "URL",
    "HEX",
    "HOST",
    "ORIGIN",
    "STRATEGY",
    "TYPE",
    "FORMAT",
    "LIST",
    "WORDS",
    "PARTS",
];
/// Extreme values: out of range, not finite, or not numbers.
const EXTREMES: [&str; 8] = ["18446744073709551615", "99999999999", "100000", "-1", "nan", "inf", "1e308", "0"];
/// Far longer than any call takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the program in `folder`: its standard output and error, and its exit status unless a signal ended it.
fn alexnet(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let out = folder.join("out.txt");
    let file = std::fs::File::create(&out).expect("a file");
    let mut program = Command::new(env!("CARGO_BIN_EXE_alexnet"));
    program.args(arguments).current_dir(folder).stdin(Stdio::null());
    let mut child = program.stdout(file.try_clone().expect("a file")).stderr(file).spawn().expect("the program starts");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a status") {
            Some(status) => break status.code(),
            None if start.elapsed() > LIMIT => {
                child.kill().expect("killed");
                panic!("{arguments:?} hangs");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    (String::from_utf8_lossy(&std::fs::read(&out).expect("its output")).into_owned(), status)
}

/// Command names in a `--help` text.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty())).collect()
}

/// Options with a value in a `--help` text: option name and value name.
fn options(help: &str) -> Vec<(&str, &str)> {
    help.lines().filter_map(option_of).collect()
}

fn option_of(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let option = &line[if line.starts_with('-') { line.find("--")? } else { return None }..];
    let end = option.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))?;
    let value = option[end..].trim_start_matches([' ', '[', '=']).strip_prefix('<')?;
    // `<[NAME=]FILE>`
    Some((&option[..end], value.split('>').next()?))
}

/// Minimal arguments for each command.
fn base(command: &[&str], model: &str) -> Vec<String> {
    let small = "--net slim --image-size 63 --batch 1 --seconds 0 --threads 1";
    let text = match command {
        ["train"] => "--data set --net slim --image-size 63 --epochs 1 --max-steps 1 --no-report -q --out run".to_string(),
        ["lr-find"] => "--data set --net slim --image-size 63 --steps 10 -q".into(),
        ["reproduce"] => format!("error-rates --data set --model {model} --out study"),
        ["average"] => "missing --out average.safetensors".into(),
        ["eval"] => format!("--model {model} --data set"),
        ["predict"] => format!("set/red/0.bmp --model {model}"),
        ["features"] => format!("--model {model} --data set --layer conv1 --out f.npy"),
        ["similar"] => format!("set/red/0.bmp --model {model} --index missing.npy"),
        ["lpips"] => "set/red/0.bmp set/blue/0.bmp --model missing.pth".into(),
        ["serve"] => "--model missing.safetensors --port 0".into(),
        ["quantize"] => "--model missing.safetensors".into(),
        ["calibrate"] => "--model missing.safetensors".into(),
        ["inspect"] => model.into(),
        ["convert"] => format!("{model} converted.safetensors"),
        ["report"] => "missing".into(),
        ["compare"] => "missing missing".into(),
        ["plan"] => "--device v100".into(),
        ["selftest"] => "--net slim --image-size 63 --batch 1 --classes 2 --threads 1 --json".into(),
        ["explain", "filters"] => format!("--model {model}"),
        ["explain", "maps"] => format!("conv1 set/red/0.bmp --model {model}"),
        ["explain", "errors"] => format!("--model {model} --data set"),
        ["explain", "maximal"] => format!("conv1:0 --model {model} --data set"),
        ["explain", _] => format!("set/red/0.bmp --model {model}"),
        ["data", "check"] => "set".into(),
        ["data", "split"] => "set --out run".into(),
        ["data", "pack"] => "set set.pack".into(),
        ["data", "preview"] => "set --net slim --image-size 63 --count 1".into(),
        ["bench", "data"] => "--data set --net slim --image-size 63 --batch 1 --seconds 0 --threads 1".into(),
        ["bench", _] => small.into(),
        _ => String::new(),
    };
    text.split_whitespace().map(String::from).collect()
}

#[test]
fn no_number_makes_a_command_panic_abort_or_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    for class in ["red", "blue"] {
        for i in 0..3u8 {
            let mut bmp = b"BM\xf6\x12\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x28\0\0\0\x28\0\0\0\x01\0\x18\0".to_vec();
            bmp.resize(54, 0);
            bmp.extend(std::iter::repeat_n(if class == "red" { [i, 0, 200] } else { [200, i, 0] }, 1600).flatten());
            std::fs::create_dir_all(here.join("set").join(class)).expect("a folder");
            std::fs::write(here.join("set").join(class).join(format!("{i}.bmp")), bmp).expect("a file");
        }
    }
    // A small net exported by PyTorch, with 15-pixel images.
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../alexnet-formats/tests/fixtures/norm_script.onnx");
    let help = |command: &[&str]| alexnet(here, &[command, &["--help"]].concat()).0;
    let first = help(&[]);
    let mut all: Vec<Vec<&str>> = Vec::new();
    let nested: Vec<(&str, String)> = commands(&first).into_iter().map(|name| (name, help(&[name]))).collect();
    for (name, text) in nested.iter().filter(|(name, _)| *name != "help") {
        let inner: Vec<&str> = commands(text).into_iter().filter(|inner| *inner != "help").collect();
        all.extend(inner.iter().map(|inner| vec![*name, inner]));
        if inner.is_empty() {
            all.push(vec![name]);
        }
    }
    let (mut tried, mut unknown) = (0, BTreeSet::new());
    for command in &all {
        let text = help(command);
        for (option, value) in options(&text) {
            if WORDS.iter().any(|word| value.starts_with(word)) {
                continue;
            }
            if !NUMBERS.contains(&value) {
                unknown.insert(format!("{command:?} {option} <{value}>"));
                continue;
            }
            for extreme in EXTREMES {
                let mut arguments = base(command, model);
                // No option is given twice.
                if let Some(at) = arguments.iter().position(|argument| argument == option) {
                    arguments.drain(at..at + 2);
                }
                // A run would last as long as requested.
                if option == "--seconds" && extreme == "100000" {
                    continue;
                }
                let given = format!("{option}={extreme}");
                let line: Vec<&str> =
                    command.iter().copied().chain(arguments.iter().map(String::as_str)).chain([given.as_str()]).collect();
                let (output, status) = alexnet(here, &line);
                assert!(matches!(status, Some(0..=2)), "{line:?}: {status:?}: {output}");
                assert!(!output.contains("panicked") && !output.contains("RUST_BACKTRACE"), "{line:?}: {output}");
                if matches!(extreme, "nan" | "inf" | "1e308" | "-1") {
                    assert!(matches!(status, Some(1..=2)), "{line:?} is accepted: {output}");
                    assert!(!output.contains("unexpected argument"), "{line:?}: {output}");
                }
                let _ = std::fs::remove_dir_all(here.join("run"));
                tried += 1;
            }
        }
    }
    assert!(unknown.is_empty(), "values that are neither numbers nor words: {unknown:?}");
    assert!(tried > 300, "only {tried} lines were tried: has the form of --help changed?");
}

#[test]
fn negative_numbers_are_rejected_with_the_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: [(&[&str], &str); 7] = [
        (&["train", "--lr", "-1"], "'-1' for '--lr <X>': expected a number above 0"),
        (&["train", "--epochs", "-3"], "'-3' for '--epochs <N>': expected a whole number from 1"),
        (&["train", "--threads", "100000"], "expected a whole number from 0 to 1024"),
        (&["train", "--threads", "18446744073709551615"], "expected a whole number from 0 to 1024"),
        (&["train", "--save-every", "-5"], "expected a number of minutes"),
        (&["bench", "train", "--seconds=-1"], "expected a number of seconds"),
        (&["train", "--deterministic=18446744073709551615", "-q"], "expected a whole number from 1 to 65536"),
    ];
    for (arguments, part) in lines {
        let (output, status) = alexnet(folder.path(), arguments);
        assert!(status == Some(2) && output.contains(part), "{arguments:?}: {status:?}: {output}");
    }
}

/// When memory is refused, the program prints one line and exits with status 1.
#[cfg(target_os = "linux")]
#[test]
fn refused_memory_is_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_alexnet");
    for (limit, arguments) in [
        ("400000", "train --image-size 96 --max-steps 1 --epochs 1 --out run"),
        ("400000", "train --image-size 96 --max-steps 1 --epochs 1 --threads 2 --out run2"),
        ("400000", "bench infer --batch 64 --seconds 0"),
        ("1200000", "train --image-size 96 --max-steps 1 --epochs 1 --threads 2 --out run3"),
    ] {
        let line = format!("ulimit -v {limit} && exec {program} {arguments}");
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().expect("a shell");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {:?} {error}", output.status);
        assert!(!error.contains("backtrace") && !error.contains("panicked"), "{line}: {error}");
        assert!(error.lines().filter(|line| line.starts_with("error: ")).count() == 1, "{line}: {error}");
    }
    let impossible =
        Command::new(program).args(["bench", "train", "--batch", "1000000", "--seconds", "0"]).output().expect("a run");
    let error = String::from_utf8_lossy(&impossible.stderr);
    assert!(impossible.status.code() == Some(1) && error.contains("GB of memory"), "{error}");
}
