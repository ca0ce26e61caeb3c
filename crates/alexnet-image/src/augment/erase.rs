//! Random erasing (Zhong et al. 2020).

use alexnet_kernels::random::Key;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Fraction of an image's pixels that a rectangle covers: torchvision's default.
const SCALE: (f64, f64) = (0.02, 0.33);
/// Aspect ratio of a rectangle, height / width: torchvision's default.
const RATIO: (f64, f64) = (0.3, 3.3);

/// The rectangle of torchvision's `RandomErasing` with its defaults; `None` after ten that do not fit. Uses random numbers 0 to 39 of
/// the key.
pub fn random_rectangle(key: Key, height: usize, width: usize) -> Option<Rectangle> {
    let between = |i: u64, (low, high): (f64, f64)| low + (high - low) * f64::from(key.uniform(i));
    (0..10).find_map(|attempt| {
        let pixels = (height * width) as f64 * between(4 * attempt, SCALE);
        let aspect = between(4 * attempt + 1, (RATIO.0.ln(), RATIO.1.ln())).exp();
        let rows = (pixels * aspect).sqrt().round_ties_even() as usize;
        let columns = (pixels / aspect).sqrt().round_ties_even() as usize;
        (rows < height && columns < width).then(|| Rectangle {
            top: key.below(4 * attempt + 2, (height - rows) as u64 + 1) as usize,
            left: key.below(4 * attempt + 3, (width - columns) as u64 + 1) as usize,
            height: rows,
            width: columns,
        })
    })
}

impl Rectangle {
    /// Sets the rectangle's values to 0 in each plane of a tensor `[channels, rows, columns]`.
    pub fn erase(&self, tensor: &mut [f32], rows: usize, columns: usize) {
        for plane in tensor.chunks_exact_mut(rows * columns) {
            for row in plane.chunks_exact_mut(columns).skip(self.top).take(self.height) {
                row[self.left..self.left + self.width].fill(0.0);
            }
        }
    }
}
