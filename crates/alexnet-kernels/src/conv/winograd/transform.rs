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

/// The first pair of points: plus and minus this; its square is 1/2.
const P: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// The second pair: its square is 2.
const Q: f32 = std::f32::consts::SQRT_2;
/// Their powers.
const P_POWERS: [f32; 5] = [1.0, P, 0.5, P / 2.0, 0.25];
const Q_POWERS: [f32; 5] = [1.0, Q, 2.0, 2.0 * Q, 4.0];

/// Rows and columns of a transformed tile.
pub(super) const SIX: usize = 6;
/// Values of a transformed tile, each of which is a product of its own.
pub(super) const PRODUCTS: usize = SIX * SIX;
/// Channels transformed side by side: one AVX-512 register.
pub(super) const LANES: usize = 16;

/// Some channels of one value.
pub(super) type Lanes = [f32; LANES];

#[inline(always)]
fn sum<const N: usize>(terms: [(f32, Lanes); N]) -> Lanes {
    let mut total = [0.0; LANES];
    for lane in 0..LANES {
        let mut value = terms[0].0 * terms[0].1[lane];
        for (factor, lanes) in &terms[1..] {
            value += factor * lanes[lane];
        }
        total[lane] = value;
    }
    total
}

/// B^T d for one column d.
#[inline(always)]
pub(super) fn input(d: [Lanes; SIX]) -> [Lanes; SIX] {
    let even = sum([(-2.0, d[2]), (1.0, d[4])]);
    let odd = sum([(-2.0 * P, d[1]), (P, d[3])]);
    let even_2 = sum([(-0.5, d[2]), (1.0, d[4])]);
    let odd_2 = sum([(-0.5 * Q, d[1]), (Q, d[3])]);
    [
        sum([(1.0, d[0]), (-2.5, d[2]), (1.0, d[4])]),
        sum([(1.0, even), (1.0, odd)]),
        sum([(1.0, even), (-1.0, odd)]),
        sum([(1.0, even_2), (1.0, odd_2)]),
        sum([(1.0, even_2), (-1.0, odd_2)]),
        sum([(1.0, d[1]), (-2.5, d[3]), (1.0, d[5])]),
    ]
}

/// The even and the odd powers' part of a polynomial with coefficients g, times a factor.
#[inline(always)]
fn parts<const R: usize>(g: &[Lanes; R], powers: [f32; 5], factor: f32) -> (Lanes, Lanes) {
    let (mut even, mut odd) = (sum([(factor, g[0])]), sum([(factor * powers[1], g[1])]));
    for (j, g) in g.iter().enumerate().skip(2) {
        let part = if j % 2 == 0 { &mut even } else { &mut odd };
        *part = sum([(1.0, *part), (factor * powers[j], *g)]);
    }
    (even, odd)
}

/// A polynomial's values at 0, at both pairs of points (times `factors`), and at infinity: the highest coefficient.
#[inline(always)]
fn values<const R: usize>(g: [Lanes; R], factors: [f32; 2]) -> [Lanes; SIX] {
    let (even, odd) = parts(&g, P_POWERS, factors[0]);
    let (even_2, odd_2) = parts(&g, Q_POWERS, factors[1]);
    [
        g[0],
        sum([(1.0, even), (1.0, odd)]),
        sum([(1.0, even), (-1.0, odd)]),
        sum([(1.0, even_2), (1.0, odd_2)]),
        sum([(1.0, even_2), (-1.0, odd_2)]),
        g[R - 1],
    ]
}

/// The way back through [`values`].
#[inline(always)]
fn values_back<const M: usize>(m: [Lanes; SIX], factors: [f32; 2]) -> [Lanes; M] {
    let (plus, minus) = (sum([(1.0, m[1]), (1.0, m[2])]), sum([(1.0, m[1]), (-1.0, m[2])]));
    let (plus_2, minus_2) = (sum([(1.0, m[3]), (1.0, m[4])]), sum([(1.0, m[3]), (-1.0, m[4])]));
    let mut y = [[0.0; LANES]; M];
    for (j, y) in y.iter_mut().enumerate() {
        let (of_p, of_q) = if j % 2 == 0 { (plus, plus_2) } else { (minus, minus_2) };
        *y = sum([(factors[0] * P_POWERS[j], of_p), (factors[1] * Q_POWERS[j], of_q)]);
        if j == 0 {
            *y = sum([(1.0, *y), (1.0, m[0])]);
        }
        if j == M - 1 {
            *y = sum([(1.0, *y), (1.0, m[5])]);
        }
    }
    y
}

/// What the weights' transform is scaled by, for each pair of points.
const SCALES: [f32; 2] = [-2.0 / 3.0, 1.0 / 6.0];

/// G g for one column g.
#[inline(always)]
pub(super) fn filter<const R: usize>(g: [Lanes; R]) -> [Lanes; SIX] {
    values(g, SCALES)
}

/// A^T m for one column m.
#[inline(always)]
pub(super) fn output<const M: usize>(m: [Lanes; SIX]) -> [Lanes; M] {
    values_back(m, [1.0, 1.0])
}

/// A y for one column y of the gradient of a tile's outputs: the way back through [`output`].
#[inline(always)]
pub(super) fn output_gradient<const M: usize>(y: [Lanes; M]) -> [Lanes; SIX] {
    values(y, [1.0, 1.0])
}

/// G^T u for one column u of the gradient of the transformed weights: the way back through [`filter`].
#[inline(always)]
pub(super) fn filter_gradient<const R: usize>(u: [Lanes; SIX]) -> [Lanes; R] {
    values_back(u, SCALES)
}
