//! Convolution gradient with respect to the weights.

use super::direct::corner;
use super::{Algorithm, Shape, winograd};
use crate::bf16::Bf16;
use crate::buffer::{cast, with_scratch};
use crate::context::{Context, FactorType};
use crate::executor::DisjointSlices;
use crate::feature_map::FeatureMap;
use crate::gemm::{Start, Tile, cut, max_rows};
use crate::weight_layout::PANEL;

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// The bias gradient is [`bias::gradient`](crate::bias::gradient). Where Winograd does not pay off, operands are always in single
/// precision: that leaves conv1, 4 % of the total.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy_map: FeatureMap, dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), &dy_map, dy.len());
    if shape.weight_gradient_algorithm(context) == Algorithm::Winograd {
        return match shape.way(context).1 {
            FactorType::F32 => winograd::backward_weights::<f32>(context, shape, x, dy_map, dy, dw),
            FactorType::Bf16 => winograd::backward_weights::<Bf16>(context, shape, x, dy_map, dy, dw),
        };
    }
    let filters = shape.filters();
    let (panels, outputs, panel_len) = (filters.panels(), filters.group_outputs(), filters.depth() * PANEL);
    // Weights of a kernel row that are contiguous in both x and dw: all S C without groups, else C at each of S positions.
    let (places, run) = if shape.groups == 1 { (1, shape.s * filters.c) } else { (shape.s, filters.c) };
    // A task packs its own dy, so it should use each packed value for several multiplications: conv1 takes 8 kernel rows.
    let rows = REUSE.div_ceil(shape.s * filters.c).min(shape.r);
    let row_blocks = shape.r.div_ceil(rows);
    let pixels = shape.p * shape.q;
    let image = (shape.x.image_stride() / shape.groups + pixels * PANEL) * size_of::<f32>();
    let images = (CACHE / image).clamp(1, shape.x.n);
    let maps = (shape.x.image_stride() + dy_map.image_stride()) * size_of::<f32>();
    let together = (SHARED_CACHE / maps).max(1).next_multiple_of(images);
    let dw = DisjointSlices::new(dw);
    let steps = [shape.x.image_stride(), shape.stride * shape.x.row_stride(), shape.stride * shape.x.c];
    for begin in (0..shape.x.n).step_by(together) {
        let end = shape.x.n.min(begin + together);
        context.threads.run(shape.groups * panels * row_blocks, &|task| {
            let (panel, block) = (task / row_blocks, task % row_blocks);
            let (group, within) = (panel / panels, panel % panels);
            let (k, lanes) = (group * outputs + within * PANEL, (outputs - within * PANEL).min(PANEL));
            with_scratch(images * pixels * PANEL, |packed| {
                for first in (begin..end).step_by(images) {
                    let count = images.min(end - first);
                    pack(dy_map, dy, first, count, k, lanes, packed);
                    let start = if first == 0 { Start::Zero } else { Start::Y };
                    let counts = [count, shape.p, shape.q];
                    for r in block * rows..shape.r.min((block + 1) * rows) {
                        for place in 0..places {
                            let window =
                                corner(shape, first, 0, 0) + r * shape.x.row_stride() + place * shape.x.c + group * filters.c;
                            let to = panel * panel_len + (r * places + place) * run * PANEL;
                            for (from, rows) in cut(run, max_rows::<f32>(context.isa)) {
                                let (a, b, floor) = (&x[window + from..], cast(packed), f32::NEG_INFINITY);
                                let tile =
                                    Tile { a, row: 1, counts, steps, b, start, floor, mask: None, y_row: PANEL, lanes: PANEL };
                                let at = dw.pointer(to + from * PANEL, rows * PANEL);
                                // SAFETY: this panel's kernel rows belong to this task alone.
                                unsafe { tile.run(context.isa, rows, at) };
                            }
                        }
                    }
                }
            });
        });
    }
}

/// Minimum number of multiplications per packed value of dy.
const REUSE: usize = 256;
/// Bytes of x and packed dy that a task reads repeatedly, which should stay in a core's L2 cache.
const CACHE: usize = 600 << 10;
/// Bytes of x and dy processed by all tasks before the next images, which should stay in the L3 cache. At batch 128 the maps of
/// conv3 (55 MB) were read 36 times from memory, which cost a third of the time.
const SHARED_CACHE: usize = 8 << 20;

/// Packs `lanes` channels of dy for some images, starting at channel `k`: [image][p][q][32], with zeros after the last lane.
fn pack(dy_map: FeatureMap, dy: &[f32], first: usize, count: usize, k: usize, lanes: usize, packed: &mut [f32]) {
    let mut lines = packed.chunks_exact_mut(PANEL);
    for n in first..first + count {
        for p in 0..dy_map.h {
            let row = dy_map.at(n, p, 0) + k;
            for (q, line) in lines.by_ref().take(dy_map.w).enumerate() {
                let at = row + q * dy_map.c;
                if lanes == PANEL {
                    line.copy_from_slice(&dy[at..at + PANEL]);
                } else {
                    line[..lanes].copy_from_slice(&dy[at..at + lanes]);
                    line[lanes..].fill(0.0);
                }
            }
        }
    }
}
