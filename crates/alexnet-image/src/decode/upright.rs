//! Turns an image the way its EXIF tag says that the camera was held.

use image::metadata::Orientation;

use crate::Image;

/// The image as its viewer should see it.
pub(super) fn upright(picture: Image, orientation: Orientation) -> Image {
    let (w, h) = (picture.width, picture.height);
    // Where the pixel at row y, column x of the upright image lies in the stored one.
    match orientation {
        Orientation::NoTransforms => picture,
        Orientation::FlipHorizontal => rearranged(&picture, w, h, |y, x| (y, w - 1 - x)),
        Orientation::Rotate180 => rearranged(&picture, w, h, |y, x| (h - 1 - y, w - 1 - x)),
        Orientation::FlipVertical => rearranged(&picture, w, h, |y, x| (h - 1 - y, x)),
        Orientation::Rotate90FlipH => rearranged(&picture, h, w, |y, x| (x, y)),
        Orientation::Rotate90 => rearranged(&picture, h, w, |y, x| (h - 1 - x, y)),
        Orientation::Rotate270FlipH => rearranged(&picture, h, w, |y, x| (h - 1 - x, w - 1 - y)),
        Orientation::Rotate270 => rearranged(&picture, h, w, |y, x| (x, w - 1 - y)),
    }
}

fn rearranged(picture: &Image, width: usize, height: usize, from: impl Fn(usize, usize) -> (usize, usize)) -> Image {
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    for y in 0..height {
        for x in 0..width {
            let (row, column) = from(y, x);
            let at = (row * picture.width + column) * 3;
            rgb.extend_from_slice(&picture.rgb[at..at + 3]);
        }
    }
    Image { width, height, rgb }
}
