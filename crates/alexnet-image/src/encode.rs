//! Images to JPEG files.

use crate::image::Image;
use alexnet_files::Result;
use mozjpeg::{ColorSpace, Compress};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most rows or columns of a JPEG file that libjpeg writes.
pub const MAX_JPEG_SIDE: usize = 65_500;

/// Encodes an image as a baseline JPEG file with the chroma at half the resolution (4:2:0). `quality`, 1 to 100, is on libjpeg's
/// scale, which is also Pillow's.
///
/// # Errors
/// The image is empty, has more than [`MAX_JPEG_SIDE`] rows or columns, or not as many pixels as its size says.
pub fn jpeg(image: &Image, quality: u8) -> Result<Vec<u8>> {
    let (width, height) = (image.width, image.height);
    let sides = 1..=MAX_JPEG_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || image.rgb.len() != width * height * 3 {
        return Err(format!("an image of {width} x {height} pixels cannot be written as JPEG").into());
    }
    // libjpeg's errors arrive by unwinding.
    let written = catch_unwind(AssertUnwindSafe(|| -> std::io::Result<Vec<u8>> {
        let mut encoder = Compress::new(ColorSpace::JCS_RGB);
        encoder.set_size(width, height);
        // One scan, which is decoded fastest, and libjpeg's tables.
        encoder.set_fastest_defaults();
        encoder.set_optimize_coding(true);
        encoder.set_quality(f32::from(quality.clamp(1, 100)));
        encoder.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
        let mut started = encoder.start_compress(Vec::new())?;
        started.write_scanlines(&image.rgb)?;
        started.finish()
    }));
    match written {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(format!("cannot be written as JPEG: {error}").into()),
        Err(_) => Err("the JPEG encoder gave up on it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn jpeg_files_come_back_nearly_equal() {
        for (width, height) in [(33, 17), (1, 1), (64, 200)] {
            let pixel = |i: usize| [(i % width * 3) as u8, (i / width) as u8, 90];
            let image = Image { width, height, rgb: (0..width * height).flat_map(pixel).collect() };
            let bytes = jpeg(&image, 95).unwrap();
            let back = decode::decode(&bytes).unwrap();
            assert_eq!((back.width, back.height), (width, height));
            let off = back.rgb.iter().zip(&image.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
            assert!(off <= 3 * image.rgb.len() as u64, "{width} x {height}: {off}");
            assert!(jpeg(&image, 30).unwrap().len() <= bytes.len());
        }
    }

    #[test]
    fn impossible_images_are_reported() {
        for (width, height, values) in [(0, 0, 0), (2, 2, 11), (MAX_JPEG_SIDE + 1, 1, 3 * (MAX_JPEG_SIDE + 1))] {
            let why = jpeg(&Image { width, height, rgb: vec![0; values] }, 90).unwrap_err().to_string();
            assert!(why.contains("cannot be written as JPEG"), "{why}");
        }
    }
}
