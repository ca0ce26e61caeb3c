//! Image resizing with the rounding of the libraries with which the published networks were trained.

use super::crop::Area;
use crate::image::Image;
use crate::pillow_resize;
use alexnet_net::Resize;

/// Maximum aspect ratio; longer images are cropped to their middle first. Resizing a whole strip one pixel wide would exhaust
/// memory.
pub const MAX_ASPECT: usize = 64;

impl Image {
    /// Resizes the whole image.
    pub fn resized_as(&self, how: Resize) -> Image {
        match how {
            Resize::ShortSide(side) => {
                let (h, w) = (self.height, self.width);
                if h.max(w) / MAX_ASPECT > h.min(w) {
                    let (height, width) = (h.min(w * MAX_ASPECT), w.min(h * MAX_ASPECT));
                    let middle = self.crop(Area { top: (h - height) / 2, left: (w - width) / 2, height, width });
                    return middle.resized_as(how);
                }
                let (height, width) = short_side(h, w, side);
                self.resized(height, width)
            }
            Resize::Square(side) => self.resized_as(Resize::ShortSide(side)).central_square(side),
            Resize::Warp(side) => warp(self, side),
        }
    }

    /// The central square of `side` pixels.
    pub(crate) fn central_square(&self, side: usize) -> Image {
        let (top, left) = ((self.height - side) / 2, (self.width - side) / 2);
        self.crop(Area { top, left, height: side, width: side })
    }

    /// The pixels of `area`, which must lie within the image.
    pub fn crop(&self, area: Area) -> Image {
        let Area { top, left, height, width } = area;
        let rows = self.rgb.chunks_exact(self.width * 3).skip(top).take(height);
        // Whole rows at a time: byte by byte took four times as long as resizing the area.
        let mut rgb = Vec::with_capacity(3 * width * height);
        rows.for_each(|row| rgb.extend_from_slice(&row[left * 3..(left + width) * 3]));
        Image { width, height, rgb }
    }

    /// Resizes `area` of the image to `size` x `size`, like `torchvision.transforms.functional.resized_crop`.
    pub fn resized_area(&self, area: Area, size: usize) -> Image {
        self.crop(area).resized(size, size)
    }

    /// Bilinear resizing with antialias: Pillow's `resize((width, height), BILINEAR)`.
    pub fn resized(&self, height: usize, width: usize) -> Image {
        if (height, width) == (self.height, self.width) {
            return self.clone();
        }
        pillow_resize::resize(self, height, width)
    }
}

/// Rows and columns when the short side becomes `side`; the long one is truncated: `int(side * long / short)`.
pub(crate) fn short_side(height: usize, width: usize, side: usize) -> (usize, usize) {
    let long = |long: usize, short: usize| (side as u128 * long as u128 / short as u128) as usize;
    if width <= height { (long(height, width), side) } else { (side, long(width, height)) }
}

/// OpenCV's `resize(..., INTER_LINEAR)` on 8-bit values, without antialias: its integer arithmetic, with 11-bit weights.
fn warp(image: &Image, side: usize) -> Image {
    /// For each target position: the first of its two source positions, and the weight of the second in units of 1 / 2048.
    fn taps(from: usize, to: usize) -> Vec<(usize, usize, u32)> {
        let step = from as f64 / to as f64;
        let tap = |i: usize| {
            let at = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, from as f64 - 1.0) as f32;
            let first = at as usize;
            (first, (first + 1).min(from - 1), ((at - first as f32) * 2048.0).round_ties_even() as u32)
        };
        (0..to).map(tap).collect()
    }
    let columns = taps(image.width, side);
    let mut rgb = Vec::with_capacity(side * side * 3);
    for (upper, lower, down) in taps(image.height, side) {
        let [upper, lower] = [upper, lower].map(|y| &image.rgb[y * image.width * 3..(y + 1) * image.width * 3]);
        for &(left, right, along) in &columns {
            for c in 0..3 {
                let mix = |row: &[u8]| u32::from(row[left * 3 + c]) * (2048 - along) + u32::from(row[right * 3 + c]) * along;
                let sum = mix(upper) * (2048 - down) + mix(lower) * down;
                rgb.push(((sum + (1 << 21)) >> 22) as u8);
            }
        }
    }
    Image { width: side, height: side, rgb }
}
