//! Comparison of 4-bit layers with float layers on dequantised weights, and with the rounding formula.

use super::*;
use crate::context::Context;
use crate::executor::Serial;
use crate::int8::{self, Output, QuantParams};
use crate::isa::Isa;
use crate::linear::{self, Shape};
use crate::random::Key;

const INPUT: QuantParams = QuantParams { scale: 0.02, zero: 3 };
const OUTPUT: QuantParams = QuantParams { scale: 0.05, zero: 7 };

/// Many small weights and few large ones, as in trained layers.
fn random(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| (2.0 * Key(seed).uniform(i as u64) - 1.0).powi(3)).collect()
}

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (256.0 * Key(seed).uniform(i as u64)) as u8).collect()
}

/// Packed weights.
fn packed(shape: &Shape) -> Vec<f32> {
    let filters = shape.filters();
    let mut weights = vec![0.0; filters.packed_len()];
    filters.pack(&Serial, &random(1, filters.len()), &mut weights);
    weights
}

const SHAPES: [(usize, usize, usize); 7] =
    [(1, 70, 33), (1, 1, 1), (5, 1024, 10), (13, 2048, 64), (2, 31, 96), (4, 33, 17), (3, 416, 40)];

#[test]
fn layers_equal_those_of_floats_on_what_nibbles_stand_for() {
    for (n, inputs, outputs) in SHAPES {
        let shape = Shape { n, inputs, outputs };
        let (weights, bias, x) = (packed(&shape), random(2, outputs), random_bytes(3, n * inputs));
        let floats = int8::reference::values(INPUT, &x);
        for (relu, isa) in [false, true].into_iter().flat_map(|relu| Isa::all_supported().map(move |isa| (relu, isa))) {
            let context = Context::serial(isa);
            let w = Weights::new(&context, &shape, &weights, &bias, INPUT);
            let mut expected = vec![f32::NAN; n * outputs];
            linear::reference::forward(&shape, &floats, &reference::values(&shape, &w), &bias, relu, &mut expected);
            let (mut y, mut bytes) = (vec![f32::NAN; n * outputs], vec![99; n * outputs]);
            linear(&context, &shape, &x, &w, relu, Output::Floats(&mut y));
            linear(&context, &shape, &x, &w, relu, Output::Bytes(&mut bytes, OUTPUT));
            // Sums of several hundred products of up to 5, added in another order.
            let largest = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            for ((&y, &byte), &expected) in y.iter().zip(&bytes).zip(&expected) {
                assert!((y - expected).abs() <= 1e-5 * largest, "{y}, not {expected}: {shape:?} by {isa}");
                assert_eq!(byte, OUTPUT.quantise(y), "{shape:?} by {isa}");
            }
            // The same result alone and in a batch.
            for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
                let mut alone = vec![f32::NAN; outputs];
                linear(&context, &Shape { n: 1, ..shape }, x, &w, relu, Output::Floats(&mut alone));
                assert_eq!(alone, y, "{shape:?} by {isa}");
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn products_by_pairs_are_those_of_vnni() {
    use crate::isa::avx512;

    if !Isa::Avx512.is_supported() {
        return;
    }
    // The largest bytes and nibbles: pairs must not saturate.
    let (x, w) = ([u32::MAX; 16], [u32::MAX; 2 * WORDS]);
    let x = kernels::Inputs { words: &x, starts: &[0; 2], groups: 2 };
    let mut totals = [[0.0; PANEL]; 2];
    for (totals, kernels) in totals.iter_mut().zip([avx512::int4::PLAIN, avx512::int4::kernels()]) {
        let mut w = w;
        w.chunks_exact_mut(WORDS).for_each(|w| w[NIBBLES..].fill(0x3F80_3F80));
        // SAFETY: the instruction set is there; one picture of two groups.
        unsafe { kernels[0](x, &w, totals) };
    }
    assert_eq!(totals, [[(2 * GROUP * 255 * 15) as f32; PANEL]; 2]);
}

#[test]
fn scales_are_as_good_as_the_best_of_many() {
    for (n, inputs, outputs) in SHAPES {
        let shape = Shape { n, inputs, outputs };
        let weights = packed(&shape);
        let error = |found: &[f32]| weights.iter().zip(found).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let best = error(&reference::rounded(&shape, &weights));
        for isa in Isa::all_supported() {
            let w = Weights::new(&Context::serial(isa), &shape, &weights, &vec![0.0; outputs], INPUT);
            let found = error(&reference::values(&shape, &w));
            assert!(found <= 1.03 * best + 1e-6, "{found}, not {best}: {shape:?} by {isa}");
        }
    }
}

#[test]
fn weights_that_are_no_numbers_or_all_zero_do_no_harm() {
    let shape = Shape { n: 1, inputs: 40, outputs: 3 };
    for value in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 4.0] {
        let w = Weights::new(&Context::serial(Isa::Portable), &shape, &vec![value; 40 * PANEL], &[1.0; 3], INPUT);
        let mut y = [f32::NAN; 3];
        linear(&Context::serial(Isa::Portable), &shape, &[9; 40], &w, true, Output::Floats(&mut y));
        assert!(value != 0.0 || y == [1.0; 3], "{y:?}");
    }
}
