//! `alexnet devices`: what can run a network on this machine.

use crate::output::{self, Align};
use serde_json::json;

/// Options of `alexnet devices`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// A device, or a kind of which there is none.
struct Row {
    /// As for `--device`.
    device: String,
    there: bool,
    /// What it calls itself, or why there is none.
    about: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let rows: Vec<Row> = std::iter::once(cpu()).chain(others()).collect();
    if args.json {
        let json = |row: &Row| json!({ "device": row.device, "there": row.there, "about": row.about });
        return output::print_json(&rows.iter().map(json).collect::<Vec<_>>());
    }
    let line = |row: Row| [row.device, if row.there { "yes" } else { "no" }.into(), row.about];
    let mut lines = vec![["device", "there", ""].map(String::from)];
    lines.extend(rows.into_iter().map(line));
    output::print(&output::table([Align::Left, Align::Left, Align::Left], &lines))
}

fn cpu() -> Row {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let isa = alexnet_kernels::isa::Isa::detect();
    Row { device: "cpu".into(), there: true, about: format!("this program's own engine: {cores} threads, {isa}") }
}

#[cfg(feature = "gpu")]
fn others() -> Vec<Row> {
    let rows = |kind: alexnet_burn::device::Kind| match kind.devices() {
        Ok(devices) => devices
            .iter()
            .enumerate()
            .map(|(i, device)| Row {
                device: format!("{}:{i}", kind.name),
                there: true,
                about: format!("{} ({})", alexnet_burn::device::describe(device), kind.about),
            })
            .collect(),
        Err(why) => vec![Row { device: kind.name.into(), there: false, about: why.to_string() }],
    };
    alexnet_burn::device::kinds().into_iter().flat_map(rows).collect()
}

#[cfg(not(feature = "gpu"))]
fn others() -> Vec<Row> {
    let about = "this program was built for the processor alone; add --features gpu,NAME to cargo build".to_string();
    let row = |name: &str| Row { device: name.into(), there: false, about: about.clone() };
    ["cuda", "rocm", "vulkan", "metal", "webgpu"].map(row).into()
}
