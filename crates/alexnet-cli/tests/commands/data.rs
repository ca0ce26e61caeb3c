//! Data sets as found in practice: splits, other files among the images, names with control characters.

use super::{alexnet, done, fails, last_json, ramp, text};
use std::path::Path;

/// Standard error of a call that must succeed.
fn stderr_of(arguments: &[&str]) -> String {
    let output = alexnet(arguments);
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    stderr
}

/// Writes four images per class.
fn classes(root: &Path, classes: &[&str]) {
    for (k, class) in classes.iter().enumerate() {
        for i in 0..4u8 {
            ramp(&root.join(class).join(format!("{i}.bmp")), [40 + 50 * i, 60 * k as u8, 99]);
        }
    }
}

/// Trains for one epoch on a set; returns standard error and the last model.
fn trained(data: &Path, run: &Path, more: &[&str]) -> (String, std::path::PathBuf) {
    let train = ["train", "--net", "slim", "--image-size", "96", "--batch", "4", "--epochs", "1"];
    let notes = stderr_of(&[train.as_slice(), &["--data", text(data), "--out", text(run), "--no-report"], more].concat());
    (notes, run.join("last.safetensors"))
}

#[test]
fn every_command_uses_the_splits_of_a_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, run) = (folder.path().join("nested"), folder.path().join("run"));
    ["train", "val"].iter().for_each(|split| classes(&root.join(split), &["cat", "dog"]));
    ramp(&root.join("val/dog/9.bmp"), [1, 2, 3]);
    let (notes, model) = trained(&root, &run, &[]);
    for part in
        ["has the splits train, val; using train", "train: 8 images in 2 classes: cat 4, dog 4", "val: 9 images in 2 classes"]
    {
        assert!(notes.contains(part), "no `{part}` in: {notes}");
    }
    let config = std::fs::read_to_string(run.join("config.toml")).expect("the settings");
    assert_eq!(config.lines().filter(|line| line.ends_with("nested\"")).count(), 2, "{config}");
    assert_eq!(last_json(&["eval", "--model", text(&model), "--data", text(&root), "--json"])["images"], 9);
    assert!(trained(&root, &folder.path().join("share"), &["--val-share", "0.25"]).0.lines().all(|line| !line.contains("val:")));

    // The check covers both splits, and finds that all images of one are in the other.
    let found = last_json(&["data", "check", text(&root), "--json"]);
    assert_eq!((&found["sets"][0]["pictures"], &found["sets"][1]["pictures"]), (&8.into(), &9.into()));
    assert_eq!(found["sets"][0]["classes"][0]["class"], "cat");
    assert_eq!(found["duplicates"][0]["between_sets"], true);
    let index = folder.path().join("i.npy");
    done(&["features", "--model", text(&model), "--data", text(&root), "--out", text(&index)]);
    let beside = std::fs::read_to_string(folder.path().join("i.json")).expect("names");
    assert!(beside.contains("\"val/dog/9.bmp\"") && !beside.contains("\"val\""), "{beside}");
    let ranges = folder.path().join("r.safetensors");
    // One line per split, and none with --quiet.
    let quantize = ["quantize", "--model", text(&model), "--data", text(&root), "--out", text(&ranges)];
    assert_eq!(stderr_of(&quantize).matches("8 images in 2 classes").count(), 1);
    assert_eq!(stderr_of(&[["-q"].as_slice(), &quantize].concat()), "");
}

#[test]
fn a_subset_of_the_classes_suffices_to_evaluate_but_not_to_train() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    classes(&at("set"), &["cat", "dog", "frog"]);
    let (_, model) = trained(&at("set"), &at("run"), &["--val-share", "0"]);
    classes(&at("one"), &["dog"]);
    classes(&at("empty"), &["dog", "frog"]);
    std::fs::create_dir(at("empty/axolotl")).expect("a folder");
    for (set, images, parts) in [
        ("one", 4, ["4 images in 1 class: dog 4", "images of 1 of the model's 3 classes"]),
        ("empty", 8, ["class folders without images: axolotl", "images of 2 of the model's 3 classes"]),
    ] {
        let output = alexnet(&["eval", "--model", text(&model), "--data", text(&at(set)), "--json"]);
        let (found, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(found.contains(&format!("\"images\":{images},")), "{found}{notes}");
        for part in parts {
            assert_eq!(notes.matches(part).count(), 1, "no `{part}` in: {notes}");
        }
        fails(1, &["train", "--data", text(&at(set)), "--out", text(&at("no"))], &[set]);
    }
    assert!(done(&["data", "check", text(&at("empty"))]).contains("from 0 (axolotl) to"));
}

#[test]
fn unused_files_are_reported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("set");
    classes(&root, &["cat", "dog"]);
    std::fs::write(root.join("cat/b.tif"), b"II*\0\x08\0\0\0").expect("a file");
    std::fs::write(root.join("cat/.DS_Store"), b"x").expect("a file");
    std::fs::rename(root.join("dog/3.bmp"), root.join("dog/3")).expect("a file");
    let line =
        "skipped: 1 image in an unsupported format (cat/b.tif; convert to JPEG or PNG), 1 hidden or system file (cat/.DS_Store)";
    let notes = stderr_of(&["data", "check", text(&root), "--json"]);
    assert!(notes.contains("8 images in 2 classes") && notes.matches(line).count() == 1, "{notes}");
    let preview = folder.path().join("p.png");
    assert_eq!(stderr_of(&["data", "preview", text(&root), "--net", "slim", "--out", text(&preview)]).matches(line).count(), 1);
    let found = last_json(&["data", "check", text(&root), "--json"]);
    assert_eq!(found["sets"][0]["passed_over"]["format"], serde_json::json!({ "count": 1, "names": ["cat/b.tif"] }));
}

#[cfg(unix)]
#[test]
fn names_cannot_inject_control_characters_or_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (evil, broken) = ("c\u{1b}[31mat\ntop-1 100 %", "x\nforged.jpg: fine\u{202e}\u{9b}2J.jpg");
    classes(&at("set"), &["dog", evil]);
    std::fs::write(at("set").join(evil).join(broken), b"\xFF\xD8\xFF").expect("a file");
    std::fs::write(at("set").join(evil).join("no\u{7}te\n"), b"none").expect("a file");
    let (notes, model) = trained(&at("set"), &at("run"), &["--val", text(&at("set"))]);
    let list = std::fs::read_to_string(at("run/broken.txt")).expect("the list");
    let one = at("set").join(evil).join("0.bmp");
    let mut printed = vec![notes, list];
    let index = at("i.npy");
    for arguments in [
        vec!["eval", "--model", text(&model), "--data", text(&at("set"))],
        vec!["data", "check", text(&at("set")), "--model", text(&model)],
        vec!["predict", "--model", text(&model), text(&one)],
        vec!["features", "--model", text(&model), "--layer", "fc6", "--data", text(&at("set")), "--out", text(&index)],
        vec!["similar", "--index", text(&index), "--model", text(&model), text(&one)],
        vec!["inspect", text(&model)],
        vec!["explain", "errors", "--model", text(&model), "--data", text(&at("set")), "--out", text(&at("e.png"))],
        // Errors, too.
        vec!["train", "--data", text(&at("set").join(evil))],
        vec!["eval", "--model", text(&model), "--data", text(&at("run"))],
        vec!["explain", "cam", "--model", text(&model), text(&at("set").join(evil).join(broken))],
    ] {
        let output = alexnet(&arguments);
        let both = [output.stdout, output.stderr].concat();
        printed.push(String::from_utf8(both).expect("text"));
    }
    for printed in &printed {
        let wild = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!printed.contains(wild), "{printed:?}");
        let forged = |line: &&str| line.starts_with("top-1 100") || line.starts_with("forged");
        assert_eq!(printed.lines().find(forged), None, "{printed}");
    }
    let names = ["c\\x1b[31mat\\ntop-1 100 %", "x\\nforged.jpg: fine\\u{202e}\\u{9b}2J.jpg"];
    assert!(printed.iter().any(|printed| printed.contains(&names.join("/"))), "{printed:?}");
    assert!(printed[1].lines().count() == 1 && printed[1].starts_with(&names.join("/")), "{printed:?}");
}

#[cfg(unix)]
#[test]
fn named_pipes_do_not_block_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("set");
    classes(&root, &["cat", "dog"]);
    let pipe = root.join("cat/x.jpg");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let notes = stderr_of(&["data", "check", text(&root), "--json"]);
    assert!(notes.contains("1 entry that is not a regular file (cat/x.jpg)"), "{notes}");
    fails(1, &["data", "check", text(&pipe)], &["x.jpg", "a named pipe, not a file"]);
    let foreign = concat!(env!("CARGO_MANIFEST_DIR"), "/../alexnet-formats/tests/fixtures/norm_script.onnx");
    let out = folder.path().join("m.safetensors");
    fails(1, &["convert", foreign, text(&out), "--labels", text(&pipe)], &["x.jpg", "a named pipe, not a file"]);
}

#[test]
fn a_compressed_archive_is_reported_with_a_solution() {
    let folder = tempfile::tempdir().expect("a folder");
    // gzip is read, but this one ends in its header; bzip2 is not.
    for (name, start, parts) in [
        ("set.tar.gz", b"\x1F\x8B\x08\0".as_slice(), ["truncated", "copy it again"]),
        ("set.tar", b"BZh9", ["bzip2", "tar -xjf"]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, start).expect("a file");
        fails(1, &["data", "check", text(&path)], &[&[name], &parts[..]].concat());
        fails(1, &["train", "--data", text(&path)], &[&[name], &parts[..]].concat());
    }
}
