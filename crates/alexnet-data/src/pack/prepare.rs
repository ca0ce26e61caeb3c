//! One image of a data set in the form in which a pack stores it.

use super::format::{Form, Kind};
use crate::image::encode::{self, MAX_JPEG_SIDE};
use crate::image::{Image, Resize, decode};
use crate::{Dataset, Result};

/// An image as it will be stored.
pub(super) struct Prepared {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Decodes image `i`, so that a pack holds no broken ones, and resizes it like the loader of a net with that short side.
///
/// # Errors
/// It cannot be read or decoded.
pub(super) fn prepare(source: &dyn Dataset, i: usize, form: Form) -> Result<Prepared> {
    let file = source.file(i)?;
    let image = match &file {
        Some(bytes) => decode::decode(bytes)?,
        None => source.image(i)?,
    };
    let as_it_is = |image: &Image| match file {
        Some(bytes) => Prepared { kind: Kind::Kept, bytes },
        None => pixels(image),
    };
    let is_small = |short_side| image.width.min(image.height) <= short_side;
    Ok(match form {
        Form::Original => as_it_is(&image),
        Form::Raw { short_side } if is_small(short_side) => pixels(&image),
        Form::Raw { short_side } => pixels(&image.resized_as(Resize::ShortSide(short_side))),
        Form::Jpeg { short_side, .. } if is_small(short_side) => as_it_is(&image),
        Form::Jpeg { short_side, quality } => {
            let resized = image.resized_as(Resize::ShortSide(short_side));
            if resized.width.max(resized.height) > MAX_JPEG_SIDE {
                return Ok(as_it_is(&image));
            }
            Prepared { kind: Kind::Encoded, bytes: encode::jpeg(&resized, quality)? }
        }
    })
}

/// Width, height and pixels.
fn pixels(image: &Image) -> Prepared {
    let mut bytes = Vec::with_capacity(super::store::SIZE + image.rgb.len());
    bytes.extend((image.width as u32).to_le_bytes());
    bytes.extend((image.height as u32).to_le_bytes());
    bytes.extend_from_slice(&image.rgb);
    Prepared { kind: Kind::Pixels, bytes }
}
