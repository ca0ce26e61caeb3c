//! Comparison of byte layers on every instruction set with float layers on dequantised values.

use super::*;
use crate::conv::{self, Shape};
use crate::executor::Serial;
use crate::feature_map::Sides;
use crate::isa::Isa;
use crate::random::Key;
use crate::{linear, pool};

const INPUT: QuantParams = QuantParams { scale: 0.02, zero: 117 };
const OUTPUT: QuantParams = QuantParams { scale: 0.05, zero: 3 };

fn random(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| 2.0 * Key(seed).uniform(i as u64) - 1.0).collect()
}

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (256.0 * Key(seed).uniform(i as u64)) as u8).collect()
}

/// Asserts that floats are within rounding of the expected ones, bytes within rounding and a half.
fn assert_close(what: &str, found: &[f32], bytes: &[u8], expected: &[f32]) {
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for ((&found, &byte), &expected) in found.iter().zip(bytes).zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * largest, "{what}: {found}, not {expected}");
        let inside = expected.clamp(OUTPUT.value(0), OUTPUT.value(255));
        assert!((OUTPUT.value(byte) - inside).abs() <= 0.5001 * OUTPUT.scale + 1e-5 * largest, "{what}: {byte} for {expected}");
    }
}

#[test]
fn convolutions_equal_those_of_floats() {
    for (n, c, k, h, w, kernel, stride, groups) in [
        (1, 3, 64, 23, 23, 11, 4, 1),
        (9, 6, 34, 7, 5, 3, 1, 1),
        (3, 8, 66, 13, 13, 3, 1, 2),
        (2, 10, 12, 9, 27, 5, 1, 2),
        (8, 5, 1, 6, 4, 2, 3, 1),
    ] {
        let side = kernel / 2;
        let pad = Sides { top: side, left: side, bottom: side, right: side };
        let out = |size: usize| (size + 2 * side - kernel) / stride + 1;
        let x_map = FeatureMap { n, h, w, c, border: pad };
        let shape = Shape { x: x_map, k, r: kernel, s: kernel, stride, pad, p: out(h), q: out(w), groups };
        let filters = shape.filters();
        let mut weights = vec![0.0; filters.packed_len()];
        filters.pack(&Serial, &random(1, filters.len()), &mut weights);
        let bias = random(2, k);
        let mut x = random_bytes(3, x_map.len() + 3);
        x[..x_map.len()].chunks_exact_mut(x_map.image_stride()).for_each(|image| fill_border(x_map, INPUT.zero, image));
        let y_map = shape.y(Sides { top: 1, left: 0, bottom: 0, right: 2 });
        for relu in [false, true] {
            let mut expected = vec![0.0; y_map.len()];
            let (floats, rounded) = (reference::values(INPUT, &x), reference::rounded(&filters, &weights));
            conv::reference::forward(&shape, &floats, &rounded, &bias, relu, y_map, &mut expected);
            for isa in Isa::all_supported() {
                let context = Context::serial(isa);
                let packed = Weights::new(&context, &filters, &weights, &bias, INPUT);
                let (mut y, mut bytes) = (vec![f32::NAN; y_map.len()], vec![99; y_map.len()]);
                super::conv(&context, &shape, &x, &packed, relu, y_map, Output::Floats(&mut y));
                super::conv(&context, &shape, &x, &packed, relu, y_map, Output::Bytes(&mut bytes, OUTPUT));
                assert_close(&format!("{shape:?} by {isa}"), &y, &bytes, &expected);
            }
        }
    }
}

#[test]
fn linear_layers_equal_those_of_floats() {
    for (n, (h, w, c), outputs) in
        [(1, (1, 1, 70), 33), (5, (2, 3, 7), 10), (40, (1, 1, 4100), 64), (17, (6, 6, 5), 96), (33, (1, 1, 2), 5)]
    {
        let filters = crate::weight_layout::Filters::linear_on_map(outputs, h, w, c);
        let shape = linear::Shape { n, inputs: h * w * c, outputs };
        let mut weights = vec![0.0; filters.packed_len()];
        filters.pack(&Serial, &random(1, filters.len()), &mut weights);
        let bias = random(2, outputs);
        let x = random_bytes(3, n * shape.inputs + 3);
        let mut expected = vec![0.0; n * outputs];
        let (floats, rounded) = (reference::values(INPUT, &x), reference::rounded(&filters, &weights));
        linear::reference::forward(&shape, &floats, &rounded, &bias, true, &mut expected);
        for isa in Isa::all_supported() {
            let context = Context::serial(isa);
            let packed = Weights::new(&context, &filters, &weights, &bias, INPUT);
            let (mut y, mut bytes) = (vec![f32::NAN; n * outputs], vec![99; n * outputs]);
            super::linear(&context, &shape, &x, &packed, true, Output::Floats(&mut y));
            super::linear(&context, &shape, &x, &packed, true, Output::Bytes(&mut bytes, OUTPUT));
            assert_close(&format!("{shape:?} by {isa}"), &y, &bytes, &expected);
        }
    }
}

#[test]
fn pools_and_changes_of_layout_equal_those_of_floats() {
    let (map, border) = (FeatureMap::plain(2, 7, 9, 3), Sides { top: 1, left: 2, bottom: 0, right: 1 });
    let planes = random(4, map.len());
    for isa in Isa::all_supported() {
        let context = Context::serial(isa);
        let mut floats = vec![0.0; map.len()];
        crate::layout::from_planes(&context, &planes, map, &mut floats);
        let wide = FeatureMap { border, ..map };
        let (mut a, mut b) = (vec![1; wide.len()], vec![2; wide.len()]);
        from_planes(&context, INPUT, &planes, wide, &mut a);
        from_floats(&context, INPUT, map, &floats, wide, &mut b);
        assert_eq!(a, b);
        assert_eq!(a[0], INPUT.zero);
        assert!((INPUT.value(a[wide.at(1, 3, 4) + 2]) - floats[map.at(1, 3, 4) + 2]).abs() <= 0.5001 * INPUT.scale);

        let shape = pool::Shape { x: wide, kernel: 3, stride: 2, pad: Sides::default(), p: 3, q: 4 };
        let y_map = shape.y(Sides::default());
        let (mut y, mut expected) = (vec![9; y_map.len()], vec![0.0; y_map.len()]);
        max_pool(&context, &shape, &a, INPUT.zero, y_map, &mut y);
        pool::max::forward(&context, &shape, &reference::values(INPUT, &a), y_map, &mut expected, None);
        assert_eq!(reference::values(INPUT, &y), expected);
    }
}

#[test]
fn the_best_range_clips_outliers() {
    let mut values: Vec<f32> = random(5, 200_000).into_iter().map(f32::abs).collect();
    let q = range::best(&values);
    assert!(q.zero == 0 && (q.scale * 255.0 - 1.0).abs() < 0.02, "{q:?}");
    values[77] = 1.3;
    let q = range::best(&values);
    assert!(q.scale * 255.0 < 1.25, "{q:?}");
    let signed = range::best(&random(6, 1000));
    assert!((126..=129).contains(&signed.zero), "{signed:?}");
    assert_eq!(range::best(&[0.0; 5]), QuantParams { scale: 1.0, zero: 0 });
    assert!(range::best(&[f32::NAN, 1.0, f32::INFINITY]).scale > 0.0);
}
