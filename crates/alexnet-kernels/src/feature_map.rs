//! Memory layout of a feature map [N, H, W, C].

use crate::executor::{Executor, for_each_chunk};

/// Layout of a batch of maps, channels last, each with a border of zeros that spares convolutions edge cases.
///
/// The buffer is `[n, top + h + bottom, left + w + right, c]`, row-major. Whoever writes the map also writes its border's zeros
/// ([`FeatureMap::clear_border`]), because buffers are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FeatureMap {
    /// Number of images, N.
    pub n: usize,
    /// Rows, H, without the border.
    pub h: usize,
    /// Columns, W, without the border.
    pub w: usize,
    /// Channels, C.
    pub c: usize,
    /// Width of the border on each side.
    pub border: Sides,
}

/// Widths on the four sides of a map, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sides {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl FeatureMap {
    /// Layout without a border.
    pub fn plain(n: usize, h: usize, w: usize, c: usize) -> Self {
        FeatureMap { n, h, w, c, border: Sides::default() }
    }

    /// Floats in the buffer, including the border.
    pub fn len(&self) -> usize {
        self.n * self.image_stride()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Floats per row.
    pub fn row_stride(&self) -> usize {
        (self.border.left + self.w + self.border.right) * self.c
    }

    /// Floats per image.
    pub fn image_stride(&self) -> usize {
        (self.border.top + self.h + self.border.bottom) * self.row_stride()
    }

    /// Index of channel 0 of the pixel in row `y` and column `x` of image `n`; (0, 0) is the first pixel within the border.
    pub fn at(&self, n: usize, y: usize, x: usize) -> usize {
        n * self.image_stride() + (self.border.top + y) * self.row_stride() + (self.border.left + x) * self.c
    }

    /// Zeroes the borders of all images.
    pub(crate) fn clear_borders(&self, threads: &dyn Executor, values: &mut [f32]) {
        if self.border != Sides::default() {
            for_each_chunk(threads, &mut values[..self.len()], self.image_stride(), |_, image| self.clear_border(image));
        }
    }

    /// Zeroes the border of one image; `image` is that image's part of the buffer (`image_stride` floats).
    pub fn clear_border(&self, image: &mut [f32]) {
        let row = self.row_stride();
        let Sides { top, left, bottom: _, right } = self.border;
        image[..top * row].fill(0.0);
        image[(top + self.h) * row..].fill(0.0);
        if left + right > 0 {
            for line in image[top * row..(top + self.h) * row].chunks_exact_mut(row) {
                line[..left * self.c].fill(0.0);
                line[row - right * self.c..].fill(0.0);
            }
        }
    }
}
