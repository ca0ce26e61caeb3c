//! Image encoding in memory: PNG for exact pixels, JPEG for photographs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::image::{self, Image};

/// JPEG quality without visible artefacts, at an eighth of PNG's size.
const QUALITY: u8 = 88;

/// Encodes an image as PNG.
///
/// # Panics
/// If the image is empty or its size does not match its pixels.
pub fn png(image: &Image) -> Vec<u8> {
    encode_png(image.width, image.height, &image.rgb, ::png::ColorType::Rgb)
}

/// Encodes an image with transparency, `[height, width, 4]`, as PNG.
///
/// # Panics
/// As [`png()`].
pub fn png_with_alpha(width: usize, height: usize, rgba: &[u8]) -> Vec<u8> {
    encode_png(width, height, rgba, ::png::ColorType::Rgba)
}

fn encode_png(width: usize, height: usize, values: &[u8], color: ::png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_compression(::png::Compression::Balanced);
    encoder.set_filter(::png::Filter::Adaptive);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(values));
    written.expect("memory takes a whole image of as many values as its size says");
    bytes
}

/// Encodes an image as JPEG.
///
/// # Panics
/// As [`png()`]; also with more than 65,500 rows or columns, the limit of JPEG.
pub fn jpeg(image: &Image) -> Vec<u8> {
    image::encode::jpeg(image, QUALITY).expect("as many pixels as the image says")
}

/// Encodes an image as a PNG data URL, for `src` in HTML or `href` in SVG.
pub fn png_uri(image: &Image) -> String {
    uri("png", &png(image))
}

/// Encodes an image as a JPEG data URL, for `src` in HTML or `href` in SVG.
pub fn jpeg_uri(image: &Image) -> String {
    uri("jpeg", &jpeg(image))
}

fn uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Split, synthetic};
    use crate::image::decode;

    #[test]
    fn png_is_lossless_and_jpeg_nearly() {
        let image = synthetic(Split::Test, 0).image(3).unwrap();
        assert_eq!(decode::decode(&png(&image)).unwrap(), image);
        let back = decode::decode(&jpeg(&image)).unwrap();
        let off: u64 = back.rgb.iter().zip(&image.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        // 96 x 96 x 3 values, off by 2.6 levels on average (edges of drawn figures are the worst case for JPEG).
        assert!(back.width == 96 && off / 27_648 < 6, "{off}");
        assert!(png_uri(&image).starts_with("data:image/png;base64,iVBORw0KGgo"));
        assert!(jpeg_uri(&image).starts_with("data:image/jpeg;base64,/9j/"));
    }
}
