//! Turns an image the way its EXIF tag says that the camera was held.

use crate::image::Image;

/// What turns a stored image upright; rotations are clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orientation {
    NoTransforms,
    FlipHorizontal,
    Rotate180,
    FlipVertical,
    /// A quarter turn, then exchanged left and right.
    Rotate90FlipH,
    Rotate90,
    /// Three quarter turns, then exchanged left and right.
    Rotate270FlipH,
    Rotate270,
}

impl Orientation {
    /// The meaning of the EXIF value 1 to 8; any other value has none.
    pub(super) fn from_exif(value: u8) -> Option<Orientation> {
        Some(match value {
            1 => Orientation::NoTransforms,
            2 => Orientation::FlipHorizontal,
            3 => Orientation::Rotate180,
            4 => Orientation::FlipVertical,
            5 => Orientation::Rotate90FlipH,
            6 => Orientation::Rotate90,
            7 => Orientation::Rotate270FlipH,
            8 => Orientation::Rotate270,
            _ => return None,
        })
    }
}

impl Orientation {
    /// Whether rows and columns change places.
    pub(super) fn is_turned(self) -> bool {
        use Orientation::*;
        matches!(self, Rotate90FlipH | Rotate90 | Rotate270FlipH | Rotate270)
    }

    /// Whether the columns and the rows of the upright image count from the other end of the stored one.
    pub(super) fn reversed(self) -> (bool, bool) {
        use Orientation::*;
        match self {
            NoTransforms | Rotate90FlipH => (false, false),
            FlipHorizontal | Rotate90 => (true, false),
            FlipVertical | Rotate270 => (false, true),
            Rotate180 | Rotate270FlipH => (true, true),
        }
    }
}

/// The image as its viewer should see it.
pub(super) fn upright(image: Image, orientation: Orientation) -> Image {
    let (w, h) = (image.width, image.height);
    // Where the pixel at row y, column x of the upright image lies in the stored one.
    match orientation {
        Orientation::NoTransforms => image,
        Orientation::FlipHorizontal => rearranged(&image, w, h, |y, x| (y, w - 1 - x)),
        Orientation::Rotate180 => rearranged(&image, w, h, |y, x| (h - 1 - y, w - 1 - x)),
        Orientation::FlipVertical => rearranged(&image, w, h, |y, x| (h - 1 - y, x)),
        Orientation::Rotate90FlipH => rearranged(&image, h, w, |y, x| (x, y)),
        Orientation::Rotate90 => rearranged(&image, h, w, |y, x| (h - 1 - x, y)),
        Orientation::Rotate270FlipH => rearranged(&image, h, w, |y, x| (h - 1 - x, w - 1 - y)),
        Orientation::Rotate270 => rearranged(&image, h, w, |y, x| (x, w - 1 - y)),
    }
}

fn rearranged(image: &Image, width: usize, height: usize, from: impl Fn(usize, usize) -> (usize, usize)) -> Image {
    let mut rgb = Vec::with_capacity(image.rgb.len());
    for y in 0..height {
        for x in 0..width {
            let (row, column) = from(y, x);
            let at = (row * image.width + column) * 3;
            rgb.extend_from_slice(&image.rgb[at..at + 3]);
        }
    }
    Image { width, height, rgb }
}
