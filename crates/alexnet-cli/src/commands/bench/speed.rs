//! `alexnet bench train` and `infer`: throughput on random images.

use super::{Load, Mode, Work, memory};
use crate::output;
use alexnet::engine::{Engine, init};

pub(super) fn run(load: &Load, mode: Mode) -> anyhow::Result<()> {
    let (mut engine, mut work, about) = begin(load, mode)?;
    work.warm_up(&mut *engine)?;
    let times = work.times(&mut *engine, load.seconds)?;
    let rate = |i: usize| work.rate(times[i]);
    let (slowest, median, fastest) = (rate(times.len() - 1), rate(times.len() / 2), rate(0));
    let (net, precision) = (engine.net(), load.machine.precision());
    let (mode, peak) = (mode.name(), memory::peak());
    if load.json {
        return output::print_json(&serde_json::json!({
            "mode": mode, "net": net.name, "batch": load.batch, "image_size": net.image_size, "precision": precision.to_string(),
            "device": load.machine.device(), "threads": about.threads, "isa": about.isa, "runs": times.len(), "peak_memory_bytes": peak,
            "images_per_second": { "min": slowest, "median": median, "max": fastest },
        }));
    }
    let runner = match about {
        About { threads: Some(threads), isa: Some(isa) } => format!("{threads} threads, {isa}"),
        _ => load.machine.device().to_string(),
    };
    let (name, size) = (&net.name, net.image_size);
    output::say(&format!("{mode} {name} at {size} pixels, batch {}, {runner}, {precision}:", load.batch));
    output::say(&format!("{median:.1} images/s (slowest run {slowest:.1}, fastest {fastest:.1}; {} runs)", times.len()));
    output::say(&format!("peak memory of the process {}", memory::format(peak)));
    Ok(())
}

/// Properties that only the CPU engine reports.
#[derive(Default)]
struct About {
    threads: Option<usize>,
    isa: Option<String>,
}

/// Creates an engine with fresh weights, and its work.
fn begin(load: &Load, mode: Mode) -> anyhow::Result<(Box<dyn Engine>, Work, About)> {
    if load.machine.is_cpu() {
        let (engine, work) = load.cpu(mode)?;
        let about = About { threads: Some(engine.threads()), isa: Some(engine.isa().to_string()) };
        return Ok((Box::new(engine), work, about));
    }
    let net = load.net()?;
    let mut engine = load.machine.engine(&net, load.batch)?;
    init::initialise(&mut *engine, 0)?;
    Ok((engine, Work::new(&net, load.batch, mode), About::default()))
}
