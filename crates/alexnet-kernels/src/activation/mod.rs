//! Elementwise activation functions, in place.

mod exp;
pub mod reference;

use crate::context::Context;
use crate::feature_map::FeatureMap;
use crate::rows::{check_same, for_each_row, row};

/// Elementwise activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// max(x, 0).
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
}

/// x = f(x). NaN is preserved.
///
/// # Panics
/// When `x` is shorter than the map.
pub fn forward(context: &Context<'_>, function: Function, map: FeatureMap, x: &mut [f32]) {
    for_each_row(context.threads, map, x, |_, _, x| {
        context.isa.vectorize(
            #[inline(always)]
            || match function {
                Function::Relu => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
                Function::Tanh => x.iter_mut().for_each(|x| *x = exp::tanh(*x)),
                Function::Sigmoid => x.iter_mut().for_each(|x| *x = exp::sigmoid(*x)),
            },
        );
    });
}

/// dy = dy f'(x), with f' derived from the output y = f(x): 1 where y is positive, 1 - y^2, or y (1 - y).
///
/// # Panics
/// When the maps do not fit each other, or a slice is too short.
pub fn backward(context: &Context<'_>, function: Function, y_map: FeatureMap, y: &[f32], dy_map: FeatureMap, dy: &mut [f32]) {
    check_same("gradient of an activation", y_map, y.len(), dy_map, dy.len());
    for_each_row(context.threads, dy_map, dy, |n, h, dy| {
        let both = dy.iter_mut().zip(row(y_map, y, n, h));
        context.isa.vectorize(
            #[inline(always)]
            || match function {
                Function::Relu => both.for_each(|(dy, &y)| *dy = if y > 0.0 { *dy } else { 0.0 }),
                Function::Tanh => both.for_each(|(dy, &y)| *dy *= 1.0 - y * y),
                Function::Sigmoid => both.for_each(|(dy, &y)| *dy *= y * (1.0 - y)),
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::rows::testing::{assert_near, border, check_differences, contexts, inside, inside_of, random};

    const ALL: [Function; 3] = [Function::Relu, Function::Tanh, Function::Sigmoid];

    #[test]
    fn matches_reference() {
        for (i, function) in ALL.into_iter().enumerate() {
            for (h, w, c) in [(1, 1, 1), (3, 5, 7), (9, 2, 33), (4, 4, 16)] {
                let map = FeatureMap { n: 3, h, w, c, border: border(i + h) };
                let dy_map = FeatureMap { border: border(i + h + 1), ..map };
                let (x, dy) = (random(map, i as u64, 4.0), random(dy_map, 9, 1.0));
                let expected = reference::forward(function, &inside_of(map, &x));
                let gradient = reference::backward(function, &expected, &inside_of(dy_map, &dy));
                for context in contexts() {
                    let what = format!("{function:?} {map:?} {}", context.isa);
                    let (mut y, mut dx) = (x.clone(), dy.clone());
                    forward(&context, function, map, &mut y);
                    assert_near(&what, &inside(map, &y), &expected, 3e-7);
                    backward(&context, function, map, &y, dy_map, &mut dx);
                    assert_near(&what, &inside(dy_map, &dx), &gradient, 1e-6);
                }
            }
        }
    }

    #[test]
    fn gradient_matches_differences() {
        let map = FeatureMap::plain(1, 3, 3, 5);
        let (x, dy) = (inside(map, &random(map, 1, 3.0)), inside(map, &random(map, 2, 1.0)));
        for function in ALL {
            let gradient = reference::backward(function, &reference::forward(function, &x), &dy);
            check_differences(&format!("{function:?}"), &x, &dy, &gradient, |x| reference::forward(function, x));
        }
    }

    #[test]
    fn ends_of_the_range() {
        let map = FeatureMap::plain(1, 1, 1, 6);
        let run = |function| {
            let mut x = [f32::NEG_INFINITY, -1e30, 0.0, 1e30, f32::INFINITY, f32::NAN];
            forward(&Context::serial(Isa::detect()), function, map, &mut x);
            assert!(x[5].is_nan());
            x[..5].to_vec()
        };
        assert_eq!(run(Function::Relu), [0.0, 0.0, 0.0, 1e30, f32::INFINITY]);
        assert_eq!(run(Function::Tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        let sigmoid = run(Function::Sigmoid);
        assert!(sigmoid[0] < 1e-37 && sigmoid[1] < 1e-37);
        assert_eq!(sigmoid[2..], [0.5, 1.0, 1.0]);
    }
}
