//! The transforms of six-point Winograd convolutions, vectorised over channels (Lavin and Gray 2015, "Fast algorithms for
//! convolutional neural networks").
//!
//! A tile of M x M outputs of a kernel of R x R, with M + R - 1 = 6, is
//!
//! ```text
//! Y = A^T [ (G g G^T) . (B^T d B) ] A        d: 6 x 6 inputs, g: R x R weights, `.`: element by element
//! ```
//!
//! The points are 0, 1, -1, 2, -2 and infinity, so that F(4 x 4, 3 x 3) and F(2 x 2, 5 x 5) share B:
//!
//! ```text
//! A[i][j] = p_i^j,   G[i][j] = s_i p_i^j,   s = 1/4, -1/6, -1/6, 1/24, 1/24;   infinity: 1 at the highest power, else 0
//! ```

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
    let even = sum([(-4.0, d[2]), (1.0, d[4])]);
    let odd = sum([(-4.0, d[1]), (1.0, d[3])]);
    let even_2 = sum([(-1.0, d[2]), (1.0, d[4])]);
    let odd_2 = sum([(-2.0, d[1]), (2.0, d[3])]);
    [
        sum([(4.0, d[0]), (-5.0, d[2]), (1.0, d[4])]),
        sum([(1.0, even), (1.0, odd)]),
        sum([(1.0, even), (-1.0, odd)]),
        sum([(1.0, even_2), (1.0, odd_2)]),
        sum([(1.0, even_2), (-1.0, odd_2)]),
        sum([(4.0, d[1]), (-5.0, d[3]), (1.0, d[5])]),
    ]
}

/// G g for one column g: for the points p and -p, even powers come with the same sign, odd ones with opposite ones.
#[inline(always)]
pub(super) fn filter<const R: usize>(g: [Lanes; R]) -> [Lanes; SIX] {
    let fourth = if R == 5 { g[R - 1] } else { [0.0; LANES] };
    let third = if R == 5 { g[R - 2] } else { [0.0; LANES] };
    let even = sum([(1.0, g[0]), (1.0, g[2]), (1.0, fourth)]);
    let odd = sum([(1.0, g[1]), (1.0, third)]);
    let even_2 = sum([(1.0, g[0]), (4.0, g[2]), (16.0, fourth)]);
    let odd_2 = sum([(2.0, g[1]), (8.0, third)]);
    [
        sum([(1.0 / 4.0, g[0])]),
        sum([(-1.0 / 6.0, even), (-1.0 / 6.0, odd)]),
        sum([(-1.0 / 6.0, even), (1.0 / 6.0, odd)]),
        sum([(1.0 / 24.0, even_2), (1.0 / 24.0, odd_2)]),
        sum([(1.0 / 24.0, even_2), (-1.0 / 24.0, odd_2)]),
        g[R - 1],
    ]
}

/// A^T m for one column m.
#[inline(always)]
pub(super) fn output<const M: usize>(m: [Lanes; SIX]) -> [Lanes; M] {
    let (plus, minus) = (sum([(1.0, m[1]), (1.0, m[2])]), sum([(1.0, m[1]), (-1.0, m[2])]));
    let (plus_2, minus_2) = (sum([(1.0, m[3]), (1.0, m[4])]), sum([(1.0, m[3]), (-1.0, m[4])]));
    let mut y = [[0.0; LANES]; M];
    let mut power = 1.0;
    for (j, y) in y.iter_mut().enumerate() {
        let (of_1, of_2) = if j % 2 == 0 { (plus, plus_2) } else { (minus, minus_2) };
        *y = sum([(1.0, of_1), (power, of_2)]);
        power *= 2.0;
        if j == 0 {
            *y = sum([(1.0, *y), (1.0, m[0])]);
        }
        if j == M - 1 {
            *y = sum([(1.0, *y), (1.0, m[5])]);
        }
    }
    y
}

/// A y for one column y of the gradient of a tile's outputs: the way back through [`output`].
#[inline(always)]
pub(super) fn output_gradient<const M: usize>(y: [Lanes; M]) -> [Lanes; SIX] {
    let second = if M == 4 { y[M - 2] } else { [0.0; LANES] };
    let third = if M == 4 { y[M - 1] } else { [0.0; LANES] };
    let even = sum([(1.0, y[0]), (1.0, second)]);
    let odd = sum([(1.0, y[1]), (1.0, third)]);
    let even_2 = sum([(1.0, y[0]), (4.0, second)]);
    let odd_2 = sum([(2.0, y[1]), (8.0, third)]);
    [
        y[0],
        sum([(1.0, even), (1.0, odd)]),
        sum([(1.0, even), (-1.0, odd)]),
        sum([(1.0, even_2), (1.0, odd_2)]),
        sum([(1.0, even_2), (-1.0, odd_2)]),
        y[M - 1],
    ]
}

/// G^T u for one column u of the gradient of the transformed weights: the way back through [`filter`].
#[inline(always)]
pub(super) fn filter_gradient<const R: usize>(u: [Lanes; SIX]) -> [Lanes; R] {
    let (even, odd) = (sum([(-1.0 / 6.0, u[1]), (-1.0 / 6.0, u[2])]), sum([(-1.0 / 6.0, u[1]), (1.0 / 6.0, u[2])]));
    let (even_2, odd_2) = (sum([(1.0 / 24.0, u[3]), (1.0 / 24.0, u[4])]), sum([(1.0 / 24.0, u[3]), (-1.0 / 24.0, u[4])]));
    let mut g = [[0.0; LANES]; R];
    let mut power = 1.0;
    for (j, g) in g.iter_mut().enumerate() {
        let (of_1, of_2) = if j % 2 == 0 { (even, even_2) } else { (odd, odd_2) };
        *g = sum([(1.0, of_1), (power, of_2)]);
        power *= 2.0;
        if j == 0 {
            *g = sum([(1.0, *g), (1.0 / 4.0, u[0])]);
        }
        if j == R - 1 {
            *g = sum([(1.0, *g), (1.0, u[5])]);
        }
    }
    g
}
