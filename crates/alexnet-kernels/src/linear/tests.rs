//! Comparison of every instruction set with the reference on odd shapes.

use super::*;
use crate::bf16::Bf16;
use crate::executor::Serial;
use crate::isa::Isa;
use crate::optim::sgd::Sgd;
use crate::optim::{MomentumForm, Rates, Step, update};
use crate::random::Key;

/// Values representable in bf16, so that products are equal in every precision.
fn random(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| Bf16::new(2.0 * Key(seed).uniform(i as u64) - 1.0).to_f32()).collect()
}

const SHAPES: [(usize, usize, usize); 8] =
    [(1, 70, 33), (1, 1, 1), (5, 1024, 10), (13, 2048, 5), (33, 115, 96), (64, 17, 64), (40, 600, 31), (2, 113, 1056)];

/// Generous tolerance for the summation order of `terms` products below 1.
fn assert_close(what: &str, shape: &Shape, isa: Isa, found: &[f32], expected: &[f32], terms: usize) {
    let bound = 1e-6 * (terms as f32 + 4.0);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= bound, "{what} [{i}] by {isa}: {a}, not {b}, of {shape:?}");
    }
}

#[test]
fn all_passes_equal_the_reference() {
    for (n, inputs, outputs) in SHAPES {
        let shape = Shape { n, inputs, outputs };
        let filters = shape.filters();
        let mut w = vec![0.0; filters.packed_len()];
        filters.pack(&Serial, &random(1, filters.len()), &mut w);
        let (x, dy, bias) = (random(2, n * inputs), random(3, n * outputs), random(4, outputs));
        for (isa, factors) in Isa::all_supported().flat_map(|isa| [(isa, FactorType::F32), (isa, FactorType::Bf16)]) {
            let context = Context { factors, ..Context::serial(isa) };
            for relu in [false, true] {
                let (mut y, mut expected) = (vec![f32::NAN; n * outputs], vec![f32::NAN; n * outputs]);
                reference::forward(&shape, &x, &w, &bias, relu, &mut expected);
                forward(&context, &shape, &x, &w, &bias, relu, &mut y);
                assert_close("y", &shape, isa, &y, &expected, inputs);
                let mut prepared = vec![f32::NAN; shape.prepared_len(&context)];
                if !prepared.is_empty() {
                    prepare(&context, &shape, &w, &mut prepared);
                    let together = y.clone();
                    forward_prepared(&context, &shape, &x, &prepared, &bias, relu, &mut y);
                    assert_close("y of prepared weights", &shape, isa, &y, &together, inputs);
                }
            }
            for mask in [None, Some(x.as_slice())] {
                let (mut dx, mut expected) = (vec![f32::NAN; n * inputs], vec![f32::NAN; n * inputs]);
                reference::backward_data(&shape, &dy, &w, mask, &mut expected);
                backward_data(&context, &shape, &dy, &w, mask, &mut dx);
                assert_close("dx", &shape, isa, &dx, &expected, outputs);
            }
            let (mut dw, mut expected) = (vec![f32::NAN; w.len()], vec![f32::NAN; w.len()]);
            reference::backward_weights(&shape, &x, &dy, &mut expected);
            backward_weights(&context, &shape, &x, &dy, &mut dw);
            assert_close("dw", &shape, isa, &dw, &expected, n);
            for form in [MomentumForm::RateInside, MomentumForm::RateOutside] {
                let rates = Rates { lr: 0.1, weight_decay: 0.01 };
                let step = Step { optimizer: Sgd { form, ..Sgd::default() }.into(), rates, number: 1 };
                let velocity: Vec<f32> = w.iter().map(|w| w * 0.5).collect();
                let (mut w1, mut v1, mut w2, mut v2) = (w.clone(), velocity.clone(), w.clone(), velocity);
                backward_weights_update(&context, &shape, &x, &dy, &step, &mut w1, vec![&mut v1]);
                update(&context, &step, &mut w2, vec![&mut v2], &dw);
                assert!(w1 == w2 && v1 == v2, "the fused update differs: {shape:?} {form:?} {isa}");
            }
        }
    }
}

#[test]
fn weights_in_file_order_give_the_same() {
    // h, w, c and outputs: with and without whole registers, leftover rows, more images than a kernel takes at a time.
    for (i, (h, w, c, outputs)) in
        [(1, 1, 70, 33), (1, 1, 1, 1), (2, 3, 5, 4), (1, 1, 2048, 17), (3, 3, 64, 19), (1, 1, 3, 40), (6, 6, 31, 6)]
            .into_iter()
            .enumerate()
    {
        let filters = Filters::linear_on_map(outputs, h, w, c);
        let (weights, bias) = (random(i as u64, filters.len()), random(i as u64 + 10, outputs));
        let mut packed = vec![0.0; filters.packed_len()];
        filters.pack(&Serial, &weights, &mut packed);
        for n in [1, 2, 3, 4, 5, FEW + 1] {
            let shape = Shape { n, inputs: filters.depth(), outputs };
            let x = random(i as u64 + 20, n * shape.inputs);
            for isa in Isa::all_supported() {
                // An image's outputs are bit-identical alone and in a batch.
                let (mut together, mut alone) = (vec![f32::NAN; n * outputs], vec![f32::NAN; n * outputs]);
                forward_file_order(&Context::serial(isa), &filters, n, &x, &weights, &bias, false, &mut together);
                for (x, y) in x.chunks_exact(shape.inputs).zip(alone.chunks_exact_mut(outputs)) {
                    forward_file_order(&Context::serial(isa), &filters, 1, x, &weights, &bias, false, y);
                }
                assert_eq!(together, alone, "{n} pictures by {isa}, {shape:?}");
            }
            for relu in [false, true] {
                let mut expected = vec![f32::NAN; n * outputs];
                reference::forward(&shape, &x, &packed, &bias, relu, &mut expected);
                for isa in Isa::all_supported() {
                    let mut y = vec![f32::NAN; n * outputs];
                    forward_file_order(&Context::serial(isa), &filters, n, &x, &weights, &bias, relu, &mut y);
                    assert_close("y", &shape, isa, &y, &expected, shape.inputs);
                }
            }
        }
    }
}

#[test]
fn a_nan_weight_is_not_clipped_away() {
    let filters = Filters::linear(5, 40);
    for isa in Isa::all_supported() {
        let mut y = [0.0; 5];
        forward_file_order(&Context::serial(isa), &filters, 1, &[1.0; 40], &[f32::NAN; 200], &[0.0; 5], true, &mut y);
        assert!(y.iter().all(|y| y.is_nan()), "{isa}");
    }
}
