//! The largest value of each window. Padding never wins.

use super::Shape;
use super::span::{Span, covering};
use crate::context::Context;
use crate::map::Map;
use crate::rows::{check_mask, for_each_row, mask_row, row};
use crate::threads::Parts;
use std::ops::Range;

/// y[n, p, q, c] = the largest x[n, ., ., c] of window (p, q). A value that is not a number wins, as in PyTorch, so that a
/// training that has diverged shows.
///
/// `winners`, [N, P, Q, C] without a border, gets where it stood: r * kernel + s of the first of the largest.
///
/// # Panics
/// When the shape is unsound, a window covers none of the map, the kernel exceeds 16 (winners are bytes), or a slice is too
/// short.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], y_map: Map, y: &mut [f32], winners: Option<&mut [u8]>) {
    let (rows, columns) = spans(shape);
    let (x_map, line_len) = (shape.x, shape.q * shape.x.c);
    assert!(x.len() >= x_map.len(), "x has {} floats, the map {}", x.len(), x_map.len());
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (x_map.n, shape.p, shape.q, x_map.c), "output of {shape:?}");
    let Some(winners) = winners else {
        return for_each_row(context.threads, y_map, y, |n, p, line| {
            context.isa.vectorize(
                #[inline(always)]
                || pool_row(shape, |h| row(x_map, x, n, h), &rows[p], &columns, line, None),
            );
        });
    };
    assert_eq!(winners.len(), y_map.n * shape.p * line_len, "winners of {shape:?}");
    let winners = Parts::new(winners);
    for_each_row(context.threads, y_map, y, |n, p, line| {
        // SAFETY: each row (n, p) is visited once and has its own stretch of winners.
        let winners = unsafe { winners.slice((n * shape.p + p) * line_len, line_len) };
        context.isa.vectorize(
            #[inline(always)]
            || pool_row(shape, |h| row(x_map, x, n, h), &rows[p], &columns, line, Some(winners)),
        );
    });
}

/// What the rows and columns of windows cover.
pub(crate) fn spans(shape: &Shape) -> (Vec<Span>, Vec<Span>) {
    assert!(shape.kernel <= 16, "winners are bytes, so a window has at most 16 x 16 pixels: {shape:?}");
    let (rows, columns) = (shape.rows(), shape.columns());
    assert!(rows.iter().chain(&columns).all(|span| span.len() > 0), "a window covers none of the map: {shape:?}");
    (rows, columns)
}

/// One row of outputs of one picture, whose rows of W C floats `x` gives, and their winners if they are wanted.
#[inline(always)]
pub(crate) fn pool_row<'a>(
    shape: &Shape,
    x: impl Fn(usize) -> &'a [f32],
    rows: &Span,
    columns: &[Span],
    line: &mut [f32],
    winners: Option<&mut [u8]>,
) {
    match (shape.kernel, winners) {
        (2, None) => windows::<4, false>(shape, x, rows, columns, line, &mut []),
        (3, None) => windows::<9, false>(shape, x, rows, columns, line, &mut []),
        (_, None) => windows::<0, false>(shape, x, rows, columns, line, &mut []),
        (2, Some(winners)) => windows::<4, true>(shape, x, rows, columns, line, winners),
        (3, Some(winners)) => windows::<9, true>(shape, x, rows, columns, line, winners),
        (_, Some(winners)) => windows::<0, true>(shape, x, rows, columns, line, winners),
    }
}

/// The windows of a row. `FULL` is kernel^2 where whole windows have their own code, else 0.
#[inline(always)]
fn windows<'a, const FULL: usize, const WINNERS: bool>(
    shape: &Shape,
    x: impl Fn(usize) -> &'a [f32],
    rows: &Span,
    columns: &[Span],
    line: &mut [f32],
    winners: &mut [u8],
) {
    let (kernel, c) = (shape.kernel, shape.x.c);
    for (i, (column, y)) in columns.iter().zip(line.chunks_exact_mut(c)).enumerate() {
        let winners = if WINNERS { &mut winners[i * c..(i + 1) * c] } else { &mut [] };
        if FULL > 0 && rows.len() == kernel && column.len() == kernel {
            let window: [&[f32]; FULL] =
                std::array::from_fn(|j| &x(rows.start + j / kernel)[(column.start + j % kernel) * c..][..c]);
            full_window::<FULL, WINNERS>(window, y, winners);
        } else {
            clipped_window::<WINNERS>(shape, &x, rows, column, y, winners);
        }
    }
}

/// A window that lies on the map: one pass over the channels, with all its pixels side by side.
#[inline(always)]
fn full_window<const PIXELS: usize, const WINNERS: bool>(window: [&[f32]; PIXELS], y: &mut [f32], winners: &mut [u8]) {
    for c in 0..y.len() {
        let (mut largest, mut winner) = (window[0][c], 0);
        for (j, pixel) in window.iter().enumerate().skip(1) {
            let wins = beats(pixel[c], largest);
            largest = if wins { pixel[c] } else { largest };
            winner = if wins { j as u32 } else { winner };
        }
        y[c] = largest;
        if WINNERS {
            winners[c] = winner as u8;
        }
    }
}

/// A window of any kernel, parts of which may lie beyond the map: pixel by pixel.
#[inline(always)]
fn clipped_window<'a, const WINNERS: bool>(
    shape: &Shape,
    x: impl Fn(usize) -> &'a [f32],
    rows: &Span,
    column: &Span,
    y: &mut [f32],
    winners: &mut [u8],
) {
    y.fill(f32::NEG_INFINITY);
    let first = (rows.skipped * shape.kernel + column.skipped) as u8;
    winners.fill(first);
    for h in rows.start..rows.end {
        for w in column.start..column.end {
            let code = ((h - rows.start + rows.skipped) * shape.kernel + (w - column.start + column.skipped)) as u8;
            let pixel = &x(h)[w * y.len()..][..y.len()];
            for c in 0..y.len() {
                let wins = beats(pixel[c], y[c]);
                y[c] = if wins { pixel[c] } else { y[c] };
                if WINNERS {
                    winners[c] = if wins { code } else { winners[c] };
                }
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::eq_op)] // Not a number differs from itself; `is_nan` says the same but hides that it is one comparison.
fn beats(value: f32, largest: f32) -> bool {
    (value > largest) | (value != value)
}

/// The input's gradient: each output's gradient goes to its winner. `mask`: the input's values, if they came out of a ReLU.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: Map,
    dy: &[f32],
    winners: &[u8],
    mask: Option<(Map, &[f32])>,
    dx_map: Map,
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
        context.isa.vectorize(
            #[inline(always)]
            || {
                outputs.gather_row(n, h, of_row[h].clone(), &of_column, line);
                mask_row(mask, n, h, line);
            },
        );
    });
}

/// Which windows cover each row and each column of the map.
pub(crate) fn coverings(shape: &Shape) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (rows, columns) = spans(shape);
    (covering(&rows, shape.x.h), covering(&columns, shape.x.w))
}

/// The gradients of outputs, and who won them.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) dy_map: Map,
    pub(crate) dy: &'a [f32],
    pub(crate) winners: &'a [u8],
}

impl Outputs<'_> {
    /// The gradient of row `h` of picture `n`, which the rows of windows `over_p` cover.
    #[inline(always)]
    pub(crate) fn gather_row(&self, n: usize, h: usize, over_p: Range<usize>, of_column: &[Range<usize>], line: &mut [f32]) {
        let Outputs { shape, dy_map, dy, winners } = *self;
        let (kernel, c) = (shape.kernel, shape.x.c);
        for (w, dx) in line.chunks_exact_mut(c).enumerate() {
            let over_q = of_column[w].clone();
            // The j-th window that covers this pixel: its gradients, its winners, and this pixel's place in it.
            let window = |j: usize| {
                let (p, q) = (over_p.start + j / over_q.len(), over_q.start + j % over_q.len());
                let (at, plain) = (dy_map.at(n, p, q), ((n * shape.p + p) * shape.q + q) * c);
                let place = (h + shape.pad.top - p * shape.stride) * kernel + w + shape.pad.left - q * shape.stride;
                (&dy[at..at + c], &winners[plain..plain + c], place as u8)
            };
            match over_p.len() * over_q.len() {
                0 => dx.fill(0.0),
                1 => gather([window(0)], dx),
                2 => gather([window(0), window(1)], dx),
                4 => gather([window(0), window(1), window(2), window(3)], dx),
                many => {
                    gather([window(0)], dx);
                    for j in 1..many {
                        let (dy, winners, place) = window(j);
                        for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(winners) {
                            *dx += if winner == place { dy } else { 0.0 };
                        }
                    }
                }
            }
        }
    }
}

/// dx[c] = sum over the windows that cover a pixel of their gradient, where the pixel is their winner.
#[inline(always)]
fn gather<const WINDOWS: usize>(windows: [(&[f32], &[u8], u8); WINDOWS], dx: &mut [f32]) {
    let windows = windows.map(|(dy, winners, place)| (&dy[..dx.len()], &winners[..dx.len()], place));
    for (c, dx) in dx.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (dy, winners, place) in windows {
            sum += if winners[c] == place { dy[c] } else { 0.0 };
        }
        *dx = sum;
    }
}
