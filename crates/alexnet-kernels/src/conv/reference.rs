//! Reference convolution and gradients, summed in f64.

use super::Shape;
use crate::feature_map::FeatureMap;

/// Calls `visit(index in x, index in packed w, index in y)` for each product of the convolution.
fn walk(shape: &Shape, y_map: &FeatureMap, mut visit: impl FnMut(usize, usize, usize)) {
    let (filters, kg) = (shape.filters(), shape.k / shape.groups);
    // Index in x of the window's corner, counted from the image's first pixel, including the border.
    let origin = |n, p: usize, q: usize| {
        let (row, column) = (shape.x.border.top - shape.pad.top + p, shape.x.border.left - shape.pad.left + q);
        n * shape.x.image_stride() + row * shape.x.row_stride() + column * shape.x.c
    };
    for n in 0..shape.x.n {
        for p in 0..shape.p {
            for q in 0..shape.q {
                for k in 0..shape.k {
                    for r in 0..shape.r {
                        for s in 0..shape.s {
                            let pixel = origin(n, p * shape.stride + r, q * shape.stride + s) + k / kg * filters.c;
                            let weights = filters.packed_index(k, 0, r, s);
                            for c in 0..filters.c {
                                visit(pixel + c, weights + c * crate::weight_layout::PANEL, y_map.at(n, p, q) + k);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// See [`forward`](super::forward).
pub fn forward(shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y_map: FeatureMap, y: &mut [f32]) {
    let mut sums = vec![0.0f64; y.len()];
    walk(shape, &y_map, |x_at, w_at, y_at| sums[y_at] += f64::from(x[x_at]) * f64::from(w[w_at]));
    for n in 0..y_map.n {
        y_map.clear_border(&mut y[n * y_map.image_stride()..(n + 1) * y_map.image_stride()]);
        for p in 0..shape.p {
            for q in 0..shape.q {
                for (k, &bias) in bias.iter().enumerate() {
                    let value = (sums[y_map.at(n, p, q) + k] + f64::from(bias)) as f32;
                    y[y_map.at(n, p, q) + k] = if relu { value.max(0.0) } else { value };
                }
            }
        }
    }
}

/// See [`backward_data`](super::backward_data).
pub fn backward_data(
    shape: &Shape,
    dy_map: FeatureMap,
    dy: &[f32],
    w: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    let mut sums = vec![0.0f64; shape.x.len()];
    walk(shape, &dy_map, |x_at, w_at, y_at| sums[x_at] += f64::from(dy[y_at]) * f64::from(w[w_at]));
    for n in 0..dx_map.n {
        dx_map.clear_border(&mut dx[n * dx_map.image_stride()..(n + 1) * dx_map.image_stride()]);
        for y in 0..dx_map.h {
            for x in 0..dx_map.w {
                for c in 0..dx_map.c {
                    let pass = mask.is_none_or(|(map, values)| values[map.at(n, y, x) + c] > 0.0);
                    let value = if pass { sums[shape.x.at(n, y, x) + c] } else { 0.0 };
                    dx[dx_map.at(n, y, x) + c] = value as f32;
                }
            }
        }
    }
}

/// See [`backward_weights`](super::backward_weights).
pub fn backward_weights(shape: &Shape, x: &[f32], dy_map: FeatureMap, dy: &[f32], dw: &mut [f32]) {
    let mut sums = vec![0.0f64; dw.len()];
    walk(shape, &dy_map, |x_at, w_at, y_at| sums[w_at] += f64::from(x[x_at]) * f64::from(dy[y_at]));
    for (dw, sum) in dw.iter_mut().zip(sums) {
        *dw = sum as f32;
    }
}
