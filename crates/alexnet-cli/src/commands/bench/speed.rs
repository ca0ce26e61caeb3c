//! `alexnet bench train` and `infer`: pictures per second, on random pictures.

use super::{Load, Mode, memory};
use crate::out;

pub(super) fn run(load: &Load, mode: Mode) -> anyhow::Result<()> {
    let mut bench = load.bench(mode)?;
    bench.warm_up()?;
    let times = bench.times(load.seconds)?;
    let rate = |i: usize| bench.rate(times[i]);
    let (slowest, median, fastest) = (rate(times.len() - 1), rate(times.len() / 2), rate(0));
    let (net, threads, isa) = (bench.net(), bench.engine.threads(), bench.engine.isa());
    let (mode, peak) = (mode.name(), memory::peak());
    if load.json {
        return out::print_json(&serde_json::json!({
            "mode": mode, "net": net.name, "batch": load.batch, "image_size": net.image_size, "precision": load.precision.to_string(),
            "threads": threads, "isa": isa.to_string(), "runs": times.len(), "peak_memory_bytes": peak,
            "images_per_second": { "min": slowest, "median": median, "max": fastest },
        }));
    }
    out::say(&format!(
        "{mode} {} at {} pixels, batch {}, {threads} threads, {isa}, {}:",
        net.name, net.image_size, load.batch, load.precision
    ));
    out::say(&format!("{median:.1} pictures a second (slowest run {slowest:.1}, fastest {fastest:.1}; {} runs)", times.len()));
    out::say(&format!("peak memory of the process {}", memory::told(peak)));
    Ok(())
}
