//! Images decoded at a part of their size, which stand for the whole.

use crate::crop::Area;
use crate::decode::Scale;
use crate::image::Image;
use crate::pillow_resize::{self, Span};
use crate::resize::{self, MAX_ASPECT};
use alexnet_net::Resize;

/// The least pixels that a decoded image has for each pixel that it is resized to, along each side, where it is not decoded in full.
const GAP: usize = 2;

/// An upright image that was decoded at a part of its size: Pillow's image after `draft`.
///
/// Sizes and areas are those of the whole image. The last column or row of the decoded one may stand for fewer pixels than the others,
/// so that resizing takes a part of it alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The decoded pixels.
    pub image: Image,
    /// Columns of the whole image.
    pub width: usize,
    /// Rows of the whole image.
    pub height: usize,
    /// Size of the decoded image.
    pub scale: Scale,
    /// Whether its columns, and its rows, count from the other end of the stored image.
    pub(crate) reversed: (bool, bool),
}

impl Draft {
    /// An image that was decoded in full.
    pub fn full(image: Image) -> Draft {
        Draft { width: image.width, height: image.height, image, scale: Scale::Full, reversed: (false, false) }
    }

    /// Resizes the whole image, to the size of [`Image::resized_as`].
    pub fn resized_as(&self, how: Resize) -> Image {
        if self.scale == Scale::Full {
            return self.image.resized_as(how);
        }
        let whole = Area { top: 0, left: 0, height: self.height, width: self.width };
        match how {
            Resize::ShortSide(side) => {
                let (height, width) = resize::short_side(self.height, self.width, side);
                self.resized_part(whole, height, width)
            }
            Resize::Square(side) => self.resized_as(Resize::ShortSide(side)).central_square(side),
            Resize::Warp(_) => self.image.resized_as(how),
        }
    }

    /// Resizes `area` of the whole image to `size` x `size`, as [`Image::resized_area`].
    pub fn resized_area(&self, area: Area, size: usize) -> Image {
        if self.scale == Scale::Full { self.image.resized_area(area, size) } else { self.resized_part(area, size, size) }
    }

    fn resized_part(&self, area: Area, height: usize, width: usize) -> Image {
        let span = |start: usize, count: usize, whole: usize, decoded: usize, is_reversed: bool| {
            let scale = self.scale.divisor() as f32;
            let offset = if is_reversed { decoded as f32 - whole as f32 / scale } else { 0.0 };
            Span { start: offset + start as f32 / scale, end: offset + (start + count) as f32 / scale }
        };
        let across = span(area.left, area.width, self.width, self.image.width, self.reversed.0);
        let down = span(area.top, area.height, self.height, self.image.height, self.reversed.1);
        // As of the whole image, nothing outside the area is seen.
        let (left, right, top, bottom) = (across.start.floor(), across.end.ceil(), down.start.floor(), down.end.ceil());
        let within = |span: Span, first: f32| Span { start: span.start - first, end: span.end - first };
        let (height_seen, width_seen) = ((bottom - top) as usize, (right - left) as usize);
        let seen = Area { top: top as usize, left: left as usize, height: height_seen, width: width_seen };
        let part = (within(across, left), within(down, top));
        if (height_seen, width_seen) == (self.image.height, self.image.width) {
            return pillow_resize::resize_part(&self.image, part, height, width);
        }
        pillow_resize::resize_part(&self.image.crop(seen), part, height, width)
    }
}

/// The smallest scale at which an image of `height` x `width` pixels can be decoded before it is resized.
pub fn scale_before(how: Resize, height: usize, width: usize) -> Scale {
    match how {
        // The middle of a strip is resized.
        _ if height.max(width) / MAX_ASPECT > height.min(width) => Scale::Full,
        Resize::ShortSide(side) | Resize::Square(side) => {
            let (small_height, small_width) = resize::short_side(height, width, side);
            scale_between((height, width), (small_height, small_width))
        }
        Resize::Warp(side) => scale_between((height, width), (side, side)),
    }
}

/// The smallest scale at which an image can be decoded before its `area` is resized to `size` x `size` pixels.
pub fn scale_before_crop(area: Area, size: usize) -> Scale {
    scale_between((area.height, area.width), (size, size))
}

/// Pillow's choice in `draft`, for twice the size.
fn scale_between(from: (usize, usize), to: (usize, usize)) -> Scale {
    let times = (from.0 / (GAP * to.0)).min(from.1 / (GAP * to.1));
    match times {
        8.. => Scale::Eighth,
        4.. => Scale::Quarter,
        2.. => Scale::Half,
        _ => Scale::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, DecodeLimits};

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
    }

    fn drafted(bytes: &[u8], how: Resize) -> Draft {
        decode::draft(bytes, &DecodeLimits::default(), &|height, width| scale_before(how, height, width)).unwrap()
    }

    /// Pillow 13's `draft(None, (2 * width, 2 * height))`, then `resize((width, height), BILINEAR, box=...)` with the box that `draft`
    /// returned, as in its `thumbnail`: columns of the decoded image, and the sum of all values times their position, counted from 1.
    #[test]
    fn drafts_are_pillows() {
        for (name, side, columns, expected) in [
            ("sampling2.jpg", 1, 5, 726),
            ("sampling2.jpg", 2, 9, 10_185),
            ("sampling2.jpg", 3, 9, 88_732),
            ("sampling2.jpg", 5, 18, 544_738),
            ("sampling1.jpg", 1, 5, 718),
            ("sampling1.jpg", 3, 9, 88_764),
            ("sampling0.jpg", 1, 5, 724),
            ("sampling0.jpg", 3, 9, 88_652),
            ("grey.jpg", 1, 5, 684),
            ("grey.jpg", 3, 9, 82_227),
            ("progressive.jpg", 1, 5, 726),
            ("progressive.jpg", 3, 9, 88_732),
            ("restarts.jpg", 3, 9, 88_732),
        ] {
            let draft = drafted(&fixture(name), Resize::ShortSide(side));
            assert_eq!((draft.width, draft.height, draft.image.width), (18, 13, columns), "{name} to {side}");
            let resized = draft.resized_as(Resize::ShortSide(side));
            let sum: u64 = resized.rgb.iter().zip(1..).map(|(value, place)| u64::from(*value) * place).sum();
            assert_eq!(sum, expected, "{name} to {side}");
        }
    }

    /// The file is the same for each orientation but for the tag: turned back, the resized images are equal but for the order of
    /// rounding.
    #[test]
    fn the_part_of_the_last_column_turns_with_the_image() {
        let how = Resize::ShortSide(3);
        let turned: Vec<Image> = (1..=8).map(|tag| drafted(&fixture(&format!("exif{tag}.jpg")), how).resized_as(how)).collect();
        let plain = &turned[0];
        let (width, height) = (plain.width, plain.height);
        for (tag, image) in (1..).zip(&turned) {
            for y in 0..height {
                for x in 0..width {
                    let (back, down) = (width - 1 - x, height - 1 - y);
                    let (row, column) = match tag {
                        1 => (y, x),
                        2 => (y, back),
                        3 => (down, back),
                        4 => (down, x),
                        5 => (x, y),
                        6 => (x, down),
                        7 => (back, down),
                        _ => (back, y),
                    };
                    for c in 0..3 {
                        let (here, there) = (plain.rgb[(y * width + x) * 3 + c], image.rgb[(row * image.width + column) * 3 + c]);
                        assert!(here.abs_diff(there) <= 1, "orientation {tag}, row {y}, column {x}: {here}, {there}");
                    }
                }
            }
        }
    }

    /// Areas of a draft are where those of the whole image are: on a slope, a shift by a pixel would be 6 or 10 levels. Where an area
    /// begins within a decoded pixel, its border sees half of a pixel more.
    #[test]
    fn areas_are_those_of_the_whole_image() {
        let (width, height) = (41, 25);
        let pixels: Vec<u8> = (0..width * height).flat_map(|i| [6 * (i % width) as u8, 10 * (i / width) as u8, 128]).collect();
        let mut compress = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        compress.set_size(width, height);
        compress.set_quality(100.0);
        let mut started = compress.start_compress(Vec::new()).unwrap();
        started.write_scanlines(&pixels).unwrap();
        let bytes = started.finish().unwrap();
        let full = decode::decode(&bytes).unwrap();
        let draft = decode::draft(&bytes, &DecodeLimits::default(), &|_, _| Scale::Half).unwrap();
        for area in [
            Area { top: 3, left: 5, height: 16, width: 24 },
            Area { top: 2, left: 9, height: 12, width: 12 },
            Area { top: 5, left: 13, height: 20, width: 28 },
        ] {
            let (exact, scaled) = (full.resized_area(area, 4), draft.resized_area(area, 4));
            for (i, (a, b)) in exact.rgb.iter().zip(&scaled.rgb).enumerate() {
                let (row, column) = (i / 12, i / 3 % 4);
                let is_inner = (1..3).contains(&row) && (1..3).contains(&column);
                let most = if is_inner { 1 } else { 5 };
                assert!(a.abs_diff(*b) <= most, "{area:?}, row {row}, column {column}: {a}, {b}");
            }
            assert_eq!(Draft::full(full.clone()).resized_area(area, 4), exact);
        }
    }

    #[test]
    fn at_least_twice_the_size_is_decoded() {
        for (height, width) in
            [(3000, 4000), (4000, 3000), (512, 512), (511, 900), (533, 400), (2048, 2048), (9000, 5000), (1, 30000)]
        {
            for how in [Resize::ShortSide(256), Resize::Square(256), Resize::Warp(256), Resize::ShortSide(40)] {
                let scale = scale_before(how, height, width);
                let side = how.side();
                let shorter = height.min(width) / scale.divisor();
                assert!(scale == Scale::Full || shorter >= 2 * side, "{height} x {width}, {how:?}: {scale:?}");
                // And no more than needed, where the aspect is no matter.
                let is_strip = height.max(width) / MAX_ASPECT > height.min(width);
                let more = shorter / 2 > 2 * side;
                assert!(scale == Scale::Eighth || is_strip || !more, "{height} x {width}, {how:?}: {scale:?}");
            }
        }
        let area = Area { top: 5, left: 7, height: 900, width: 1800 };
        assert_eq!(scale_before_crop(area, 224), Scale::Half);
        assert_eq!(scale_before_crop(area, 226), Scale::Full);
    }
}
