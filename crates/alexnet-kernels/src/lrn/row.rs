//! LRN of a row of pixels in vector registers.
//!
//! The squares of a column of channels are padded with zeros, so that the window of channel c starts at index c of the padded
//! column:
//!
//! ```text
//! padded    0 0 [ x0^2 x1^2 x2^2 ...                ] 0 0 [ the next pixel's ...
//! window 0  [. . .  .  . ]                                each a load, one place further; 16 channels at a time
//! window 1    [. .  .  .  . ]
//! ```
//!
//! As plain loops over slices this took 1.5 to 3 times as long, depending on the compiler: it unrolled by 64, which leaves a
//! third of the paper's 96 channels, or did not vectorise.

use super::Shape;
use super::power::{Power, negatives, negatives_and_next};
use crate::isa::{Isa, dispatch};
use crate::simd::{Vector, Vectorized, load_some, prefetch, store_some};

/// Normalises a row `x`; `squares` is [`Shape::padded`] long.
pub(super) fn forward(isa: Isa, shape: &Shape, x: &[f32], y: &mut [f32], squares: &mut [f32]) {
    let len = shape.x.w * shape.x.c;
    assert!(x.len() == len && y.len() == len && squares.len() == shape.padded(), "a row of {shape:?}");
    // SAFETY: the lengths are asserted.
    unsafe {
        match (shape.n, Power::of(shape.beta)) {
            (5, Power::ThreeQuarters) => dispatch(isa, Forward::<5, true> { shape, x, y, squares }),
            (3, Power::ThreeQuarters) => dispatch(isa, Forward::<3, true> { shape, x, y, squares }),
            (_, Power::ThreeQuarters) => dispatch(isa, Forward::<0, true> { shape, x, y, squares }),
            (_, Power::Any) => dispatch(isa, Forward::<0, false> { shape, x, y, squares }),
        }
    }
}

/// The gradient of a row; `scratch` is [`Shape::backward_scratch`] long.
pub(super) fn backward(isa: Isa, shape: &Shape, x: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    let len = shape.x.w * shape.x.c;
    assert!(
        x.len() == len && dy.len() == len && dx.len() == len && scratch.len() == shape.backward_scratch(),
        "a row of {shape:?}"
    );
    let (squares, rest) = scratch.split_at_mut(shape.padded());
    let (terms, plain) = rest.split_at_mut(shape.padded());
    // SAFETY: the lengths are asserted.
    unsafe {
        match (shape.n, Power::of(shape.beta)) {
            (5, Power::ThreeQuarters) => dispatch(isa, Backward::<5, true> { shape, x, dy, dx, squares, terms, plain }),
            (3, Power::ThreeQuarters) => dispatch(isa, Backward::<3, true> { shape, x, dy, dx, squares, terms, plain }),
            (_, Power::ThreeQuarters) => dispatch(isa, Backward::<0, true> { shape, x, dy, dx, squares, terms, plain }),
            (_, Power::Any) => dispatch(isa, Backward::<0, false> { shape, x, dy, dx, squares, terms, plain }),
        }
    }
}

/// Requires rows of the shape, and `squares` of [`Shape::padded`] floats. N is the window if known at compile time, else 0.
struct Forward<'a, const N: usize, const FAST: bool> {
    shape: &'a Shape,
    x: &'a [f32],
    y: &'a mut [f32],
    squares: &'a mut [f32],
}

impl<const N: usize, const FAST: bool> Vectorized for Forward<'_, N, FAST> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Shape { n, alpha, beta, k, columns, x: map } = *self.shape;
        let (part, n) = (map.c / columns, if N > 0 { N } else { n });
        // SAFETY: blocks end within a column of x and y; a window starts within its padded column and ends at most a register
        // after the last one, where there is space.
        unsafe {
            pad::<V>(part, n, self.x, self.squares, |x| x.mul(x));
            let (alpha, k) = (V::splat(alpha), V::splat(k));
            for (i, (x, y)) in self.x.chunks_exact(part).zip(self.y.chunks_exact_mut(part)).enumerate() {
                let squares = self.squares.as_ptr().add(i * (part + n / 2));
                // The next row.
                prefetch(x.as_ptr().wrapping_add(map.w * map.c), part);
                for c in (0..part).step_by(V::WIDTH) {
                    let sum = window::<V, N>(n, squares.add(c));
                    let power = negatives::<V, FAST>(k.add(alpha.mul(sum)), beta);
                    store_some(load_some::<V>(x, c).mul(power), y, c);
                }
            }
        }
    }
}

/// Requires rows of the shape, `squares` and `terms` of [`Shape::padded`] floats, and a `plain` row.
struct Backward<'a, const N: usize, const FAST: bool> {
    shape: &'a Shape,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    squares: &'a mut [f32],
    terms: &'a mut [f32],
    plain: &'a mut [f32],
}

impl<const N: usize, const FAST: bool> Vectorized for Backward<'_, N, FAST> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Shape { n, alpha, beta, k, columns, x: map } = *self.shape;
        let (part, n) = (map.c / columns, if N > 0 { N } else { n });
        // SAFETY: as in `Forward`.
        unsafe {
            pad::<V>(part, n, self.x, self.squares, |x| x.mul(x));
            let (factor, alpha, k) = (V::splat(2.0 * alpha * beta), V::splat(alpha), V::splat(k));
            for at in (0..self.x.len()).step_by(part) {
                let (x, dy) = (&self.x[at..at + part], &self.dy[at..at + part]);
                let (dx, plain) = (&mut self.dx[at..at + part], &mut self.plain[at..at + part]);
                let squares = self.squares.as_ptr().add(at / part * (part + n / 2));
                prefetch(x.as_ptr().wrapping_add(map.w * map.c), part);
                for c in (0..part).step_by(V::WIDTH) {
                    let sum = window::<V, N>(n, squares.add(c));
                    let (power, next) = negatives_and_next::<V, FAST>(k.add(alpha.mul(sum)), beta);
                    let dy = load_some::<V>(dy, c);
                    store_some(dy.mul(power), dx, c);
                    store_some(dy.mul(load_some::<V>(x, c)).mul(next), plain, c);
                }
            }
            pad::<V>(part, n, self.plain, self.terms, |term| term);
            for (i, (x, dx)) in self.x.chunks_exact(part).zip(self.dx.chunks_exact_mut(part)).enumerate() {
                let terms = self.terms.as_ptr().add(i * (part + n / 2));
                for c in (0..part).step_by(V::WIDTH) {
                    let sum = window::<V, N>(n, terms.add(c));
                    let dy_power = load_some::<V>(dx, c);
                    store_some(dy_power.sub(factor.mul(load_some::<V>(x, c)).mul(sum)), dx, c);
                }
            }
        }
    }
}

/// Writes `value`s of `from` with zeros around each column of `part` channels. The whole row is written before windows are
/// summed, since a load that straddles pending stores would stall.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
unsafe fn pad<V: Vector>(part: usize, n: usize, from: &[f32], padded: &mut [f32], value: impl Fn(V) -> V) {
    let half = n / 2;
    let columns = from.len() / part;
    for (padded, from) in padded.chunks_exact_mut(part + half).zip(from.chunks_exact(part)) {
        padded[..half].fill(0.0);
        for c in (0..part).step_by(V::WIDTH) {
            // SAFETY: the caller's promise.
            unsafe { store_some(value(load_some::<V>(from, c)), &mut padded[half..], c) };
        }
    }
    padded[columns * (part + half)..].fill(0.0);
}

/// Sums of `n` consecutive values starting at each of a register's positions.
///
/// # Safety
/// That of [`Vector`]; there are a register's values and `n - 1` more.
#[inline(always)]
unsafe fn window<V: Vector, const N: usize>(n: usize, values: *const f32) -> V {
    let n = if N > 0 { N } else { n };
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = V::load(values);
        for i in 1..n {
            sum = sum.add(V::load(values.add(i)));
        }
        sum
    }
}
