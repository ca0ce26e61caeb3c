//! Rasteriser of scenes.

use super::text;
use super::{Anchor, Colour, Item};
use crate::image::Image;

/// Draws items in order, clipped to the canvas.
pub(super) fn draw(items: &[Item], canvas: &mut Image) {
    for item in items {
        match item {
            Item::Rectangle { x, y, width, height, colour } => rectangle(canvas, [*x, *y, *width, *height], *colour),
            Item::Image { x, y, width, height, image, squares } => {
                let sized = if *squares { nearest(image, *height, *width) } else { image.resized(*height, *width) };
                paste(canvas, &sized, *x, *y);
            }
            Item::Text { x, y, size, anchor, colour, text } => {
                let x = match anchor {
                    Anchor::Start => *x,
                    Anchor::SplitEngine => x - text::width(text, *size) / 2.0,
                    Anchor::End => x - text::width(text, *size),
                };
                text::draw(text, *size, x, *y, |column, row, share| {
                    if let (Ok(column), Ok(row)) = (usize::try_from(column), usize::try_from(row)) {
                        blend(canvas, column, row, *colour, share);
                    }
                });
            }
        }
    }
}

/// Coverage of edges within a pixel, so that bars grow smoothly.
fn rectangle(canvas: &mut Image, [x, y, width, height]: [f32; 4], colour: Colour) {
    let cover = |from: f32, to: f32, pixel: usize| (to.min(pixel as f32 + 1.0) - from.max(pixel as f32)).clamp(0.0, 1.0);
    let (right, bottom) = (x + width, y + height);
    for row in y.max(0.0) as usize..(bottom.max(0.0).ceil() as usize).min(canvas.height) {
        for column in x.max(0.0) as usize..(right.max(0.0).ceil() as usize).min(canvas.width) {
            blend(canvas, column, row, colour, cover(x, right, column) * cover(y, bottom, row));
        }
    }
}

fn blend(canvas: &mut Image, column: usize, row: usize, colour: Colour, share: f32) {
    if column >= canvas.width || row >= canvas.height {
        return;
    }
    let pixel = &mut canvas.rgb[(row * canvas.width + column) * 3..][..3];
    for (have, want) in pixel.iter_mut().zip(colour) {
        *have = (f32::from(*have) + (f32::from(want) - f32::from(*have)) * share).round() as u8;
    }
}

fn paste(canvas: &mut Image, image: &Image, x: usize, y: usize) {
    let columns = image.width.min(canvas.width.saturating_sub(x));
    for (i, row) in image.rgb.chunks_exact(image.width * 3).take(canvas.height.saturating_sub(y)).enumerate() {
        let start = ((y + i) * canvas.width + x) * 3;
        canvas.rgb[start..start + columns * 3].copy_from_slice(&row[..columns * 3]);
    }
}

/// Resizes an image with pixels as rectangles.
pub(super) fn nearest(image: &Image, height: usize, width: usize) -> Image {
    let mut rgb = Vec::with_capacity(height * width * 3);
    for row in 0..height {
        let line = row * image.height / height * image.width;
        for column in 0..width {
            let at = (line + column * image.width / width) * 3;
            rgb.extend_from_slice(&image.rgb[at..at + 3]);
        }
    }
    Image { width, height, rgb }
}
