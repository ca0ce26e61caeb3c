//! Test fixtures: a small model, a server on a free port, and a client that can also misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{ParameterStore, Precision, init};
use alexnet::formats::{self, Model, parameters};
use alexnet::image::Preprocess;
use alexnet::net::{Activation, BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use alexnet_serve::{Batching, Control, Engines, Error, Limits, ModelFile, Server, Settings};
use alexnet_testkit::images::{self, ColorType};
use serde_json::Value;

/// Rows and columns of the model's images.
pub(crate) const SIZE: usize = 33;

/// A net with two convolutions, two linear layers and three classes.
pub(crate) fn net() -> Net {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.1));
    let conv = |out: usize, kernel: usize, stride: usize| Op::Conv {
        out,
        kernel,
        stride,
        pad: Pad::all(1),
        groups: 1,
        rounding: Rounding::Floor,
        weight_init,
        bias_init,
    };
    let linear = |out: usize| Op::Linear { out, weight_init, bias_init };
    let relu = || Op::Activation { function: Activation::Relu };
    let rows = [
        ("conv1", conv(8, 5, 2)),
        ("relu1", relu()),
        ("conv2", conv(32, 3, 1)),
        ("relu2", relu()),
        ("fc6", linear(40)),
        ("relu6", relu()),
        ("fc8", linear(3)),
    ];
    let layers = rows.into_iter().map(|(name, op)| Layer { name: name.into(), op }).collect();
    Net { name: "small".into(), image_size: SIZE, layers }
}

/// Writes a model with weights derived from a seed.
pub(crate) fn write_model(path: &Path, seed: u64) {
    write_changed_model(path, seed, |_, _| {});
}

/// Like [`write_model`], with some parameters changed.
pub(crate) fn write_changed_model(path: &Path, seed: u64, change: impl Fn(&str, &mut Vec<f32>)) {
    let net = net();
    let mut engine = Cpu::new(&net, 1, 1).expect("a net");
    init::initialise(&mut engine, seed).expect("first weights");
    let tensor = |name: &String| {
        let mut values = engine.parameter(name).expect("a parameter");
        change(name, &mut values);
        (name.clone(), values.into())
    };
    let tensors = parameters(&net).expect("parameters").iter().map(|(name, _)| tensor(name)).collect();
    let model = Model {
        preprocess: Preprocess::for_net(&net),
        classes: ["cat", "dog", "<b>\"bird\""].map(String::from).to_vec(),
        recipe: Value::Null,
        ranges: Default::default(),
        temperature: None,
        tensors,
        net,
    };
    formats::write(path, &model).expect("a model file");
}

/// CPU engine with two threads.
pub(crate) fn on_processor(precision: Precision) -> Engines {
    alexnet_serve::cpu_engines(precision, 2)
}

/// Settings for one model, `small`, on any port.
pub(crate) fn settings(model: &Path) -> Settings {
    Settings {
        models: vec![ModelFile { name: "small".into(), path: model.to_path_buf(), others: Vec::new(), net: None, index: None }],
        address: ([127, 0, 0, 1], 0).into(),
        engines: on_processor(Precision::F32),
        threads: 2,
        batching: Batching { max: 8, delay: Duration::from_millis(1) },
        limits: Limits::default(),
        token: None,
        allow_hosts: Vec::new(),
        allow_origins: Vec::new(),
        watch: Duration::ZERO,
    }
}

/// A running server with one model, `small`, of seed 1.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) control: Control,
    pub(crate) model: PathBuf,
    thread: Option<JoinHandle<Result<(), Error>>>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(change: impl FnOnce(&mut Settings)) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("m.safetensors");
        write_model(&model, 1);
        let mut settings = settings(&model);
        change(&mut settings);
        let server = Server::start(settings).expect("a server");
        let (address, control) = (server.address(), server.control());
        let thread = Some(std::thread::spawn(move || server.run()));
        Running { address, control, model, thread, _folder: folder }
    }

    /// Stops the server and waits until it has ended.
    pub(crate) fn stop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic").expect("a good end");
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.open();
        stream.write_all(&head(method, path, headers, body.len())).expect("sent");
        stream.write_all(body).expect("sent");
        answer(stream)
    }

    pub(crate) fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        stream
    }

    /// Value of a metric in `/metrics`.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    (head + "\r\n").into_bytes()
}

/// A server's answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// Value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Reads an answer until the connection closes.
pub(crate) fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer but {} bytes", bytes.len()));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    Answer { status, head, body: bytes.split_off(end + 4) }
}

/// A striped image as PNG.
pub(crate) fn png(width: usize, height: usize, seed: usize) -> Vec<u8> {
    images::png(width, height, ColorType::Rgb, &images::striped(width, height, seed))
}

/// A form with images.
pub(crate) fn form(images: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, image) in images {
        body.extend(format!("--q\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"{name}\"\r\n\r\n").bytes());
        body.extend(*image);
        body.extend(b"\r\n");
    }
    body.extend(b"--q--\r\n");
    body
}

pub(crate) const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=q");
