//! `alexnet convert`: a model file from one format to another.

use super::preprocess_args::PreprocessArgs;
use crate::{model_file, net_option, output};
use alexnet::formats::{self, ExportOptions, imagenet};
use alexnet::net::ParamNaming;
use anyhow::Context;
use std::path::PathBuf;

/// Options of `alexnet convert`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file of any format that `inspect` knows
    #[arg(value_name = "IN")]
    from: PathBuf,
    #[arg(value_name = "OUT", help = format!("File to write; its ending says the format: {}", formats::endings()))]
    to: PathBuf,
    /// Network that IN is, where the file does not tell
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Names of the parameters in OUT [default: those that the format's own world uses]
    #[arg(long, value_name = "WHOSE", value_parser = ParamNaming::frameworks())]
    names: Option<String>,
    /// Names of the classes, in the order of the outputs: `imagenet` (1,000, sorted by WordNet identifier, as almost everybody has
    /// them), `devkit` (the challenge's own numbers, as cuda-convnet has them) or a file: a name a line, synset_words.txt, or JSON
    #[arg(long, value_name = "imagenet|devkit|FILE")]
    labels: Option<PathBuf>,
    /// ONNX: let the graph take RGB bytes [n, rows, columns, 3] and prepare them itself
    #[arg(long)]
    preprocess_in_graph: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pictures: PreprocessArgs,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut model = model_file::open_as_it_is(&args.from, args.net.as_deref())?;
    if let Some(labels) = &args.labels {
        let names = alexnet::labels::read(labels)?;
        imagenet::check_names(&model.classes, &names).with_context(|| args.from.display().to_string())?;
        model.classes = names;
    }
    args.pictures.apply(&mut model)?;
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
