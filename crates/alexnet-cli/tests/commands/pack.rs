//! `alexnet data pack`: the same training as from the folder, and continuation after a kill.

use super::{alexnet, done, fails, last_json, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Writes an image of smooth colours as BMP.
fn bmp(path: &Path, width: u32, height: u32, seed: u32) {
    let mut file = b"BM".to_vec();
    for number in [54 + width * height * 3, 0, 54, 40, width, height, 24 << 16 | 1, 0, 0, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    assert_eq!(width % 4, 0, "rows without padding");
    let pixel = |i: u32| [i % width + seed * 9, i / width, (i % width) * (i / width) / 64 + seed].map(|value| value as u8);
    file.extend((0..width * height).flat_map(pixel));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, file).expect("a file");
}

#[test]
fn training_from_a_raw_pack_equals_training_from_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (seed, name) in ["train/cat/1", "train/cat/2", "train/dog/1", "train/dog/2", "val/cat/3", "val/dog/3"].iter().enumerate()
    {
        // The last ones are smaller than the short side.
        bmp(&at("set").join(name).with_extension("bmp"), if seed > 3 { 88 } else { 180 }, 130 + seed as u32, seed as u32);
    }
    std::fs::write(at("set/train/dog/broken.jpg"), b"\xFF\xD8\xFF\xE0").expect("a file");
    // Images of 96 pixels are cropped from a short side of 96 x 256 / 224.
    let packed = last_json(&["data", "pack", text(&at("set")), text(&at("raw")), "--size", "110", "--raw", "--json"]);
    assert_eq!((&packed["images"], &packed["pixels"], &packed["skipped"]), (&6.into(), &6.into(), &1.into()));
    assert_eq!(packed["skipped_images"][0]["name"], "dog/broken.jpg");
    std::fs::remove_file(at("set/train/dog/broken.jpg")).expect("a file");
    let (set, jpeg) = (at("set"), at("jpeg"));
    let jpeg = ["data", "pack", text(&set), text(&jpeg), "--size", "110", "--quality", "80"];
    assert!(done(&jpeg).contains("4 resized and encoded as JPEG, 2 kept as they were"));
    assert!(done(&jpeg).contains("packed by an earlier run"));
    fails(1, &["data", "pack", text(&at("set")), text(&at("jpeg"))], &["already exists; remove it first"]);
    fails(1, &["data", "pack", text(&at("set")), text(&at("x")), "--size", "original", "--raw"], &["--raw needs a --size"]);
    let trained = |data: &str| {
        let run = at(&format!("run-{data}"));
        let train = [
            "train",
            "--recipe",
            "simple",
            "--net",
            "slim",
            "--image-size",
            "96",
            "--batch",
            "2",
            "--epochs",
            "2",
            "--no-report",
        ];
        done(&[train.as_slice(), &["--data", text(&at(data)), "--out", text(&run)]].concat());
        run.join("last.safetensors")
    };
    let models = ["set", "raw", "jpeg"].map(trained);
    let bytes = models.each_ref().map(|model| std::fs::read(model).expect("a model"));
    assert!(bytes[0] == bytes[1] && bytes[0] != bytes[2]);
    // The other commands read packs, too.
    let model = text(&models[0]);
    assert_eq!(last_json(&["eval", "--model", model, "--data", text(&at("raw")), "--json"])["images"], 2);
    let found = last_json(&["data", "check", text(&at("raw")), "--json"]);
    assert_eq!((&found["sets"][0]["pictures"], &found["sets"][1]["pictures"]), (&4.into(), &2.into()));
    for data in ["set", "raw"] {
        let out = at(&format!("{data}.npy"));
        done(&["features", "--model", model, "--layer", "fc6", "--data", text(&at(data)), "--out", text(&out)]);
    }
    assert_eq!(std::fs::read(at("set.npy")).expect("features"), std::fs::read(at("raw.npy")).expect("features"));
    done(&["data", "preview", text(&at("raw")), "--net", "slim", "--originals", "--out", text(&at("p.png"))]);
    let speed = ["bench", "data", "--net", "slim", "--image-size", "96", "--batch", "1", "--seconds", "0", "--threads", "1"];
    assert!(done(&[speed.as_slice(), &["--data", text(&at("raw"))]].concat()).contains("read pixels"));
}

#[test]
fn a_killed_pack_is_continued() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    bmp(&at("1.bmp"), 800, 800, 1);
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(at("set").join(class)).expect("a folder");
        (0..40).for_each(|i| std::fs::hard_link(at("1.bmp"), at("set").join(class).join(format!("{i}.bmp"))).expect("a link"));
    }
    let (set, out) = (at("set"), at("out.pack"));
    let command = ["data", "pack", text(&set), text(&out), "--threads", "1", "--json"];
    let [data, journal] = [".partial", ".partial-index"].map(|ending| PathBuf::from(format!("{}{ending}", out.display())));
    let mut program = Command::new(env!("CARGO_BIN_EXE_alexnet"));
    let mut child = program.args(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let has_entries = || std::fs::metadata(&journal).is_ok_and(|file| file.len() > 0);
    while !has_entries() && child.try_wait().expect("a status").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // A second run on the same file meanwhile.
    let second = alexnet(&command);
    child.kill().expect("killed");
    // Fails only if the first run has finished on a machine that is much faster than any today.
    assert_eq!(child.wait().expect("a status").code(), None);
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(1) && error.contains("another process is packing"), "{error}");
    assert!(data.exists() && !out.exists());
    let summary = last_json(&command);
    let resumed = summary["resumed"].as_u64().expect("a number");
    assert!((1..80).contains(&resumed) && summary["images"] == 80, "{summary}");
    assert!(!data.exists() && !journal.exists());
    let whole = at("whole.pack");
    done(&["data", "pack", text(&set), text(&whole)]);
    assert!(std::fs::read(&out).expect("a pack") == std::fs::read(&whole).expect("a pack"));
}
