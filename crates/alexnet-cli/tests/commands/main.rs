//! End-to-end tests of the command line: output, errors and exit status.

use std::path::Path;
use std::process::{Command, Output};

mod answers;
mod averages;
mod bench;
mod convert;
mod data;
mod ensembles;
mod explain;
mod features;
mod first_steps;
mod labels;
mod lists;
mod pack;
#[cfg(unix)]
mod pipes;
mod pull;
mod recipes;
mod reproduce;
mod train;

fn alexnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alexnet")).args(arguments).output().expect("the program starts")
}

/// Standard output of a call that must succeed.
fn done(arguments: &[&str]) -> String {
    let output = alexnet(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Asserts that a call fails with this status and that its error contains each of `parts`.
fn fails(status: i32, arguments: &[&str], parts: &[&str]) {
    let output = alexnet(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: no `{part}` in: {error}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn nets_and_summary_print_shapes_and_counts() {
    let json: serde_json::Value = serde_json::from_str(&done(&["nets", "--json"])).expect("JSON");
    let paper = json.as_array().expect("an array").iter().find(|net| net["name"] == "paper").expect("the paper's net");
    assert_eq!((&paper["parameters"], &paper["macs"]), (&60_965_224.into(), &724_406_816.into()));
    assert!(done(&["nets"]).contains("tutorial-code       224  56-28-14-7        76,009,832"));
    let table = done(&["summary", "--net", "tutorial-code", "--classes", "1"]);
    assert!(table.contains("71,916,929"), "{table}");
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("net.svg");
    done(&["summary", "--net", "caffenet", "--svg", text(&svg)]);
    assert!(std::fs::read_to_string(&svg).expect("the drawing").starts_with("<svg"));
}

#[test]
fn devices_lists_available_and_unavailable_devices() {
    let rows: serde_json::Value = serde_json::from_str(&done(&["devices", "--json"])).expect("JSON");
    let row = |name: &str| rows.as_array().expect("rows").iter().find(|row| row["device"] == name);
    assert_eq!(row("cpu").expect("the processor")["there"], true);
    let selftest = |device| ["selftest", "--net", "torchvision", "--image-size", "64", "--device", device];
    if cfg!(feature = "gpu") {
        assert_eq!(row("flex:0").expect("Burn's processor backend")["there"], true);
        fails(1, &selftest("vulcan"), &["vulcan: no such device", "flex"]);
    } else {
        fails(1, &selftest("cuda:0"), &["--device cuda:0", "this build supports the CPU only", "--features gpu,cuda"]);
    }
    let table = done(&["summary", "--net", "paper", "--parallel", "towers"]);
    // 13 x 13 x 256 maps of conv2 to the other tower, half of them each way, as 4 bytes, and their gradients back.
    assert!(table.contains("conv3  0-191    192-383    all its maps                                    346,112"), "{table}");
    fails(1, &["summary", "--net", "torchvision", "--parallel", "towers"], &["torchvision"]);
}

#[test]
fn bad_usage_is_status_2_and_failure_status_1() {
    fails(2, &["frobnicate"], &["frobnicate"]);
    fails(2, &["predict", "--model", "m.safetensors"], &["IMAGE"]);
    fails(2, &["eval", "--model", "m.safetensors", "--crops", "5"], &["crops"]);
    for command in ["summary", "train", "selftest"] {
        fails(2, &[command, "--net", "papr"], &["papr", "'paper'"]);
    }
    fails(2, &["selftest", "--convolutions", "fourier"], &["fourier", "winograd"]);
    fails(1, &["summary", "--image-size", "20"], &["pool2", "larger images"]);
    fails(1, &["bench", "train", "--precision", "int8", "--batch", "1"], &["int8 supports only inference"]);
    fails(2, &["bench", "train", "--precision", "f8"], &["possible values: f32, bf16, f16, int8, int4"]);
}

/// Writes an image of 40 x 40 pixels, a ramp of one colour.
fn ramp(path: &Path, colour: [u8; 3]) {
    let mut bmp = b"BM\xf6\x12\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x28\0\0\0\x28\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend((0..1600u32).flat_map(|i| colour.map(|c| (u32::from(c) * (i % 40) / 39) as u8)));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bmp).expect("a file");
}

/// The last line of a command's output, parsed as JSON.
fn last_json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(done(arguments).lines().last().expect("a line")).expect("JSON")
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(done(&["completions", shell]).contains("selftest"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    done(&["man", "--out", text(folder.path())]);
    for page in ["alexnet.1", "alexnet-train.1", "alexnet-predict.1", "alexnet-bench-kernels.1"] {
        assert!(folder.path().join(page).exists(), "no {page}");
    }
}
