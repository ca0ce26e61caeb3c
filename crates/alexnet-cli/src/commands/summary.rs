//! `alexnet summary`: a network layer by layer, as a table, JSON, or a diagram like the paper's Figure 2.

use crate::net_option::NetOption;
use crate::numbers;
use crate::output::{self, Align};
use alexnet::net::presets::{ALL, Preset};
use alexnet::net::towers::{Crossing, TowerLayer};
use alexnet::net::{Net, Op, Shape, diagram, with_commas};
use serde::Serialize;

use std::path::PathBuf;

/// Options of `alexnet summary`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    net: NetOption,
    /// Number of classes [default: 1000]
    #[arg(long, value_name = "N", value_parser = numbers::count)]
    classes: Option<usize>,
    /// Show the net split into two towers, as on the two GPUs of 2012, with the traffic between them
    #[arg(long, value_name = "towers", value_parser = ["towers"], conflicts_with = "svg")]
    parallel: Option<String>,
    /// Print one JSON document instead of a table
    #[arg(long, conflicts_with = "svg")]
    json: bool,
    /// Draw the network to this file (- for standard output), like Figure 2 of the 2012 paper
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let net = args.net.net(args.classes)?;
    if let Some(path) = &args.svg {
        let svg = diagram::svg(&net)?;
        if path.as_os_str() == "-" {
            return output::print(&svg);
        }
        alexnet::files::write_atomic(path, |file| file.write_all(svg.as_bytes()))?;
        return if quiet { Ok(()) } else { output::print(&format!("{}\n", path.display())) };
    }
    if args.parallel.is_some() {
        let plan = net.towers()?;
        return if args.json { output::print_json(&towers_json(&plan)) } else { output::print(&towers_table(&net, &plan)?) };
    }
    if args.json { output::print_json(&NetJson::of(&net)?) } else { output::print(&table(&net)?) }
}

fn table(net: &Net) -> anyhow::Result<String> {
    let mut text = String::new();
    if let Some(preset) = preset(net) {
        text += &format!("{}: {}\nsource: {}\n\n", net.name, preset.about, preset.source);
    }
    let mut rows = vec![["layer", "", "output", "parameters", "multiply-accumulates"].map(String::from)];
    rows.push([
        "input".into(),
        String::new(),
        shape_text(Shape { channels: 3, size: net.image_size }),
        String::new(),
        String::new(),
    ]);
    let number = |n: u64| if n == 0 { String::new() } else { with_commas(n) };
    for (layer, shape) in net.layers.iter().zip(net.shapes()?) {
        let output =
            if matches!(layer.op, Op::Linear { .. }) { shape.output.len().to_string() } else { shape_text(shape.output) };
        rows.push([layer.name.clone(), layer.op.to_string(), output, number(shape.parameters as u64), number(shape.macs)]);
    }
    let totals = net.totals()?;
    let neurons = format!("{} neurons", with_commas(totals.neurons as u64));
    rows.push(["total".into(), String::new(), neurons, number(totals.parameters as u64), number(totals.macs)]);
    use Align::{Left, Right};
    text += &output::table([Left, Left, Left, Right, Right], &rows);
    text += &format!("\nWeights: {:.1} MB in 32-bit floats.\n", totals.parameters as f64 * 4.0 / 1e6);
    Ok(text)
}

/// Traffic between the towers by layer, in bytes per image.
fn towers_table(net: &Net, plan: &[TowerLayer]) -> anyhow::Result<String> {
    let mut rows =
        vec![["layer", "tower 0", "tower 1", "reads from the other tower", "bytes, forward and backward"].map(String::from)];
    for (layer, shape) in plan.iter().zip(net.shapes()?) {
        let [zero, one] = [0, 1].map(|tower| layer.outputs(tower, shape.output.channels));
        let maps = |outputs: std::ops::Range<usize>| {
            if outputs.is_empty() { String::new() } else { format!("{}-{}", outputs.start, outputs.end - 1) }
        };
        let reads = match layer.crossing {
            Crossing::Nothing => String::new(),
            Crossing::Whole => "all its maps".into(),
            Crossing::Edge(maps) => format!("{maps} boundary maps"),
        };
        let bytes = if layer.bytes() == 0 { String::new() } else { with_commas(layer.bytes() as u64) };
        rows.push([layer.name.clone(), maps(zero), maps(one), reads, bytes]);
    }
    let total: usize = plan.iter().map(TowerLayer::bytes).sum();
    rows.push(["total".into(), String::new(), String::new(), String::new(), with_commas(total as u64)]);
    use Align::{Left, Right};
    let table = output::table([Left, Left, Left, Left, Right], &rows);
    Ok(format!("{} in two towers; bytes sent per image in training, by both towers; inference sends half\n\n{table}", net.name))
}

fn towers_json(plan: &[TowerLayer]) -> serde_json::Value {
    let layer =
        |layer: &TowerLayer| serde_json::json!({ "name": layer.name, "received": layer.received, "bytes": layer.bytes() });
    let bytes: usize = plan.iter().map(TowerLayer::bytes).sum();
    serde_json::json!({ "layers": plan.iter().map(layer).collect::<Vec<_>>(), "bytes": bytes })
}

fn shape_text(shape: Shape) -> String {
    if shape.size == 1 { shape.channels.to_string() } else { format!("{0} x {1} x {1}", shape.channels, shape.size) }
}

fn preset(net: &Net) -> Option<&'static Preset> {
    ALL.iter().find(|p| p.name == net.name)
}

/// JSON form of a net.
#[derive(Serialize)]
pub(super) struct NetJson {
    name: String,
    about: &'static str,
    source: &'static str,
    image_size: usize,
    classes: usize,
    parameters: usize,
    macs: u64,
    neurons: usize,
    layers: Vec<LayerJson>,
}

/// JSON form of a layer. Shapes are those of one image as [channels, rows, columns].
#[derive(Serialize)]
struct LayerJson {
    name: String,
    op: &'static str,
    /// Description of the operation and its settings.
    settings: String,
    input: [usize; 3],
    output: [usize; 3],
    /// [out, in / groups, rows, columns] or [out, in]; empty without weights.
    weight: Vec<usize>,
    parameters: usize,
    macs: u64,
}

impl NetJson {
    pub(super) fn of(net: &Net) -> anyhow::Result<Self> {
        let totals = net.totals()?;
        let sides = |s: Shape| [s.channels, s.size, s.size];
        let layers = net.layers.iter().zip(net.shapes()?).map(|(layer, shape)| LayerJson {
            name: layer.name.clone(),
            op: layer.op.kind(),
            settings: layer.op.to_string(),
            input: sides(shape.input),
            output: sides(shape.output),
            weight: shape.weight,
            parameters: shape.parameters,
            macs: shape.macs,
        });
        Ok(NetJson {
            name: net.name.clone(),
            about: preset(net).map_or("", |p| p.about),
            source: preset(net).map_or("", |p| p.source),
            image_size: net.image_size,
            classes: net.classes(),
            parameters: totals.parameters,
            macs: totals.macs,
            neurons: totals.neurons,
            layers: layers.collect(),
        })
    }
}
