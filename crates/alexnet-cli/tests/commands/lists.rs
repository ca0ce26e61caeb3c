//! Lists of images: trained on, written by the check, and split.

use super::{alexnet, done, fails, last_json, ramp, text};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of a short run.
const TRAIN: [&str; 11] =
    ["train", "--net", "slim", "--image-size", "67", "--batch", "4", "--epochs", "1", "--no-report", "--data"];

/// Writes images of two classes, no two alike; returns their names, in the order of a folder.
fn images(root: &Path, each: u8) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for (label, class) in ["cat", "dog"].iter().enumerate() {
        for i in 0..each {
            let name = format!("{class}/{i}.bmp");
            pattern(&root.join(&name), u32::from(i) + 100 * label as u32);
            names.push((name, label));
        }
    }
    names
}

/// Writes an image of random blocks of 8 x 8 pixels.
fn pattern(path: &Path, seed: u32) {
    ramp(path, [0, 0, 0]);
    let mut bmp = std::fs::read(path).expect("an image");
    for y in 0..40 {
        for x in 0..40 {
            let mix = |n: u32| (n ^ (n >> 15)).wrapping_mul(0x2c1b_3c6d);
            let hash = mix(mix(mix(seed * 25 + y / 8 * 5 + x / 8 + 1)));
            let at = bmp.len() - 3 * (40 * y as usize + x as usize + 1);
            bmp[at..at + 3].fill((hash >> 24) as u8);
        }
    }
    std::fs::write(path, bmp).expect("an image");
}

fn write(path: &Path, content: &str) {
    std::fs::write(path, content).expect("a file");
}

/// Arguments of a training run.
fn train<'a>(data: &'a Path, run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [TRAIN.as_slice(), &[text(data), "--out", text(run)], more].concat()
}

#[test]
fn a_list_trains_to_the_same_bytes_as_its_folder_and_resumes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let names = images(&at("set"), 8);
    let list: String = names.iter().map(|(name, label)| format!("{name},{}\n", ["cat", "dog"][*label])).collect();
    write(&at("set/l.csv"), &format!("path,label\n{list}"));
    done(&train(&at("set"), &at("folder"), &[]));
    done(&train(&at("set/l.csv"), &at("list"), &[]));
    done(&train(&at("set/l.csv"), &at("stopped"), &["--max-steps", "2"]));
    done(&["train", "--resume", text(&at("stopped"))]);
    let bytes = |run: &str| std::fs::read(at(run).join("last.safetensors")).expect("a model");
    assert!(bytes("folder") == bytes("list") && bytes("list") == bytes("stopped"));
    // Doubtful labels are left out.
    let (file, clean, model) = (at("set/l.csv"), at("clean.csv"), at("list/last.safetensors"));
    let check = ["data", "check", text(&file), "--model", text(&model), "--write", text(&clean), "--doubtful", "0", "--json"];
    let found = last_json(&check);
    let doubts = found["doubts"].as_array().expect("doubts").len();
    assert_eq!((&found["written"]["doubtful"], rows(&clean).len()), (&doubts.into(), 16 - doubts), "{found}");
    // A list that has changed is other images.
    done(&train(&at("set/l.csv"), &at("changed"), &["--max-steps", "2"]));
    write(&at("set/l.csv"), &format!("path,label\n{}", list.replace("cat/3.bmp,cat", "cat/3.bmp,dog")));
    fails(1, &["train", "--resume", text(&at("changed"))], &["different training images"]);
}

#[test]
fn numbered_lists_train_and_are_evaluated() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let names = images(&at("images"), 12);
    // Twelve classes, so that numeric order differs from that of text.
    let lines = |from: usize, to: usize| -> String { (from..to).map(|i| format!("{} {}\n", names[i].0, i % 12)).collect() };
    write(&at("train_list.txt"), &lines(0, 12));
    write(&at("val_list.txt"), &lines(12, 24));
    let root = ["--root", text(&at("images"))].map(String::from);
    let root = root.each_ref().map(String::as_str);
    let output = alexnet(&train(folder.path(), &at("run"), &root));
    let notes = String::from_utf8_lossy(&output.stderr);
    for part in ["has the splits train, val; using train", "12 images in 12 classes: 0 1, 1 1, 2 1", "named 0 to 11; --classes"] {
        assert!(output.status.success() && notes.contains(part), "no `{part}` in: {notes}");
    }
    let model = at("run/last.safetensors");
    let eval = |data: &Path, more: &[&str]| {
        last_json(&[&["eval", "--model", text(&model), "--data", text(data), "--json"], root.as_slice(), more].concat())
    };
    let (folder_of_lists, file) = (eval(folder.path(), &[]), eval(&at("val_list.txt"), &[]));
    assert_eq!((&folder_of_lists["images"], &folder_of_lists["loss"]), (&12.into(), &file["loss"]));
    // The same with two files, and with names for the numbers.
    let val = at("val_list.txt");
    done(&train(&at("train_list.txt"), &at("two"), &[root.as_slice(), &["--val", text(&val)]].concat()));
    assert!(std::fs::read(at("two/last.safetensors")).expect("a model") == std::fs::read(&model).expect("a model"));
    write(&at("names.txt"), &(0..12).map(|i| format!("class {i:02}\n")).collect::<String>());
    let names = at("names.txt");
    let named = [root.as_slice(), &["--classes", text(&names)]].concat();
    done(&train(folder.path(), &at("named"), &[named.as_slice(), &["--max-steps", "1"]].concat()));
    let inspected = done(&["inspect", text(&at("named/last.safetensors"))]);
    assert!(inspected.contains("class 00"), "{inspected}");
    // Bad lists are one line, and leave no run behind.
    write(&at("train_list.txt"), &format!("{}cat/0.bmp 3\n", lines(0, 12)));
    fails(1, &train(folder.path(), &at("no"), &root), &["train_list.txt: line 13 names cat/0.bmp again, after line 1"]);
    fails(1, &train(&at("val_list.txt"), &at("no"), &[]), &["val_list.txt: line 1 names ", "which is not there", "--root DIR"]);
    assert!(!at("no").exists());
}

#[test]
fn broken_and_missing_images_of_a_list_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let list: String = images(&at(""), 6).iter().map(|(name, label)| format!("{name}\t{label}\n")).collect();
    write(&at("l.txt"), &format!("{list}gone.bmp\t1\n"));
    let found = last_json(&train(&at("l.txt"), &at("run"), &["--val-share", "0", "--json"]));
    assert!(std::fs::read_to_string(at("run/broken.txt")).expect("a list").contains("gone.bmp"), "{found}");
    fails(1, &train(&at("l.txt"), &at("stop"), &["--val-share", "0", "--on-bad", "stop"]), &["gone.bmp"]);
}

/// The rows of a written list without its header.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let content = std::fs::read_to_string(path).expect("a list");
    content.lines().skip(1).map(|line| line.split(',').map(String::from).collect()).collect()
}

#[test]
fn a_check_writes_a_list_without_its_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    images(&at("set/train"), 6);
    images(&at("other"), 8);
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(at(to).parent().expect("a folder")).expect("a folder");
        std::fs::copy(at(from), at(to)).expect("a copy");
    };
    for class in ["cat", "dog"] {
        for i in 6..8 {
            copy(&format!("other/{class}/{i}.bmp"), &format!("set/val/{class}/{i}.bmp"));
        }
    }
    // A copy within the training set, one in the validation set, one with another label, and a broken file.
    copy("set/train/cat/0.bmp", "set/train/cat/9.bmp");
    copy("set/train/cat/1.bmp", "set/val/cat/9.bmp");
    copy("set/train/cat/2.bmp", "set/train/dog/9.bmp");
    write(&at("set/train/dog/8.bmp"), "no image");
    let list = at("set/clean.csv");
    let printed = done(&["data", "check", text(&at("set")), "--write", text(&list)]);
    let line = "clean.csv: 15 of 20 images, without 1 unreadable, 2 duplicates, 2 with two labels, 0 with doubtful labels";
    assert!(printed.contains(line), "{printed}");
    let written = rows(&list);
    let of = |split: &str| written.iter().filter(|row| row[2] == split).map(|row| row[0].as_str()).collect::<Vec<_>>();
    let kept = ["cat/0", "cat/1", "cat/3", "cat/4", "cat/5", "dog/0", "dog/1", "dog/2", "dog/3", "dog/4", "dog/5"];
    assert_eq!(of("train"), kept.map(|name| format!("train/{name}.bmp")));
    assert_eq!(of("val"), ["cat/6", "cat/7", "dog/6", "dog/7"].map(|name| format!("val/{name}.bmp")));
}

#[test]
fn a_split_keeps_duplicates_together_and_is_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    images(&at("set"), 20);
    for i in 0..5 {
        std::fs::copy(at(&format!("set/cat/{i}.bmp")), at(&format!("set/cat/copy {i}.bmp"))).expect("a copy");
    }
    write(&at("set/dog/broken.jpg"), "no image");
    let split = |out: &str, more: &[&str]| {
        last_json(&[&["data", "split", text(&at("set")), "--out", text(&at(out)), "--json"], more].concat())
    };
    let found = split("a", &["--val", "0.2"]);
    assert_eq!(found["classes"][0], serde_json::json!({ "class": "cat", "train": 17, "val": 5, "test": 3 }));
    assert_eq!(found["classes"][1], serde_json::json!({ "class": "dog", "train": 14, "val": 4, "test": 2 }));
    assert_eq!((&found["groups"], &found["unreadable"][0]["name"]), (&5.into(), &"dog/broken.jpg".into()));
    let lists = |out: &str| ["train", "val", "test"].map(|name| std::fs::read_to_string(at(out).join(format!("{name}.csv"))));
    let texts = lists("a").map(|list| list.expect("a list"));
    let mut list_of: BTreeMap<String, usize> = BTreeMap::new();
    for (i, list) in texts.iter().enumerate() {
        assert_eq!(list.lines().next(), Some("path,label"));
        for line in list.lines().skip(1) {
            let (path, label) = line.rsplit_once(',').expect("two columns");
            let name = path.rsplit_once("set/").expect("an absolute path").1;
            assert!(Path::new(path).is_absolute() && name.starts_with(label), "{line}");
            assert_eq!(list_of.insert(name.into(), i), None, "{name} twice");
        }
    }
    assert_eq!(list_of.len(), 45);
    for i in 0..5 {
        assert_eq!(list_of[&format!("cat/{i}.bmp")], list_of[&format!("cat/copy {i}.bmp")]);
    }
    // The seed decides, and nothing else.
    split("b", &["--val", "0.2", "--threads", "1"]);
    split("c", &["--val", "0.2", "--seed", "1"]);
    assert!(lists("b").map(|list| list.expect("a list")) == texts && lists("c").map(|list| list.expect("a list")) != texts);
    let output = alexnet(&train(&at("a"), &at("run"), &[]));
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && notes.contains("a has the splits test, train, val; using train"), "{notes}");
    assert!(notes.contains("31 images in 2 classes") && notes.contains("9 images in 2 classes"), "{notes}");
    // A list is split like a folder, and its lists lie beside it: relative paths.
    done(&["data", "split", text(&at("a")), "--out", text(&at("set")), "--test", "0"]);
    assert!(rows(&at("set/val.csv")).iter().all(|row| row[0].starts_with("cat/") || row[0].starts_with("dog/")));
    assert!(!at("set/test.csv").exists());
}

#[test]
fn what_cannot_be_listed_or_split_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    images(&at("set"), 3);
    let status = std::process::Command::new("tar").arg("-cf").arg(at("set.tar")).arg("-C").arg(at("set")).arg(".").status();
    assert!(status.expect("tar").success());
    let (out, tar) = (at("out"), at("set.tar"));
    fails(1, &["data", "split", text(&tar), "--out", text(&out)], &["set.tar: its images are not files", "unpack"]);
    fails(1, &["data", "check", text(&tar), "--write", text(&at("c.csv"))], &["set.tar: its images are not files"]);
    fails(1, &["data", "check", text(&at("set")), "--write", text(&at("c.txt"))], &["c.txt", "must end in .csv"]);
    fails(1, &["data", "split", text(&at("set/cat")), "--out", text(&out)], &["not in a class folder"]);
    let split = ["data", "split", text(&at("set")), "--out", text(&out)].map(String::from);
    let split = split.each_ref().map(String::as_str);
    fails(1, &[split.as_slice(), &["--val", "0.5", "--test", "0.5"]].concat(), &["leave no images for training"]);
    assert!(!out.exists());
    done(&split);
    fails(1, &[split.as_slice(), &["--test", "0"]].concat(), &["test.csv: this list would remain"]);
}
