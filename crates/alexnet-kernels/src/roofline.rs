//! Roofline measurements: peak multiply-adds in registers, and memory read bandwidth.

use std::hint::black_box;
use std::time::Instant;

use crate::buffer::Buffer;
use crate::context::Context;
use crate::executor::for_each_chunk;

/// Multiply-adds per register and thread in a measurement: a few milliseconds.
pub(crate) const ROUNDS: usize = 1 << 20;
/// Sums in flight: two units with a latency of four cycles need eight.
pub(crate) const SUMS: usize = 16;
/// Number of measurements, of which the best counts.
const TRIES: usize = 5;
/// Bytes to read: several times any L3 cache available to one virtual machine.
const BYTES: usize = 256 << 20;

/// Data type of the multiplication. Without a native instruction, kernels convert to floats, which then determine the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Single precision.
    Floats,
    /// bfloat16 pairs, multiplied and added by `vdpbf16ps`.
    Bf16,
    /// Groups of four bytes, multiplied and added by `vpdpbusd`.
    Bytes,
}

/// A loop of multiply-adds on registers of an instruction set.
pub(crate) struct Spin {
    /// Multiply-adds per register.
    pub(crate) lanes: usize,
    /// Does [`ROUNDS`] of them on each of [`SUMS`] registers, or on fewer registers more often, for a CPU that supports the set. The
    /// sums of floats converge to 1, or stay far from the limits of floats, so that no number becomes slow to process.
    pub(crate) run: fn(),
}

/// Measures operations per second (two per multiply-add) of `threads` concurrent tasks in registers of the context's instruction
/// set; in plain Rust a multiplication and an addition, like the portable kernels.
pub fn flops(context: &Context<'_>, factors: Factors, threads: usize) -> f64 {
    let spin = (context.isa.kernels().peak)(factors);
    let operations = threads * ROUNDS * SUMS * spin.lanes * 2;
    operations as f64 / best(|| context.threads.run(threads, &|_| (spin.run)()))
}

/// Measures bytes per second read by `threads` concurrent tasks, each from its own part of a buffer larger than any cache.
pub fn read(context: &Context<'_>, threads: usize) -> f64 {
    let mut buffer = Buffer::zeros(BYTES / size_of::<f32>());
    let part = buffer.len().div_ceil(threads);
    // Zero pages that were never written all share one physical page.
    for_each_chunk(context.threads, &mut buffer, part, |_, part| part.fill(1.0));
    let sum = |i: usize| {
        context.isa.vectorize(
            #[inline(always)]
            || {
                let mut sums = [0.0; 64];
                for line in buffer[i * part..buffer.len().min((i + 1) * part)].chunks_exact(64) {
                    for (sum, value) in sums.iter_mut().zip(line) {
                        *sum += value;
                    }
                }
                black_box(sums);
            },
        );
    };
    BYTES as f64 / best(|| context.threads.run(threads, &sum))
}

/// Seconds of the fastest of several runs.
fn best(work: impl Fn()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..TRIES).map(run).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn results_are_plausible() {
        for isa in Isa::all_supported() {
            for factors in [Factors::Floats, Factors::Bf16, Factors::Bytes] {
                // A slow laptop reaches 1e9, the fastest core 1e12; memory 1e9 to 1e12.
                assert!((1e8..1e13).contains(&flops(&Context::serial(isa), factors, 1)), "{isa} {factors:?}");
            }
        }
        assert!((1e8..1e13).contains(&read(&Context::serial(Isa::detect()), 1)));
    }
}
