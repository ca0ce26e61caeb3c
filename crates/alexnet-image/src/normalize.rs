//! Normalisation of crops to the network's input, and its inverse.

use super::crop::{Crops, Window};
use crate::image::Image;
use alexnet_net::{Channels, Mean, Preprocess};

impl Image {
    /// Writes the normalised crops of this resized image to `out`, `[crops, 3, crop, crop]`, for prediction, evaluation and
    /// explanation.
    ///
    /// # Panics
    /// When `out` has another size.
    pub fn crops(&self, preprocess: &Preprocess, crops: Crops, out: &mut [f32]) {
        let crop = preprocess.crop;
        let size = 3 * crop * crop;
        assert_eq!(out.len(), crops.count() * size, "a tensor of [{}, 3, {crop}, {crop}]", crops.count());
        let windows = crops.windows(self.height, self.width, crop);
        windows.into_iter().zip(out.chunks_exact_mut(size)).for_each(|(window, out)| self.tensor(preprocess, window, None, out));
    }

    /// Writes the crop at `window` of a resized image to `out`, `[3, crop, crop]`: `((value + add) * scale - mean) / std`, with
    /// channels in the preprocessing's order.
    ///
    /// `add` is colour noise for red, green and blue, in units of 0 to 255.
    ///
    /// # Panics
    /// When the window exceeds the image, or `out` has another size.
    pub fn tensor(&self, preprocess: &Preprocess, window: Window, add: Option<[f32; 3]>, out: &mut [f32]) {
        self.tensor_of(preprocess, window, window, add, out);
    }

    /// As [`tensor`](Self::tensor) of a whole image that was cropped at `place` of a resized one, and then changed: a mean image that
    /// is subtracted at the crop's position is that of `place`.
    ///
    /// # Panics
    /// When the image is smaller than a crop, or `out` has another size.
    pub fn tensor_cropped_at(&self, preprocess: &Preprocess, place: Window, add: Option<[f32; 3]>, out: &mut [f32]) {
        self.tensor_of(preprocess, Window { top: 0, left: 0, mirror: false }, place, add, out);
    }

    fn tensor_of(&self, preprocess: &Preprocess, window: Window, place: Window, add: Option<[f32; 3]>, out: &mut [f32]) {
        let crop = preprocess.crop;
        assert_eq!(out.len(), 3 * crop * crop, "a tensor of [3, {crop}, {crop}]");
        assert!(
            window.top + crop <= self.height && window.left + crop <= self.width,
            "a crop of {crop} pixels at {window:?} exceeds {} x {}",
            self.height,
            self.width
        );
        for (channel, plane) in out.chunks_exact_mut(crop * crop).enumerate() {
            let colour = match preprocess.channels {
                Channels::Rgb => channel,
                Channels::Bgr => 2 - channel,
            };
            let add = add.map_or(0.0, |add| add[colour]);
            let mean = if let Mean::Channel(mean) = &preprocess.mean { mean[channel] } else { 0.0 };
            let std = preprocess.std[channel];
            // 256 possible values: a lookup is cheaper than the arithmetic.
            let table: [f32; 256] = std::array::from_fn(|value| ((value as f32 + add) * preprocess.scale - mean) / std);
            for (y, row) in plane.chunks_exact_mut(crop).enumerate() {
                let start = ((window.top + y) * self.width + window.left) * 3 + colour;
                let source = self.rgb[start..].iter().step_by(3);
                if window.mirror {
                    row.iter_mut().rev().zip(source).for_each(|(out, &value)| *out = table[usize::from(value)]);
                } else {
                    row.iter_mut().zip(source).for_each(|(out, &value)| *out = table[usize::from(value)]);
                }
            }
            if let Mean::Image { size, values, centre } = &preprocess.mean {
                let place = mean_window(*size, crop, place, *centre);
                subtract_mean(plane, crop, &values[channel * size * size..(channel + 1) * size * size], *size, place, std);
            }
        }
    }

    /// Converts a tensor `[3, crop, crop]` back to an image, rounded to 256 levels: the inverse of [`tensor`](Self::tensor),
    /// including its colour noise. A mean image subtracted at the crop's position (Caffe) is added back at the centre.
    ///
    /// # Panics
    /// When the tensor has another size.
    pub fn from_tensor(preprocess: &Preprocess, tensor: &[f32]) -> Image {
        let crop = preprocess.crop;
        assert_eq!(tensor.len(), 3 * crop * crop, "a tensor of [3, {crop}, {crop}]");
        let mean = |channel: usize, y: usize, x: usize| match &preprocess.mean {
            Mean::Channel(mean) => mean[channel],
            Mean::Image { size, values, .. } => {
                let place = mean_window(*size, crop, super::crop::centre(*size, *size, crop), true);
                values[(channel * size + place.top + y) * size + place.left + x]
            }
        };
        let level = |i: usize, colour: usize| {
            let channel = if preprocess.channels == Channels::Bgr { 2 - colour } else { colour };
            let value = tensor[channel * crop * crop + i] * preprocess.std[channel] + mean(channel, i / crop, i % crop);
            (value / preprocess.scale).round().clamp(0.0, 255.0) as u8
        };
        let rgb = (0..crop * crop).flat_map(|i| [0, 1, 2].map(|colour| level(i, colour))).collect();
        Image { width: crop, height: crop, rgb }
    }
}

/// Crop of the mean image: at the image's crop (Caffe), or always in the centre (the 2012 code).
fn mean_window(size: usize, crop: usize, window: Window, centre: bool) -> Window {
    assert!(crop <= size, "a mean image of {size} pixels is smaller than the crop of {crop}");
    if centre {
        return Window { mirror: false, ..super::crop::centre(size, size, crop) };
    }
    // A non-square image: the nearest position within the mean.
    Window { top: window.top.min(size - crop), left: window.left.min(size - crop), mirror: window.mirror }
}

fn subtract_mean(plane: &mut [f32], crop: usize, mean: &[f32], size: usize, place: Window, std: f32) {
    for (y, row) in plane.chunks_exact_mut(crop).enumerate() {
        let mean = &mean[(place.top + y) * size + place.left..][..crop];
        if place.mirror {
            row.iter_mut().zip(mean.iter().rev()).for_each(|(out, mean)| *out -= mean / std);
        } else {
            row.iter_mut().zip(mean).for_each(|(out, mean)| *out -= mean / std);
        }
    }
}
