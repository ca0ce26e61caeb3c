//! Comparison of every instruction set with the reference on odd shapes, and of the reference's gradients with its forward pass.

use super::*;
use crate::executor::{Executor, Serial};
use crate::feature_map::{FeatureMap, Sides};
use crate::isa::Isa;
use crate::random::Key;

fn random(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| 2.0 * Key(seed).uniform(i as u64) - 1.0).collect()
}

fn sides(top: usize, left: usize, bottom: usize, right: usize) -> Sides {
    Sides { top, left, bottom, right }
}

/// A map with zeros on its border.
fn map_of(seed: u64, map: FeatureMap) -> Vec<f32> {
    let mut values = random(seed, map.len());
    values.chunks_exact_mut(map.image_stride()).for_each(|image| map.clear_border(image));
    values
}

/// Kernel, stride, groups, padding, and extra border.
fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for (n, c, k, h, w, kernel, stride, groups, pad, beyond) in [
        (1, 3, 64, 23, 23, 11, 4, 1, sides(2, 2, 2, 2), sides(0, 0, 0, 0)),
        (2, 3, 40, 19, 23, 11, 4, 1, sides(0, 0, 3, 3), sides(1, 0, 0, 2)),
        (9, 6, 34, 7, 5, 3, 1, 1, sides(1, 1, 1, 1), sides(0, 0, 0, 0)),
        (3, 8, 66, 13, 13, 3, 1, 2, sides(1, 1, 1, 1), sides(0, 1, 2, 0)),
        (2, 10, 12, 9, 27, 5, 1, 2, sides(2, 2, 2, 2), sides(0, 0, 0, 0)),
        (1, 5, 1, 6, 4, 2, 1, 1, sides(0, 1, 1, 0), sides(2, 2, 2, 2)),
        (2, 4, 8, 5, 6, 3, 2, 4, sides(1, 0, 0, 1), sides(0, 0, 0, 0)),
        (2, 7, 33, 1, 1, 1, 1, 1, sides(0, 0, 0, 0), sides(0, 0, 0, 0)),
        (1, 2, 3, 8, 8, 3, 3, 1, sides(0, 0, 1, 1), sides(0, 0, 0, 0)),
    ] {
        let out = |size: usize, before: usize, after: usize| (size + before + after - kernel) / stride + 1;
        let (p, q) = (out(h, pad.top, pad.bottom), out(w, pad.left, pad.right));
        let border = sides(pad.top + beyond.top, pad.left + beyond.left, pad.bottom + beyond.bottom, pad.right + beyond.right);
        let x = FeatureMap { n, h, w, c, border };
        all.push(Shape { x, k, r: kernel, s: kernel, stride, pad, p, q, groups });
    }
    all
}

/// Generous tolerance for the summation order of `terms` products below 1.
fn assert_close(what: &str, shape: &Shape, isa: Isa, found: &[f32], expected: &[f32], terms: usize) {
    let bound = 1e-6 * (terms as f32 + 4.0);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= bound, "{what} [{i}] by {isa}: {a}, not {b}, of {shape:?}");
    }
}

struct Data {
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
}

fn data(shape: &Shape) -> Data {
    let filters = shape.filters();
    let mut w = vec![0.0; filters.packed_len()];
    filters.pack(&Serial, &random(2, filters.len()), &mut w);
    Data { x: map_of(1, shape.x), w, bias: random(3, shape.k) }
}

#[test]
fn forward_equals_the_reference() {
    for shape in shapes() {
        let Data { x, w, bias } = data(&shape);
        let y_map = shape.y(sides(1, 0, 2, 1));
        for relu in [false, true] {
            let mut expected = vec![f32::NAN; y_map.len()];
            reference::forward(&shape, &x, &w, &bias, relu, y_map, &mut expected);
            for isa in Isa::all_supported() {
                let mut y = vec![f32::NAN; y_map.len()];
                forward(&Context::serial(isa), &shape, &x, &w, &bias, relu, y_map, &mut y);
                assert_close("y", &shape, isa, &y, &expected, shape.filters().depth());
            }
        }
    }
}

#[test]
fn backward_data_equals_the_reference() {
    for shape in shapes() {
        let Data { x, w, .. } = data(&shape);
        let dx_map = FeatureMap { border: sides(0, 1, 1, 0), ..shape.x };
        for border in [sides(0, 0, 0, 0), shape.gradient_border(), sides(11, 11, 11, 11)] {
            let dy_map = shape.y(border);
            let dy = map_of(4, dy_map);
            for mask in [None, Some((shape.x, x.as_slice()))] {
                let mut expected = vec![f32::NAN; dx_map.len()];
                reference::backward_data(&shape, dy_map, &dy, &w, mask, dx_map, &mut expected);
                for isa in Isa::all_supported() {
                    let mut dx = vec![f32::NAN; dx_map.len()];
                    backward_data(&Context::serial(isa), &shape, dy_map, &dy, &w, mask, dx_map, &mut dx);
                    assert_close("dx", &shape, isa, &dx, &expected, shape.k * shape.r * shape.s);
                }
            }
        }
    }
}

#[test]
fn backward_weights_equals_the_reference() {
    for shape in shapes() {
        let Data { x, w, .. } = data(&shape);
        let dy_map = shape.y(sides(1, 2, 0, 1));
        let dy = map_of(5, dy_map);
        let mut expected = vec![f32::NAN; w.len()];
        reference::backward_weights(&shape, &x, dy_map, &dy, &mut expected);
        for isa in Isa::all_supported() {
            let mut dw = vec![f32::NAN; w.len()];
            backward_weights(&Context::serial(isa), &shape, &x, dy_map, &dy, &mut dw);
            assert_close("dw", &shape, isa, &dw, &expected, shape.x.n * shape.p * shape.q);
        }
    }
}

/// Executor that runs tasks in reverse order on separate threads.
struct Reversed;

impl Executor for Reversed {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for i in (0..tasks).rev() {
                scope.spawn(move || task(i));
            }
        });
    }
}

#[test]
fn bits_do_not_depend_on_who_runs_the_tasks() {
    for shape in shapes() {
        let Data { x, w, bias } = data(&shape);
        let y_map = shape.y(shape.gradient_border());
        let dy = map_of(6, y_map);
        let results = [&crate::executor::Serial as &dyn Executor, &Reversed].map(|threads| {
            let context = Context { isa: Isa::detect(), threads, convolutions: Convolutions::Fastest, factors: FactorType::F32 };
            let (mut y, mut dx, mut dw) = (vec![0.0; y_map.len()], vec![0.0; shape.x.len()], vec![0.0; w.len()]);
            forward(&context, &shape, &x, &w, &bias, true, y_map, &mut y);
            backward_data(&context, &shape, y_map, &dy, &w, None, shape.x, &mut dx);
            backward_weights(&context, &shape, &x, y_map, &dy, &mut dw);
            (y, dx, dw)
        });
        assert!(results[0] == results[1], "{shape:?}");
    }
}

#[test]
fn the_references_gradients_are_slopes_of_its_forward_pass() {
    for shape in shapes() {
        let Data { x, w, bias } = data(&shape);
        let y_map = shape.y(Sides::default());
        let dy = random(7, y_map.len());
        // The loss is the sum of y dy: linear in x and in w, so a large step has only rounding errors.
        let loss = |x: &[f32], w: &[f32]| {
            let mut y = vec![0.0; y_map.len()];
            reference::forward(&shape, x, w, &bias, false, y_map, &mut y);
            y.iter().zip(&dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum::<f64>()
        };
        let (mut dx, mut dw) = (vec![0.0; shape.x.len()], vec![0.0; w.len()]);
        reference::backward_data(&shape, y_map, &dy, &w, None, shape.x, &mut dx);
        reference::backward_weights(&shape, &x, y_map, &dy, &mut dw);
        let base = loss(&x, &w);
        for i in 0..5 {
            let at = shape.x.at(shape.x.n - 1, i * 7 % shape.x.h, i * 5 % shape.x.w) + i % shape.x.c;
            let mut moved = x.clone();
            moved[at] += 1.0;
            assert!((loss(&moved, &w) - base - f64::from(dx[at])).abs() < 1e-3, "dx of {shape:?}");
            let filters = shape.filters();
            let at = filters.packed_index(i * 13 % filters.k, i % filters.c, i % filters.r, (i + 1) % filters.s);
            let mut moved = w.clone();
            moved[at] += 1.0;
            assert!((loss(&x, &moved) - base - f64::from(dw[at])).abs() < 1e-3, "dw of {shape:?}");
        }
    }
}

/// The same values as bf16.
fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| Bf16::new(value).to_f32()).collect()
}

#[test]
fn direct_convolutions_of_bf16_equal_the_reference_on_rounded_values() {
    for shape in shapes() {
        let Data { x, w, bias } = data(&shape);
        let y_map = shape.y(sides(1, 0, 2, 1));
        let dy = rounded(&map_of(4, y_map));
        let (x, w) = (rounded(&x), rounded(&w));
        let (mut expected, mut expected_dx) = (vec![f32::NAN; y_map.len()], vec![f32::NAN; shape.x.len()]);
        reference::forward(&shape, &x, &w, &bias, true, y_map, &mut expected);
        reference::backward_data(&shape, y_map, &dy, &w, None, shape.x, &mut expected_dx);
        for isa in Isa::all_supported() {
            let context = Context { factors: FactorType::Bf16, ..Context::serial(isa) };
            let (mut y, mut dx) = (vec![f32::NAN; y_map.len()], vec![f32::NAN; shape.x.len()]);
            forward(&context, &shape, &x, &w, &bias, true, y_map, &mut y);
            assert_close("y", &shape, isa, &y, &expected, shape.filters().depth());
            let mut prepared = vec![f32::NAN; shape.prepared_len(&context)];
            prepare(&context, &shape, &w, &mut prepared);
            let together = y.clone();
            forward_prepared(&context, &shape, &x, &prepared, &bias, true, y_map, &mut y);
            assert!(y == together, "prepared weights give other bits");
            backward_data(&context, &shape, y_map, &dy, &w, None, shape.x, &mut dx);
            assert_close("dx", &shape, isa, &dx, &expected_dx, shape.k * shape.r * shape.s);
        }
    }
}

/// Shapes with a Winograd transform; C is a multiple of 16, or times the square of the stride.
fn winograd_shapes(factors: FactorType) -> Vec<Shape> {
    let mut all = Vec::new();
    for (n, c, k, h, w, kernel, stride, groups) in [
        (2, 16, 40, 13, 13, 3, 1, 1),
        (3, 64, 64, 7, 10, 3, 1, 2),
        (1, 32, 33, 27, 5, 5, 1, 1),
        (2, 32, 70, 6, 9, 5, 1, 2),
        (40, 16, 3, 3, 3, 3, 1, 1),
        (2, 3, 40, 63, 51, 11, 4, 1),
        (3, 4, 33, 9, 14, 5, 2, 1),
    ] {
        if stride > 1 && factors == FactorType::Bf16 {
            continue;
        }
        let before = if stride == 1 { kernel / 2 } else { 2 };
        let pad = sides(before, before, before, before);
        let out = |size: usize| (size + 2 * before - kernel) / stride + 1;
        let x = FeatureMap { n, h, w, c, border: pad };
        all.push(Shape { x, k, r: kernel, s: kernel, stride, pad, p: out(h), q: out(w), groups });
    }
    all
}

/// Distance of two tensors, as a fraction of the second one's l2 norm.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    apart / norm(&mut expected.iter().map(|&b| f64::from(b)))
}

/// Tolerance of Winograd's rounding in a precision, as a fraction of the norm. Measured: at most 2.9e-6 and 1.5e-2.
fn winograd_bound(factors: FactorType) -> f64 {
    match factors {
        FactorType::F32 => WINOGRAD_ERROR,
        FactorType::Bf16 => 1.8e-2,
    }
}

#[test]
fn winograd_equals_the_reference_within_its_bound() {
    for shape in winograd_shapes(FactorType::F32) {
        let Data { x, w, bias } = data(&shape);
        let y_map = shape.y(shape.gradient_border());
        let dy = map_of(8, y_map);
        let (mut y, mut dx) = (vec![f32::NAN; y_map.len()], vec![f32::NAN; shape.x.len()]);
        let mut dw = vec![f32::NAN; w.len()];
        let (mut expected_y, mut expected_dx, mut expected_dw) = (y.clone(), dx.clone(), dw.clone());
        reference::backward_weights(&shape, &x, y_map, &dy, &mut expected_dw);
        reference::forward(&shape, &x, &w, &bias, true, y_map, &mut expected_y);
        reference::backward_data(&shape, y_map, &dy, &w, Some((shape.x, &x)), shape.x, &mut expected_dx);
        for (isa, factors) in Isa::all_supported().flat_map(|isa| [(isa, FactorType::F32), (isa, FactorType::Bf16)]) {
            if !winograd_shapes(factors).contains(&shape) {
                continue;
            }
            let context = Context { convolutions: Convolutions::Winograd, factors, ..Context::serial(isa) };
            assert_eq!(shape.algorithm(&context), Algorithm::Winograd);
            let mut prepared = vec![0.0; shape.prepared_len(&context)];
            prepare(&context, &shape, &w, &mut prepared);
            forward_prepared(&context, &shape, &x, &prepared, &bias, true, y_map, &mut y);
            let together = y.clone();
            forward(&context, &shape, &x, &w, &bias, true, y_map, &mut y);
            assert!(y == together, "prepared weights give other bits");
            backward_data(&context, &shape, y_map, &dy, &w, Some((shape.x, &x)), shape.x, &mut dx);
            backward_weights(&context, &shape, &x, y_map, &dy, &mut dw);
            let errors = [(&y, &expected_y), (&dx, &expected_dx), (&dw, &expected_dw)].map(|(a, b)| relative_error(a, b));
            assert!(errors.iter().all(|&error| error < winograd_bound(factors)), "{errors:?} by {isa}: {shape:?}");
            // Kernels of 5 x 5 are always in single precision, except a data gradient whose channels fill no register: that is
            // direct.
            let bound = winograd_bound(shape.way(&context).1);
            assert!(errors[0] < bound && errors[2] < bound, "{errors:?} by {isa}: {shape:?}");
        }
    }
}
