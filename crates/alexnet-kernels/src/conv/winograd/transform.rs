//! The transforms of six-point Winograd convolutions, vectorised over channels (Lavin and Gray 2015, "Fast algorithms for
//! convolutional neural networks").
//!
//! A tile of M x M outputs of a kernel of R x R, with M + R - 1 = 6, is
//!
//! ```text
//! Y = A^T [ (G g G^T) . (B^T d B) ] A        d: 6 x 6 inputs, g: R x R weights, `.`: element by element
//! ```
//!
//! The points are 0, 1/sqrt 2, -1/sqrt 2, sqrt 2, -sqrt 2 and infinity, so that F(4 x 4, 3 x 3) and F(2 x 2, 5 x 5) share B:
//!
//! ```text
//! A[i][j] = p_i^j,   G[i][j] = s_i p_i^j,   s = 1, -2/3, -2/3, 1/6, 1/6;   infinity: 1 at the highest power, else 0
//! B^T[i] = the coefficients of the product of (t - p_l) over the other points p_l
//! ```
//!
//! With the paper's 0, 1, -1, 2, -2 rounding errors are twice as large: in bf16 1.9 % of a conv3's norm, against 0.93 % with these
//! and 0.22 % when convolved directly. 0.6 and 1.5 give 0.93 %, 0.75 and 1.5 0.94 %, 1 and 1/2 2.3 %.

use crate::simd::Vector;

/// The two pairs of points: plus and minus p, with p and its square.
const PAIRS: [(f32, f32); 2] = [(std::f32::consts::FRAC_1_SQRT_2, 0.5), (std::f32::consts::SQRT_2, 2.0)];

/// Rows and columns of a transformed tile.
pub(super) const SIX: usize = 6;
/// Values of a transformed tile, each of which is a product of its own.
pub(super) const PRODUCTS: usize = SIX * SIX;
/// Channels must be a multiple of this: the widest register.
pub(super) const LANES: usize = 16;

/// B^T d for one column d, which is read and written value by value: as arrays, columns were copied to and fro by `memcpy`.
///
/// # Safety
/// Those of [`Vector`], here and below.
#[inline(always)]
pub(super) unsafe fn input<V: Vector>(d: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let (d0, d1, d2, d3, d4, d5) = (d(0), d(1), d(2), d(3), d(4), d(5));
        let middle = V::splat(-2.5);
        put(0, d2.mul_add(middle, d0.add(d4)));
        for (i, (p, _)) in PAIRS.into_iter().enumerate() {
            // The product over the others: t (t^2 - other) (t +- p).
            let other = V::splat(-PAIRS[1 - i].1);
            let (even, odd) = (d2.mul_add(other, d4), d1.mul_add(other, d3));
            put(2 * i + 1, odd.mul_add(V::splat(p), even));
            put(2 * i + 2, odd.mul_add(V::splat(-p), even));
        }
        put(5, d3.mul_add(middle, d1.add(d5)));
    }
}

/// The values of a polynomial with R coefficients g at the six points; at infinity, the last coefficient.
#[inline(always)]
unsafe fn values<V: Vector, const R: usize>(g: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        put(0, g(0));
        for (i, (p, square)) in PAIRS.into_iter().enumerate() {
            // Horner's rule on even and odd powers.
            let square = V::splat(square);
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
            put(2 * i + 1, odd.mul_add(V::splat(p), even));
            put(2 * i + 2, odd.mul_add(V::splat(-p), even));
        }
        put(5, g(R - 1));
    }
}

/// The way back through [`values`].
#[inline(always)]
unsafe fn values_back<V: Vector, const M: usize>(m: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        let [(p, p2), (q, q2)] = PAIRS;
        let (even_p, odd_p) = (m(1).add(m(2)), m(1).sub(m(2)).mul(V::splat(p)));
        let (even_q, odd_q) = (m(3).add(m(4)), m(3).sub(m(4)).mul(V::splat(q)));
        let last = |j: usize, y: V| if j == M - 1 { y.add(m(5)) } else { y };
        put(0, even_p.add(even_q).add(m(0)));
        put(1, last(1, odd_p.add(odd_q)));
        if M > 2 {
            put(2, last(2, even_p.mul_add(V::splat(p2), even_q.mul(V::splat(q2)))));
        }
        if M > 3 {
            put(3, last(3, odd_p.mul_add(V::splat(p2), odd_q.mul(V::splat(q2)))));
        }
        if M > 4 {
            put(4, last(4, even_p.mul_add(V::splat(p2 * p2), even_q.mul(V::splat(q2 * q2)))));
        }
    }
}

/// What the weights' transform is scaled by at each point: 1 over the product of its distances to the others.
const SCALES: [f32; SIX] = [1.0, -2.0 / 3.0, -2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0, 1.0];

/// G g for one column g.
#[inline(always)]
pub(super) unsafe fn filter<V: Vector, const R: usize>(g: impl Fn(usize) -> V, mut put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        values::<V, R>(
            g,
            #[inline(always)]
            |i, value| put(i, value.mul(V::splat(SCALES[i]))),
        )
    }
}

/// A^T m for one column m.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const M: usize>(m: impl Fn(usize) -> V, put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe { values_back::<V, M>(m, put) }
}

/// A y for one column y of the gradient of a tile's outputs: the way back through [`output`].
#[inline(always)]
pub(super) unsafe fn output_gradient<V: Vector, const M: usize>(y: impl Fn(usize) -> V, put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe { values::<V, M>(y, put) }
}

/// G^T u for one column u of the gradient of the transformed weights: the way back through [`filter`].
#[inline(always)]
pub(super) unsafe fn filter_gradient<V: Vector, const R: usize>(u: impl Fn(usize) -> V, put: impl FnMut(usize, V)) {
    // SAFETY: the caller's promise.
    unsafe {
        values_back::<V, R>(
            #[inline(always)]
            |i| u(i).mul(V::splat(SCALES[i])),
            put,
        )
    }
}
