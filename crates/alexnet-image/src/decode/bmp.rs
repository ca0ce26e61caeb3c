//! BMP, by Pillow's rules: all headers of Windows and OS/2, palettes, 16, 24 and 32 bits with and without masks, run lengths.
//!
//! The crate `image` gives other pixels for 16 bits (it rounds), and refuses several headers that Pillow takes.

use super::format::{ImageFormat, little_endian};
use super::limits::{DecodeLimits, TRUNCATED, black};
use crate::image::Image;

/// Bytes in front of the header.
const FILE_HEADER: usize = 14;

struct Header {
    width: usize,
    height: usize,
    top_down: bool,
    bits: usize,
    coding: u32,
    /// Colours in the palette.
    colours: usize,
    /// Bytes of a colour in it.
    colour_size: usize,
    /// Masks of red, green, blue and alpha.
    masks: [u32; 4],
    /// Where the header ends, with the masks behind it.
    end: usize,
}

/// BMP.
#[derive(Debug)]
pub(super) struct Bmp;

impl ImageFormat for Bmp {
    fn name(&self) -> &'static str {
        "BMP"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["bmp", "dib"]
    }

    fn sniff(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(b"BM")
    }

    /// `BM` alone begins many a text: the size of a known header stands behind it.
    fn is_certain(&self, start: &[u8]) -> bool {
        let size = little_endian(start, 14, 4);
        start.starts_with(b"BM") && matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
    }

    fn header(&self, bytes: &[u8]) -> Option<super::format::Header> {
        let number = |at, count| little_endian(bytes, at, count);
        let (width, height) =
            if number(14, 4)? == 12 { (number(18, 2)?, number(20, 2)?) } else { (number(18, 4)?, number(22, 4)?) };
        // A negative height means rows from the top.
        Some(super::format::Header { width, height: u64::from((height as u32 as i32).unsigned_abs()), bytes_per_pixel: 7 })
    }

    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
        decode(bytes, limits)
    }
}

/// Decodes a file that begins as BMP files do.
fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    let header = Header::of(bytes)?;
    limits.check_size(header.width as u64, header.height as u64)?;
    let offset = number(bytes, 10)?;
    let palette = header.palette(bytes)?;
    let palette_size = if header.bits <= 8 { header.colours * header.colour_size } else { 0 };
    // Some files give the palette's place for that of the pixels, or none.
    let start = match offset {
        0 => header.end + palette_size,
        offset if offset as usize == FILE_HEADER + header_size(bytes)? as usize => offset as usize + palette_size,
        offset => offset as usize,
    };
    let pixels = bytes.get(start..).ok_or(TRUNCATED)?;
    let layout = header.layout()?;

    if let Layout::Runs { four_bits } = layout {
        let indices = expand(pixels, start, header.width, header.height, four_bits, limits)?;
        let mut image = black(header.width, header.height)?;
        header.each_row(&mut image, limits, |row, y| {
            let indices = &indices[y * header.width..][..header.width];
            row.chunks_exact_mut(3).zip(indices).for_each(|(place, &index)| place.copy_from_slice(&palette[usize::from(index)]));
        })?;
        return Ok(image);
    }
    let stride = (header.width * header.bits).div_ceil(32) * 4;
    let used = (header.width * header.bits).div_ceil(8);
    // The last row need not be filled up. Checked before anything is allocated.
    if pixels.len() < stride * (header.height - 1) + used {
        return Err(TRUNCATED.into());
    }
    let mut image = black(header.width, header.height)?;
    header.each_row(&mut image, limits, |row, y| {
        let line = &pixels[y * stride..][..used];
        let places = row.chunks_exact_mut(3);
        match layout {
            Layout::Indices => places.enumerate().for_each(|(x, place)| {
                let bits = header.bits;
                let index = line[x * bits / 8] >> (8 - bits - x * bits % 8) & ((1u16 << bits) - 1) as u8;
                place.copy_from_slice(&palette[usize::from(index)]);
            }),
            Layout::Sixteen { green } => places.zip(line.chunks_exact(2)).for_each(|(place, pixel)| {
                let value = u32::from(u16::from_le_bytes([pixel[0], pixel[1]]));
                let level = |shift: u32, bits: u32| ((value >> shift & ((1 << bits) - 1)) * 255 / ((1 << bits) - 1)) as u8;
                place.copy_from_slice(&[level(5 + green, 5), level(5, green), level(0, 5)]);
            }),
            Layout::Bytes(order) => places
                .zip(line.chunks_exact(header.bits / 8))
                .for_each(|(place, pixel)| place.copy_from_slice(&order.map(|byte| pixel[byte]))),
            Layout::Runs { .. } => {}
        }
    })?;
    Ok(image)
}

/// How pixels lie in memory.
#[derive(Clone, Copy)]
enum Layout {
    /// Indices of 1 to 8 bits.
    Indices,
    /// Five bits of red, `green` bits, five bits of blue.
    Sixteen { green: u32 },
    /// Which of a pixel's bytes are red, green and blue.
    Bytes([usize; 3]),
    /// Run lengths of indices.
    Runs { four_bits: bool },
}

impl Header {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let size = header_size(bytes)? as usize;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            return Err(format!("BMP with a header of {size} bytes is not read; convert it to PNG"));
        }
        let end = FILE_HEADER + size;
        if bytes.len() < end {
            return Err(TRUNCATED.into());
        }
        let mut header = if size == 12 {
            let side = |at| short(bytes, at).map(usize::from);
            Header {
                width: side(18)?,
                height: side(20)?,
                top_down: false,
                bits: side(24)?,
                coding: 0,
                colours: 0,
                colour_size: 3,
                masks: [0; 4],
                end,
            }
        } else {
            let (height, top_down) = (number(bytes, 22)?, bytes[25] == 0xFF);
            Header {
                width: number(bytes, 18)? as usize,
                height: if top_down { height.wrapping_neg() } else { height } as usize,
                top_down,
                bits: short(bytes, 28)?.into(),
                coding: number(bytes, 30)?,
                colours: number(bytes, 46)? as usize,
                colour_size: 4,
                masks: [0; 4],
                end,
            }
        };
        if !matches!(header.bits, 1 | 4 | 8 | 16 | 24 | 32) {
            return Err(format!("BMP with {} bits a pixel is not read; convert it to PNG", header.bits));
        }
        if header.colours == 0 {
            header.colours = 1 << header.bits.min(16);
        }
        if header.bits <= 8 && header.colours > 65536 {
            return Err(format!("broken BMP: a palette of {} colours", header.colours));
        }
        if header.coding == 3 {
            for (place, mask) in header.masks.iter_mut().enumerate().take(if size >= 56 { 4 } else { 3 }) {
                *mask = number(bytes, 54 + place * 4)?;
            }
            if size == 40 {
                header.end += 12;
            }
        }
        Ok(header)
    }

    /// How the pixels lie, by the coding, the bits and the masks.
    fn layout(&self) -> Result<Layout, String> {
        let unknown = |what: String| Err(format!("BMP with {what} is not read; convert it to PNG"));
        match (self.coding, self.bits) {
            (0, 1 | 4 | 8) => Ok(Layout::Indices),
            (0, 16) => Ok(Layout::Sixteen { green: 5 }),
            (0, _) => Ok(Layout::Bytes([2, 1, 0])),
            (1 | 2, 1 | 4 | 8) => Ok(Layout::Runs { four_bits: self.coding == 2 }),
            (3, 16) => match self.masks {
                [0xF800, 0x7E0, 0x1F, _] => Ok(Layout::Sixteen { green: 6 }),
                [0x7C00, 0x3E0, 0x1F, _] => Ok(Layout::Sixteen { green: 5 }),
                masks => unknown(format!("the masks {masks:x?}")),
            },
            (3, 24) if self.masks[..3] == [0xFF_0000, 0xFF00, 0xFF] => Ok(Layout::Bytes([2, 1, 0])),
            (3, 32) => match self.masks {
                [0, 0, 0, 0] => Ok(Layout::Bytes([2, 1, 0])),
                masks => {
                    let byte = |mask: u32| (0..4).find(|byte| mask == 0xFF << (8 * byte));
                    match [masks[0], masks[1], masks[2]].map(byte) {
                        [Some(red), Some(green), Some(blue)] => Ok(Layout::Bytes([red, green, blue])),
                        _ => unknown(format!("the masks {masks:x?}")),
                    }
                }
            },
            (3, _) => unknown(format!("masks and {} bits a pixel", self.bits)),
            (4, _) => unknown("JPEG data".into()),
            (5, _) => unknown("PNG data".into()),
            (coding, bits) => unknown(format!("compression {coding} and {bits} bits a pixel")),
        }
    }

    /// The colours of all 256 indices; those that are missing are black. A palette of all greys in order is no palette: then every index is
    /// its own grey, also where the palette is short.
    fn palette(&self, bytes: &[u8]) -> Result<[[u8; 3]; 256], String> {
        let mut palette = [[0; 3]; 256];
        if self.bits > 8 {
            return Ok(palette);
        }
        let colours = bytes.get(self.end..).unwrap_or_default().chunks_exact(self.colour_size).take(self.colours.min(256));
        let mut grey = colours.len() == self.colours.min(256);
        for (index, colour) in colours.enumerate() {
            palette[index] = [colour[2], colour[1], colour[0]];
            let level = if self.colours == 2 { index * 255 } else { index };
            grey &= palette[index] == [level as u8; 3];
        }
        if grey && self.colours > 2 {
            palette.iter_mut().enumerate().for_each(|(index, colour)| *colour = [index as u8; 3]);
        }
        Ok(palette)
    }

    /// Hands out each row of the image with its place among the rows of the file.
    fn each_row(&self, image: &mut Image, limits: &DecodeLimits, mut fill: impl FnMut(&mut [u8], usize)) -> Result<(), String> {
        for (y, row) in image.rgb.chunks_exact_mut(self.width * 3).enumerate() {
            fill(row, if self.top_down { y } else { self.height - 1 - y });
            if y % 64 == 0 {
                limits.check_time()?;
            }
        }
        Ok(())
    }
}

/// Expands run lengths into an index for each pixel, in the order of the file. `start` is the place of `codes` in the file: Pillow aligns
/// absolute runs by it.
fn expand(
    codes: &[u8],
    start: usize,
    width: usize,
    height: usize,
    four_bits: bool,
    limits: &DecodeLimits,
) -> Result<Vec<u8>, String> {
    let size = width * height;
    let mut out = Vec::new();
    out.try_reserve_exact(size).map_err(|_| format!("not enough memory for {width} x {height} pixels"))?;
    let (mut at, mut x, mut steps) = (0, 0usize, 0u32);
    while out.len() < size {
        steps = steps.wrapping_add(1);
        if steps % 4096 == 0 {
            limits.check_time()?;
        }
        let Some(&[count, value]) = codes.get(at..at + 2) else { break };
        at += 2;
        let index = |pair: u8, place: usize| if place.is_multiple_of(2) { pair >> 4 } else { pair & 15 };
        match (count, value) {
            (0, 0) => {
                out.resize(out.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let Some(&[right, up]) = codes.get(at..at + 2) else { break };
                at += 2;
                let skipped = usize::from(right) + usize::from(up) * width;
                out.resize(size.min(out.len() + skipped), 0);
                x = out.len() % width;
            }
            (0, count) => {
                let pixels = usize::from(count).min(size - out.len());
                let length = if four_bits { pixels.div_ceil(2) } else { pixels };
                let Some(data) = codes.get(at..at + length) else { break };
                at += length;
                match four_bits {
                    true => out.extend((0..pixels).map(|place| index(data[place / 2], place))),
                    false => out.extend_from_slice(data),
                }
                x += usize::from(count);
                at += (start + at) % 2;
            }
            (count, value) => {
                // What does not fit into the row is lost.
                let pixels = usize::from(count).min(width.saturating_sub(x));
                match four_bits {
                    true => out.extend((0..pixels).map(|place| index(value, place))),
                    false => out.resize(out.len() + pixels, value),
                }
                x += pixels;
            }
        }
    }
    if out.len() < size {
        return Err(TRUNCATED.into());
    }
    out.truncate(size);
    Ok(out)
}

fn header_size(bytes: &[u8]) -> Result<u32, String> {
    number(bytes, FILE_HEADER)
}

fn number(bytes: &[u8], at: usize) -> Result<u32, String> {
    let value = bytes.get(at..at + 4).ok_or(TRUNCATED)?;
    Ok(u32::from_le_bytes([value[0], value[1], value[2], value[3]]))
}

fn short(bytes: &[u8], at: usize) -> Result<u16, String> {
    let value = bytes.get(at..at + 2).ok_or(TRUNCATED)?;
    Ok(u16::from_le_bytes([value[0], value[1]]))
}
