//! The last rows of a component's samples.

/// Three rows of MCUs: of the one being written out, the one before, and the one behind, whose nearest samples upsampling needs.
const KEPT: usize = 3;

/// The samples of a component, as far as they are still needed.
pub(super) struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows that are kept.
    rows: usize,
    /// Columns and rows of samples that stand for pixels; the rest fills up blocks.
    size: (usize, usize),
}

impl Plane {
    /// Room for rows of `stride` samples, `rows` of them in a row of MCUs.
    pub(super) fn new(stride: usize, rows: usize, size: (usize, usize)) -> Plane {
        Plane { samples: vec![0; stride * rows * KEPT], stride, rows: rows * KEPT, size }
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Number of columns that stand for pixels.
    pub(super) fn width(&self) -> usize {
        self.size.0
    }

    /// Row `y` of the image.
    #[inline(always)]
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[y % self.rows * self.stride..][..self.stride]
    }

    /// Row `y`, or the nearest that stands for pixels.
    #[inline(always)]
    pub(super) fn nearest_row(&self, y: isize) -> &[u8] {
        self.row(y.clamp(0, self.size.1 as isize - 1) as usize)
    }

    /// The samples from row `y` and column `x` on, and the distance of rows.
    #[inline(always)]
    pub(super) fn rows_from(&mut self, y: usize, x: usize) -> (&mut [u8], usize) {
        (&mut self.samples[y % self.rows * self.stride + x..], self.stride)
    }
}
