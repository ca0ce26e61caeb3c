//! `explain` and `data`: output and errors.

use super::*;
use alexnet::data::{Split, synthetic};
use alexnet::draw::encode;
use alexnet::engine::ParameterStore;
use alexnet::engine::cpu::Cpu;
use alexnet::engine::init;
use alexnet::formats::{self, Model};
use alexnet::image::{Preprocess, decode};
use alexnet::net::{Activation, BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Writes a small untrained net for the built-in set's classes.
pub(super) fn model(folder: &Path) -> PathBuf {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
    let conv = |out, kernel, stride, groups| Op::Conv {
        out,
        kernel,
        stride,
        pad: Pad::all(1),
        groups,
        rounding: Rounding::Floor,
        weight_init,
        bias_init,
    };
    let layers = [
        ("conv1", conv(8, 5, 3, 1)),
        ("relu1", Op::Activation { function: Activation::Relu }),
        ("conv2", conv(8, 3, 2, 2)),
        ("relu2", Op::Activation { function: Activation::Relu }),
        ("fc3", Op::Linear { out: 10, weight_init, bias_init }),
    ];
    let layers = layers.map(|(name, op)| Layer { name: name.into(), op }).into();
    let net = Net { name: "small".into(), image_size: 32, layers };
    let mut engine = Cpu::new(&net, 1, 1).expect("a sound net");
    init::initialise(&mut engine, 3).expect("a sound net");
    let names = formats::parameters(&net).expect("a sound net").into_iter().map(|(name, _)| name);
    let tensors: BTreeMap<_, _> =
        names.map(|name| (name.clone(), engine.parameter(&name).expect("a parameter").into())).collect();
    let model = Model {
        preprocess: Preprocess::for_net(&net),
        classes: synthetic(Split::Test, 0).classes().to_vec(),
        recipe: serde_json::Value::Null,
        ranges: Default::default(),
        temperature: None,
        tensors,
        net,
    };
    let path = folder.join("m.safetensors");
    formats::write(&path, &model).expect("a writable folder");
    path
}

/// Writes some of the built-in set's images into class folders.
pub(super) fn images(folder: &Path, numbers: impl Iterator<Item = usize>) -> PathBuf {
    let (set, data) = (synthetic(Split::Test, 0), folder.join("data"));
    for i in numbers {
        let path = data.join(set.name(i));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(path, encode::png(&set.image(i).expect("a drawn image"))).expect("a writable folder");
    }
    data
}

#[test]
fn explanations_are_drawn_and_printed_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(25)));
    let image = data.join("star/0000.png");
    let (model, data, image) = (text(&model), text(&data), text(&image));
    let out = folder.path().join("out.png");
    let drawn = |arguments: &[&str]| {
        let json = last_json(&[&["explain"], arguments, &["--model", model, "--json", "--out", text(&out)]].concat());
        let bytes = std::fs::read(&out).expect("a drawing");
        std::fs::remove_file(&out).expect("a drawing");
        assert!(decode::decode(&bytes).expect("a PNG").width > 50, "{arguments:?}");
        json
    };
    let len = |values: &serde_json::Value| values.as_array().expect("numbers").len();
    let filters = drawn(&["filters"]);
    assert_eq!((len(&filters["weights"]), &filters["columns"]), (8 * 3 * 25, &2.into()));
    let maps = drawn(&["maps", "relu1", image]);
    assert_eq!((len(&maps["maps"]["values"]), &maps["maps"]["size"]), (8 * 100, &10.into()));
    let saliency = drawn(&["saliency", image, "--class", "ring", "--guided", "--smooth", "3"]);
    assert_eq!(len(&saliency["classes"][0]["gradient"]), 3 * 32 * 32);
    let cam = drawn(&["cam", image, "--class", "ring", "--class", "star", "--method", "layer-cam", "--layer", "relu1"]);
    assert_eq!((len(&cam["maps"]), &cam["maps"][1]["class"]["label"]), (2, &"star".into()));
    assert_eq!(len(&cam["maps"][0]["heat"]["values"]), 100);
    let occlusion = drawn(&["occlusion", image, "--patch", "8", "--stride", "8"]);
    assert_eq!(len(&occlusion["maps"][0]["occlusion"]["hidden"]), 16);
    let errors = drawn(&["errors", "--data", data, "--count", "4"]);
    assert_eq!((&errors["images"], len(&errors["worst"])), (&20.into(), 4));
    let maximal = drawn(&["maximal", "conv2:5", "fc3:0", "--data", data, "--count", "3"]);
    assert_eq!((len(&maximal["units"]), len(&maximal["units"][0]["pictures"])), (2, 3));
    assert_eq!(maximal["units"][0]["receptive_field"]["size"], 11);

    // The same bits again, and as SVG if the extension says so.
    assert_eq!(cam["maps"][1], drawn(&["cam", image, "--class", "star", "--method", "layer-cam", "--layer", "relu1"])["maps"][0]);
    let svg = folder.path().join("out.svg");
    let printed = done(&["explain", "cam", image, "--model", model, "--out", text(&svg)]);
    assert!(printed.contains("out.svg: ") && std::fs::read_to_string(&svg).expect("a drawing").starts_with("<svg"), "{printed}");

    fails(1, &["explain", "cam", image, "--model", model, "--out", "a.jpg"], &["a.jpg", ".png or .svg"]);
    fails(1, &["explain", "cam", image, "--model", model, "--class", "hat", "--json"], &["no class hat", "arrow"]);
    fails(
        1,
        &["explain", "cam", image, "--model", model, "--layer", "fc3", "--json"],
        &["fc3 has no spatial activations", "relu2"],
    );
    fails(1, &["explain", "maps", "conv9", image, "--model", model, "--json"], &["no layer conv9"]);
    fails(1, &["explain", "maps", "conv1", model, "--model", model, "--json"], &["m.safetensors", "not a JPEG"]);
    fails(2, &["explain", "maximal", "conv2", "--model", model], &["conv5:17"]);
    fails(1, &["explain", "maximal", "conv2:8", "--data", data, "--model", model, "--json"], &["units are 0 to 7"]);
    fails(1, &["explain", "occlusion", image, "--model", model, "--patch", "33", "--json"], &["a patch of 33"]);
}

#[test]
fn a_data_set_is_checked_and_previewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), (0..500).step_by(25)));
    let good = last_json(&["data", "check", text(&data), "--strict", "--json"]);
    assert_eq!(
        (&good["sets"][0]["pictures"], &good["duplicates"], &good["asked_model"]),
        (&20.into(), &[0u8; 0].as_slice().into(), &false.into())
    );

    // A truncated image, a copy under another label, and a smaller copy in the validation set.
    let bytes = std::fs::read(data.join("star/0000.png")).expect("an image");
    std::fs::write(data.join("ring/torn.png"), &bytes[..bytes.len() / 2]).expect("a writable folder");
    std::fs::write(data.join("ring/same.png"), &bytes).expect("a writable folder");
    let val = folder.path().join("val");
    for class in ["star", "ring"] {
        std::fs::create_dir_all(val.join(class)).expect("a writable folder");
    }
    let jpeg = encode::jpeg(&decode::decode(&bytes).expect("an image"));
    std::fs::write(val.join("star/again.jpg"), jpeg).expect("a writable folder");
    let other = synthetic(Split::Validation, 0).image(300).expect("a drawn image");
    std::fs::write(val.join("ring/other.png"), encode::png(&other)).expect("a writable folder");
    let sheet = folder.path().join("sheet.png");
    let check = ["data", "check", text(&data), "--val", text(&val), "--model", text(&model), "--sheet", text(&sheet)];
    let found = last_json(&[check.as_slice(), &["--json"]].concat());
    assert_eq!(found["sets"][0]["broken"][0]["name"], "ring/torn.png");
    let group = &found["duplicates"][0];
    let names: Vec<&str> = group["pictures"].as_array().expect("pictures").iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["ring/same.png", "star/0000.png", "star/again.jpg"]);
    assert_eq!((&group["between_sets"], &group["conflicting"], &group["exact"]), (&true.into(), &true.into(), &false.into()));
    assert_eq!(found["asked_model"], true);
    assert!(decode::decode(&std::fs::read(&sheet).expect("a drawing")).is_ok());
    let text_report = done(&check);
    assert!(text_report.contains("unreadable: 1") && text_report.contains("1 in both sets, 1 with two labels"), "{text_report}");
    fails(1, &[check.as_slice(), &["--strict"]].concat(), &["1 images cannot be read, 1 images are in both sets"]);
    fails(1, &["data", "check", text(&folder.path().join("none"))], &["none"]);

    let preview = folder.path().join("preview.svg");
    let preview = ["data", "preview", text(&data), "--image-size", "64", "--count", "5", "--out", text(&preview), "--json"];
    let first = last_json(&[preview.as_slice(), &["--recipe", "paper"]].concat());
    assert_eq!(first["pictures"].as_array().expect("names").len(), 5);
    assert_ne!(first["pictures"], last_json(&[preview.as_slice(), &["--epoch", "1"]].concat())["pictures"]);
    let mixed = ["--set", "augment.auto=trivial", "--set", "augment.mixup=1", "--set", "augment.cutmix=1"];
    assert_eq!(first["broken"], last_json(&[preview.as_slice(), &mixed].concat())["broken"]);
    fails(1, &["data", "preview", "--recipe", "papr"], &["papr", "paper"]);
    fails(1, &["data", "preview", "--set", "augment.hues=0.1"], &["augment.hues", "augment.hue"]);
}

#[test]
fn class_names_in_other_scripts_are_distinguishable_in_a_drawing() {
    // Both were once drawn as boxes. Whether this machine has a font for them decides what is drawn, but not that the drawings
    // differ.
    let folder = tempfile::tempdir().expect("a folder");
    let image = encode::png(&synthetic(Split::Test, 0).image(0).expect("a drawn image"));
    let drawing = |class: &str| {
        let data = folder.path().join(class);
        // A data set needs two classes.
        for class in [class, "z"] {
            std::fs::create_dir_all(data.join(class)).expect("a writable folder");
            std::fs::write(data.join(class).join("a.png"), &image).expect("a writable folder");
        }
        let out = folder.path().join("out.png");
        let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
        command.args(["-q", "data", "preview", text(&data), "--image-size", "64", "--count", "2", "--out", text(&out)]);
        let output = command.output().expect("the program");
        assert!(output.status.success(), "{output:?}");
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        (std::fs::read(&out).expect("a drawing"), notes)
    };
    for (one, other) in [("猫", "狗"), ("ネコ", "イヌ"), ("고양이", "강아지"), ("кошка", "собака")] {
        assert_ne!(drawing(one).0, drawing(other).0, "{one} and {other}");
    }
    // A letter of a private use area, which no system font should have: drawn as its number, with a note that suggests a
    // solution.
    let (_, notes) = drawing("\u{F8F1}\u{10FFF0}");
    assert!(notes.lines().count() == 1 && notes.contains("ALEXNET_FONT"), "{notes}");
}

#[test]
fn an_explanation_has_no_empty_strip_at_the_bottom() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (model(folder.path()), images(folder.path(), [400].into_iter()));
    let image = std::fs::read_dir(&data).expect("a folder").flatten().next().expect("a class").path().join("0000.png");
    let out = folder.path().join("out.png");
    let both = ["--class", "star", "--class", "ring", "--method", "layer-cam", "--layer", "relu1", "--layer", "relu2"];
    done(&[&["explain", "cam", text(&image), "--model", text(&model), "--out", text(&out)], &both[..]].concat());
    let drawn = decode::decode(&std::fs::read(&out).expect("a drawing")).expect("a PNG");
    let blank = drawn.rgb.chunks_exact(drawn.width * 3).rev().take_while(|row| row.iter().all(|&v| v == 255)).count();
    assert!(blank < 30, "{blank} blank rows at the end of {}", drawn.height);
}

#[test]
fn eval_lists_classes_with_images_and_counts_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    // Images of three of the ten classes: the first two and the last.
    let (model, data) = (model(folder.path()), images(folder.path(), [0, 1, 60, 490].into_iter()));
    let printed = done(&["eval", "--model", text(&model), "--data", text(&data)]);
    // Summary and heading, three classes, their average, and the others.
    assert_eq!(printed.lines().count(), 2 + 3 + 1 + 1, "{printed}");
    assert!(printed.contains("top-5 ") && printed.ends_with("7 classes have no images in this set\n"), "{printed}");
    assert!(printed.lines().skip(2).all(|line| !line.split_whitespace().any(|word| word == "0")), "{printed}");
}

#[test]
fn the_unmaintained_font_parser_is_not_a_dependency() {
    // RUSTSEC-2026-0192.
    let locked = include_str!("../../../../Cargo.lock");
    assert!(locked.contains("name = \"skrifa\"") && !locked.contains("\"ttf-parser"), "see `cargo tree -i ttf-parser`");
}
