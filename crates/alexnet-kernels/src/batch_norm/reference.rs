//! Reference batch normalisation in f64. Values are channels last; `c` is the number of channels.

/// Mean and variance of each channel.
pub fn statistics(c: usize, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let m = (x.len() / c) as f64;
    let of = |channel: usize| x.iter().skip(channel).step_by(c);
    let mean: Vec<f64> = (0..c).map(|channel| of(channel).sum::<f64>() / m).collect();
    let variance = (0..c).map(|channel| of(channel).map(|x| (x - mean[channel]).powi(2)).sum::<f64>() / m).collect();
    (mean, variance)
}

/// Normalised by the statistics of `x` itself.
pub fn forward(x: &[f64], weight: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let c = weight.len();
    let (mean, variance) = statistics(c, x);
    let value = |(i, x): (usize, &f64)| weight[i % c] * (x - mean[i % c]) / (variance[i % c] + eps).sqrt() + bias[i % c];
    x.iter().enumerate().map(value).collect()
}

/// The gradients of `x`, weights and biases.
pub fn backward(x: &[f64], weight: &[f64], eps: f64, dy: &[f64]) -> [Vec<f64>; 3] {
    let c = weight.len();
    let m = (x.len() / c) as f64;
    let (mean, variance) = statistics(c, x);
    let deviation: Vec<f64> = variance.iter().map(|variance| (variance + eps).sqrt()).collect();
    let normalised = |i: usize| (x[i] - mean[i % c]) / deviation[i % c];
    let of = |channel: usize| (channel..x.len()).step_by(c);
    let dweight: Vec<f64> = (0..c).map(|channel| of(channel).map(|i| dy[i] * normalised(i)).sum()).collect();
    let dbias: Vec<f64> = (0..c).map(|channel| of(channel).map(|i| dy[i]).sum()).collect();
    let gradient = |i: usize| {
        let channel = i % c;
        weight[channel] / deviation[channel] * (dy[i] - dbias[channel] / m - normalised(i) * dweight[channel] / m)
    };
    [(0..x.len()).map(gradient).collect(), dweight, dbias]
}
