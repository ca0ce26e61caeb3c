//! An image while operations change it.

use crate::crop::Area;
use crate::image::Image;
use alexnet_kernels::isa::Isa;

/// An image with one 32-bit word a pixel, red in the lowest byte, then green and blue: a vector register holds whole pixels, and a
/// pixel is read at once.
#[derive(Debug, Clone)]
pub struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u32>,
    /// Memory of operations that cannot work in place.
    pub(super) spare: Vec<u32>,
    pub(super) isa: Isa,
}

/// A colour as floats.
pub(super) type Rgb = [f32; 3];

/// Added to a float below 2^22, it leaves the nearest integer in the lowest bits (of ties the even one). Rust's conversions of floats
/// to integers do not vectorise, since they check for what is out of range.
const MAGIC: f32 = 12_582_912.0;

/// The nearest integer of a float between -2^22 and 2^22; of ties the even one.
#[inline(always)]
pub(super) fn rounded(x: f32) -> (f32, i32) {
    let sum = x + MAGIC;
    (sum - MAGIC, sum.to_bits().wrapping_sub(MAGIC.to_bits()) as i32)
}

/// The largest integer that is not above a float between -2^22 and 2^22.
#[inline(always)]
pub(super) fn floored(x: f32) -> (f32, i32) {
    let (near, integer) = rounded(x);
    let is_above = near > x;
    (near - if is_above { 1.0 } else { 0.0 }, integer - i32::from(is_above))
}

/// Levels of a pixel.
#[inline(always)]
pub(super) fn levels(pixel: u32) -> Rgb {
    [(pixel & 255) as i32 as f32, (pixel >> 8 & 255) as i32 as f32, (pixel >> 16 & 255) as i32 as f32]
}

/// The pixel of a colour, with levels limited to 0 to 255 and rounded down, as torchvision does.
#[inline(always)]
pub(super) fn pixel([red, green, blue]: Rgb) -> u32 {
    let byte = |level: f32| floored(level.clamp(0.0, 255.0)).1 as u32;
    byte(red) | byte(green) << 8 | byte(blue) << 16
}

impl Canvas {
    /// The pixels of `area`, which must lie within the image; with `mirror` reversed left to right, with `flip` upside down.
    pub fn of_area(image: &Image, area: Area, mirror: bool, flip: bool) -> Canvas {
        let Area { top, left, height, width } = area;
        let mut pixels = vec![0; width * height];
        let rows = image.rgb.chunks_exact(image.width * 3).skip(top).take(height);
        for (y, row) in rows.enumerate() {
            let y = if flip { height - 1 - y } else { y };
            let out = &mut pixels[y * width..(y + 1) * width];
            let colours = row[left * 3..(left + width) * 3].as_chunks::<3>().0;
            let word = |&[red, green, blue]: &[u8; 3]| u32::from_le_bytes([red, green, blue, 0]);
            if mirror {
                out.iter_mut().rev().zip(colours).for_each(|(out, colour)| *out = word(colour));
            } else {
                out.iter_mut().zip(colours).for_each(|(out, colour)| *out = word(colour));
            }
        }
        // Integer and separate float operations: every instruction set gives the same bits.
        Canvas { width, height, pixels, spare: Vec::new(), isa: Isa::from_env().unwrap_or(Isa::Portable) }
    }

    /// A whole image.
    pub fn of(image: &Image) -> Canvas {
        Canvas::of_area(image, Area { top: 0, left: 0, height: image.height, width: image.width }, false, false)
    }

    /// The image.
    pub fn to_image(&self) -> Image {
        let mut rgb = vec![0; 3 * self.pixels.len()];
        for (out, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(&self.pixels) {
            let [red, green, blue, _] = pixel.to_le_bytes();
            *out = [red, green, blue];
        }
        Image { width: self.width, height: self.height, rgb }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Replaces each pixel by a function of it.
    pub(super) fn map(&mut self, change: impl Fn(u32) -> u32 + Copy) {
        let pixels = &mut self.pixels;
        self.isa.vectorize(
            #[inline(always)]
            || {
                for pixel in pixels.iter_mut() {
                    *pixel = change(*pixel);
                }
            },
        );
    }

    /// Replaces each level by its entry in its channel's table.
    pub(super) fn look_up(&mut self, tables: &[[u8; 256]; 3]) {
        for pixel in &mut self.pixels {
            let [red, green, blue, _] = pixel.to_le_bytes().map(usize::from);
            *pixel = u32::from_le_bytes([tables[0][red], tables[1][green], tables[2][blue], 0]);
        }
    }
}
