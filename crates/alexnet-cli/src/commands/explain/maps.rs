//! `alexnet explain maps`: activations of a layer.

use super::opened::{Common, Seen};
use alexnet::draw::contact_sheet::Group;
use alexnet::explain::activations::maps;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Layer, such as conv1, relu1, pool5 or fc6; `alexnet summary` lists them
    layer: String,
    /// Image: JPEG, PNG, WebP, BMP or GIF
    image: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let (model, mut engine) = args.common.open(1, quiet)?;
    let seen = Seen::new(&args.image, &model, &mut *engine)?;
    let found = maps(&mut *engine, &seen.view.tensor, &args.layer)?;
    let mut sheet = found.sheet();
    sheet.title = format!("{} of {}", sheet.title, seen.file());
    if sheet.columns > 1 {
        // The image takes the size of a map, so it gets its own row, large enough for comparison.
        let cells = vec![alexnet::draw::contact_sheet::Cell::photograph(seen.view.image.clone())];
        sheet.groups.insert(0, Group { heading: String::new(), cells });
    }
    let summary = format!("{} of {} x {}", found.channels, found.size, found.size);
    let mut json = seen.json(&model);
    json.insert("maps".into(), serde_json::to_value(&found)?);
    args.common.finish("maps", &sheet, &summary, json.into(), quiet)
}
