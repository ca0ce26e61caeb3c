//! Everything that [`baseline`](crate::decode::baseline) leaves, by libjpeg in C: Pillow's bits, and arithmetic coding.

use super::{Chunks, Stop, light_of_inks};
use crate::decode::jpeg_outline::Outline;
use crate::decode::limits::{DecodeLimits, LATE, black};
use crate::decode::scale::Scale;
use crate::image::Image;
use mozjpeg::{ColorSpace, Decompress};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The deadline is checked after this many rows.
const ROWS: usize = 16;

/// Decodes a file at a scale, not yet turned upright.
pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, scale: Scale, limits: &DecodeLimits) -> Result<Image, String> {
    let stop = Cell::new(Stop::No);
    let source = Chunks::new(bytes, outline, limits, &stop);
    // libjpeg's errors arrive by unwinding, with the message as payload.
    let result = catch_unwind(AssertUnwindSafe(|| decode_unwinding(source, outline, scale))).unwrap_or_else(|payload| {
        let message = payload.downcast_ref::<String>().map_or("damaged", |text| text.as_str());
        Err(format!("broken JPEG: {}", message.trim_start_matches("libjpeg fatal error: ")))
    });
    stop.get().or(result)
}

fn decode_unwinding(source: Chunks<'_>, outline: &Outline<'_>, scale: Scale) -> Result<Image, String> {
    let (limits, stop) = (source.limits, source.stop);
    let broken = |error: io::Error| format!("broken JPEG: {error}");
    let mut decoder = Decompress::builder().from_reader(source).map_err(broken)?;
    let (width, height) = decoder.size();
    if (width as u64, height as u64) != (outline.width, outline.height) {
        return Err("broken JPEG: it has two frames".into());
    }
    let four = matches!(decoder.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK);
    let wanted = if four { ColorSpace::JCS_CMYK } else { ColorSpace::JCS_RGB };
    decoder.scale(scale.block() as u8);
    let mut started = decoder.to_colorspace(wanted).map_err(broken)?;
    let (width, height) = (scale.of(width), scale.of(height));
    let mut image = black(width, height)?;
    let mut inks = vec![[0u8; 4]; if four { width * ROWS } else { 0 }];
    for rows in image.rgb.chunks_mut(width * 3 * ROWS) {
        if four {
            let inks = &mut inks[..rows.len() / 3];
            started.read_scanlines_into(inks).map_err(broken)?;
            rows.chunks_exact_mut(3).zip(inks).for_each(|(pixel, inks)| pixel.copy_from_slice(&light_of_inks(*inks)));
        } else {
            started.read_scanlines_into(rows).map_err(broken)?;
        }
        if limits.is_late() {
            stop.set(Stop::Late);
            return Err(LATE.into());
        }
    }
    // All rows stand: that the end marker is missing changes nothing. Another error behind them does, as in Pillow.
    match catch_unwind(AssertUnwindSafe(|| started.finish())) {
        Ok(Ok(())) => Ok(image),
        _ if stop.get() == Stop::Ended => Ok(image),
        Ok(Err(error)) => Err(broken(error)),
        Err(payload) => std::panic::resume_unwind(payload),
    }
}
