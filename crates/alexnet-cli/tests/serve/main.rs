//! End-to-end tests of `alexnet serve`: its output, signals and exit status.
#![cfg(unix)]

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{ParameterStore, init};
use alexnet::formats::{self, Model};
use alexnet::image::Preprocess;
use alexnet::net::{BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn alexnet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
    command.args(arguments).env_remove("ALEXNET_TOKEN");
    command
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// Writes a small model with a convolution and a linear layer, and an image.
fn model_and_image(folder: &Path) -> (PathBuf, PathBuf) {
    let (weight_init, bias_init, rounding) = (WeightInit::HeNormal, BiasInit::Constant(0.1), Rounding::Floor);
    let conv = Op::Conv { out: 40, kernel: 3, stride: 1, pad: Pad::all(1), groups: 1, rounding, weight_init, bias_init };
    let layers = [("conv1", conv), ("fc8", Op::Linear { out: 3, weight_init, bias_init })];
    let layers = layers.map(|(name, op)| Layer { name: name.into(), op }).to_vec();
    let net = Net { name: "small".into(), image_size: 24, layers };
    let mut engine = Cpu::new(&net, 1, 1).expect("a net");
    init::initialise(&mut engine, 1).expect("weights");
    let names = formats::parameters(&net).expect("parameters").into_iter().map(|(name, _)| name);
    let tensors = names.map(|name| (name.clone(), engine.parameter(&name).expect("a parameter").into())).collect();
    let classes = ["cat", "dog", "bird"].map(String::from).to_vec();
    let preprocess = Preprocess::for_net(&net);
    let (recipe, ranges) = (serde_json::Value::Null, Default::default());
    let model = folder.join("last.safetensors");
    formats::write(&model, &Model { net, preprocess, classes, recipe, ranges, temperature: None, tensors }).expect("a file");
    let image = folder.join("p.bmp");
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend([10, 200, 30, 0]);
    std::fs::write(&image, bmp).expect("a file");
    (model, image)
}

/// Starts a server; returns it with its port.
fn start(arguments: &[&str]) -> (Child, u16) {
    let arguments = [["serve", "--port", "0", "--json"].as_slice(), arguments].concat();
    let mut server = alexnet(&arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
    let port = json(line.as_bytes())["port"].as_u64().expect("a port");
    (server, u16::try_from(port).expect("a port"))
}

fn signal(server: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &server.id().to_string()]).status().expect("kill").success());
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

fn body(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    answer.split_off(end + 4)
}

#[test]
fn answers_equal_predict_and_survive_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, image) = model_and_image(folder.path());
    let named = format!("a={}", model.display());
    let (mut server, port) = start(&["--model", &named, "--model", model.to_str().expect("a plain path"), "--max-batch", "4"]);
    let bytes = std::fs::read(&image).expect("the image");
    // Accepted before the signal, finished after it.
    let mut taken: Vec<TcpStream> = Vec::new();
    for i in 0..24 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let path = if i % 2 == 0 { "/predict?crops=10" } else { "/predict?model=last&crops=10" };
        stream.write_all(head(path, bytes.len()).as_bytes()).expect("sent");
        stream.write_all(&bytes[..i]).expect("sent");
        taken.push(stream);
    }
    // A complete request and answer, so those before it have been accepted.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.write_all(head("/predict?crops=10", bytes.len()).as_bytes()).expect("sent");
    stream.write_all(&bytes).expect("sent");
    let answer = json(&body(stream));
    signal(&server, "-HUP");
    signal(&server, "-TERM");
    std::thread::sleep(Duration::from_millis(100));
    for (i, mut stream) in taken.into_iter().enumerate() {
        stream.write_all(&bytes[i..]).expect("sent");
        assert_eq!(json(&body(stream))["pictures"], answer["pictures"]);
    }
    assert_eq!(server.wait().expect("an end").code(), Some(0));

    let predicted = alexnet(&["predict", "--crops", "10", "--json", "--model"]).args([&model, &image, &image]).output();
    let predicted = json(&predicted.expect("the program starts").stdout);
    for i in [0, 1] {
        assert_eq!(predicted[i]["top"], answer["pictures"][0]["top"]);
    }
}

#[test]
fn unservable_models_are_reported() {
    let fails = |arguments: &[&str], status: i32, part: &str| {
        let output = alexnet(&[["serve"].as_slice(), arguments].concat()).output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(status) && error.contains(part), "{arguments:?}: {error}");
    };
    fails(&[], 2, "--model");
    fails(&["--model", "/nowhere/m.safetensors"], 1, "/nowhere/m.safetensors");
    fails(&["--model", "a="], 1, "--model a=");
    fails(&["--model", "m", "--host", "everywhere"], 2, "--host");
    fails(&["--model", "m", "--timeout=-1"], 2, "--timeout");
    fails(&["--model", "m", "--token-file", "/nowhere/t"], 1, "/nowhere/t");
}

#[test]
fn a_second_signal_of_any_kind_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, _) = model_and_image(folder.path());
    for [first, second] in [["-TERM", "-INT"], ["-INT", "-TERM"], ["-TERM", "-TERM"]] {
        let (mut server, port) = start(&["--model", model.to_str().expect("a plain path"), "--grace", "60", "--stall", "60"]);
        // A request that never ends.
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.write_all(head("/predict", 1000).as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(200));
        signal(&server, first);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(server.try_wait().expect("a process"), None, "it waits for the request");
        signal(&server, second);
        let since = std::time::Instant::now();
        while server.try_wait().expect("a process").is_none() && since.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = server.try_wait().expect("a process");
        let _ = server.kill();
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{first} {second}");
    }
}

#[test]
fn a_pipe_or_a_folder_is_not_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("m.safetensors");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for path in [pipe.as_path(), folder.path()] {
        let output = alexnet(&["serve", "--port", "0", "--model"]).arg(path).output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.matches("not a file").count()), (Some(1), 1), "{error}");
    }
}
