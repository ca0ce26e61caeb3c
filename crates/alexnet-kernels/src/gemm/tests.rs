//! Comparison of tiles of all data types, rows and lanes with the formula.

use std::sync::LazyLock;

use super::*;
use crate::bf16::Bf16;
use crate::random::Key;

/// Values of `a`, and of `b` beyond them.
fn random(i: usize) -> f32 {
    static ALL: LazyLock<Vec<f32>> = LazyLock::new(|| (0..10_000).map(|i| 2.0 * Key(7).uniform(i) - 1.0).collect());
    ALL[i]
}

/// Compares one tile with sums in f64. `value` converts a random number in plus or minus 1 to a value of `a`, `lane` to one of
/// `b` in bytes, and both return the exact number.
fn check<E: DType, const BYTES: usize>(
    kernels: Kernels,
    (rows, lanes, next): (usize, usize, bool),
    value: impl Fn(f32) -> (E, f64),
    lane: impl Fn(f32) -> ([u8; BYTES], f64),
    sum: impl Fn(E::Sum) -> f64,
) {
    let counts = [2, 3, 5];
    let words: usize = counts.iter().product();
    let w = E::WORD;
    let (row, steps) = if next { (w, [400, 130, 20 * w]) } else { (70, [1200, 33, w]) };
    let a: Vec<(E, f64)> = (0..2400).map(|i| value(random(i))).collect();
    let numbers: Vec<f64> = (0..words * PANEL * w).map(|i| lane(random(5000 + i)).1).collect();
    let bytes: Vec<u8> = (0..words * PANEL * w).flat_map(|i| lane(random(5000 + i)).0).collect();
    let b: Vec<u32> = bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect();
    let values: Vec<E> = a.iter().map(|(value, _)| *value).collect();
    let tile = Tile {
        a: &values,
        row,
        counts,
        steps,
        b: &b,
        start: Start::Zero,
        floor: f32::NEG_INFINITY,
        mask: None,
        y_row: 40,
        lanes,
    };
    let mut y: Vec<E::Sum> = (0..rows * 40).map(|_| tile_zero::<E>()).collect();
    // SAFETY: y has these rows and lanes; the kernels are supported.
    unsafe { tile.run_by(kernels, rows, y.as_mut_ptr()) };
    for m in 0..rows {
        for l in 0..lanes {
            let mut expected = 0.0;
            for i in 0..counts[0] {
                for j in 0..counts[1] {
                    for k in 0..counts[2] {
                        let term = (i * counts[1] + j) * counts[2] + k;
                        for inner in 0..w {
                            let from = m * row + i * steps[0] + j * steps[1] + k * steps[2] + inner;
                            expected += a[from].1 * numbers[(term * PANEL + l) * w + inner];
                        }
                    }
                }
            }
            let found = sum(y[m * 40 + l]);
            let bound = 1e-5 * (1.0 + expected.abs());
            assert!((found - expected).abs() < bound, "row {m} of {rows}, lane {l} of {lanes}: {found}, not {expected}");
        }
    }
}

fn tile_zero<E: DType>() -> E::Sum {
    // SAFETY: a sum is a float or an integer of 32 bits, which all zeros are.
    unsafe { std::mem::zeroed() }
}

fn floats(kernels: Kernels, shape: (usize, usize, bool)) {
    check::<f32, 4>(kernels, shape, |v| (v, v.into()), |v| (v.to_ne_bytes(), v.into()), f64::from);
}

fn bf16(kernels: Kernels, shape: (usize, usize, bool)) {
    let number = |v: Bf16| f64::from(v.to_f32());
    let value = |v| (Bf16::new(v), number(Bf16::new(v)));
    check::<Bf16, 2>(kernels, shape, value, |v| (Bf16::new(v).to_bits().to_ne_bytes(), number(Bf16::new(v))), f64::from);
}

/// All byte values, including the extreme ones, whose products `vpmaddubsw` could not add.
fn bytes(kernels: Kernels, shape: (usize, usize, bool)) {
    let value = |v: f32| ((v * 127.5 + 127.5).round() as u8, f64::from((v * 127.5 + 127.5).round() as u8));
    let lane = |v: f32| ([(v * 300.0) as i8 as u8], f64::from((v * 300.0) as i8));
    check::<u8, 1>(kernels, shape, value, lane, f64::from);
}

#[test]
fn all_data_types_match_the_formula() {
    for isa in Isa::all_supported() {
        for lanes in [1, 7, 16, 17, 32] {
            for next in [false, true] {
                let rows_of = |kernels: Kernels, check: fn(Kernels, (usize, usize, bool))| {
                    (1..=kernels.rows).for_each(|rows| check(kernels, (rows, lanes, next)));
                };
                rows_of(f32::kernels(isa, lanes), floats);
                rows_of(Bf16::kernels(isa, lanes), bf16);
                rows_of(u8::kernels(isa, lanes), bytes);
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn fallback_kernels_match_the_formula() {
    if Isa::Avx512.is_supported() {
        for (rows, lanes, next) in [(1, 32, false), (5, 9, true), (13, 32, false), (14, 32, true), (14, 16, false)] {
            let [of_bf16, of_bytes] = crate::isa::avx512::gemm::plain_bf16_and_bytes(lanes);
            bf16(of_bf16, (rows, lanes, next));
            bytes(of_bytes, (rows, lanes, next));
        }
    }
}
