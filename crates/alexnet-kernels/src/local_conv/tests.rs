//! Comparison of every instruction set with the reference on odd shapes, of the reference with PyTorch, and of its gradients with
//! its forward pass.

use super::*;
use crate::context::FactorType;
use crate::isa::Isa;
use crate::random::Key;
use crate::rows::testing::{assert_near, border, check_differences, contexts, inside, inside_of, random};
use serde::Deserialize;

fn sides(top: usize, left: usize, bottom: usize, right: usize) -> Sides {
    Sides { top, left, bottom, right }
}

/// Images, channels, outputs, rows and columns of the map, kernel, stride, padding: single places, windows that are mostly
/// padding, overlapping and separate ones, leftover lanes, more images than a block.
fn shapes() -> Vec<Shape> {
    let all = [
        (2, 3, 5, 4, 3, 3, 1, sides(1, 1, 1, 1)),
        (1, 1, 1, 1, 1, 1, 1, sides(0, 0, 0, 0)),
        (3, 5, 33, 1, 2, 3, 1, sides(1, 1, 1, 1)),
        (17, 16, 32, 3, 4, 3, 1, sides(1, 1, 1, 1)),
        (4, 7, 34, 5, 6, 3, 2, sides(1, 0, 0, 1)),
        (2, 2, 3, 6, 5, 2, 3, sides(0, 0, 1, 1)),
        (5, 4, 9, 3, 3, 5, 1, sides(2, 2, 2, 2)),
        (2, 70, 40, 2, 2, 3, 1, sides(1, 1, 1, 1)),
    ];
    let shape = |(i, (n, c, k, h, w, kernel, stride, pad)): (usize, (_, _, _, usize, usize, usize, usize, Sides))| {
        let count = |size: usize, before: usize, after: usize| (size + before + after - kernel) / stride + 1;
        let (p, q) = (count(h, pad.top, pad.bottom), count(w, pad.left, pad.right));
        Shape { x: FeatureMap { n, h, w, c, border: border(i) }, k, r: kernel, s: kernel, stride, pad, p, q }
    };
    all.into_iter().enumerate().map(shape).collect()
}

fn numbers(key: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| 2.0 * Key(key).uniform(i as u64) - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn packed(shape: &Shape, w: &[f32]) -> Vec<f32> {
    let mut packed = vec![f32::NAN; shape.filters().packed_len()];
    shape.filters().pack(&Serial, w, &mut packed);
    packed
}

#[test]
fn all_passes_equal_the_reference() {
    for (i, shape) in shapes().into_iter().enumerate() {
        let (y_map, dy_map) = (shape.y(border(i + 1)), shape.y(border(i + 2)));
        let dx_map = FeatureMap { border: border(i + 3), ..shape.x };
        let (x, dy) = (random(shape.x, i as u64, 1.0), random(dy_map, 100 + i as u64, 1.0));
        let (w, bias) = (numbers(200 + i as u64, shape.filters().len()), numbers(300, shape.places() * shape.k));
        let (x64, dy64, w64) = (inside_of(shape.x, &x), inside_of(dy_map, &dy), wide(&w));
        let expected = reference::forward(&shape, &x64, &w64, &wide(&bias));
        let (gradient, dw64) = (reference::backward_data(&shape, &dy64, &w64), reference::backward_weights(&shape, &x64, &dy64));
        let w = packed(&shape, &w);
        for context in contexts() {
            let what = format!("{shape:?} {}", context.isa);
            for relu in [false, true] {
                let mut y = vec![f32::NAN; y_map.len()];
                forward(&context, &shape, &x, &w, &bias, relu, y_map, &mut y);
                let expected: Vec<f64> = expected.iter().map(|&y| if relu { y.max(0.0) } else { y }).collect();
                assert_near(&what, &inside(y_map, &y), &expected, 1e-6);
            }
            let mut dx = vec![f32::NAN; dx_map.len()];
            backward_data(&context, &shape, dy_map, &dy, &w, None, dx_map, &mut dx);
            assert_near(&what, &inside(dx_map, &dx), &gradient, 1e-6);
            backward_data(&context, &shape, dy_map, &dy, &w, Some((shape.x, &x)), dx_map, &mut dx);
            let masked: Vec<f64> = gradient.iter().zip(&x64).map(|(&g, &x)| if x > 0.0 { g } else { 0.0 }).collect();
            assert_near(&what, &inside(dx_map, &dx), &masked, 1e-6);
            let (mut dw, mut file) = (vec![f32::NAN; w.len()], vec![f32::NAN; shape.filters().len()]);
            backward_weights(&context, &shape, &x, dy_map, &dy, &mut dw);
            shape.filters().unpack(&Serial, &dw, &mut file);
            assert_near(&what, &wide(&file), &dw64, 1e-6);
            assert_eq!(packed(&shape, &file), dw, "{what}: unused lanes are not zero");
            let mut db = vec![f32::NAN; bias.len()];
            backward_biases(&context, dy_map, &dy, &mut db);
            assert_near(&what, &wide(&db), &reference::backward_biases(&shape, &dy64), 1e-6);
        }
    }
}

/// bf16 factors have eight bits, so that a product is off by up to 2^-8 of itself.
#[test]
fn bf16_is_near() {
    for (i, shape) in shapes().into_iter().enumerate() {
        let map = shape.y(Sides::default());
        let (x, w) = (random(shape.x, i as u64, 1.0), numbers(200, shape.filters().len()));
        let bias = numbers(300, shape.places() * shape.k);
        let expected = reference::forward(&shape, &inside_of(shape.x, &x), &wide(&w), &wide(&bias));
        for isa in Isa::all_supported() {
            let context = Context { factors: FactorType::Bf16, ..Context::serial(isa) };
            let mut y = vec![f32::NAN; map.len()];
            forward(&context, &shape, &x, &packed(&shape, &w), &bias, false, map, &mut y);
            assert_near(&format!("{shape:?} {isa}"), &inside(map, &y), &expected, 0.02);
        }
    }
}

#[test]
fn an_image_gives_the_same_bits_alone_and_in_a_batch() {
    for (i, shape) in shapes().into_iter().enumerate() {
        let shape = Shape { x: FeatureMap { border: Sides::default(), ..shape.x }, ..shape };
        let map = shape.y(Sides::default());
        let w = packed(&shape, &numbers(200, shape.filters().len()));
        let (x, bias) = (random(shape.x, i as u64, 1.0), numbers(300, shape.places() * shape.k));
        for isa in Isa::all_supported() {
            let (mut together, mut alone) = (vec![f32::NAN; map.len()], vec![f32::NAN; map.len()]);
            forward(&Context::serial(isa), &shape, &x, &w, &bias, false, map, &mut together);
            let one = Shape { x: FeatureMap { n: 1, ..shape.x }, ..shape };
            for (x, y) in x.chunks_exact(one.x.len()).zip(alone.chunks_exact_mut(map.image_stride())) {
                forward(&Context::serial(isa), &one, x, &w, &bias, false, FeatureMap { n: 1, ..map }, y);
            }
            assert_eq!(together, alone, "{shape:?} {isa}");
        }
    }
}

#[test]
fn gradients_match_differences() {
    for (i, shape) in shapes().into_iter().enumerate().filter(|(_, shape)| shape.filters().len() < 5000) {
        let shape = Shape { x: FeatureMap { border: Sides::default(), ..shape.x }, ..shape };
        let what = format!("{shape:?}");
        let map = shape.y(Sides::default());
        let (x, dy) = (inside(shape.x, &random(shape.x, i as u64, 1.0)), inside(map, &random(map, 50, 1.0)));
        let (w, bias) = (wide(&numbers(200, shape.filters().len())), wide(&numbers(300, shape.places() * shape.k)));
        let gradient = reference::backward_data(&shape, &dy, &w);
        check_differences(&what, &x, &dy, &gradient, |x| reference::forward(&shape, x, &w, &bias));
        let gradient = reference::backward_biases(&shape, &dy);
        check_differences(&what, &bias, &dy, &gradient, |bias| reference::forward(&shape, &x, &w, bias));
        if shape.filters().len() < 1500 {
            let gradient = reference::backward_weights(&shape, &x, &dy);
            check_differences(&what, &w, &dy, &gradient, |w| reference::forward(&shape, &x, w, &bias));
        }
    }
}

/// A case of `tools/make_local_conv_goldens.py`: maps are [n, c, h, w] as in PyTorch.
#[derive(Deserialize)]
struct Golden {
    n: usize,
    channels: usize,
    outputs: usize,
    height: usize,
    width: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    dy: Vec<f64>,
    y: Vec<f64>,
    dx: Vec<f64>,
    dweight: Vec<f64>,
    dbias: Vec<f64>,
}

/// [n, c, h, w] in the order [n, h, w, c].
fn channels_last(values: &[f64], n: usize, c: usize) -> Vec<f64> {
    let pixels = values.len() / n / c;
    (0..values.len()).map(|i| values[(i / pixels / c * c + i % c) * pixels + i / c % pixels]).collect()
}

#[test]
fn values_equal_pytorchs() {
    let text = include_str!("../../tests/fixtures/local_conv.json");
    let cases: Vec<Golden> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(cases.len(), 2);
    for case in cases {
        let Golden { n, channels, outputs, height, width, kernel, stride, pad, .. } = case;
        let count = |size: usize| (size + 2 * pad - kernel) / stride + 1;
        let (p, q) = (count(height), count(width));
        let x = FeatureMap::plain(n, height, width, channels);
        let shape = Shape { x, k: outputs, r: kernel, s: kernel, stride, pad: sides(pad, pad, pad, pad), p, q };
        let (x, dx) = (channels_last(&case.x, n, channels), channels_last(&case.dx, n, channels));
        let (dy, y) = (channels_last(&case.dy, n, outputs), channels_last(&case.y, n, outputs));
        // Sums of small multiples of 1/64, which are exact.
        assert_eq!(reference::forward(&shape, &x, &case.weight, &case.bias), y);
        assert_eq!(reference::backward_data(&shape, &dy, &case.weight), dx);
        assert_eq!(reference::backward_weights(&shape, &x, &dy), case.dweight);
        assert_eq!(reference::backward_biases(&shape, &dy), case.dbias);
    }
}
