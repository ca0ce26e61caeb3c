//! `alexnet nets`: list of presets.

use super::summary::NetJson;
use crate::output::{self, Align};
use alexnet::net::presets::ALL;
use alexnet::net::{Net, Op, with_commas};

/// Options of `alexnet nets`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.json {
        let nets = ALL.iter().map(|p| NetJson::of(&(p.build)())).collect::<anyhow::Result<Vec<_>>>()?;
        return output::print_json(&nets);
    }
    let mut rows = vec![["net", "input", "maps", "parameters", "MACs", ""].map(String::from)];
    for preset in ALL {
        let net = (preset.build)();
        let totals = net.totals()?;
        rows.push([
            net.name.clone(),
            net.image_size.to_string(),
            maps(&net)?,
            with_commas(totals.parameters as u64),
            format!("{:.1} M", totals.macs as f64 / 1e6),
            preset.about.into(),
        ]);
    }
    use Align::{Left, Right};
    output::print(&output::table([Left, Right, Left, Right, Right, Left], &rows))
}

/// Sizes of the feature maps up to the first linear layer, without repetitions: `55-27-13-6`.
fn maps(net: &Net) -> alexnet::Result<String> {
    let layers = net.layers.iter().zip(net.shapes()?);
    let mut sizes: Vec<_> = layers.take_while(|(l, _)| !matches!(l.op, Op::Linear { .. })).map(|(_, s)| s.output.size).collect();
    sizes.dedup();
    Ok(sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("-"))
}
