//! First steps of a new user: small image folders, and commands with something missing.

use super::{alexnet, done, fails, last_json, ramp, text};
use std::path::Path;
use std::process::Command;

/// Writes 20 distinct images of each of three colours.
fn sixty(folder: &Path) {
    for (class, channel) in [("blue", 0), ("green", 1), ("red", 2)] {
        for i in 0..20u8 {
            let mut colour = [60 + i * 7 % 60; 3];
            colour[channel] = 200 - i * 5 % 60;
            ramp(&folder.join(class).join(format!("{i}.bmp")), colour);
        }
    }
}

#[test]
fn sixty_images_are_learned_with_default_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let (set, run) = (folder.path().join("set"), folder.path().join("run"));
    sixty(&set);
    // A small net and few epochs keep the test short. With batches of 64 there would be no step.
    let small = ["--net", "caffenet", "--image-size", "67", "--epochs", "12", "--no-report", "--out"];
    let output = alexnet(&[&["train", text(&set)], &small[..], &[text(&run)]].concat());
    let (printed, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{warned}");
    assert!(printed.contains("validation: loss") && !printed.contains("top-5"), "{printed}");
    assert!(printed.contains("batch 12, learning rate 0.04") && printed.contains("batch = 12, drop_last = false"), "{printed}");
    assert!(printed.contains("adapted to this set") && printed.contains("a fifth of the images for validation"), "{printed}");
    assert!(warned.contains("only 12 validation images") && warned.contains("--from"), "{warned}");
    assert!(!warned.contains("not learning") && !warned.contains("exploded"), "{warned}");
    let csv = std::fs::read_to_string(run.join("metrics.csv")).expect("the metrics");
    let last: Vec<&str> = csv.lines().last().expect("a row").split(',').collect();
    let (steps, loss, top1): (u64, f64, f64) =
        (last[1].parse().expect("steps"), last[3].parse().expect("a loss"), last[4].parse().expect("a share"));
    assert!(steps == 48 && loss < 0.5 && top1 > 0.8, "{csv}");
    let config = std::fs::read_to_string(run.join("config.toml")).expect("the settings");
    assert!(
        config.contains("batch = 12\n")
            && config.contains("val_share = 0.2\n")
            && config.contains("drop_last = false")
            && config.contains("best = \"last\""),
        "{config}"
    );
    // The adaptation persists: on resume, also with options that repeat it.
    done(&["train", "--resume", text(&run), "--batch", "12"]);

    // Folders are expanded in sorted order.
    let model = run.join("best.safetensors");
    let lines = done(&["predict", "--model", text(&model), "--top", "1", text(&set)]);
    let right = lines.lines().filter(|line| line.contains("/red/") == line.contains(": red")).count();
    assert!(lines.lines().count() == 60 && right > 50, "{lines}");
    assert!(lines.lines().next().expect("a line").contains("set/blue/0.bmp: "), "{lines}");

    // An explicit batch size keeps the recipe unchanged, with a warning about the images it skips.
    let chosen = ["--batch", "32", "--max-steps", "1", "--out"];
    let plain = folder.path().join("plain");
    let arguments = [&["train", text(&set)], &small[..small.len() - 1], &chosen[..], &[text(&plain)]].concat();
    let output = alexnet(&arguments);
    assert!(String::from_utf8_lossy(&output.stderr).contains("skip 22 of 54 images"), "{output:?}");
    let config = std::fs::read_to_string(plain.join("config.toml")).expect("the settings");
    assert!(
        config.contains("lr = 0.04")
            && config.contains("drop_last = true")
            && config.contains("val_share = 0.1\n")
            && !config.contains("best ="),
        "{config}"
    );

    // Validation on the training images is reported.
    let same = folder.path().join("same");
    let validated = ["--max-steps", "1", "--val", text(&set), "--out", text(&same)];
    let output = alexnet(&[&["train", text(&set)], &small[..small.len() - 1], &validated[..]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the validation images are the training images"), "{output:?}");

    // Without --model, the newest run's is suggested.
    let runs = folder.path().join("runs/caffenet-3");
    std::fs::create_dir_all(&runs).expect("a folder");
    std::fs::rename(&model, runs.join("best.safetensors")).expect("moved");
    for command in ["predict", "eval", "serve"] {
        let program =
            Command::new(env!("CARGO_BIN_EXE_alexnet")).arg(command).current_dir(folder.path()).output().expect("a run");
        let error = String::from_utf8_lossy(&program.stderr);
        let wanted =
            format!("try: alexnet {command} --model runs/caffenet-3/best.safetensors").replace("serve --", "serve [OPTIONS] --");
        let short = wanted.replace("[OPTIONS] ", "");
        assert!(program.status.code() == Some(2) && (error.contains(&wanted) || error.contains(&short)), "{error}");
    }
}

#[test]
fn missing_or_too_small_arguments_are_reported_with_a_solution() {
    fails(1, &["summary", "--image-size", "16"], &["16 pixels are too small for torchvision", "at least 63"]);
    fails(1, &["train", "--image-size", "16", "--net", "paper"], &["too small for paper", "at least 52"]);
    fails(2, &["predict", "x.jpg"], &["--model <FILE>"]);
    fails(2, &["train", "one", "--data", "two"], &["cannot be used with"]);
    fails(1, &["train", "nowhere"], &["nowhere", "No such file"]);
    if cfg!(not(any(feature = "mpi", feature = "nccl"))) {
        fails(1, &["train", "--parallel", "hybrid"], &["--parallel hybrid", "--features mpi"]);
        fails(1, &["train", "--parallel", "towers"], &["--parallel towers", "--features mpi"]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let error = alexnet(&["serve", "--port", "0", "--model", text(folder.path())]);
    assert_eq!(String::from_utf8_lossy(&error.stderr).matches("pass a model file").count(), 1, "{error:?}");
    assert!(done(&["summary", "--net", "caffenet", "--svg", "-"]).starts_with("<svg"));
    let help = done(&["plan", "--help"]);
    let images = help.split("--images").nth(1).expect("the option").split("--").next().expect("its text");
    assert_eq!(images.matches("default").count() - images.matches("the default").count(), 1, "{images}");
}

#[test]
fn train_help_has_option_groups_and_examples() {
    let help = done(&["train", "--help"]);
    let heads = ["Data:", "Model:", "Recipe:", "Run:", "Devices and ranks:", "Output:", "Examples:"];
    let places: Vec<usize> =
        heads.iter().map(|head| help.find(&format!("\n{head}\n")).unwrap_or_else(|| panic!("no {head}"))).collect();
    assert!(places.is_sorted(), "{help}");
    assert_eq!(help.matches("  alexnet train ").count(), 3, "{help}");
    assert_eq!(help.contains("--rendezvous "), cfg!(feature = "nccl"), "{help}");
    assert_eq!(help.contains("--communicator"), cfg!(any(feature = "mpi", feature = "nccl")), "{help}");
    if cfg!(not(feature = "gpu")) {
        assert!(help.contains("this build supports cpu only"), "{help}");
    }
}

#[test]
fn a_run_on_a_large_set_keeps_the_recipe() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = ["train", "--net", "caffenet", "--image-size", "67", "--max-steps", "1", "--json", "--no-report", "--out"];
    let end = last_json(&[&train[..], &[text(&run)]].concat());
    assert_eq!(end["steps"], 1);
    let config = std::fs::read_to_string(run.join("config.toml")).expect("the settings");
    for line in ["batch = 64", "drop_last = true", "lr = 0.04", "init = \"he\"", "warmup = 0.05", "epochs = 8"] {
        assert!(config.contains(&format!("{line}\n")), "no {line} in {config}");
    }
    // But for the crops of a run of few epochs, unless they are stated.
    for line in ["kind = \"crop_mirror\"", "crop_pct = 0.875"] {
        assert!(config.contains(&format!("{line}\n")), "no {line} in {config}");
    }
    for stated in ["augment.scale=[0.5, 1]", "augment.kind=\"none\""] {
        let own = folder.path().join(&stated[8..13]);
        done(&[&train[..], &[text(&own), "--set", stated]].concat());
        let recipe = std::fs::read_to_string(own.join("config.toml")).expect("the settings");
        let lines = recipe.lines().map(|line| line.replace(".0", "")).collect::<Vec<_>>();
        assert!(lines.contains(&stated[8..].replace('=', " = ")) && lines.contains(&"crop_pct = 1".to_string()), "{recipe}");
    }
    assert!(!config.contains("best ="), "{config}");
}

#[test]
fn a_missing_folder_is_reported_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fails(1, &["lpips", "--model", "none.pth", text(folder.path()), "nowhere"], &["nowhere", "No such file"]);
}
