//! Winograd transforms with six and eight points, vectorised over channels (Lavin and Gray 2015, "Fast algorithms for
//! convolutional neural networks").
//!
//! A tile of M x M outputs of a kernel of R x R, with M + R - 1 = P points, is
//!
//! ```text
//! Y = A^T [ (G g G^T) . (B^T d B) ] A        d: P x P inputs, g: R x R weights, `.`: element by element
//! A[i][j] = p_i^j,   G[i][j] = s_i p_i^j,   s_i = 1 over the product of p_i - p_l over the other points;   infinity: 1 at the
//! B^T[i] = the coefficients of the product of (t - p_l) over the other points p_l                           highest power, else 0
//! ```
//!
//! The six points are 0, 1/sqrt 2, -1/sqrt 2, sqrt 2, -sqrt 2 and infinity; F(4 x 4, 3 x 3) and F(2 x 2, 5 x 5) share B. With the
//! paper's 0, 1, -1, 2, -2 rounding errors are twice as large: in bf16 1.9 % of conv3's norm, compared with 0.93 % for these and
//! 0.22 % for direct convolution. 0.6 and 1.5 give 0.93 %, 0.75 and 1.5 0.94 %, 1 and 1/2 2.3 %.
//!
//! The eight are 0, 1/2, -1/2, 1, -1, 2, -2 and infinity, for F(4 x 4, 5 x 5): in f32 1.8e-6 of the norm, compared with 0.8e-6
//! for six. The best of 270 other choices, 0.5, 1.1 and 1.8 among them, were between 1.8e-6 and 2.0e-6.

use crate::simd::Vector;

/// A pair of points, plus and minus p.
struct Pair {
    p: f32,
    square: f32,
    /// The product over the other pairs of (t^2 - their square): the coefficients of 1 and of t^2.
    others: [f32; 2],
    /// s of the module documentation.
    scale: f32,
}

// The squares of all pairs multiply to 1, so in both cases the product over all pairs has the same coefficient, up to the sign,
// at t^2 and at the second highest power.
const SIX: &[Pair] = &[
    Pair { p: std::f32::consts::FRAC_1_SQRT_2, square: 0.5, others: [-2.0, 1.0], scale: -2.0 / 3.0 },
    Pair { p: std::f32::consts::SQRT_2, square: 2.0, others: [-0.5, 1.0], scale: 1.0 / 6.0 },
];
const EIGHT: &[Pair] = &[
    Pair { p: 0.5, square: 0.25, others: [4.0, -5.0], scale: 32.0 / 45.0 },
    Pair { p: 1.0, square: 1.0, others: [1.0, -4.25], scale: -2.0 / 9.0 },
    Pair { p: 2.0, square: 4.0, others: [0.25, -1.25], scale: 1.0 / 90.0 },
];

/// The pairs among P points.
#[inline(always)]
const fn pairs<const P: usize>() -> &'static [Pair] {
    const { assert!(P == 6 || P == 8) };
    if P == 6 { SIX } else { EIGHT }
}

/// B^T d for one column d, read and written value by value: with arrays, the compiler copied columns by `memcpy`.
///
/// # Safety
/// Those of [`Vector`], here and below.
#[inline(always)]
pub(super) unsafe fn input<V: Vector, const P: usize>(d: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let (d0, d1, d2, d3, d4, d5) = (d(0), d(1), d(2), d(3), d(4), d(5));
        if P == 6 {
            let middle = V::splat(-2.5);
            put(0, d2.mul_add(middle, d0.add(d4)));
            for (i, pair) in pairs::<P>().iter().enumerate() {
                // The product over the others: t (t +- p) (t^2 - other).
                let other = V::splat(pair.others[0]);
                let (even, odd) = (d2.mul_add(other, d4), d1.mul_add(other, d3));
                put(2 * i + 1, odd.mul_add(V::splat(pair.p), even));
                put(2 * i + 2, odd.mul_add(V::splat(-pair.p), even));
            }
            put(5, d3.mul_add(middle, d1.add(d5)));
        } else {
            let (d6, d7) = (d(6), d(7));
            let middle = V::splat(5.25);
            put(0, d2.sub(d4).mul_add(middle, d6.sub(d0)));
            for (i, pair) in pairs::<P>().iter().enumerate() {
                // As above, with (t^2 - one) (t^2 - another).
                let [low, high] = pair.others.map(
                    #[inline(always)]
                    |factor| V::splat(factor),
                );
                let even = d2.mul_add(low, d4.mul_add(high, d6));
                let odd = d1.mul_add(low, d3.mul_add(high, d5));
                put(2 * i + 1, odd.mul_add(V::splat(pair.p), even));
                put(2 * i + 2, odd.mul_add(V::splat(-pair.p), even));
            }
            put(7, d3.sub(d5).mul_add(middle, d7.sub(d1)));
        }
    }
}

/// The values of a polynomial with R coefficients g at the P points; at infinity, the last coefficient.
#[inline(always)]
unsafe fn values<V: Vector, const P: usize, const R: usize>(g: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        put(0, g(0));
        for (i, pair) in pairs::<P>().iter().enumerate() {
            // Horner's rule on even and odd powers.
            let square = V::splat(pair.square);
            let (mut even, mut odd) = (g((R - 1) / 2 * 2), g((R - 2) / 2 * 2 + 1));
            if R == 3 || R == 4 {
                even = even.mul_add(square, g(0));
            }
            if R == 5 {
                even = even.mul_add(square, g(2)).mul_add(square, g(0));
            }
            if R == 4 || R == 5 {
                odd = odd.mul_add(square, g(1));
            }
            put(2 * i + 1, odd.mul_add(V::splat(pair.p), even));
            put(2 * i + 2, odd.mul_add(V::splat(-pair.p), even));
        }
        put(P - 1, g(R - 1));
    }
}

/// Transpose of [`values`].
#[inline(always)]
unsafe fn values_back<V: Vector, const P: usize, const M: usize>(m: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let [mut zeroth, mut first, mut second, mut third, mut fourth] = [V::splat(0.0); 5];
        for (i, pair) in pairs::<P>().iter().enumerate() {
            let (plus, minus) = (m(2 * i + 1), m(2 * i + 2));
            let (even, odd) = (plus.add(minus), plus.sub(minus).mul(V::splat(pair.p)));
            let square = V::splat(pair.square);
            let fourth_power = V::splat(pair.square * pair.square);
            if i == 0 {
                (zeroth, first, second, third, fourth) = (even, odd, even.mul(square), odd.mul(square), even.mul(fourth_power));
            } else {
                (zeroth, first) = (zeroth.add(even), first.add(odd));
                (second, third) = (even.mul_add(square, second), odd.mul_add(square, third));
                fourth = even.mul_add(fourth_power, fourth);
            }
        }
        let last = |j: usize, y: V| if j == M - 1 { y.add(m(P - 1)) } else { y };
        put(0, zeroth.add(m(0)));
        put(1, last(1, first));
        if M > 2 {
            put(2, last(2, second));
        }
        if M > 3 {
            put(3, last(3, third));
        }
        if M > 4 {
            put(4, last(4, fourth));
        }
    }
}

/// Scale of the weight transform at a point.
#[inline(always)]
const fn scale<const P: usize>(point: usize) -> f32 {
    if point == 0 {
        if P == 6 { 1.0 } else { -1.0 }
    } else if point == P - 1 {
        1.0
    } else {
        pairs::<P>()[(point - 1) / 2].scale
    }
}

/// G g for one column g.
#[inline(always)]
pub(super) unsafe fn filter<V: Vector, const P: usize, const R: usize>(g: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        values::<V, P, R>(
            g,
            #[inline(always)]
            |i, value| put(i, value.mul(V::splat(scale::<P>(i)))),
        )
    }
}

/// A^T m for one column m.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const P: usize, const M: usize>(m: impl Fn(usize) -> V, put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe { values_back::<V, P, M>(m, put) }
}

/// A y for one column y of the gradient of a tile's outputs: the transpose of [`output`].
#[inline(always)]
pub(super) unsafe fn output_gradient<V: Vector, const P: usize, const M: usize>(
    y: impl Fn(usize) -> V,
    put: impl FnMut(usize, V),
) {
    // SAFETY: the caller's promise.
    unsafe { values::<V, P, M>(y, put) }
}

/// G^T u for one column u of the gradient of the transformed weights: the transpose of [`filter`].
#[inline(always)]
pub(super) unsafe fn filter_gradient<V: Vector, const P: usize, const R: usize>(
    u: impl Fn(usize) -> V,
    put: impl FnMut(usize, V),
) {
    // SAFETY: the caller's promise.
    unsafe {
        values_back::<V, P, R>(
            #[inline(always)]
            |i| u(i).mul(V::splat(scale::<P>(i))),
            put,
        )
    }
}
