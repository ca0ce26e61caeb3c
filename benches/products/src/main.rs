//! GFLOP/s of f32 matrix products `C = A B` on the shapes of torchvision's layers: ours beside `gemm` and `matrixmultiply`.
//!
//!     cargo run --release --manifest-path benches/products/Cargo.toml [BATCH]
//!
//! A is [M, K], row-major: pixels or images. B is [K, N]: weights, which ours takes packed, as the engine keeps them; the crates
//! pack both at each call. For them a convolution's A would first have to be gathered from the map ("im2col"), which
//! is not counted; our convolutions read the map in place and do not run this product at all.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use alexnet_kernels::context::{Context, Convolutions, FactorType};
use alexnet_kernels::executor::Serial;
use alexnet_kernels::isa::Isa;
use alexnet_kernels::random::Key;
use alexnet_kernels::thread_pool::ThreadPool;
use alexnet_kernels::{linear, roofline};

/// Layer, rows of A for an image, K, N.
const SHAPES: [(&str, usize, usize, usize); 8] = [
    ("conv1", 55 * 55, 363, 64),
    ("conv2", 27 * 27, 1600, 192),
    ("conv3", 13 * 13, 1728, 384),
    ("conv4", 13 * 13, 3456, 256),
    ("conv5", 13 * 13, 2304, 256),
    ("fc6", 1, 9216, 4096),
    ("fc7", 1, 4096, 4096),
    ("fc8", 1, 4096, 1000),
];

/// Runs of each, of which the fastest counts.
const RUNS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let batch = arguments.first().copied().unwrap_or(32).max(1);
    let result = match arguments.get(1) {
        Some(&threads) => table(batch, threads),
        None => both(batch),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program for one thread and for two: `matrixmultiply` reads its number of threads once, from the environment.
fn both(batch: usize) -> Result<(), Box<dyn std::error::Error>> {
    for threads in ["1", "2"] {
        let mut run = Command::new(std::env::current_exe()?);
        let status = run.args([&batch.to_string(), threads]).env("MATMUL_NUM_THREADS", threads).status()?;
        if !status.success() {
            return Err(format!("with {threads} threads: {status}").into());
        }
    }
    Ok(())
}

fn table(batch: usize, threads: usize) -> Result<(), Box<dyn std::error::Error>> {
    let team = ThreadPool::new(threads)?;
    let (isa, convolutions, factors) = (Isa::from_env()?, Convolutions::default(), FactorType::F32);
    let context = Context { isa, threads: &team, convolutions, factors };
    let peak = roofline::flops(&context, roofline::Factors::Floats, threads) / 1e9;
    println!("{isa}, batch {batch}, {threads} threads, peak {peak:.0} GFLOP/s");
    println!("{:8}{:>10}{:>7}{:>7}{:>10}{:>10}{:>17}", "", "M", "K", "N", "ours", "gemm", "matrixmultiply");
    for (name, rows, k, n) in SHAPES {
        // 32 images of conv1 alone are 140 MB gathered; 8 tell as much.
        let m = rows * if rows > 1 { batch.min(8) } else { batch };
        let shape = linear::Shape { n: m, inputs: k, outputs: n };
        let (a, b, bias) = (random(1, m * k), random(2, k * n), vec![0.0; n]);
        // Ours is [N, K] in files.
        let turned: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let mut packed = vec![0.0; shape.filters().packed_len()];
        shape.filters().pack(&Serial, &turned, &mut packed);
        let [mut ours, mut theirs, mut others] = [(); 3].map(|()| vec![0.0; m * n]);
        let speeds = [
            speed(m * k * n, || linear::forward(&context, &shape, &a, &packed, &bias, false, &mut ours)),
            speed(m * k * n, || gemm_product([m, k, n], &a, &b, &mut theirs, threads)),
            speed(m * k * n, || matrixmultiply_product([m, k, n], &a, &b, &mut others)),
        ];
        for (name, c) in [("gemm", &theirs), ("matrixmultiply", &others)] {
            let apart = ours.iter().zip(c).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            if apart.is_nan() || apart > 1e-5 * k as f32 {
                return Err(format!("{name} and ours are {apart} apart on [{m}, {k}] x [{k}, {n}]").into());
            }
        }
        println!("{name:8}{m:10}{k:7}{n:7}{:10.0}{:10.0}{:17.0}", speeds[0], speeds[1], speeds[2]);
    }
    Ok(())
}

fn random(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| Key(seed).uniform(i as u64) - 0.5).collect()
}

/// GFLOP/s of the fastest run.
fn speed(macs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    2e-9 * macs as f64 / (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn gemm_product([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32], threads: usize) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
    let parallel = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    let row = |len: usize| len as isize;
    // SAFETY: row-major matrices of these sizes, by the assertion; `c` is borrowed mutably.
    unsafe {
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        gemm::gemm(m, n, k, c, 1, row(n), false, a, 1, row(k), b, 1, row(n), 0.0, 1.0, false, false, false, parallel);
    }
    black_box(c);
}

fn matrixmultiply_product([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
    let row = |len: usize| len as isize;
    // SAFETY: as above.
    unsafe {
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        matrixmultiply::sgemm(m, k, n, 1.0, a, row(k), 1, b, row(n), 1, 0.0, c, row(n), 1);
    }
    black_box(c);
}
