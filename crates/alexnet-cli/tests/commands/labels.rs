//! Class folders named by numbers, and models without class names.

use super::{alexnet, done, fails, ramp, text};
use std::path::Path;

/// Result of `eval --json` as a JSON object.
fn evaluated(arguments: &[&str]) -> serde_json::Value {
    let json = done(&[&["-q", "eval", "--json", "--threads", "1"], arguments].concat());
    let mut report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    report.as_object_mut().expect("an object").remove("seconds");
    report
}

/// Writes twelve image folders whose names sort differently as text and as numbers.
fn twelve(at: &Path) {
    for class in 0..12u8 {
        for image in 0..2u8 {
            ramp(&at.join(format!("{class}/{image}.bmp")), [20 * class + image, 255 - 20 * class, 100]);
        }
    }
}

#[test]
fn unnamed_outputs_are_matched_with_numbers_in_the_given_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (data, run, nameless) = (at("data"), at("run"), at("nameless.safetensors"));
    twelve(&data);
    let short = ["--image-size", "63", "--batch", "6", "--epochs", "1", "--max-steps", "2", "--no-report", "--val-share", "0"];
    done(&[&["-q", "train", "--data", text(&data), "--out", text(&run)], short.as_slice()].concat());
    let model = run.join("last.safetensors");
    // Default class names of a model whose file has none.
    let numbers: String = (0..12).map(|i| format!("{i}\n")).collect();
    std::fs::write(at("numbers.txt"), numbers).expect("a file");
    done(&["-q", "convert", text(&model), text(&nameless), "--labels", text(&at("numbers.txt"))]);
    let (labels, renamed) = (at("labels.txt"), at("renamed.safetensors"));
    std::fs::write(&labels, "0\r\n1\r\n10\r\n11\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n").expect("a file");
    done(&["-q", "convert", text(&nameless), text(&renamed), "--labels", text(&labels)]);
    let named = evaluated(&["--model", text(&renamed), "--data", text(&data)]);
    let model_and_data = ["--model", text(&nameless), "--data", text(&data)];
    let of = |more: &[&'static str]| [&model_and_data, more].concat();
    let options = ["--labels", "--label-order text", "--label-order number"];
    fails(1, &[vec!["eval"], of(&[])].concat(), &options);
    // The training order; in the other order, it is another model.
    let in_text = evaluated(&of(&["--label-order", "text"]));
    assert_eq!(in_text, named);
    let in_number = evaluated(&of(&["--label-order", "number"]));
    assert_eq!((&in_number["per_class"][2]["class"], &in_text["per_class"][2]["class"]), (&"2".into(), &"10".into()));
    let with_labels = |labels: &Path| [&model_and_data[..], &["--labels", text(labels)]].concat().join("\t");
    assert_eq!(evaluated(&with_labels(&labels).split('\t').collect::<Vec<_>>()), in_text);
    std::fs::write(at("three.txt"), "a\nb\nc\n").expect("a file");
    let three = with_labels(&at("three.txt"));
    fails(1, &std::iter::once("eval").chain(three.split('\t')).collect::<Vec<_>>(), &["3 names", "12 outputs"]);
    fails(1, &[vec!["explain", "errors", "--json"], of(&[])].concat(), &options);
    fails(1, &[vec!["data", "check", text(&data), "--model", text(&nameless)]].concat(), &options);
    fails(1, &["data", "check", text(&data), "--label-order", "text"], &["--model"]);
    fails(1, &["eval", "--model", text(&nameless), "--label-order", "number"], &["not named by a number"]);

    // Fine-tuning requires the same option, stores it, and starts from the same rows.
    let tune = |out: &Path, more: &[&str]| {
        let fixed = ["train", "-q", "--from", text(&nameless), "--data", text(&data), "--out", text(out)].map(String::from);
        let rest = ["--batch", "6", "--epochs", "1", "--max-steps", "0", "--no-report"].iter().chain(more);
        fixed.into_iter().chain(rest.map(|option| option.to_string())).collect::<Vec<_>>()
    };
    let call = |arguments: &[String]| alexnet(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = call(&tune(&at("refused"), &[]));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && options.iter().all(|option| error.contains(option)), "{error}");
    assert!(!at("refused").exists());
    assert!(call(&tune(&at("tuned"), &["--label-order", "text"])).status.success());
    let kept = std::fs::read_to_string(at("tuned/config.toml")).expect("settings");
    assert!(kept.contains("label_order = \"text\""), "{kept}");
    let tuned = at("tuned/last.safetensors");
    let again = evaluated(&["--model", text(&tuned), "--data", text(&data)]);
    assert_eq!((&again["per_class"], &again["loss"]), (&named["per_class"], &named["loss"]));
    fails(1, &["train", "--resume", text(&at("tuned")), "--label-order", "number"], &["--label-order", "omit the option"]);
    fails(1, &["train", "--label-order", "number", "--out", text(&at("none"))], &["--from"]);
    assert!(!at("none").exists());
}

#[test]
fn names_in_another_unicode_form_match_and_numbers_against_names_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (set, coffee) in [("composed", "caf\u{e9}"), ("decomposed", "cafe\u{301}"), ("numbers", "0")] {
        for image in 0..3u8 {
            ramp(&at(set).join(coffee).join(format!("{image}.bmp")), [90, image, 0]);
            ramp(&at(set).join(if set == "numbers" { "1" } else { "tea" }).join(format!("{image}.bmp")), [0, image, 200]);
        }
    }
    let run = at("run");
    let short = ["--image-size", "63", "--batch", "4", "--epochs", "1", "--max-steps", "1", "--no-report"];
    done(&[&["-q", "train", "--data", text(&at("composed")), "--out", text(&run)], short.as_slice()].concat());
    let model = run.join("last.safetensors");
    let on = |set: &str, more: &[&str]| evaluated(&[&["--model", text(&model), "--data", text(&at(set))], more].concat());
    let composed = on("composed", &[]);
    assert_eq!(on("decomposed", &[]), composed);
    fails(1, &["eval", "--model", text(&model), "--data", text(&at("numbers"))], &["--label-order number", "--labels"]);
    assert_eq!(on("numbers", &["--label-order", "number"]), composed);
}

#[cfg(unix)]
#[test]
fn an_unstorable_name_is_rejected_before_a_folder_is_created() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a folder");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for option in ["--out", "--data"] {
        let mut train = std::process::Command::new(env!("CARGO_BIN_EXE_alexnet"));
        let train = train.current_dir(&folder).args(["train", "--image-size", "64", "--max-steps", "1", option]).arg(name);
        let output = train.output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains("not UTF-8"), "{error}");
    }
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
}
