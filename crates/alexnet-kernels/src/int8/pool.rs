//! Max pooling of bytes.

use super::fill_border;
use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::feature_map::FeatureMap;
use crate::pool::Shape;

/// Channels whose maxima stay in registers: one of AVX-512's. Going through memory for each pixel of a window took ten times as
/// long.
const BLOCK: usize = 64;

/// y = the largest byte of each window. Quantisation preserves order, so it is unchanged; `zero` is written to y's border.
///
/// # Panics
/// When a slice is too short, or a window covers none of the map.
pub fn max(context: &Context<'_>, shape: &Shape, x: &[u8], zero: u8, y_map: FeatureMap, y: &mut [u8]) {
    let (x_map, c) = (shape.x, shape.x.c);
    assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (x_map.n, shape.p, shape.q, c), "output of {shape:?}");
    let (rows, columns) = (shape.rows(), shape.columns());
    for_each_chunk(context.threads, &mut y[..y_map.len()], y_map.image_stride(), |n, image| {
        fill_border(y_map, zero, image);
        for (p, row) in rows.iter().enumerate() {
            context.isa.vectorize(
                #[inline(always)]
                || {
                    for (q, column) in columns.iter().enumerate() {
                        let y = &mut image[y_map.at(0, p, q)..][..c];
                        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                            let mut largest = [0; BLOCK];
                            for h in row.start..row.end {
                                for w in column.start..column.end {
                                    let x = &x[x_map.at(n, h, w) + block * BLOCK..][..y.len()];
                                    // The same with a length known to the compiler: one instruction.
                                    match x.as_array::<BLOCK>() {
                                        Some(x) => largest.iter_mut().zip(x).for_each(|(y, &x)| *y = (*y).max(x)),
                                        None => largest.iter_mut().zip(x).for_each(|(y, &x)| *y = (*y).max(x)),
                                    }
                                }
                            }
                            y.copy_from_slice(&largest[..y.len()]);
                        }
                    }
                },
            );
        }
    });
}
