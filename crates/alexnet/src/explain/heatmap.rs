//! Heatmaps and their rendering.

use crate::draw::colormap as colours;
use crate::image::Image;
use serde::Serialize;

/// Heatmap over an image, `[rows, columns]`, independent of the image's size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heatmap {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl Heatmap {
    /// Position of the largest value, the first of equals: row, column.
    pub fn hottest(&self) -> (usize, usize) {
        let largest = self.values.iter().enumerate().fold(0, |best, (i, v)| if *v > self.values[best] { i } else { best });
        (largest / self.columns, largest % self.columns)
    }

    /// Values scaled from 0 (zero or less) to 1 (the largest value).
    pub fn shares(&self) -> Vec<f32> {
        colours::signed_unit(&self.values.iter().map(|v| v.max(0.0)).collect::<Vec<_>>())
    }

    /// As [`shares`](Self::shares), but the largest hundredth of all values is clipped to 1, so that outliers do not darken the
    /// rest.
    pub fn clipped_shares(&self) -> Vec<f32> {
        let mut sorted: Vec<f32> = self.values.iter().map(|v| v.max(0.0)).collect();
        sorted.sort_by(f32::total_cmp);
        let top = sorted[(sorted.len() - 1) * 99 / 100];
        if top <= 0.0 {
            return self.shares();
        }
        self.values.iter().map(|v| (v / top).clamp(0.0, 1.0)).collect()
    }

    /// The heatmap in colours, at its own size.
    pub fn image(&self) -> Image {
        colours::image(&self.shares(), self.rows, self.columns, colours::colour)
    }

    /// The heatmap over an image; `strength` (0 to 1) is its opacity at the maximum.
    pub fn over(&self, image: &Image, strength: f32) -> Image {
        let large = colours::enlarge(&self.shares(), (self.rows, self.columns), (image.height, image.width));
        colours::overlay(image, &large, strength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_range_from_zero_to_the_largest() {
        let heat = Heatmap { rows: 2, columns: 2, values: vec![-4.0, 1.0, 2.0, 2.0] };
        assert_eq!((heat.hottest(), heat.shares()), ((1, 0), vec![0.0, 0.5, 1.0, 1.0]));
        let cold = Heatmap { rows: 1, columns: 2, values: vec![-1.0, -2.0] };
        assert_eq!((cold.shares(), cold.clipped_shares()), (vec![0.0; 2], vec![0.0; 2]));
        let mut values = vec![1.0; 300];
        values[7] = 50.0;
        let heat = Heatmap { rows: 1, columns: 300, values };
        assert_eq!(heat.clipped_shares(), vec![1.0; 300]);
    }
}
