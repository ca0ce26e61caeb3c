//! Benchmark of every pass of torchvision's layers in GFLOP/s, compared with this machine's peak, on one thread and on all.
//!
//!     [PRECISION=bf16] cargo run --release -p alexnet-kernels --example kernels [BATCH [LAYER]]

use std::time::Instant;

use alexnet_kernels::context::{Context, Convolutions, FactorType};
use alexnet_kernels::executor::{Executor, Serial};
use alexnet_kernels::feature_map::{FeatureMap, Sides};
use alexnet_kernels::isa::Isa;
use alexnet_kernels::optim::sgd::Sgd;
use alexnet_kernels::optim::{Rates, Step};
use alexnet_kernels::random::Key;
use alexnet_kernels::{conv, linear};

/// Executor that distributes tasks over as many threads as cores.
struct Cores;

impl Executor for Cores {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            loop {
                let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if i >= tasks {
                    return;
                }
                task(i);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..cores {
                scope.spawn(work);
            }
            work();
        });
    }
}

fn random(len: usize) -> Vec<f32> {
    (0..len).map(|i| Key(1).uniform(i as u64) - 0.5).collect()
}

/// CPU time of this thread in nanoseconds, which excludes other programs. Linux only.
fn on_cpu() -> Option<f64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Best of several runs in GFLOP/s: by CPU time on one thread, else by wall time.
fn speed(serial: bool, macs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let run = |work: &mut dyn FnMut()| {
        let (start, before) = (Instant::now(), on_cpu());
        work();
        match (before, on_cpu()) {
            (Some(before), Some(after)) if serial => (after - before) * 1e-9,
            _ => start.elapsed().as_secs_f64(),
        }
    };
    let best = (0..3).map(|_| run(&mut work)).fold(f64::INFINITY, f64::min);
    2e-9 * macs as f64 / best
}

fn main() {
    let n = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(32);
    let only = std::env::args().nth(2);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let isa = Isa::from_env().unwrap_or(Isa::Portable);
    let factors = if std::env::var("PRECISION").is_ok_and(|p| p == "bf16") { FactorType::Bf16 } else { FactorType::F32 };
    for (label, threads, serial) in [("1 thread", &Serial as &dyn Executor, true), ("all cores", &Cores, false)] {
        println!(
            "{isa}, {factors:?}, batch {n}, {label}: GFLOP/s\n{:8}{:>10}{:>12}{:>12}{:>12}",
            "", "forward", "dx", "dw", "dw+update"
        );
        let context = Context { isa, threads, convolutions: Convolutions::Fastest, factors };
        for (name, c, size, k, r, stride, pad, p) in [
            ("conv1", 3, 224, 64, 11, 4, 2, 55),
            ("conv1/96", 3, 224, 96, 11, 4, 2, 55),
            ("conv2", 64, 27, 192, 5, 1, 2, 27),
            ("conv3", 192, 13, 384, 3, 1, 1, 13),
            ("conv4", 384, 13, 256, 3, 1, 1, 13),
            ("conv5", 256, 13, 256, 3, 1, 1, 13),
        ] {
            if !wanted(name) {
                continue;
            }
            let border = Sides { top: pad, left: pad, bottom: pad, right: pad };
            let x_map = FeatureMap { n, h: size, w: size, c, border };
            let shape = conv::Shape { x: x_map, k, r, s: r, stride, pad: border, p, q: p, groups: 1 };
            let y_map = shape.y(if stride == 1 { shape.gradient_border() } else { Sides::default() });
            let (x, dy, w, bias) = (random(x_map.len()), random(y_map.len()), random(shape.filters().packed_len()), random(k));
            let (mut y, mut dx, mut dw) = (vec![0.0; y_map.len()], vec![0.0; x_map.len()], vec![0.0; w.len()]);
            let macs = shape.macs() * n;
            let mut prepared = vec![0.0; shape.prepared_len(&context)];
            let forward = if prepared.is_empty() {
                speed(serial, macs, || conv::forward(&context, &shape, &x, &w, &bias, true, y_map, &mut y))
            } else {
                conv::prepare(&context, &shape, &w, &mut prepared);
                speed(serial, macs, || conv::forward_prepared(&context, &shape, &x, &prepared, &bias, true, y_map, &mut y))
            };
            let back = match stride {
                1 => speed(serial, macs, || conv::backward_data(&context, &shape, y_map, &dy, &w, None, x_map, &mut dx)),
                _ => f64::NAN,
            };
            let weights = speed(serial, macs, || conv::backward_weights(&context, &shape, &x, y_map, &dy, &mut dw));
            println!("{name:8}{forward:10.0}{back:12.0}{weights:12.0}");
        }
        for (name, inputs, outputs) in [("fc6", 9216, 4096), ("fc7", 4096, 4096), ("fc8", 4096, 1000)] {
            if !wanted(name) {
                continue;
            }
            let shape = linear::Shape { n, inputs, outputs };
            let mut w = random(shape.filters().packed_len());
            let (x, dy, bias) = (random(n * inputs), random(n * outputs), random(outputs));
            let (mut y, mut dx, mut dw) = (vec![0.0; n * outputs], vec![0.0; n * inputs], vec![0.0; w.len()]);
            let macs = n * inputs * outputs;
            let rates = Rates { lr: 1e-3, weight_decay: 5e-4 };
            let step = Step { optimizer: Sgd::default().into(), rates, number: 1 };
            let forward = speed(serial, macs, || linear::forward(&context, &shape, &x, &w, &bias, true, &mut y));
            let back = speed(serial, macs, || linear::backward_data(&context, &shape, &dy, &w, None, &mut dx));
            let weights = speed(serial, macs, || linear::backward_weights(&context, &shape, &x, &dy, &mut dw));
            let update =
                speed(serial, macs, || linear::backward_weights_update(&context, &shape, &x, &dy, &step, &mut w, vec![&mut dw]));
            println!("{name:8}{forward:10.0}{back:12.0}{weights:12.0}{update:12.0}");
        }
    }
}
