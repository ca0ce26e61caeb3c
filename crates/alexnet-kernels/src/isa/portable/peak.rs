//! Peak multiplications and additions in plain Rust.

use std::hint::black_box;

use crate::roofline::{Factors, ROUNDS, SUMS, Spin};

pub(super) fn peak(_: Factors) -> Spin {
    Spin { lanes: 8, run: spin }
}

fn spin() {
    let (a, b) = (black_box(0.5), black_box(0.5));
    let mut sums = [[0.0f32; 8]; SUMS / 4];
    for _ in 0..4 * ROUNDS {
        for sum in sums.iter_mut().flatten() {
            *sum = *sum * a + b;
        }
    }
    black_box(sums);
}
