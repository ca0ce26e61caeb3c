//! GIF: the first frame on its canvas, as Pillow composes it. The crate `weezl` expands its codes.

use weezl::{BitOrder, LzwStatus, decode::Configuration};

use super::format::{Header, ImageFormat, little_endian};
use super::limits::{DecodeLimits, TRUNCATED, black};
use crate::image::Image;

const NO_IMAGE: &str = "broken GIF: there is no image in it";

/// The deadline is checked after this many pixels.
const CHECKED: usize = 1 << 16;

/// GIF.
#[derive(Debug)]
pub(super) struct Gif;

impl ImageFormat for Gif {
    fn name(&self) -> &'static str {
        "GIF"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["gif"]
    }

    fn sniff(&self, bytes: &[u8]) -> bool {
        matches!(bytes, [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..])
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        let number = |at| little_endian(bytes, at, 2);
        Some(Header { width: number(6)?, height: number(8)?, bytes_per_pixel: 8 })
    }

    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
        decode(bytes, limits)
    }
}

/// Decodes a file that begins as GIF files do.
fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    let mut input = Input { rest: &bytes[6..] };
    let screen: [u8; 7] = input.array()?;
    let mut palette = Palette::Grey;
    if screen[4] & 0x80 != 0 {
        palette = Palette::of(input.take(3 << ((screen[4] & 7) + 1)));
    }
    let mut transparent = None;
    loop {
        match input.byte().ok_or(TRUNCATED)? {
            b';' => return Err(NO_IMAGE.into()),
            b',' => break,
            b'!' => {
                let kind = input.byte().ok_or(TRUNCATED)?;
                let first = input.block();
                if let (0xF9, Some([flags, _, _, index, ..])) = (kind, first)
                    && flags & 1 != 0
                {
                    transparent = Some(*index);
                }
                let mut block = first;
                while block.is_some() {
                    block = input.block();
                }
            }
            // Pillow passes over what stands between the blocks.
            _ => {}
        }
    }
    let [x0, x1, y0, y1, w0, w1, h0, h1, flags] = input.array()?;
    let number = |low, high| usize::from(u16::from_le_bytes([low, high]));
    let (left, top, columns, rows) = (number(x0, x1), number(y0, y1), number(w0, w1), number(h0, h1));
    if flags & 0x80 != 0 {
        palette = Palette::of(input.take(3 << ((flags & 7) + 1)));
    }
    let bits = input.byte().ok_or(TRUNCATED)?;
    // A frame that sticks out of the screen makes it larger.
    let width = number(screen[0], screen[1]).max(left + columns);
    let height = number(screen[2], screen[3]).max(top + rows);
    limits.check_size(width as u64, height as u64)?;
    if bits > 11 {
        return Err(format!("broken GIF: codes of {bits} bits"));
    }

    let mut image = black(width, height)?;
    // What the frame does not cover shows the transparent colour, or the first one.
    let around = palette.colour(transparent.unwrap_or(0));
    if around != [0; 3] && (columns, rows) != (width, height) {
        for row in image.rgb.chunks_mut(width * 3) {
            row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&around));
            // A row has at most 65,535 pixels.
            limits.check_time()?;
        }
    }
    if columns == 0 || rows == 0 {
        return Ok(image);
    }

    let interlaced = flags & 0x40 != 0;
    let passes = if interlaced { &[[0, 8], [4, 8], [2, 4], [1, 2]][..] } else { &[[0, 1]] };
    let mut pixels =
        Pixels { decoder: Configuration::new(BitOrder::Lsb, bits).with_yield_on_full_buffer(true).build(), input, block: &[] };
    let mut indices = vec![0; columns];
    let mut unchecked = 0;
    for &[first, down] in passes {
        for y in (first..rows).step_by(down) {
            pixels.fill(&mut indices)?;
            let start = ((top + y) * width + left) * 3;
            let places = image.rgb[start..start + columns * 3].chunks_exact_mut(3);
            places.zip(&indices).for_each(|(place, &index)| place.copy_from_slice(&palette.colour(index)));
            unchecked += columns;
            if unchecked >= CHECKED {
                limits.check_time()?;
                unchecked = 0;
            }
        }
    }
    Ok(image)
}

/// The colours of a frame.
enum Palette {
    /// Index and grey value are the same: there is no palette, or one that says so.
    Grey,
    /// Colours by index; those that are missing are black.
    Colours(Box<[[u8; 3]; 256]>),
}

impl Palette {
    fn of(bytes: &[u8]) -> Self {
        if bytes.chunks(3).enumerate().all(|(index, colour)| colour == [index as u8; 3]) {
            return Palette::Grey;
        }
        let mut colours = Box::new([[0; 3]; 256]);
        colours.iter_mut().zip(bytes.chunks_exact(3)).for_each(|(colour, bytes)| colour.copy_from_slice(bytes));
        Palette::Colours(colours)
    }

    fn colour(&self, index: u8) -> [u8; 3] {
        match self {
            Palette::Grey => [index; 3],
            Palette::Colours(colours) => colours[usize::from(index)],
        }
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*array)
    }

    /// As many bytes as there are, up to `count`.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// The next block of data; none at their end.
    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.byte().filter(|&length| length > 0)?;
        Some(self.take(usize::from(length)))
    }
}

/// The colour indices that blocks of codes stand for.
struct Pixels<'a> {
    decoder: weezl::decode::Decoder,
    input: Input<'a>,
    block: &'a [u8],
}

impl Pixels<'_> {
    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), String> {
        // A code that clears the table gives nothing, and its bits may have been taken before; there are at most 64 of them.
        let mut idle = 0;
        while !out.is_empty() {
            if self.block.is_empty() && !self.input.rest.is_empty() {
                // Empty blocks do not end the data: Pillow reads on until the image is whole.
                self.block = self.input.block().unwrap_or_default();
                if self.block.is_empty() {
                    continue;
                }
            }
            let result = self.decoder.decode_bytes(self.block, out);
            self.block = &self.block[result.consumed_in..];
            out = &mut out[result.consumed_out..];
            idle = if result.consumed_in + result.consumed_out == 0 { idle + 1 } else { 0 };
            match result.status {
                Err(error) => return Err(format!("broken GIF: {error}")),
                Ok(LzwStatus::Ok | LzwStatus::NoProgress) if idle <= 64 => {}
                _ if out.is_empty() => {}
                _ => return Err(TRUNCATED.into()),
            }
        }
        Ok(())
    }
}
