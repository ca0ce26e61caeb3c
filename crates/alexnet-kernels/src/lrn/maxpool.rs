//! Fused LRN and max pooling: y = max pool(LRN(x)).
//!
//! The largest map of the net lies between the two, 1.2 MB per image in the paper's first layer, and nothing else reads it. Here
//! only one window of its rows exists at a time, 64 KB, and in the backward pass only one row:
//!
//! ```text
//! x row 2p    -> LRN -> ring[0] \
//! x row 2p+1  -> LRN -> ring[1]  > windows of row p of y            dx row h <- LRN's gradient <- one row <- windows that
//! x row 2p+2  -> LRN -> ring[2] /  (ring[2] is row 0 of the next)                                           cover row h
//! ```
//!
//! The bits equal those of the two operators in sequence.

use super::Shape;
use super::row as norm_row;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::executor::DisjointSlices;
use crate::feature_map::FeatureMap;
use crate::pool;
use crate::pool::max::{Outputs, coverings, pool_row, spans};
use crate::rows::{check_same, for_each_band, for_each_row, mask_row, row};

/// Panics unless the pool's input is the normalisation's output.
fn check(norm: &Shape, pool: &pool::Shape, x: &[f32], y_map: FeatureMap, what: &str) {
    norm.check();
    let (a, b) = (norm.x, pool.x);
    assert_eq!((a.n, a.h, a.w, a.c), (b.n, b.h, b.w, b.c), "{what}: the pool's input is not the normalisation's output");
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (a.n, pool.p, pool.q, a.c), "{what} of {pool:?}");
    assert!(x.len() >= a.len(), "{what}: x has {} floats, the map {}", x.len(), a.len());
}

/// Normalises and pools `x`; `winners` as in [`pool::max::forward`].
///
/// # Panics
/// As the two operators.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &Context<'_>,
    norm: &Shape,
    pool: &pool::Shape,
    x: &[f32],
    y_map: FeatureMap,
    y: &mut [f32],
    winners: Option<&mut [u8]>,
) {
    check(norm, pool, x, y_map, "normalisation and pool");
    let (rows, columns) = spans(pool);
    let (line_len, winners_len) = (norm.x.w * norm.x.c, pool.q * norm.x.c);
    if let Some(winners) = &winners {
        assert_eq!(winners.len(), y_map.n * pool.p * winners_len, "winners of {pool:?}");
    }
    let winners = winners.map(DisjointSlices::new);
    for_each_band(context.threads, y_map, y, |n, band| {
        with_scratch(norm.padded() + pool.kernel * line_len, |scratch| {
            let (squares, ring) = scratch.split_at_mut(norm.padded());
            // Rows before this one are done, as needed by the windows.
            let mut next = 0;
            for (p, line) in band {
                next = next.max(rows[p].start);
                // SAFETY: each row (n, p) is visited once and has its own stretch of winners.
                let winners = winners.as_ref().map(|all| unsafe { all.slice((n * pool.p + p) * winners_len, winners_len) });
                for h in next..rows[p].end {
                    let to = &mut ring[h % pool.kernel * line_len..][..line_len];
                    norm_row::forward(context.isa, norm, row(norm.x, x, n, h), to, squares);
                }
                let ring = &*ring;
                let line_of = |h: usize| &ring[h % pool.kernel * line_len..][..line_len];
                pool_row(context.isa, pool, line_of, &rows[p], &columns, line, winners);
                next = next.max(rows[p].end);
            }
        });
    });
}

/// Gradient of the input from that of the output. `mask`: `x` is the output of a ReLU.
///
/// # Panics
/// As the two operators.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    context: &Context<'_>,
    norm: &Shape,
    pool: &pool::Shape,
    x: &[f32],
    dy_map: FeatureMap,
    dy: &[f32],
    winners: &[u8],
    mask: bool,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    check(norm, pool, x, dy_map, "gradient of normalisation and pool");
    check_same("gradient of normalisation and pool", norm.x, x.len(), dx_map, dx.len());
    assert!(dy.len() >= dy_map.len(), "dy has {} floats, the map {}", dy.len(), dy_map.len());
    assert_eq!(winners.len(), norm.x.n * pool.p * pool.q * norm.x.c, "winners of {pool:?}");
    let mask = mask.then_some((norm.x, x));
    let outputs = Outputs { shape: pool, dy_map, dy, winners };
    let (of_row, of_column) = coverings(pool);
    let line_len = norm.x.w * norm.x.c;
    for_each_row(context.threads, dx_map, dx, |n, h, dx| {
        with_scratch(line_len + norm.backward_scratch(), |scratch| {
            let (between, scratch) = scratch.split_at_mut(line_len);
            outputs.gather_row(context.isa, (n, h), of_row[h].clone(), &of_column, None, between);
            norm_row::backward(context.isa, norm, row(norm.x, x, n, h), between, dx, scratch);
            context.isa.vectorize(
                #[inline(always)]
                || mask_row(mask, n, h, dx),
            );
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_map::Sides;
    use crate::lrn;
    use crate::rows::testing::{border, contexts, random};

    #[test]
    fn the_fused_operator_equals_the_sequence_bit_for_bit() {
        // Windows that overlap, that do not, with gaps between them, beyond the map, and with an odd kernel; bands of few rows.
        let one_sided = Sides { top: 1, left: 0, bottom: 0, right: 1 };
        for (i, (kernel, stride, pad, h, w, c)) in [
            (3, 2, Sides::default(), 55, 7, 96),
            (3, 2, one_sided, 8, 9, 20),
            (2, 2, Sides::default(), 6, 4, 3),
            (2, 3, Sides::default(), 8, 11, 16),
            (4, 1, one_sided, 7, 7, 33),
            (3, 2, Sides::default(), 43, 40, 128),
            (1, 1, Sides::default(), 3, 2, 1),
        ]
        .into_iter()
        .enumerate()
        {
            let count = |size: usize, more: usize| (size + more).saturating_sub(kernel).div_ceil(stride) + 1;
            let (p, q) = (count(h, pad.top), count(w, pad.right));
            let x_map = FeatureMap { n: 2, h, w, c, border: border(i) };
            let norm = Shape { x: x_map, n: [5, 3, 7][i % 3], alpha: 0.3, beta: 0.75, k: 2.0, columns: 1 };
            let between = FeatureMap { border: border(i + 1), ..x_map };
            let pool = pool::Shape { x: between, kernel, stride, pad, p, q };
            let y_map = pool.y(border(i + 2));
            let (dy_map, dx_map) = (pool.y(border(i)), FeatureMap { border: border(i + 3), ..x_map });
            let (x, dy) = (random(x_map, i as u64, 3.0), random(dy_map, 100 + i as u64, 1.0));
            for context in contexts() {
                let what = format!("{pool:?} {}", context.isa);
                let mut middle = vec![f32::NAN; between.len()];
                lrn::forward(&context, &norm, &x, between, &mut middle);
                let (mut y, mut winners) = (vec![f32::NAN; y_map.len()], vec![99; 2 * p * q * c]);
                pool::max::forward(&context, &pool, &middle, y_map, &mut y, Some(&mut winners));
                let (mut found, mut places) = (vec![f32::NAN; y_map.len()], vec![98; winners.len()]);
                forward(&context, &norm, &pool, &x, y_map, &mut found, Some(&mut places));
                assert!(found == y && places == winners, "{what}");
                found.fill(f32::NAN);
                forward(&context, &norm, &pool, &x, y_map, &mut found, None);
                assert!(found == y, "{what}");
                for mask in [false, true] {
                    pool::max::backward(&context, &pool, dy_map, &dy, &winners, None, between, &mut middle);
                    let (mut dx, mut found) = (vec![f32::NAN; dx_map.len()], vec![f32::NAN; dx_map.len()]);
                    lrn::backward(&context, &norm, &x, between, &middle, mask, dx_map, &mut dx);
                    backward(&context, &norm, &pool, &x, dy_map, &dy, &winners, mask, dx_map, &mut found);
                    assert!(found == dx, "gradient of {what}");
                }
            }
        }
    }
}
