//! `alexnet explain errors` and `alexnet explain maximal`: explanations over a data set.

use super::super::labels::Labels;
use super::opened::{Common, class_json, count};
use crate::{data_set, output, progress};
use alexnet::data::{self, Dataset, loader};
use alexnet::explain::{mistakes, top_activations};
use alexnet::image::Preprocess;
use alexnet::{draw, eval};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub(super) struct ErrorsArgs {
    /// Images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: the built-in test images]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[command(flatten)]
    split: data_set::SplitArg,
    #[command(flatten)]
    labels: Labels,
    /// Number of mistakes to show
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = count())]
    count: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub(super) struct MaximalArgs {
    /// Layer and index of a channel or feature, from 0, such as conv5:17; repeatable
    #[arg(required = true, value_name = "LAYER:UNIT", value_parser = unit)]
    units: Vec<(String, usize)>,
    /// Images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: the built-in test images]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[command(flatten)]
    split: data_set::SplitArg,
    /// Images to show per unit
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = count())]
    count: usize,
    #[command(flatten)]
    common: Common,
}

fn unit(text: &str) -> Result<(String, usize), String> {
    let parts = text.rsplit_once(':').and_then(|(layer, unit)| Some((layer.to_string(), unit.parse().ok()?)));
    parts.filter(|(layer, _)| !layer.is_empty()).ok_or_else(|| "expected a layer and an index from 0, such as conv5:17".into())
}

/// Batch size.
const BATCH: usize = 32;

fn open(
    path: Option<&PathBuf>,
    lists: &data_set::ListArgs,
    split: &data_set::SplitArg,
    quiet: bool,
) -> anyhow::Result<Arc<dyn Dataset>> {
    Ok(match path {
        Some(path) => split.open(&lists.source(path), quiet)?.source,
        None => data::synthetic(data::Split::Test, 0),
    })
}

fn loader(source: &Arc<dyn Dataset>, preprocess: &Preprocess, threads: usize) -> anyhow::Result<loader::Loader> {
    // Each image is read once, so caching is useless.
    let options = loader::Options { batch: BATCH.min(source.len()), threads, memory: Some(0), ..Default::default() };
    Ok(loader::Loader::sequential(source.clone(), preprocess.clone(), alexnet::image::crop::Crops::Centre, options)?)
}

pub(super) fn errors(args: &ErrorsArgs, quiet: bool) -> anyhow::Result<()> {
    let (mut model, mut engine) = args.common.open(BATCH, quiet)?;
    let order = args.labels.apply(&mut model)?;
    let source = eval::for_model(open(args.data.as_ref(), &args.lists, &args.split, quiet)?, &model.classes, order)
        .with_context(|| args.common.model.display().to_string())?;
    model.classes = source.classes().to_vec();
    let loader = loader(&source, &model.preprocess, args.common.machine.threads)?;
    let bar = progress::images(source.len(), quiet)?;
    let found = mistakes::worst(&mut *engine, &loader, args.count, &mut |done| {
        bar.set_position(done as u64);
        true
    })?;
    bar.finish_and_clear();
    for (i, why) in &found.broken {
        output::note(&format!("left out: {}: {why}", source.name(*i as usize)));
    }
    if found.images == 0 {
        return Err(anyhow!("none of the {} images could be read", source.len()));
    }
    let mistake = |mistake: &mistakes::Mistake| {
        let top = mistake.scores.iter().map(|g| class_json(g.index, g.probability, &model));
        json!({
            "name": source.name(mistake.image as usize), "label": model.classes[mistake.label],
            "loss": mistake.loss, "probability": (-mistake.loss).exp(), "top": top.collect::<Vec<_>>(),
        })
    };
    let json = json!({
        "images": found.images, "wrong": found.wrong, "broken": found.broken.len(),
        "worst": found.worst.iter().map(mistake).collect::<Vec<_>>(),
    });
    let summary = format!("the worst {} of {} mistakes in {} images", found.worst.len(), found.wrong, found.images);
    args.common.finish("errors", &found.sheet(&*source, &model.classes)?, &summary, json, quiet)
}

pub(super) fn maximal(args: &MaximalArgs, quiet: bool) -> anyhow::Result<()> {
    let (model, mut engine) = args.common.open(BATCH, quiet)?;
    for (layer, _) in &args.units {
        model.net.layer(layer)?;
    }
    let source = open(args.data.as_ref(), &args.lists, &args.split, quiet)?;
    let loader = loader(&source, &model.preprocess, args.common.machine.threads)?;
    let (mut whole, mut units, mut summaries): (Option<draw::contact_sheet::ContactSheet>, _, _) = (None, Vec::new(), Vec::new());
    for (layer, unit) in &args.units {
        let bar = progress::images(source.len(), quiet)?;
        let found = top_activations::maximal(&mut *engine, &loader, layer, *unit, args.count, &mut |done| {
            bar.set_position(done as u64);
            true
        })?;
        bar.finish_and_clear();
        if found.is_empty() {
            return Err(anyhow!("none of the {} images could be read", source.len()));
        }
        let mut sheet = top_activations::sheet(&found, &*source, &model.preprocess, &model.net, layer, *unit)?;
        let field =
            model.net.receptive_field(layer)?.map(|f| json!({ "size": f.size, "jump": f.jump, "top": f.top, "left": f.left }));
        let name = |e: &top_activations::TopActivation| json!({ "name": source.name(e.image as usize), "value": e.value, "row": e.row, "column": e.column });
        units.push(json!({
            "layer": layer, "unit": unit, "receptive_field": field, "pictures": found.iter().map(name).collect::<Vec<_>>(),
        }));
        summaries.push(format!("{layer}:{unit} maximum activation {:.3}", found[0].value));
        match &mut whole {
            None => whole = Some(sheet),
            Some(whole) => {
                let heading = format!("{layer}:{unit}");
                whole
                    .groups
                    .extend(sheet.groups.drain(..).map(|group| draw::contact_sheet::Group { heading: heading.clone(), ..group }));
            }
        }
    }
    let Some(sheet) = whole else { unreachable!("at least one unit is asked for") };
    args.common.finish("maximal", &sheet, &summaries.join(", "), json!({ "units": units }), quiet)
}
