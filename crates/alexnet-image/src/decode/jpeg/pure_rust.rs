//! What [`baseline`](crate::decode::baseline) leaves, by jpeg-decoder in Rust, for builds without a C compiler: progressive files
//! within 5 of 255 levels of libjpeg's pixels, reduced images as means of full ones. Arithmetic coding is refused by name, and so are files without
//! an end marker.

use super::{Chunks, Stop, light_of_inks};
use crate::decode::jpeg_outline::Outline;
use crate::decode::limits::{DecodeLimits, LATE, black};
use crate::decode::scale::Scale;
use crate::image::Image;
use jpeg_decoder::{Decoder, PixelFormat};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes a file at a scale, not yet turned upright.
pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, scale: Scale, limits: &DecodeLimits) -> Result<Image, String> {
    if outline.is_arithmetic() {
        return Err("arithmetic JPEG coding needs libjpeg, which this build is without; save it as an ordinary JPEG".into());
    }
    let stop = Cell::new(Stop::No);
    let source = Chunks::new(bytes, outline, limits, &stop);
    let result = catch_unwind(AssertUnwindSafe(|| whole(source, outline)));
    let image = stop.get().or(result.unwrap_or_else(|_| Err("broken JPEG: damaged".into())))?;
    if limits.is_late() {
        return Err(LATE.into());
    }
    if scale == Scale::Full { Ok(image) } else { reduced(&image, scale) }
}

fn whole(source: Chunks<'_>, outline: &Outline<'_>) -> Result<Image, String> {
    let broken = |error: jpeg_decoder::Error| format!("broken JPEG: {error}");
    let mut decoder = Decoder::new(source);
    let values = decoder.decode().map_err(broken)?;
    let info = decoder.info().ok_or("broken JPEG: there is no image in it")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if (width as u64, height as u64) != (outline.width, outline.height) {
        return Err("broken JPEG: it has two frames".into());
    }
    let mut image = black(width, height)?;
    let pixels = image.rgb.chunks_exact_mut(3);
    match info.pixel_format {
        PixelFormat::L8 => pixels.zip(&values).for_each(|(pixel, value)| pixel.fill(*value)),
        PixelFormat::RGB24 => pixels.zip(values.chunks_exact(3)).for_each(|(pixel, value)| pixel.copy_from_slice(value)),
        // The decoder turns what Adobe stores into amounts of ink.
        PixelFormat::CMYK32 => pixels.zip(values.chunks_exact(4)).for_each(|(pixel, value)| {
            pixel.copy_from_slice(&light_of_inks([255 - value[0], 255 - value[1], 255 - value[2], 255 - value[3]]));
        }),
        PixelFormat::L16 => return Err("JPEG with 16 bits a channel is not read; convert it to an ordinary JPEG or PNG".into()),
    }
    Ok(image)
}

/// Means of blocks of pixels; those of the last row and column may be smaller.
fn reduced(image: &Image, scale: Scale) -> Result<Image, String> {
    let (width, height, side) = (scale.of(image.width), scale.of(image.height), scale.divisor());
    let mut small = black(width, height)?;
    for (at, pixel) in small.rgb.chunks_exact_mut(3).enumerate() {
        let (top, left) = (at / width * side, at % width * side);
        let (rows, columns) = (side.min(image.height - top), side.min(image.width - left));
        let count = (rows * columns) as u32;
        for (c, value) in pixel.iter_mut().enumerate() {
            let of_row = |row: usize| (0..columns).map(move |column| ((top + row) * image.width + left + column) * 3 + c);
            let sum: u32 = (0..rows).flat_map(of_row).map(|at| u32::from(image.rgb[at])).sum();
            *value = ((sum + count / 2) / count) as u8;
        }
    }
    Ok(small)
}
