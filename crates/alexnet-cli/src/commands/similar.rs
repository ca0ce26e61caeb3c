//! `alexnet similar`: nearest images in a feature index.

use super::engine_args::EngineArgs;
use super::features::{Asked, Looker};
use crate::{image_files, model_file, net_option, numbers, output};
use alexnet::data;
use alexnet::draw::Format;
use alexnet::draw::contact_sheet::thumbnail;
use alexnet::features::{self, ImageFiles, Near, SheetRow, Table, nearest};
use anyhow::bail;
use std::path::PathBuf;

/// Options of `alexnet similar`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Index to search, a .npy or .safetensors file made by `alexnet features`
    #[arg(long, value_name = "FILE")]
    index: PathBuf,
    /// Model file that the index was made with
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Images, or folders of images (searched recursively)
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Results per image, the nearest first
    #[arg(long, value_name = "K", default_value_t = 6, value_parser = numbers::count)]
    top: usize,
    /// Draw each image with its nearest, their names and distances (.png or .svg); needs --data
    #[arg(long, value_name = "FILE", requires = "data")]
    sheet: Option<PathBuf>,
    /// Images of the index, shown in the drawing
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
}

/// Batch size.
const TOGETHER: usize = 16;

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if let Some(sheet) = &args.sheet {
        Format::of(sheet)?;
    }
    let table = Table::read(&args.index)?;
    let about = &table.about;
    let asked = Asked { layer: &about.layer, before_relu: about.before_relu, pool: about.pool };
    // Checked before anything else in the index is trusted.
    let path = model_file::locate(&args.model, quiet)?;
    let found = alexnet::formats::sha256(&path)?;
    if found != about.model {
        let (index, model) = (args.index.display(), path.display());
        bail!(
            "{index} was made with another model than {model}: a {} of sha256 {}..., not {}...",
            about.net,
            short(&about.model),
            short(&found)
        );
    }
    let queries = data::of_files(&image_files::expand(&args.images)?);
    let mut looker = Looker::new(&path, args.net.as_deref(), asked, &args.machine, queries.len().min(TOGETHER))?;
    if let Some(why) = about.difference(&looker.about) {
        bail!("{}: {why}", args.index.display());
    }

    let mut answers: Vec<(usize, Vec<Near>)> = Vec::new();
    let broken = looker.look(&queries, TOGETHER, args.machine.threads, &mut |i, features| {
        answers.push((i, nearest(&table, features, args.top)?));
        Ok(())
    })?;
    for (i, why) in &broken {
        output::note(&format!("error: {}: {why}", queries.name(*i as usize)));
    }
    if let (Some(sheet), Some(data)) = (&args.sheet, &args.data)
        && !answers.is_empty()
    {
        draw(sheet, data, &*queries, &table, &answers)?;
    }
    if args.json {
        let near = |near: &Near| serde_json::json!({ "name": table.names[near.row], "label": table.labels[near.row], "distance": near.distance });
        let one = |(i, answer): &(usize, Vec<Near>)| serde_json::json!({ "path": queries.name(*i), "nearest": answer.iter().map(near).collect::<Vec<_>>() });
        output::print_json(&answers.iter().map(one).collect::<Vec<_>>())?;
    } else {
        for (i, answer) in &answers {
            let lines: String = answer
                .iter()
                .map(|near| format!("  {:>10.4}  {}\n", near.distance, output::name(&table.names[near.row])))
                .collect();
            output::print(&format!("{}\n{lines}", output::name(queries.name(*i))))?;
        }
    }
    if !broken.is_empty() {
        bail!("{} of {} images could not be read", broken.len(), queries.len());
    }
    Ok(())
}

fn short(sum: &str) -> String {
    sum.chars().take(12).collect()
}

/// Draws the contact sheet from the image files.
fn draw(
    sheet: &std::path::Path,
    data: &std::path::Path,
    queries: &dyn data::Dataset,
    table: &Table,
    answers: &[(usize, Vec<Near>)],
) -> anyhow::Result<()> {
    let known = ImageFiles::open(data)?;
    let mut rows = Vec::new();
    for (query, answer) in answers {
        let image = thumbnail(queries.image(*query).map_err(anyhow::Error::msg)?);
        let mut row = SheetRow { query: image, name: queries.name(*query).into(), nearest: Vec::new() };
        for near in answer {
            let name = &table.names[near.row];
            known.check(name)?;
            let image = known.image(name).map_err(|why| anyhow::anyhow!("{}: {name}: {why}", data.display()))?;
            row.nearest.push((thumbnail(image), *near));
        }
        rows.push(row);
    }
    Ok(features::sheet(table, rows).scene().write(sheet)?)
}
