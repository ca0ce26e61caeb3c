//! Roofline measurements: peak multiply-adds in registers, and memory read bandwidth.

use std::hint::black_box;
use std::time::Instant;

use crate::buffer::Buffer;
use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::isa::Isa;

/// Multiply-adds per register and thread in a measurement: a few milliseconds.
const ROUNDS: usize = 1 << 20;
/// Sums in flight: two units with a latency of four cycles need eight.
const SUMS: usize = 16;
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

/// Measures operations per second (two per multiply-add) of `threads` concurrent tasks in registers of the context's instruction
/// set; in plain Rust a multiplication and an addition, like the portable kernels.
pub fn flops(context: &Context<'_>, factors: Factors, threads: usize) -> f64 {
    let (lanes, spin) = spin(context.isa, factors);
    let operations = threads * ROUNDS * SUMS * lanes * 2;
    operations as f64 / best(|| context.threads.run(threads, &|_| spin()))
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

/// Function that does `ROUNDS` multiply-adds on each of `SUMS` registers, and the operations of each. The sums of floats converge
/// to 1, so that no number becomes slow to process.
fn spin(isa: Isa, factors: Factors) -> (usize, fn()) {
    #[cfg(target_arch = "x86_64")]
    match (isa, factors) {
        // SAFETY: the feature was just detected.
        (Isa::Avx512, Factors::Bf16) if is_x86_feature_detected!("avx512bf16") => return (32, || unsafe { spin_bf16() }),
        // SAFETY: as above.
        (Isa::Avx512, Factors::Bytes) if is_x86_feature_detected!("avx512vnni") => return (64, || unsafe { spin_bytes() }),
        // SAFETY: a context's instruction set is supported by the processor.
        (Isa::Avx512, _) => return (16, || unsafe { spin_avx512() }),
        // SAFETY: as above.
        (Isa::Avx2, _) => return (8, || unsafe { spin_avx2() }),
        (Isa::Portable, _) => {}
    }
    let _ = (isa, factors);
    (8, spin_portable)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn spin_bf16() {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_set1_ps};
    // Pairs of 0.0, which is all zero bits.
    let zeros: __m512 = _mm512_set1_ps(black_box(0.0));
    // SAFETY: both types are 512 bits of any value.
    let a = unsafe { std::mem::transmute::<__m512, __m512bh>(zeros) };
    let mut sums = [zeros; SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, a);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn spin_bytes() {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32};
    let (a, b) = (_mm512_set1_epi32(black_box(0)), _mm512_set1_epi32(black_box(0)));
    let mut sums = [a; SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn spin_avx512() {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let (a, b) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.5)));
    let mut sums = [_mm512_set1_ps(0.0); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, a, b);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn spin_avx2() {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.5)));
    // Two of the sixteen registers hold a and b; more than twelve sums would be spilled.
    let mut sums = [_mm256_set1_ps(0.0); SUMS / 2];
    for _ in 0..2 * ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, a, b);
        }
    }
    black_box(sums);
}

fn spin_portable() {
    let (a, b) = (black_box(0.5), black_box(0.5));
    let mut sums = [[0.0f32; 8]; SUMS / 4];
    for _ in 0..4 * ROUNDS {
        for sum in sums.iter_mut().flatten() {
            *sum = *sum * a + b;
        }
    }
    black_box(sums);
}

#[cfg(test)]
mod tests {
    use super::*;

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
