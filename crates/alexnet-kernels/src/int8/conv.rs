//! Direct convolution of bytes.

use super::{Finish, Output, Place, Weights, fill_border};
use crate::context::Context;
use crate::conv::{Shape, corner};
use crate::executor::for_each_chunk;
use crate::feature_map::FeatureMap;
use crate::gemm::{MAX_ROWS, Start, Tile, cut, max_rows};
use crate::isa::dispatch;
use crate::weight_layout::PANEL;

/// Bytes after the last pixel that a word may include; they are multiplied with zero.
pub(super) const BEYOND: usize = 3;
/// Images per task in a large batch, as in the direct convolution of floats.
const IMAGES: usize = 4;
/// Number of parts into which an image's rows are split if there are few images.
const BANDS: usize = 4;

/// Convolves bytes `x`, whose border holds the zero point, and applies a ReLU if `relu`. `x` must extend 3 bytes beyond its map.
/// `y_map`'s border is written too.
///
/// # Panics
/// When a slice is too short for the shape, or the weights are another layer's.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[u8], w: &Weights, relu: bool, y_map: FeatureMap, mut y: Output<'_>) {
    let filters = shape.filters();
    let (panels, outputs) = (filters.panels(), filters.group_outputs());
    let all_panels = shape.groups * panels;
    assert_eq!(w.words.len(), all_panels * w.panel_words, "weights of {shape:?}");
    assert!(x.len() >= shape.x.len() + BEYOND, "x has {} bytes for {:?}", x.len(), shape.x);
    if y_map.border != Default::default() {
        match &mut y {
            Output::Floats(y) => y_map.clear_borders(context.threads, y),
            Output::Bytes(y, q) => {
                let zero = q.zero;
                for_each_chunk(context.threads, &mut y[..y_map.len()], y_map.image_stride(), |_, i| {
                    fill_border(y_map, zero, i);
                });
            }
        }
    }
    let place = Place::from(y);
    let n = shape.x.n;
    let (images, bands) = if n >= 2 * IMAGES { (IMAGES, 1) } else { (1, BANDS.min(shape.p)) };
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let (c, row) = (shape.x.c, shape.x.row_stride());
    let words = w.run.div_ceil(4);
    let (counts, steps) = match shape.groups {
        1 => ([1, shape.r, words], [0, row, 4]),
        _ => ([shape.r, shape.s, words], [row, c, 4]),
    };
    let rows = max_rows::<u8>(context.isa);
    context.threads.run(n.div_ceil(images) * all_panels * bands, &|task| {
        let (first, panel, band) = (task / (all_panels * bands) * images, task / bands % all_panels, task % bands);
        let (group, within) = (panel / panels, panel % panels * PANEL);
        let (k, lanes) = (group * outputs + within, (outputs - within).min(PANEL));
        let b = &w.words[panel * w.panel_words..(panel + 1) * w.panel_words];
        let (factors, offsets) = (&w.factors[panel * PANEL..][..lanes], &w.offsets[panel * PANEL..][..lanes]);
        let mut sums = [0; MAX_ROWS * PANEL];
        for image in first..n.min(first + images) {
            for p in band * shape.p / bands..(band + 1) * shape.p / bands {
                for (q, count) in cut(shape.q, rows) {
                    let tile: Tile<'_, u8> = Tile {
                        a: &x[corner(shape, image, p, q) + group * filters.c..],
                        row: shape.stride * c,
                        counts,
                        steps,
                        b,
                        start: Start::Zero,
                        floor,
                        mask: None,
                        y_row: PANEL,
                        lanes: PANEL,
                    };
                    // SAFETY: `sums` has a panel's lanes for the most rows; these pixels' channels belong to this task alone.
                    unsafe {
                        tile.run(context.isa, count, sums.as_mut_ptr());
                        let (sums, at) = (&sums[..count * PANEL], y_map.at(image, p, q) + k);
                        dispatch(context.isa, Finish { sums, factors, offsets, floor, place: &place, at, y_row: y_map.c });
                    }
                }
            }
        }
    });
}
