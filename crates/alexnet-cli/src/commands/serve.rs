//! `alexnet serve`: a model over HTTP.

use super::engine_args::EngineArgs;
use crate::{net_option, numbers, output};
use alexnet_serve::{Batching, Engines, IndexFile, Limits, ModelFile, Server, Settings};
use anyhow::{Context, bail};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Variable that holds the token where there is no --token-file.
const TOKEN: &str = "ALEXNET_TOKEN";

/// Most bytes of a file with a token.
const LONGEST_TOKEN: u64 = 64 << 10;

/// Options of `alexnet serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, several times for several models; NAME is what requests call it [default: the file's name]
    #[arg(long = "model", value_name = "[NAME=]FILE", required = true, help_heading = "Models")]
    models: Vec<String>,
    /// Features of images that a model knows, of `alexnet features` with the same model, to show the nearest of them
    #[arg(long = "index", value_name = "[NAME=]FILE", help_heading = "Models")]
    indices: Vec<String>,
    /// The images that an index was made of, to show them; else there are their names alone
    #[arg(long = "images", alias = "pictures", value_name = "[NAME=]PATH", requires = "indices", help_heading = "Models")]
    pictures: Vec<String>,
    /// Network that the model files are, where they do not tell
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true, help_heading = "Models")]
    net: Option<String>,
    /// Address to listen on; 0.0.0.0 for everybody
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Address")]
    host: IpAddr,
    /// Port; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Address")]
    port: u16,
    #[command(flatten, next_help_heading = "Devices")]
    machine: EngineArgs,
    /// Most images (or crops) that go through the network together
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = numbers::batch, help_heading = "Batches")]
    max_batch: usize,
    /// How long an image waits for others that are on their way, in microseconds
    #[arg(long, value_name = "US", default_value_t = 1000, value_parser = numbers::microseconds, help_heading = "Batches")]
    max_delay_us: u64,
    /// Requests in hand; more are answered 503
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests, value_parser = numbers::count, help_heading = "Limits")]
    queue: usize,
    /// Open connections; for more, idle ones are closed
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = numbers::count, help_heading = "Limits")]
    max_connections: usize,
    /// Largest body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = numbers::count, help_heading = "Limits")]
    max_body: usize,
    /// Largest image, in pixels; decoding takes up to six bytes for each
    #[arg(long, value_name = "N", default_value_t = Limits::default().pixels, help_heading = "Limits")]
    max_pixels: u64,
    /// Time for a request, from its header to its answer, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().time.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    timeout: f64,
    /// How long a client may pause while it sends a body or reads an answer, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().stall.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    stall: f64,
    /// Bytes a second that a client must send or read on average
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().rate, help_heading = "Limits")]
    min_rate: u32,
    /// Largest answer, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().answer, value_parser = numbers::count, help_heading = "Limits")]
    max_answer: usize,
    /// Name under which clients reach the server, several times for several, or * for any; without it, a server on a loopback address
    /// accepts requests for loopback names alone
    #[arg(long = "allow-host", value_name = "NAME", help_heading = "Address")]
    allow_hosts: Vec<String>,
    /// Origin of another site whose pages may send requests, such as `https://example.org`, several times for several, or * for any
    #[arg(long = "allow-origin", value_name = "ORIGIN", help_heading = "Address")]
    allow_origins: Vec<String>,
    /// Time for a stopping server to answer what it has taken, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().grace.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    grace: f64,
    /// File with a token that every request must bring (Authorization: Bearer TOKEN) [default: the variable ALEXNET_TOKEN, or none]
    #[arg(long, value_name = "FILE", help_heading = "Address")]
    token_file: Option<PathBuf>,
    /// How often to look whether a model file has changed, in seconds; 0 never (a hangup signal does at any time)
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = numbers::seconds, help_heading = "Models")]
    watch: f64,
    /// A JSON object with the address once it listens
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).ok().with_context(|| format!("--{name} {value}: not a number of seconds"))
    };
    let limits = Limits {
        body: args.max_body,
        pixels: args.max_pixels,
        answer: args.max_answer,
        stall: seconds("stall", args.stall)?,
        rate: args.min_rate,
        header: Limits::default().header,
        time: seconds("timeout", args.timeout)?,
        requests: args.queue,
        connections: args.max_connections,
        grace: seconds("grace", args.grace)?,
    };
    let mut models = args.models.iter().map(|text| model(text, args.net.as_deref())).collect::<anyhow::Result<Vec<_>>>()?;
    for text in &args.indices {
        let (model, table) = of_model(&mut models, "index", text)?;
        model.index = Some(IndexFile { table, pictures: None });
    }
    for text in &args.pictures {
        let (model, path) = of_model(&mut models, "images", text)?;
        let Some(index) = &mut model.index else { bail!("--images {text}: the model {} has no --index", model.name) };
        index.pictures = Some(path);
    }
    let settings = Settings {
        models,
        address: SocketAddr::new(args.host, args.port),
        engines: engines(&args.machine),
        threads: args.machine.threads,
        batching: Batching { max: args.max_batch, delay: Duration::from_micros(args.max_delay_us) },
        limits,
        token: token(args.token_file.as_deref())?,
        allow_hosts: args.allow_hosts.clone(),
        allow_origins: args.allow_origins.clone(),
        watch: seconds("watch", args.watch)?,
    };
    let names: Vec<String> = settings.models.iter().map(|model| model.name.clone()).collect();
    let server = Server::start(settings)?;
    let address = server.address();
    if args.json {
        output::print_json(
            &serde_json::json!({ "address": format!("http://{address}"), "port": address.port(), "models": names }),
        )?;
    } else if !quiet {
        output::say(&format!("{} at http://{address} until Ctrl-C", names.join(", ")));
    }
    Ok(server.run()?)
}

/// What runs the models.
fn engines(machine: &EngineArgs) -> Engines {
    let machine = machine.clone();
    Arc::new(move |model, batch| machine.steady_engine_of(model, batch).map_err(|e| alexnet::Error::Invalid(format!("{e:#}"))))
}

/// `NAME=FILE`, or `FILE`, whose model is called as the file without its ending.
fn model(text: &str, net: Option<&str>) -> anyhow::Result<ModelFile> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains('/') => (name.to_string(), path),
        _ => (Path::new(text).file_stem().unwrap_or_default().to_string_lossy().into_owned(), text),
    };
    if path.is_empty() {
        bail!("--model {text}: give a file, such as --model clothes=RUN/best.safetensors");
    }
    Ok(ModelFile { name, path: path.into(), net: net.map(Into::into), index: None })
}

/// The model that `NAME=PATH` is for, or the only one; and the path.
fn of_model<'a>(models: &'a mut [ModelFile], option: &str, text: &str) -> anyhow::Result<(&'a mut ModelFile, PathBuf)> {
    let of = |(name, path)| Some((models.iter().position(|model| model.name == name)?, path));
    let named = text.split_once('=').and_then(of);
    match named.or_else(|| (models.len() == 1).then_some((0, text))) {
        Some((at, path)) => Ok((&mut models[at], path.into())),
        None => bail!("--{option} {text}: say for which model (--{option} NAME={text})"),
    }
}

/// The token in a file, or in the environment, if any.
fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = file else { return Ok(std::env::var(TOKEN).ok()) };
    // A pipe may be given (a password manager writes into it), but no device without an end.
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut text));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Some(text.trim().to_string()))
}
