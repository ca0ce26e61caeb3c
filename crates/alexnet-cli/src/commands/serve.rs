//! `alexnet serve`: HTTP server for models.

use super::engine_args::EngineArgs;
use crate::{model_file, net_option, numbers, output};
use alexnet_serve::{Batching, Engines, IndexFile, Limits, ModelFile, Server, Settings};
use anyhow::{Context, bail};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Environment variable that holds the token without --token-file.
const TOKEN: &str = "ALEXNET_TOKEN";

/// Maximum size of a token file in bytes.
const LONGEST_TOKEN: u64 = 64 << 10;

/// Options of `alexnet serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, or name of published weights; several joined by + are an ensemble, whose probabilities are averaged. Repeat for
    /// several models. NAME identifies the model in requests [default: the file's name]
    #[arg(long = "model", value_name = "[NAME=]FILE[+FILE...]", required = true, help_heading = "Models")]
    models: Vec<String>,
    /// Feature index made by `alexnet features` with the same model, for similarity search
    #[arg(long = "index", value_name = "[NAME=]FILE", help_heading = "Models")]
    indices: Vec<String>,
    /// Images of the index, to display them; otherwise only their names are shown
    #[arg(long = "images", alias = "pictures", value_name = "[NAME=]PATH", requires = "indices", help_heading = "Models")]
    images: Vec<String>,
    /// Network in the model files, if they do not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true, help_heading = "Models")]
    net: Option<String>,
    /// Address to listen on; 0.0.0.0 for all interfaces
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Address")]
    host: IpAddr,
    /// Port; 0 for any free port
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Address")]
    port: u16,
    #[command(flatten, next_help_heading = "Devices")]
    machine: EngineArgs,
    /// Maximum images (or crops) per batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = numbers::batch, help_heading = "Batches")]
    max_batch: usize,
    /// Maximum time an image waits for its batch to fill, in microseconds
    #[arg(long, value_name = "US", default_value_t = 1000, value_parser = numbers::microseconds, help_heading = "Batches")]
    max_delay_us: u64,
    /// Maximum requests in progress; further ones are answered with 503
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests, value_parser = numbers::count, help_heading = "Limits")]
    queue: usize,
    /// Maximum open connections; idle ones are closed to make room
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = numbers::count, help_heading = "Limits")]
    max_connections: usize,
    /// Maximum body size in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = numbers::count, help_heading = "Limits")]
    max_body: usize,
    /// Maximum image size in pixels; decoding takes up to six bytes per pixel
    #[arg(long, value_name = "N", default_value_t = Limits::default().pixels, help_heading = "Limits")]
    max_pixels: u64,
    /// Time limit of a request, from header to answer, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().time.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    timeout: f64,
    /// Time limit of a pause while a client sends a body or reads an answer, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().stall.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    stall: f64,
    /// Minimum average transfer rate of a client in bytes per second
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().rate, help_heading = "Limits")]
    min_rate: u32,
    /// Maximum answer size in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().answer, value_parser = numbers::count, help_heading = "Limits")]
    max_answer: usize,
    /// Host name under which clients reach the server; repeat for several, or * for any. By default a server on a loopback
    /// address accepts only loopback names
    #[arg(long = "allow-host", value_name = "NAME", help_heading = "Address")]
    allow_hosts: Vec<String>,
    /// Allowed origin of cross-site requests, such as `https://example.org`; repeat for several, or * for any
    #[arg(long = "allow-origin", value_name = "ORIGIN", help_heading = "Address")]
    allow_origins: Vec<String>,
    /// Time limit for accepted requests on shutdown, in seconds
    #[arg(long, value_name = "S", default_value_t = Limits::default().grace.as_secs_f64(), value_parser = numbers::seconds, help_heading = "Limits")]
    grace: f64,
    /// File with a token that every request must carry (Authorization: Bearer TOKEN) [default: the variable ALEXNET_TOKEN, or
    /// none]
    #[arg(long, value_name = "FILE", help_heading = "Address")]
    token_file: Option<PathBuf>,
    /// Interval of checks for changed model files, in seconds; 0 disables them (SIGHUP always reloads)
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = numbers::seconds, help_heading = "Models")]
    watch: f64,
    /// Print a JSON object with the address once the server listens
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).ok().with_context(|| format!("--{name} {value}: not a valid duration"))
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
    // Before a model is downloaded.
    let secret = token(args.token_file.as_deref())?;
    let mut models =
        args.models.iter().map(|text| model(text, args.net.as_deref(), quiet)).collect::<anyhow::Result<Vec<_>>>()?;
    for text in &args.indices {
        let (model, table) = of_model(&mut models, "index", text)?;
        model.index = Some(IndexFile { table, images: None });
    }
    for text in &args.images {
        let (model, path) = of_model(&mut models, "images", text)?;
        let Some(index) = &mut model.index else { bail!("--images {text}: the model {} has no --index", model.name) };
        index.images = Some(path);
    }
    let settings = Settings {
        models,
        address: SocketAddr::new(args.host, args.port),
        engines: engines(&args.machine),
        threads: args.machine.threads,
        batching: Batching { max: args.max_batch, delay: Duration::from_micros(args.max_delay_us) },
        limits,
        token: secret,
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

/// Creates the engines of the served models.
fn engines(machine: &EngineArgs) -> Engines {
    let machine = machine.clone();
    Arc::new(move |model, batch| machine.steady_engine_of(model, batch).map_err(|e| alexnet::Error::Invalid(format!("{e:#}"))))
}

/// Parses `NAME=FILE`, or `FILE`, which is named after the file without its extension.
fn model(text: &str, net: Option<&str>, quiet: bool) -> anyhow::Result<ModelFile> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains('/') => (name.to_string(), path),
        _ => (Path::new(text).file_stem().unwrap_or_default().to_string_lossy().into_owned(), text),
    };
    if path.is_empty() {
        bail!("--model {text}: missing file; expected a form such as --model clothes=RUN/best.safetensors");
    }
    // A file's own name may have a +.
    let parts: Vec<&str> = if Path::new(path).exists() { vec![path] } else { path.split('+').collect() };
    if parts.len() > 1 && path == text {
        bail!("--model {text}: an ensemble needs a name: --model NAME={text}");
    }
    if parts.iter().any(|part| part.is_empty()) {
        bail!("--model {text}: an empty file name; expected a form such as --model NAME=a.safetensors+b.safetensors");
    }
    let mut paths =
        parts.into_iter().map(|part| model_file::locate(Path::new(part), quiet)).collect::<anyhow::Result<Vec<_>>>()?.into_iter();
    let path = paths.next().unwrap_or_default();
    Ok(ModelFile { name, path, others: paths.collect(), net: net.map(Into::into), index: None })
}

/// Finds the model that `NAME=PATH` refers to, or the only one, and the path.
fn of_model<'a>(models: &'a mut [ModelFile], option: &str, text: &str) -> anyhow::Result<(&'a mut ModelFile, PathBuf)> {
    let of = |(name, path)| Some((models.iter().position(|model| model.name == name)?, path));
    let named = text.split_once('=').and_then(of);
    match named.or_else(|| (models.len() == 1).then_some((0, text))) {
        Some((at, path)) => Ok((&mut models[at], path.into())),
        None => bail!("--{option} {text}: several models; name one with --{option} NAME={text}"),
    }
}

/// Reads the token from a file or the environment, if any.
fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = file else { return Ok(std::env::var(TOKEN).ok()) };
    // A pipe is allowed (a password manager writes into it), but not an endless device.
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut text));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Some(text.trim().to_string()))
}
