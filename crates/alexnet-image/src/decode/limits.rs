//! Bounds on the work of decoding: pixels, memory and time.

use crate::image::Image;
use std::time::Instant;

/// An image of more pixels is refused from its header: Pillow's limit, beyond which it speaks of a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;

/// An image of a longer side is refused as well. JPEG, GIF and WebP cannot have one.
const MAX_SIDE: u64 = 1 << 20;

/// Bounds on the work of decoding one image.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Images of more pixels are refused from their header.
    pub max_pixels: u64,
    /// Decoding stops with an error when this moment has passed.
    pub deadline: Option<Instant>,
}

impl Default for DecodeLimits {
    /// [`MAX_PIXELS`] and no deadline.
    fn default() -> Self {
        DecodeLimits { max_pixels: MAX_PIXELS, deadline: None }
    }
}

impl DecodeLimits {
    /// Refuses an image that claims to be enormous, or to have no pixels.
    pub(super) fn check_size(&self, width: u64, height: u64) -> Result<(), String> {
        let most = self.max_pixels;
        if width == 0 || height == 0 {
            return Err(format!("{width} x {height} pixels: there is nothing to see"));
        }
        // A row costs more than its pixels where there are hundreds of millions of them.
        if width.max(height) > MAX_SIDE {
            return Err(format!("claims to have {width} x {height} pixels; more than {MAX_SIDE} on a side are refused"));
        }
        if width.checked_mul(height).is_none_or(|pixels| pixels > most) {
            return Err(format!("claims to have {width} x {height} pixels; more than {most} are refused"));
        }
        Ok(())
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Refuses to continue after the deadline.
    pub(super) fn check_time(&self) -> Result<(), String> {
        if self.is_late() { Err(LATE.into()) } else { Ok(()) }
    }
}

pub(super) const LATE: &str = "decoding takes longer than its time limit; send a smaller or simpler image";
pub(super) const TRUNCATED: &str = "the file ends too early";

/// An image with room for its pixels, all black.
pub(super) fn black(width: usize, height: usize) -> Result<Image, String> {
    let mut rgb = Vec::new();
    let size = width * height * 3;
    rgb.try_reserve_exact(size).map_err(|_| format!("not enough memory for {width} x {height} pixels"))?;
    rgb.resize(size, 0);
    Ok(Image { width, height, rgb })
}
