//! Direct convolution with any stride, reading maps in place: the forward pass and, with rotated weights, the input gradient.

use super::Shape;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::feature_map::FeatureMap;
use crate::gemm::{DType, Float, Start, Tile, cut, max_rows, pack_words};
use crate::weight_layout::PANEL;

/// Images per task and weight panel, so that the panel (221 KB in conv3) is read from the L3 cache once for all of them; one if
/// the batch has fewer than twice as many.
const IMAGES: usize = 4;

/// Epilogue: bias, clipping and mask.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// Bias per output channel.
    pub(super) bias: Option<&'a [f32]>,
    /// Lower bound of the output.
    pub(super) floor: f32,
    /// The output is zero where this map is not positive.
    pub(super) mask: Option<(FeatureMap, &'a [f32])>,
}

/// Words of a panel's weights: each run of values contiguous in x is padded to whole words.
fn panel_words<E: DType>(shape: &Shape) -> usize {
    walk::<E>(shape).0.iter().product::<usize>() * PANEL
}

/// Words of all weights.
pub(super) fn packed_words<E: DType>(shape: &Shape) -> usize {
    shape.groups * shape.filters().panels() * panel_words::<E>(shape)
}

/// Packs weights, panel by panel.
pub(super) fn pack<E: Float>(context: &Context<'_>, shape: &Shape, w: &[f32], words: &mut [u32]) {
    let filters = shape.filters();
    let ([runs, more, of], _) = walk::<E>(shape);
    let run = filters.depth() / (runs * more);
    for_each_chunk(context.threads, words, panel_words::<E>(shape), |panel, words| {
        let w = &w[panel * filters.depth() * PANEL..][..filters.depth() * PANEL];
        for (words, lines) in words.chunks_exact_mut(of * PANEL).zip(w.chunks_exact(run * PANEL)) {
            pack_words::<E>(context, lines, words);
        }
    });
}

/// Convolves. A tile is up to 14 pixels of a row by a panel of 32 outputs; its sum covers the window, whose rows of S C values
/// are contiguous in x without groups.
pub(super) fn convolve<E: Float>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    w: &[u32],
    finish: &Finish<'_>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    if let Some(x) = E::borrow(x) {
        return convolve_values(context, shape, x, w, finish, y_map, y);
    }
    // The last word of a window's row may extend beyond it; the excess is multiplied with zero.
    with_scratch(shape.x.len() + E::WORD, |copy: &mut [E]| {
        let (inside, beyond) = copy.split_at_mut(shape.x.len());
        beyond.fill(E::default());
        for_each_chunk(context.threads, inside, shape.x.image_stride(), |image, copy| {
            context.isa.vectorize(
                #[inline(always)]
                || {
                    for (to, &from) in copy.iter_mut().zip(&x[image * shape.x.image_stride()..]) {
                        *to = E::new(from);
                    }
                },
            );
        });
        convolve_values(context, shape, copy, w, finish, y_map, y);
    });
}

fn convolve_values<E: Float>(
    context: &Context<'_>,
    shape: &Shape,
    x: &[E],
    w: &[u32],
    finish: &Finish<'_>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    let filters = shape.filters();
    let (panels, panel_len, outputs) = (filters.panels(), panel_words::<E>(shape), filters.group_outputs());
    let n = shape.x.n;
    y_map.clear_borders(context.threads, y);
    let images = if n >= 2 * IMAGES { IMAGES } else { 1 };
    let all_panels = shape.groups * panels;
    let tasks = n.div_ceil(images) * all_panels;
    let y = DisjointSlices::new(y);
    let rows = max_rows::<E>(context.isa);
    let (counts, steps) = walk::<E>(shape);
    context.threads.run(tasks, &|task| {
        let (first, panel) = (task / all_panels * images, task % all_panels);
        let (group, within) = (panel / panels, panel % panels);
        let (k, lanes) = (group * outputs + within * PANEL, (outputs - within * PANEL).min(PANEL));
        let start = finish.bias.map_or(Start::Zero, |bias| Start::Lanes(&bias[k..k + lanes]));
        let b = &w[panel * panel_len..(panel + 1) * panel_len];
        for image in first..n.min(first + images) {
            for p in 0..shape.p {
                for (q, count) in cut(shape.q, rows) {
                    let corner = corner(shape, image, p, q) + group * filters.c;
                    let mask = finish.mask.map(|(map, values)| (&values[map.at(image, p, q) + k..], map.c));
                    let (row, y_row) = (shape.stride * shape.x.c, y_map.c);
                    let tile = Tile { a: &x[corner..], row, counts, steps, b, start, floor: finish.floor, mask, y_row, lanes };
                    let at = y.pointer(y_map.at(image, p, q) + k, (count - 1) * y_row + lanes);
                    // SAFETY: these pixels' channels k.. of this picture belong to this task alone, and are within y.
                    unsafe { tile.run(context.isa, count, at) };
                }
            }
        }
    });
}

/// Word counts, and strides, of the sum over a window in x.
fn walk<E: DType>(shape: &Shape) -> ([usize; 3], [usize; 3]) {
    let (c, row) = (shape.x.c, shape.x.row_stride());
    match shape.groups {
        1 => ([1, shape.r, (shape.s * c).div_ceil(E::WORD)], [0, row, E::WORD]),
        groups => ([shape.r, shape.s, (c / groups).div_ceil(E::WORD)], [row, c, E::WORD]),
    }
}

/// Index in x of the first value in the window of an image's output pixel (p, q), channel 0.
pub(crate) fn corner(shape: &Shape, image: usize, p: usize, q: usize) -> usize {
    let Shape { x, pad, stride, .. } = shape;
    let (row, column) = (x.border.top - pad.top + p * stride, x.border.left - pad.left + q * stride);
    image * x.image_stride() + row * x.row_stride() + column * x.c
}
