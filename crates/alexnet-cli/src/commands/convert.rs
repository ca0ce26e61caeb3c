//! `alexnet convert`: conversion of model files between formats.

use super::preprocess_args::PreprocessArgs;
use crate::{model_file, net_option, output};
use alexnet::formats::{self, ExportOptions};
use alexnet::net::ParamNaming;
use alexnet::net::imagenet;
use anyhow::Context;
use std::path::PathBuf;

/// Options of `alexnet convert`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file in any format supported by `inspect`, or the name of published weights
    #[arg(value_name = "IN")]
    from: PathBuf,
    #[arg(value_name = "OUT", help = format!("Output file; its extension selects the format: {}", formats::endings()))]
    to: PathBuf,
    /// Network in IN, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Parameter naming scheme of OUT [default: the usual one of the output format]
    #[arg(long, value_name = "WHOSE", value_parser = ParamNaming::frameworks())]
    names: Option<String>,
    /// Class names in output order: `imagenet` (1,000 classes sorted by WordNet identifier, the usual order), `devkit` (the
    /// challenge's own numbering, as in cuda-convnet) or a file: one name per line, synset_words.txt, or JSON
    #[arg(long, value_name = "imagenet|devkit|FILE")]
    labels: Option<PathBuf>,
    /// ONNX: include preprocessing in the graph, which then takes RGB bytes [n, rows, columns, 3]
    #[arg(long)]
    preprocess_in_graph: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    images: PreprocessArgs,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let from = model_file::locate(&args.from, quiet)?;
    let mut model = model_file::open_unchecked(&from, args.net.as_deref())?;
    if let Some(labels) = &args.labels {
        let names = alexnet::labels::read(labels)?;
        imagenet::check_names(&model.classes, &names).with_context(|| from.display().to_string())?;
        model.classes = names;
    }
    args.images.apply(&mut model)?;
    let names = args.names.as_deref().and_then(|framework| ParamNaming::of_framework(framework, &model.net.name));
    let options = ExportOptions { names, preprocess_in_graph: args.preprocess_in_graph };
    let changes = formats::export(&args.to, &model, options)?;
    if args.json {
        let (net, to) = (&model.net.name, args.to.to_string_lossy());
        return output::print_json(&serde_json::json!({ "net": net, "out": to, "changes": changes }));
    }
    if quiet {
        return Ok(());
    }
    let changes: String = changes.iter().map(|change| format!("  {}\n", output::name(change))).collect();
    output::print(&format!("{}: {}, {} classes\n{changes}", output::path(&args.to), model.net.name, model.classes.len()))
}
