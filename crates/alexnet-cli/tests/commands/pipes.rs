//! Named pipes in place of files: no command waits for a writer.

use super::{done, text};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The call's output. A call still running after a minute is killed and fails the test.
fn in_time(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_alexnet"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let start = Instant::now();
    while child.try_wait().expect("its state").is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().expect("its end");
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output")
}

/// Asserts that a call ends with this status and reports the pipe.
fn names_the_pipe(status: i32, arguments: &[&str]) {
    let output = in_time(arguments);
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {printed}");
    assert!(printed.contains("a named pipe, not a file"), "{arguments:?}: {printed}");
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[test]
fn a_named_pipe_is_reported_and_blocks_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(data.join(class)).expect("a folder");
        for k in 0..4 {
            super::ramp(&data.join(class).join(format!("{k}.bmp")), [40 * k, 200, 9]);
        }
    }
    let small = ["train", "--net", "slim", "--image-size", "96", "--batch", "4", "--epochs", "1", "--max-steps", "1", "--json"];
    done(&[&small[..], &["--data", text(&data), "--out", text(&run)]].concat());
    let model = run.join("last.safetensors");
    let model = text(&model);

    // In an image folder it is skipped and reported.
    let inside = data.join("cat/x.jpg");
    pipe(&inside);
    let checked = in_time(&["data", "check", text(&data)]);
    let notes = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && notes.contains("1 entry that is not a regular file (cat/x.jpg)"), "{notes}");
    let again = folder.path().join("again");
    let trained = in_time(&[&small[..], &["--data", text(&data), "--out", text(&again)]].concat());
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let out = folder.path().join("table.npy");
    let features = in_time(&["features", "--model", model, "--data", text(&data), "--out", text(&out)]);
    assert!(features.status.code().is_some(), "{features:?}");

    // As an argument, it is an error.
    names_the_pipe(1, &["predict", "--model", model, text(&inside)]);
    names_the_pipe(1, &["explain", "saliency", "--model", model, text(&inside)]);
    let other = folder.path().join("pipe");
    pipe(&other);
    names_the_pipe(1, &["inspect", text(&other)]);
    names_the_pipe(1, &["predict", "--model", text(&other), text(&data.join("cat/0.bmp"))]);
    names_the_pipe(1, &["convert", model, text(&folder.path().join("m.onnx")), "--labels", text(&other)]);
    let (tar, npy) = (folder.path().join("x.tar"), folder.path().join("x.npy"));
    pipe(&tar);
    names_the_pipe(1, &["data", "check", text(&tar)]);
    pipe(&npy);
    std::fs::write(folder.path().join("x.json"), "{}").expect("a file");
    pipe(&folder.path().join("y.json"));
    names_the_pipe(
        1,
        &["similar", "--index", text(&folder.path().join("y.npy")), "--model", model, text(&data.join("cat/0.bmp"))],
    );
    let broken_run = folder.path().join("broken");
    std::fs::create_dir(&broken_run).expect("a folder");
    pipe(&broken_run.join("config.toml"));
    names_the_pipe(1, &["report", text(&broken_run)]);
}

/// Runs a call whose standard error is closed.
fn unheard(arguments: &[&str]) -> std::process::ExitStatus {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
    command.args(arguments).stdout(Stdio::null()).stderr(writer).status().expect("the program starts")
}

#[test]
fn training_continues_with_a_closed_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    for class in ["cat", "dog"] {
        for k in 0..4 {
            super::ramp(&data.join(class).join(format!("{k}.bmp")), [40 * k, 200, 9]);
        }
    }
    let small = ["train", "--net", "slim", "--image-size", "96", "--max-steps", "1", "--no-report", "--freeze", "conv1"];
    let status = unheard(&[&small[..], &["--data", text(&data), "--out", text(&run)]].concat());
    assert!(status.success() && run.join("last.safetensors").exists(), "{status}");
}
