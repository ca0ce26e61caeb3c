//! Batch normalisation: `y = w (x - mean) / sqrt(variance + eps) + b` for each channel of `[N, C, H, W]`.

use super::layer::Values;
use burn::tensor::Tensor;

/// Statistics that a batch norm normalises by, `[1, C, 1, 1]` each.
#[derive(Clone)]
pub(crate) struct Statistics {
    pub(crate) mean: Tensor<4>,
    /// Biased variance (divided by the number of values).
    pub(crate) variance: Tensor<4>,
}

impl Statistics {
    /// Statistics of a batch, differentiable with respect to it.
    pub(crate) fn of_batch(x: &Tensor<4>) -> Statistics {
        let mean = mean_of_channels(x.clone());
        let away = x.clone() - mean.clone();
        Statistics { mean, variance: mean_of_channels(away.clone() * away) }
    }

    /// Running statistics.
    pub(crate) fn running(mean: &Tensor<1>, variance: &Tensor<1>) -> Statistics {
        let of_channels = |values: &Tensor<1>| values.clone().reshape([1, -1, 1, 1]);
        Statistics { mean: of_channels(mean), variance: of_channels(variance) }
    }

    /// Difference of the running statistics to these of a batch with `values` values per channel: the mean, and the
    /// variance divided by `values - 1`.
    pub(crate) fn away_from(self, running: [&Tensor<1>; 2], values: usize) -> [Tensor<1>; 2] {
        // The unbiased variance of a single value is undefined; it stays 0.
        let unbiased = values as f64 / (values as f64 - 1.0).max(1.0);
        let found = [self.mean, self.variance * unbiased].map(|found| found.without_autodiff().reshape([-1]));
        let [mean, variance] = found;
        [running[0].clone() - mean, running[1].clone() - variance]
    }
}

pub(crate) fn forward(x: Tensor<4>, by: Statistics, eps: f32, values: Values) -> Tensor<4> {
    let of_channels = |values: Tensor<1>| values.reshape([1, -1, 1, 1]);
    (x - by.mean) / (by.variance + eps).sqrt() * of_channels(values.weights) + of_channels(values.biases)
}

/// Mean of each channel, `[1, C, 1, 1]`.
fn mean_of_channels(x: Tensor<4>) -> Tensor<4> {
    // Reduces the innermost dimension first, to keep each sum short.
    x.mean_dim(3).mean_dim(2).mean_dim(0)
}
