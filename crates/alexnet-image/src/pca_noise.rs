//! The paper's PCA colour noise: shifts each training image's colours along the principal components of the data set's colours.

use alexnet_kernels::random::Key;
use serde::{Deserialize, Serialize};

use crate::image::Image;

/// Principal components of the colours of an image set, in units of 0 to 255, largest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pca {
    /// `vectors[i]` is the i-th component: its red, green and blue parts, of unit length.
    pub vectors: [[f32; 3]; 3],
    /// `values[i]`: the variance along it (the eigenvalue of the covariance).
    pub values: [f32; 3],
}

/// The two published strengths of colour noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// The 2012 code: a component is shifted by alpha times its standard deviation on values of 0 to 255; on ImageNet about 12
    /// levels along the first component.
    Deviation,
    /// The paper's formula as printed, p * alpha * lambda, on values of 0 to 1 (the only scale on which it makes sense); on
    /// ImageNet about 6 levels of 255.
    Variance,
}

/// Colour noise as applied by a loader: one draw per use of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColourNoise {
    /// Principal components of the colours.
    pub pca: Pca,
    /// Standard deviation of alpha; 0.1 in the paper.
    pub sigma: f32,
    /// Factor of alpha.
    pub strength: Strength,
}

impl ColourNoise {
    /// Offsets for red, green and blue of all pixels of an image, in units of 0 to 255.
    pub fn draw(&self, key: Key) -> [f32; 3] {
        let pca = match self.strength {
            Strength::Deviation => self.pca.clone(),
            // lambda on 0..1 is value / 255^2, its shift in levels value / 255: as a variance, its square.
            Strength::Variance => Pca { values: self.pca.values.map(|value| (value / 255.0).powi(2)), ..self.pca.clone() },
        };
        pca.noise(key, self.sigma)
    }
}

impl Pca {
    /// Principal components of all pixels of `images`, with equal weight for every image; zero without images.
    pub fn of<'a>(images: impl IntoIterator<Item = &'a Image>) -> Pca {
        let (mut count, mut mean, mut products) = (0.0f64, [0.0f64; 3], [[0.0f64; 3]; 3]);
        for image in images {
            let share = 1.0 / (image.width * image.height) as f64;
            // Integer sums are exact, so the order of summation does not matter.
            let (mut sum, mut square) = ([0u64; 3], [[0u64; 3]; 3]);
            for pixel in image.rgb.chunks_exact(3) {
                for i in 0..3 {
                    sum[i] += u64::from(pixel[i]);
                    for j in 0..3 {
                        square[i][j] += u64::from(pixel[i]) * u64::from(pixel[j]);
                    }
                }
            }
            count += 1.0;
            for i in 0..3 {
                mean[i] += sum[i] as f64 * share;
                for j in 0..3 {
                    products[i][j] += square[i][j] as f64 * share;
                }
            }
        }
        let count = count.max(1.0);
        let mean = mean.map(|sum| sum / count);
        let covariance = std::array::from_fn(|i| std::array::from_fn(|j| products[i][j] / count - mean[i] * mean[j]));
        Self::of_covariance(covariance)
    }

    /// Principal components for this covariance matrix, which must be symmetric.
    pub fn of_covariance(covariance: [[f64; 3]; 3]) -> Pca {
        let (values, vectors) = eigen(covariance);
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        Pca { vectors: order.map(|i| vectors[i].map(|part| part as f32)), values: order.map(|i| values[i].max(0.0) as f32) }
    }

    /// The sum over components i of vector_i * alpha_i * sqrt(value_i), each alpha normal with standard deviation `sigma`: the
    /// noise of the 2012 code. Uses the key's normal numbers 0 to 2.
    pub fn noise(&self, key: Key, sigma: f32) -> [f32; 3] {
        let moves: [f32; 3] = std::array::from_fn(|i| key.normal(i as u64) * sigma * self.values[i].sqrt());
        // Components are rows here, so a colour is a sum over rows. Multiplying by the transpose is a well-known mistake.
        std::array::from_fn(|colour| (0..3).map(|i| moves[i] * self.vectors[i][colour]).sum())
    }
}

/// Eigenvalues and eigenvectors (row i belongs to value i) of a symmetric matrix, by Jacobi rotations.
fn eigen(mut a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    let mut rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // A sweep roughly squares the off-diagonal part; six suffice for f64, and the rest cost nothing.
    for _ in 0..12 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q].abs() <= f64::MIN_POSITIVE {
                continue;
            }
            // The rotation that zeroes a[p][q]: tan t is the smaller root of t^2 + 2 t theta - 1.
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            for row in &mut a {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            for k in 0..3 {
                (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
                (rows[p][k], rows[q][k]) = (c * rows[p][k] - s * rows[q][k], s * rows[p][k] + c * rows[q][k]);
            }
        }
    }
    ([a[0][0], a[1][1], a[2][2]], rows)
}
