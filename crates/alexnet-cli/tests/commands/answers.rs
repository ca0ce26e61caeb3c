//! Answers to files: `predict` and `eval --answers` in each format, thresholds, and `calibrate`.

use super::explain::{images, model};
use super::*;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// Parses JSON Lines.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn every_format_has_the_same_answers_and_a_row_for_each_broken_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(50)));
    let broken = data.join("star/broken, \"one\".png");
    std::fs::write(&broken, b"\x89PNG\r\n\x1a\n").expect("a file");
    let (model, data) = (text(&model), text(&data));
    let predict = |more: &[&str]| {
        let output = alexnet(&[&["predict", "--model", model, "--top", "2", data], more].concat());
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("broken, \"one\".png: ") && error.contains("1 of 11 images could not be read"), "{error}");
        String::from_utf8(output.stdout).expect("text")
    };
    // The array has images only; lines have all, with the same objects.
    let array: Value = serde_json::from_str(&predict(&["--json"])).expect("JSON");
    let lines = json_lines(&predict(&["--format", "jsonl"]));
    let (failed, read): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.get("error").is_some());
    assert_eq!((array, failed.len()), (Value::from(read.clone()), 1));
    assert!(failed[0]["path"].as_str().expect("a path").ends_with("broken, \"one\".png"));

    let csv = predict(&["--format", "csv"]);
    let mut rows = csv.lines();
    assert_eq!(rows.next(), Some("path,label,probability,label_2,probability_2,error"));
    let (broken, others): (Vec<&str>, Vec<&str>) = rows.partition(|row| row.starts_with('"'));
    assert!(broken.len() == 1 && broken[0].contains("/broken, \"\"one\"\".png\",,,,,"), "{broken:?}");
    for (row, object) in others.iter().zip(&read) {
        let cells: Vec<&str> = row.split(',').collect();
        let probability: f64 = cells[2].parse().expect("a number");
        assert!((probability - object["top"][0]["probability"].as_f64().expect("a number")).abs() < 1e-7, "{row}");
        assert_eq!((&object["path"], &object["top"][1]["label"]), (&cells[0].into(), &cells[3].into()));
    }
    assert_eq!(predict(&[]).lines().count(), 10);

    // A file is the same, and its extension selects the format.
    let out = folder.path().join("answers.csv");
    assert_eq!(predict(&["--out", text(&out)]), "");
    assert_eq!(std::fs::read_to_string(&out).expect("the file"), csv);
    fails(1, &["predict", "--model", model, data, "--out", "answers.xls"], &["answers.xls", ".csv, .jsonl, .parquet"]);
    fails(1, &["predict", "--model", model, data, "--format", "parquet"], &["add --out FILE"]);
    fails(2, &["predict", "--model", model, data, "--format", "csv", "--json"], &["--json"]);
    let parquet = folder.path().join("answers.parquet");
    if cfg!(feature = "parquet") {
        predict(&["--out", text(&parquet)]);
        let bytes = std::fs::read(&parquet).expect("the file");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    } else {
        fails(1, &["predict", "--model", model, data, "--out", text(&parquet)], &["--features parquet"]);
    }
    // If no image can be read, the command has failed.
    fails(1, &["predict", "--model", model, text(&folder.path().join("data/star/broken, \"one\".png"))], &["1 of 1 images"]);
    fails(1, &["predict", "--model", model, "none/*.jpg"], &["none/: No such file"]);
}

#[test]
fn paths_on_standard_input_are_answered_as_they_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), [0, 60].into_iter()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_alexnet"))
        .args(["predict", "--model", text(&model), "--format", "jsonl", "-"])
        .current_dir(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut paths = child.stdin.take().expect("its input");
    let mut answers = BufReader::new(child.stdout.take().expect("its output"));
    let set = alexnet::data::synthetic(alexnet::data::Split::Test, 0);
    for path in ["gone.jpg", set.name(0), set.name(60)] {
        let known = path != "gone.jpg";
        writeln!(paths, "{path}").expect("a pipe");
        let mut line = String::new();
        answers.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&answer["path"], answer.get("error").is_none()), (&path.into(), known), "{line}");
    }
    drop(paths);
    assert_eq!(child.wait().expect("its end").code(), Some(3));
}

#[test]
fn below_the_threshold_the_answer_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(50)));
    let predict = |more: &[&str]| done(&[&["predict", "--model", text(&model), "--top", "1", text(&data)], more].concat());
    let known = predict(&[]);
    assert_eq!(predict(&["--threshold", "0"]), known);
    let unknown = predict(&["--threshold", "1"]);
    for (unknown, known) in unknown.lines().zip(known.lines()) {
        let (path, label) = known.split_once(": ").expect("a label");
        assert_eq!(unknown, format!("{path}: unknown ({label})"));
    }
    let csv = predict(&["--threshold", "1", "--format", "csv"]);
    assert!(csv.starts_with("path,label,probability,best_label,error\n"), "{csv}");
    assert!(csv.lines().skip(1).all(|row| row.contains(",unknown,0.")), "{csv}");
    assert!(json_lines(&predict(&["--threshold", "1", "--format", "jsonl"])).iter().all(|line| line["unknown"] == true));
    fails(2, &["predict", "--model", "m", "x", "--threshold", "1.5"], &["a probability from 0 to 1"]);
}

#[test]
fn an_evaluation_writes_a_row_per_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(10)));
    std::fs::write(data.join("star/broken.png"), b"\x89PNG\r\n\x1a\n").expect("a file");
    let out = folder.path().join("answers.jsonl");
    let eval = ["eval", "--model", text(&model), "--data", text(&data), "--top", "3", "--threshold", "0.12", "--batch", "7"];
    let report = last_json(&[&eval[..], &["--json", "--answers", text(&out)]].concat());
    let lines = json_lines(&std::fs::read_to_string(&out).expect("the answers"));
    assert_eq!((lines.len(), &report["images"], &report["broken"]), (51, &50.into(), &1.into()));
    let names: Vec<&str> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    assert!(names.is_sorted(), "{names:?}");
    // The report follows from the rows.
    let read = || lines.iter().filter(|line| line.get("error").is_none());
    let share = |holds: &dyn Fn(&Value) -> bool| read().filter(|line| holds(line)).count() as f64 / 50.0;
    assert_eq!(report["top1"], share(&|line| line["correct"] == true));
    assert_eq!((&report["k"], &report["top_k"]), (&3.into(), &share(&|line| line["label_rank"].as_u64() <= Some(3)).into()));
    assert_eq!(report["selective"]["coverage"], share(&|line| line["answered"] == true));
    assert!(read().all(|line| line["label"].as_str() == line["name"].as_str().expect("a name").split('/').next()));

    let csv = out.with_extension("csv");
    let table = done(&[&eval[..], &["--answers", text(&csv)]].concat());
    for part in ["top-3 ", "threshold 0.12: ", "precision   recall       F1", "macro average", "1 images could not be read"] {
        assert!(table.contains(part), "no {part} in {table}");
    }
    let rows = std::fs::read_to_string(&csv).expect("the answers");
    assert!(rows.lines().count() == 52 && rows.contains("star/broken.png,star,,,,,,,,,,,"), "{rows}");
    fails(1, &[&eval[..], &["--answers", "answers.txt"]].concat(), &["answers.txt", ".csv, .jsonl or .parquet"]);
}

#[test]
fn a_calibrated_model_is_as_accurate_and_less_overconfident() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, drawn) = (model(folder.path()), images(folder.path(), (0..500).step_by(5)));
    // A set on which the model is right in seven of ten images.
    let (data, classes) = (folder.path().join("set"), alexnet::data::synthetic(alexnet::data::Split::Test, 0).classes().to_vec());
    let answers: Value =
        serde_json::from_str(&done(&["predict", "--model", text(&model), "--json", text(&drawn)])).expect("JSON");
    for (i, answer) in answers.as_array().expect("an array").iter().enumerate() {
        let class = answer["top"][0]["index"].as_u64().expect("an index") as usize + usize::from(i % 10 >= 7);
        let class = data.join(&classes[class % classes.len()]);
        std::fs::create_dir_all(&class).expect("a folder");
        std::fs::copy(answer["path"].as_str().expect("a path"), class.join(format!("{i}.png"))).expect("a copy");
    }
    let calibrate = ["calibrate", "--model", text(&model), "--data", text(&data)];
    let found = last_json(&[&calibrate[..], &["--json"]].concat());
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!(number(&found["temperature"]) > 0.0 && number(&found["after"]["nll"]) <= number(&found["before"]["nll"]), "{found}");
    let out = model.with_extension("calibrated.safetensors");
    assert_eq!((&found["out"], &found["top1"]), (&text(&out).into(), &0.7.into()));
    // The new file gives what was promised, also in another format.
    let onnx = folder.path().join("m.onnx");
    done(&["convert", text(&out), text(&onnx)]);
    for model in [&out, &onnx] {
        let report = last_json(&["eval", "--model", text(model), "--data", text(&data), "--json"]);
        assert_eq!(report["top1"], found["top1"]);
        assert!((number(&report["loss"]) - number(&found["after"]["nll"])).abs() < 1e-4, "{report}");
        assert!((number(&report["calibration"]["ece"]) - number(&found["after"]["ece"])).abs() < 1e-3, "{report}");
    }
    assert!(done(&["inspect", text(&out)]).contains("calibrated: its last layer includes the temperature "));
    // Once calibrated, there is nothing to gain.
    let again = folder.path().join("again.safetensors");
    let same = last_json(&["calibrate", "--model", text(&out), "--data", text(&data), "--out", text(&again), "--json"]);
    assert!((number(&same["temperature"]) - 1.0).abs() < 1e-3, "{same}");
    fails(1, &[&calibrate[..], &["--out", text(&model)]].concat(), &["another name"]);
}

/// A full disk leaves no file, and a reader that has seen enough is no error.
#[cfg(target_os = "linux")]
#[test]
fn full_disks_and_closed_pipes_end_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(25)));
    let predict = ["predict", "--model", text(&model), text(&data)];
    for format in ["text", "csv", "jsonl"] {
        fails(1, &[&predict[..], &["--format", format, "--out", "/dev/full"]].concat(), &["/dev/full", "no space left"]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_alexnet"))
            .args(predict)
            .args(["--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("its output");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    assert!(Path::new("/dev/full").exists());
}
