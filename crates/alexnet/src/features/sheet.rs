//! A contact sheet: in each row a picture, and to the right of it those nearest to it.

use crate::image::{Picture, Resize};
use crate::{Error, Result, files};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::path::Path;

/// Rows and columns of a picture on the sheet, pixels between two, and between the first and the others.
const SIDE: usize = 128;
const GAP: usize = 4;
const WIDE_GAP: usize = 20;
/// Pixels of a sheet that is still believed to be looked at.
const MOST_PIXELS: usize = 1 << 28;

/// Writes rows of pictures as a PNG on white; each picture's middle square is shown.
///
/// # Errors
/// No pictures or too many, or a file that cannot be written; one that stood there is then kept.
pub fn sheet(path: &Path, rows: &[Vec<Picture>]) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = columns * (SIDE + GAP) + GAP + WIDE_GAP - GAP;
    let height = rows.len() * (SIDE + GAP) + GAP;
    if columns == 0 || width * height > MOST_PIXELS {
        return Err(Error::Invalid(format!("{} rows of {columns} pictures make no sheet", rows.len())));
    }
    let mut rgb = vec![255u8; width * height * 3];
    for (i, row) in rows.iter().enumerate() {
        for (k, picture) in row.iter().enumerate() {
            let small = Resize::Square(SIDE).apply(picture);
            let left = GAP + k * (SIDE + GAP) + if k > 0 { WIDE_GAP - GAP } else { 0 };
            for (y, line) in small.rgb.chunks_exact(SIDE * 3).enumerate() {
                let start = ((GAP + i * (SIDE + GAP) + y) * width + left) * 3;
                rgb[start..start + SIDE * 3].copy_from_slice(line);
            }
        }
    }
    files::write_whole(path, |out| {
        let png = PngEncoder::new(out);
        png.write_image(&rgb, width as u32, height as u32, ExtendedColorType::Rgb8).map_err(std::io::Error::other)
    })
}
