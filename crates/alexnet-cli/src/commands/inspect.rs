//! `alexnet inspect`: description of a model file.

use crate::output::{self, Align};
use crate::{model_file, net_option};
use alexnet::formats::{self, Inspection};
use alexnet::image::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use alexnet::net::with_commas;
use std::path::PathBuf;

/// Options of `alexnet inspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "FILE", help = format!("Model file: {}; or the name of published weights", formats::endings()))]
    file: PathBuf,
    /// Network in the file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let inspection = formats::inspect(model_file::locate(&args.file, quiet)?, args.net.as_deref())?;
    if args.json { output::print_json(&inspection) } else { output::print(&text(&inspection)) }
}

fn text(inspection: &Inspection) -> String {
    let mut rows = vec![["tensor", "shape", "", "parameter"].map(String::from)];
    for tensor in &inspection.tensors {
        let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
        let parameter = tensor.parameter.clone().unwrap_or_default();
        rows.push([tensor.name.clone(), shape.join(" x "), tensor.dtype.into(), parameter]);
    }
    let mut text = format!("{}, {} bytes\n", inspection.format, with_commas(inspection.bytes));
    text += &format!("sha256 {}\n\n", inspection.sha256);
    text += &output::table([Align::Left, Align::Left, Align::Left, Align::Left], &rows);
    text.push('\n');
    if let (Some(net), Some(size), Some(classes)) = (&inspection.net, inspection.image_size, inspection.classes) {
        text += &format!("net: {net}, {size} x {size} pixels, ");
        let names = &inspection.class_names;
        let more = if classes > names.len() { ", ..." } else { "" };
        text += &match classes {
            0 => "without its last layer\n".into(),
            _ => format!("{classes} classes ({}{more})\n", output::name(&names.join(", "))),
        };
    }
    if let Some(order) = inspection.class_order {
        text += &format!("  its classes are {}\n", order.describe());
    }
    for reason in &inspection.why {
        text += &format!("  {}\n", output::name(reason));
    }
    if let Some(question) = &inspection.question {
        text += &format!("open: {}\n", output::name(question));
    }
    if let Some(trouble) = &inspection.trouble {
        text += &format!("unusable: {}\n", output::name(trouble));
    }
    if let Some(preprocess) = &inspection.preprocess {
        text += &format!("images: {}\n", summary(preprocess));
    }
    for remark in &inspection.remarks {
        text += &format!("note: {}\n", output::name(remark));
    }
    text
}

/// Summary of the preprocessing in one line.
fn summary(preprocess: &Preprocess) -> String {
    let resize = match preprocess.resize {
        Resize::ShortSide(side) => format!("short side to {side}"),
        Resize::Square(side) => format!("short side to {side}, middle square"),
        Resize::Warp(side) => format!("warped to {side} x {side}"),
    };
    let channels = if preprocess.channels == Channels::Bgr { "BGR" } else { "RGB" };
    let mean = match &preprocess.mean {
        Mean::Channel(mean) => format!("{mean:?}"),
        Mean::Image { size, .. } => format!("a mean image of {size} x {size}"),
    };
    let scale = if preprocess.scale == 1.0 { "0 to 255".into() } else { format!("scaled by {}", preprocess.scale) };
    let jpeg = if preprocess.jpeg == JpegDecoding::Scaled { "JPEG decoded at reduced size, " } else { "" };
    format!("{jpeg}{resize}, crop {}, {channels}, {scale}, minus {mean}, divided by {:?}", preprocess.crop, preprocess.std)
}
