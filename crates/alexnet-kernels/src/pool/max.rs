//! Max pooling. Padding never wins.

use std::ops::Range;

use super::Shape;
use super::span::{Span, covering};
use crate::context::Context;
use crate::executor::DisjointSlices;
use crate::feature_map::FeatureMap;
use crate::isa::{Isa, dispatch};
use crate::rows::{check_mask, for_each_row, row};
use crate::simd::{Vector, Vectorized, add_some_where, load_some, store_some, store_some_low_bytes};

/// y[n, p, q, c] = the largest x[n, ., ., c] of window (p, q). NaN wins, as in PyTorch, so that diverged training is visible.
///
/// `winners`, [N, P, Q, C] without a border, receives the position of the maximum: r * kernel + s of the first of equals.
///
/// # Panics
/// When the shape is unsound, a window covers none of the map, the kernel exceeds 16 (winners are bytes), or a slice is too
/// short.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], y_map: FeatureMap, y: &mut [f32], winners: Option<&mut [u8]>) {
    let (rows, columns) = spans(shape);
    let (x_map, line_len) = (shape.x, shape.q * shape.x.c);
    assert!(x.len() >= x_map.len(), "x has {} floats, the map {}", x.len(), x_map.len());
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (x_map.n, shape.p, shape.q, x_map.c), "output of {shape:?}");
    let Some(winners) = winners else {
        return for_each_row(context.threads, y_map, y, |n, p, line| {
            pool_row(context.isa, shape, |h| row(x_map, x, n, h), &rows[p], &columns, line, None);
        });
    };
    assert_eq!(winners.len(), y_map.n * shape.p * line_len, "winners of {shape:?}");
    let winners = DisjointSlices::new(winners);
    for_each_row(context.threads, y_map, y, |n, p, line| {
        // SAFETY: each row (n, p) is visited once and has its own stretch of winners.
        let winners = unsafe { winners.slice((n * shape.p + p) * line_len, line_len) };
        pool_row(context.isa, shape, |h| row(x_map, x, n, h), &rows[p], &columns, line, Some(winners));
    });
}

/// Rows and columns covered by the windows.
pub(crate) fn spans(shape: &Shape) -> (Vec<Span>, Vec<Span>) {
    assert!(shape.kernel <= 16, "winners are bytes, so a window has at most 16 x 16 pixels: {shape:?}");
    let (rows, columns) = (shape.rows(), shape.columns());
    assert!(rows.iter().chain(&columns).all(|span| span.len() > 0), "a window covers none of the map: {shape:?}");
    (rows, columns)
}

/// Computes one row of outputs of one image, whose rows of W C floats `x` returns, and optionally their winners.
pub(crate) fn pool_row<'a>(
    isa: Isa,
    shape: &Shape,
    x: impl Fn(usize) -> &'a [f32],
    rows: &Span,
    columns: &[Span],
    line: &mut [f32],
    winners: Option<&mut [u8]>,
) {
    let winners = winners.unwrap_or_default();
    // SAFETY: nothing is asked for.
    unsafe {
        if winners.is_empty() {
            dispatch(isa, Windows::<_, false> { shape, x, rows, columns, line, winners });
        } else {
            dispatch(isa, Windows::<_, true> { shape, x, rows, columns, line, winners });
        }
    }
}

/// The windows of a row.
struct Windows<'a, X, const WINNERS: bool> {
    shape: &'a Shape,
    x: X,
    rows: &'a Span,
    columns: &'a [Span],
    line: &'a mut [f32],
    winners: &'a mut [u8],
}

impl<'x, X: Fn(usize) -> &'x [f32], const WINNERS: bool> Vectorized for Windows<'_, X, WINNERS> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Windows { shape, x, rows, columns, line, winners } = self;
        let (kernel, channels) = (shape.kernel, shape.x.c);
        let place = |h: usize, w: usize, column: &Span| {
            ((h - rows.start + rows.skipped) * kernel + (w - column.start + column.skipped)) as u32
        };
        for (i, (column, y)) in columns.iter().zip(line.chunks_exact_mut(channels)).enumerate() {
            for c in (0..channels).step_by(V::WIDTH) {
                // SAFETY: the functions stay within their slices.
                unsafe {
                    let mut largest = V::splat(f32::NEG_INFINITY);
                    let mut winner = V::splat(f32::from_bits(place(rows.start, column.start, column)));
                    for h in rows.start..rows.end {
                        let row = &x(h)[column.start * channels..column.end * channels];
                        for (pixel, w) in row.chunks_exact(channels).zip(column.start..) {
                            let (value, place) = (load_some::<V>(pixel, c), V::splat(f32::from_bits(place(h, w, column))));
                            (largest, winner) = largest.larger(winner, value, place);
                        }
                    }
                    store_some(largest, y, c);
                    if WINNERS {
                        store_some_low_bytes(winner, &mut winners[i * channels..(i + 1) * channels], c);
                    }
                }
            }
        }
    }
}

/// Gradient of the input: each output's gradient goes to its winner. `mask`: the input's values, if they are the output of a
/// ReLU.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: FeatureMap,
    dy: &[f32],
    winners: &[u8],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    let (x, c) = (shape.x, shape.x.c);
    assert_eq!((dx_map.n, dx_map.h, dx_map.w, dx_map.c), (x.n, x.h, x.w, x.c), "gradient of {shape:?}");
    assert_eq!((dy_map.n, dy_map.h, dy_map.w, dy_map.c), (x.n, shape.p, shape.q, c), "output's gradient of {shape:?}");
    assert!(dy.len() >= dy_map.len(), "dy has {} floats, the map {}", dy.len(), dy_map.len());
    assert_eq!(winners.len(), x.n * shape.p * shape.q * c, "winners of {shape:?}");
    check_mask("mask of a max pool", mask, dx_map);
    let outputs = Outputs { shape, dy_map, dy, winners };
    let (of_row, of_column) = coverings(shape);
    for_each_row(context.threads, dx_map, dx, |n, h, line| {
        let mask = mask.map(|(map, values)| row(map, values, n, h));
        outputs.gather_row(context.isa, (n, h), of_row[h].clone(), &of_column, mask, line);
    });
}

/// Windows that cover each row and each column of the map.
pub(crate) fn coverings(shape: &Shape) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (rows, columns) = spans(shape);
    (covering(&rows, shape.x.h), covering(&columns, shape.x.w))
}

/// Output gradients with their winners.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) dy_map: FeatureMap,
    pub(crate) dy: &'a [f32],
    pub(crate) winners: &'a [u8],
}

impl Outputs<'_> {
    /// Gradient of row `h` of image `n`, covered by the rows of windows `over_p`; zero where the mask's row is not positive.
    pub(crate) fn gather_row(
        self,
        isa: Isa,
        place: (usize, usize),
        over_p: Range<usize>,
        of_column: &[Range<usize>],
        mask: Option<&[f32]>,
        line: &mut [f32],
    ) {
        // SAFETY: nothing is asked for.
        unsafe { dispatch(isa, Gather { outputs: self, place, over_p, of_column, mask, line }) };
    }
}

/// dx[w][c] = sum over the windows that cover pixel w of their gradient, where the pixel is their winner.
struct Gather<'a> {
    outputs: Outputs<'a>,
    /// Image and row.
    place: (usize, usize),
    over_p: Range<usize>,
    of_column: &'a [Range<usize>],
    mask: Option<&'a [f32]>,
    line: &'a mut [f32],
}

/// Windows whose gradients are summed in a register: the maximum number covering a pixel in AlexNet's pools.
const WINDOWS: usize = 4;

impl Vectorized for Gather<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Gather { outputs: Outputs { shape, dy_map, dy, winners }, place: (n, h), over_p, of_column, mask, line } = self;
        let (kernel, channels) = (shape.kernel, shape.x.c);
        for (w, dx) in line.chunks_exact_mut(channels).enumerate() {
            let mask = mask.map(|mask| &mask[w * channels..(w + 1) * channels]);
            let over_q = of_column[w].clone();
            // The j-th window that covers this pixel: its gradients, its winners, and this pixel's position in it.
            let window = |j: usize| {
                let (p, q) = (over_p.start + j / over_q.len(), over_q.start + j % over_q.len());
                let (at, plain) = (dy_map.at(n, p, q), ((n * shape.p + p) * shape.q + q) * channels);
                let place = (h + shape.pad.top - p * shape.stride) * kernel + w + shape.pad.left - q * shape.stride;
                (&dy[at..at + channels], &winners[plain..plain + channels], place as u8)
            };
            let all = over_p.len() * over_q.len();
            for first in (0..all.max(1)).step_by(WINDOWS) {
                let mut windows = [(&[][..], &[][..], 0); WINDOWS];
                let some = &mut windows[..WINDOWS.min(all - first)];
                some.iter_mut().zip(first..).for_each(|(to, j)| *to = window(j));
                for c in (0..channels).step_by(V::WIDTH) {
                    // SAFETY: the functions stay within their slices.
                    unsafe {
                        let mut sum = if first == 0 { V::splat(0.0) } else { load_some::<V>(dx, c) };
                        for &(dy, winners, place) in &*some {
                            sum = add_some_where(sum, dy, winners, c, place);
                        }
                        if let Some(mask) = mask {
                            sum = sum.where_positive(load_some::<V>(mask, c));
                        }
                        store_some(sum, dx, c);
                    }
                }
            }
        }
    }
}
