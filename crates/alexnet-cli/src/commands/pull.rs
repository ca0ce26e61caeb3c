//! `alexnet pull`: download of published weights into the cache folder.

use crate::download::{unpublished, with_progress};
use crate::output::{self, Align};
use alexnet::net::with_commas;
use alexnet::pretrained::{Accept, CachedFile, Hub, PUBLISHED, PublishedFile, Source, published};
use anyhow::{Context, bail};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::json;

/// Environment variables, at the end of `--help`.
pub(crate) const AFTER_HELP: &str = "\
`--model NAME` and `--from NAME` of other commands download missing weights, too.

Environment:
  ALEXNET_CACHE      folder for the files [default: alexnet in the user's cache folder]
  ALEXNET_MIRROR     base address from which the files are downloaded instead
  ALEXNET_NO_VERIFY  1: accept files that differ from the published ones
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY";

/// Options of `alexnet pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Weights to download; without a name, they are listed
    #[arg(value_name = "NAME", value_parser = names())]
    names: Vec<String>,
    /// Address to download from [default: the published one, or ALEXNET_MIRROR/FILE]
    #[arg(long, value_name = "URL", requires = "names")]
    url: Option<String>,
    /// Accept the file with this SHA-256 instead of the published one
    #[arg(long, value_name = "HEX", value_parser = Accept::sha256, requires = "names", conflicts_with = "no_verify")]
    sha256: Option<Accept>,
    /// Accept any file
    #[arg(long, requires = "names")]
    no_verify: bool,
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
}

/// Parser of names, with shell completion and suggestions for typos.
fn names() -> PossibleValuesParser {
    let value = |file: &'static PublishedFile| file.name.map(|name| PossibleValue::new(name).help(file.about));
    PossibleValuesParser::new(PUBLISHED.iter().filter_map(value))
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let hub = Hub::from_env()?;
    if args.names.is_empty() {
        return list(&hub, args.json);
    }
    if args.names.len() > 1 && (args.url.is_some() || args.sha256.is_some()) {
        bail!("--url, --sha256: belong to one file; pull one name at a time");
    }
    let mut rows = Vec::new();
    for name in &args.names {
        let file = published(name).with_context(|| format!("{name}: not in the list"))?;
        let found = with_progress(file, quiet, |observer| match source(args, &hub, file)? {
            Some(source) => hub.download(file, &source, observer),
            None => hub.install(file, observer),
        })?;
        if let Some(note) = unpublished(file, &found) {
            output::note(&note);
        }
        if !args.json {
            let (path, bytes) = (output::path(&found.path), with_commas(found.bytes));
            output::print(&format!("{name}: {path}, {bytes} bytes, sha256 {}\n", found.sha256))?;
        }
        rows.push(row(&hub, file, Some(&found)));
    }
    if args.json { output::print_json(&rows) } else { Ok(()) }
}

/// The source that the options name, if any.
fn source(args: &Args, hub: &Hub, file: &PublishedFile) -> alexnet::Result<Option<Source>> {
    let accept = match &args.sha256 {
        Some(accept) => Some(accept.clone()),
        None => args.no_verify.then_some(Accept::Any),
    };
    let usual = hub.source(file)?;
    let accept_usual = usual.accept.clone();
    match (&args.url, accept) {
        (Some(url), accept) => Source::at(url, accept.unwrap_or(accept_usual)).map(Some),
        (None, Some(accept)) => Ok(Some(Source { accept, ..usual })),
        (None, None) => Ok(None),
    }
}

/// Lists the weights and whether they are in the cache folder.
fn list(hub: &Hub, json: bool) -> anyhow::Result<()> {
    let named = || PUBLISHED.iter().filter(|file| file.name.is_some());
    if json {
        let rows: Vec<_> = named().map(|file| row(hub, file, hub.find(file).ok().flatten().as_ref())).collect();
        return output::print_json(&rows);
    }
    let mut rows = vec![["name", "bytes", "licence", "cached", ""].map(String::from)];
    for file in named() {
        let cached = match hub.find(file) {
            Ok(None) => "no",
            Ok(Some(found)) if found.published => "yes",
            Ok(Some(_)) => "another file",
            Err(_) => "wrong file",
        };
        let bytes = file.bytes.map_or("unknown".into(), with_commas);
        rows.push([file.name.unwrap_or_default().into(), bytes, file.licence.into(), cached.into(), file.about.into()]);
    }
    use Align::{Left, Right};
    let table = output::table([Left, Right, Left, Left, Left], &rows);
    output::print(&format!("{table}cache folder: {}\n", output::path(hub.folder())))
}

/// A file as JSON: what its publisher states, and what is in the cache folder.
fn row(hub: &Hub, file: &PublishedFile, found: Option<&CachedFile>) -> serde_json::Value {
    json!({
        "name": file.name,
        "file": file.file,
        "url": file.url,
        "bytes": file.bytes,
        "checksum": { file.checksum.algorithm(): file.checksum.digits() },
        "licence": file.licence,
        "about": file.about,
        "net": file.net,
        "path": hub.path(file).to_string_lossy(),
        "cached": found.map(|found| json!({
            "bytes": found.bytes, "sha256": found.sha256, "published": found.published, "url": found.url,
        })),
    })
}
