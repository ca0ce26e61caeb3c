//! `alexnet devices`: compute devices on this machine.

use crate::output::{self, Align};
use serde_json::json;

/// Options of `alexnet devices`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// A device, or a kind of device that is unavailable.
pub(super) struct Row {
    /// Value for `--device`.
    device: String,
    available: bool,
    /// The device's own name, or why it is unavailable.
    about: String,
}

impl Row {
    /// As an object.
    pub(super) fn json(&self) -> serde_json::Value {
        json!({ "device": self.device, "there": self.available, "about": self.about })
    }
}

/// The devices and kinds of devices, the CPU first.
pub(super) fn rows() -> Vec<Row> {
    std::iter::once(cpu()).chain(others()).collect()
}

/// A line for each device, and one for all kinds that are unavailable for the same reason.
pub(super) fn summary(rows: &[Row]) -> Vec<String> {
    let same = |a: &Row, b: &Row| !a.available && !b.available && a.about == b.about;
    let line = |rows: &[Row]| {
        let names = rows.iter().map(|row| row.device.as_str()).collect::<Vec<_>>().join(", ");
        format!("{names}: {}{}", if rows[0].available { "" } else { "not available; " }, rows[0].about)
    };
    rows.chunk_by(same).map(line).collect()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let rows = rows();
    if args.json {
        return output::print_json(&rows.iter().map(Row::json).collect::<Vec<_>>());
    }
    let line = |row: Row| [row.device, if row.available { "yes" } else { "no" }.into(), row.about];
    let mut lines = vec![["device", "available", ""].map(String::from)];
    lines.extend(rows.into_iter().map(line));
    output::print(&output::table([Align::Left, Align::Left, Align::Left], &lines))
}

fn cpu() -> Row {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let isa = alexnet_kernels::isa::Isa::detect();
    Row { device: "cpu".into(), available: true, about: format!("built-in engine: {cores} threads, {isa}") }
}

#[cfg(feature = "gpu")]
fn others() -> Vec<Row> {
    let rows = |kind: alexnet_burn::device::Kind| match kind.devices() {
        Ok(devices) => devices
            .iter()
            .enumerate()
            .map(|(i, device)| Row {
                device: format!("{}:{i}", kind.name),
                available: true,
                about: format!("{} ({})", alexnet_burn::device::describe(device), kind.about),
            })
            .collect(),
        Err(why) => vec![Row { device: kind.name.into(), available: false, about: why.to_string() }],
    };
    alexnet_burn::device::kinds().into_iter().flat_map(rows).collect()
}

#[cfg(not(feature = "gpu"))]
fn others() -> Vec<Row> {
    let about = "this build supports the CPU only; add --features gpu,NAME to cargo build".to_string();
    let row = |name: &str| Row { device: name.into(), available: false, about: about.clone() };
    ["cuda", "rocm", "vulkan", "metal", "webgpu"].map(row).into()
}
