//! Pictures as files in memory, for `src` in HTML.

use super::html::data_uri;
use crate::image::Picture;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use mozjpeg::{ColorSpace, Compress};

/// Quality of JPEGs: no artefact can be seen, at an eighth of PNG's bytes.
const QUALITY: f32 = 85.0;

/// A picture as PNG.
pub(crate) fn png(picture: &Picture) -> Vec<u8> {
    encode(picture.width, picture.height, &picture.rgb, ExtendedColorType::Rgb8)
}

fn encode(width: usize, height: usize, values: &[u8], colours: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = PngEncoder::new(&mut bytes).write_image(values, width as u32, height as u32, colours);
    written.expect("memory takes a picture with as many pixels as it says");
    bytes
}

/// A picture as PNG within an address.
pub(super) fn png_uri(picture: &Picture) -> String {
    data_uri("image/png", &png(picture))
}

/// A picture with transparency, `[height, width, 4]`, as PNG within an address.
pub(super) fn png_uri_with_alpha(width: usize, height: usize, rgba: &[u8]) -> String {
    data_uri("image/png", &encode(width, height, rgba, ExtendedColorType::Rgba8))
}

/// A picture as JPEG within an address.
pub(super) fn jpeg_uri(picture: &Picture) -> String {
    let mut encoder = Compress::new(ColorSpace::JCS_RGB);
    encoder.set_size(picture.width, picture.height);
    encoder.set_fastest_defaults();
    encoder.set_quality(QUALITY);
    let mut started = encoder.start_compress(Vec::new()).expect("memory takes a picture");
    started.write_scanlines(&picture.rgb).expect("as many pixels as the picture says");
    data_uri("image/jpeg", &started.finish().expect("a whole picture"))
}
