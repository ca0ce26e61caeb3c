//! Sums over neighbours as products with a matrix of few numbers: any width, any edge, one operation forth and one back.

use burn::tensor::{Device, Tensor, TensorData};

/// A matrix of `rows` x `columns` on a device.
fn matrix<const D: usize>(rows: usize, columns: usize, device: &Device, value: impl Fn(usize, usize) -> f32) -> Tensor<D> {
    let values: Vec<f32> = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
    let mut shape = [1; D];
    (shape[D - 2], shape[D - 1]) = (rows, columns);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `[1, len, len]` or so: 1 where two places are in a window of `n` around each other and in the same of `columns` equal parts.
pub(crate) fn window<const D: usize>(len: usize, n: usize, columns: usize, device: &Device) -> Tensor<D> {
    let part = len / columns;
    matrix(len, len, device, |i, j| if i.abs_diff(j) <= n / 2 && i / part == j / part { 1.0 } else { 0.0 })
}

/// `[1, 1, out, len]`: row i has the mean over places floor(i len / out) to ceil((i + 1) len / out).
pub(crate) fn means(out: usize, len: usize, device: &Device) -> Tensor<4> {
    matrix(out, len, device, |i, j| {
        let (first, end) = (i * len / out, ((i + 1) * len).div_ceil(out));
        if (first..end).contains(&j) { 1.0 / (end - first) as f32 } else { 0.0 }
    })
}

/// `[1, 1, count, count]`: kernel^2 over the pixels of each window that lie within `padded` rows and columns.
pub(crate) fn window_shares(count: usize, kernel: usize, stride: usize, padded: usize, device: &Device) -> Tensor<4> {
    let inside = |i: usize| (padded - i * stride).min(kernel) as f32;
    matrix(count, count, device, |i, j| (kernel * kernel) as f32 / (inside(i) * inside(j)))
}
