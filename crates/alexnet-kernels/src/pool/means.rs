//! Shared implementation of average pooling over arbitrary windows.

use super::span::{Span, covering};
use crate::context::Context;
use crate::feature_map::FeatureMap;
use crate::rows::{check_mask, check_same, for_each_row, mask_row, row};

/// y[n, p, q, c] = mean of x[n, rows[p], columns[q], c].
pub(super) fn forward(
    context: &Context<'_>,
    rows: &[Span],
    columns: &[Span],
    x_map: FeatureMap,
    x: &[f32],
    y_map: FeatureMap,
    y: &mut [f32],
) {
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (x_map.n, rows.len(), columns.len(), x_map.c), "output of a mean pool");
    assert!(x.len() >= x_map.len(), "x has {} floats, the map {}", x.len(), x_map.len());
    for_each_row(context.threads, y_map, y, |n, p, line| {
        context.isa.vectorize(
            #[inline(always)]
            || {
                for (column, y) in columns.iter().zip(line.chunks_exact_mut(x_map.c)) {
                    y.fill(0.0);
                    for h in rows[p].start..rows[p].end {
                        for w in column.start..column.end {
                            let at = x_map.at(n, h, w);
                            for (y, &x) in y.iter_mut().zip(&x[at..at + x_map.c]) {
                                *y += x;
                            }
                        }
                    }
                    let count = (rows[p].size * column.size) as f32;
                    for y in y {
                        *y /= count;
                    }
                }
            },
        );
    });
}

/// dx[n, h, w, c] = sum over the windows (p, q) that cover (h, w) of dy[n, p, q, c] / pixels of (p, q).
pub(super) fn backward(
    context: &Context<'_>,
    (rows, columns): (&[Span], &[Span]),
    dy_map: FeatureMap,
    dy: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    assert_eq!((dy_map.n, dy_map.h, dy_map.w, dy_map.c), (dx_map.n, rows.len(), columns.len(), dx_map.c), "mean pool");
    assert!(dy.len() >= dy_map.len(), "dy has {} floats, the map {}", dy.len(), dy_map.len());
    check_mask("mask of a mean pool", mask, dx_map);
    let (of_row, of_column) = (covering(rows, dx_map.h), covering(columns, dx_map.w));
    for_each_row(context.threads, dx_map, dx, |n, h, line| {
        context.isa.vectorize(
            #[inline(always)]
            || {
                for (over, dx) in of_column.iter().zip(line.chunks_exact_mut(dx_map.c)) {
                    dx.fill(0.0);
                    for p in of_row[h].clone() {
                        for q in over.clone() {
                            let (at, share) = (dy_map.at(n, p, q), 1.0 / (rows[p].size * columns[q].size) as f32);
                            for (dx, &dy) in dx.iter_mut().zip(&dy[at..at + dx_map.c]) {
                                *dx += dy * share;
                            }
                        }
                    }
                }
                mask_row(mask, n, h, line);
            },
        );
    });
}

/// Copies a map, for windows of one pixel.
pub(super) fn copy(
    context: &Context<'_>,
    x_map: FeatureMap,
    x: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    check_same("copied map", x_map, x.len(), y_map, y.len());
    check_mask("mask of a copied map", mask, y_map);
    for_each_row(context.threads, y_map, y, |n, h, line| {
        context.isa.vectorize(
            #[inline(always)]
            || {
                line.copy_from_slice(row(x_map, x, n, h));
                mask_row(mask, n, h, line);
            },
        );
    });
}
