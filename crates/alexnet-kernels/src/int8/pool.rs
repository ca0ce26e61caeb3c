//! Max pooling of bytes.

use super::fill_border;
use crate::context::Context;
use crate::map::Map;
use crate::pool::Shape;
use crate::threads::for_each_chunk;

/// y = the largest byte of each window. Bytes keep the order of what they stand for, so the quantisation stays; `zero` is written
/// on y's border.
///
/// # Panics
/// When a slice is too short, or a window covers none of the map.
pub fn max(context: &Context<'_>, shape: &Shape, x: &[u8], zero: u8, y_map: Map, y: &mut [u8]) {
    let (x_map, c) = (shape.x, shape.x.c);
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (x_map.n, shape.p, shape.q, c), "output of {shape:?}");
    let (rows, columns) = (shape.rows(), shape.columns());
    for_each_chunk(context.threads, &mut y[..y_map.len()], y_map.image_stride(), |n, image| {
        fill_border(y_map, zero, image);
        for (p, row) in rows.iter().enumerate() {
            for (q, column) in columns.iter().enumerate() {
                let y = &mut image[y_map.at(0, p, q)..][..c];
                context.isa.vectorize(
                    #[inline(always)]
                    || {
                        y.fill(0);
                        for h in row.start..row.end {
                            for w in column.start..column.end {
                                let pixel = &x[x_map.at(n, h, w)..][..c];
                                y.iter_mut().zip(pixel).for_each(|(y, &x)| *y = (*y).max(x));
                            }
                        }
                    },
                );
            }
        }
    });
}
