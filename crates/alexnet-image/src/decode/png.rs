//! PNG: the chunks are read here, as tolerantly as Pillow reads them; the crate `png` decodes their image data.
//!
//! `png` is given the header and the image data alone. So it never meets what Pillow passes over: a missing `IEND`, data after the
//! end, wrong checksums of image data, the later frames of an animation.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Limits};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::format::{Header, ImageFormat, RGB_TWICE};
use super::limits::{DecodeLimits, TRUNCATED, black};
use super::{exif, upright};
use crate::image::Image;

/// Compressed text is read up to this size; Pillow's limit.
const MAX_TEXT: usize = 1 << 20;

/// The deadline is checked after this many bytes of rows.
const CHECKED: usize = 1 << 16;

/// What the chunks of a file hold.
#[derive(Default)]
struct Chunks<'a> {
    header: Option<&'a [u8]>,
    palette: &'a [u8],
    /// Left, top, width and height of the first frame, where an animation begins with it.
    frame: Option<[u32; 4]>,
    data: Vec<u8>,
    exif: Option<Vec<u8>>,
    /// The text "Raw profile type exif", in hexadecimal.
    profile: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
}

/// PNG.
#[derive(Debug)]
pub(super) struct Png;

impl ImageFormat for Png {
    fn name(&self) -> &'static str {
        "PNG"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["png", "apng"]
    }

    fn sniff(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(b"\x89PNG\r\n\x1A\n")
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        let number = |at: usize| Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
        let (depth, colour) = (*bytes.get(24)?, *bytes.get(25)?);
        let channels = match colour {
            0 => 1,
            2 => 3,
            4 => 2,
            _ => 4,
        };
        // 16-bit values are brought down to bytes first, then to RGB.
        let bytes_per_pixel = if depth == 16 { 3 * channels } else { channels + 3 };
        Some(Header { width: number(16)?, height: number(20)?, bytes_per_pixel: bytes_per_pixel.max(RGB_TWICE) })
    }

    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
        decode(bytes, limits)
    }
}

/// Decodes a file that begins as PNG files do.
fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    let chunks = read_chunks(&bytes[8..])?;
    let Some(&[w3, w2, w1, w0, h3, h2, h1, h0, depth, colours, compression, filter, interlace, ..]) = chunks.header else {
        return Err("broken PNG: there is no header in it".into());
    };
    let (width, height) = (u32::from_be_bytes([w3, w2, w1, w0]), u32::from_be_bytes([h3, h2, h1, h0]));
    limits.check_size(width.into(), height.into())?;
    if compression != 0 || filter != 0 {
        return Err(format!("PNG with compression method {compression} and filter method {filter} is not read"));
    }
    let [left, top, columns, rows] = chunks.frame.unwrap_or([0, 0, width, height]);
    if u64::from(left) + u64::from(columns) > width.into() || u64::from(top) + u64::from(rows) > height.into() {
        return Err("broken PNG: its first frame lies outside of the image".into());
    }
    if chunks.data.is_empty() {
        return Err(TRUNCATED.into());
    }
    let header: Vec<u8> = [&columns.to_be_bytes()[..], &rows.to_be_bytes(), &[depth, colours, 0, 0, interlace.min(1)]].concat();
    let stream = Cursor::new(plain_file(&header, &chunks.data));
    drop(chunks.data);

    let broken = |error: DecodingError| {
        let message = error.to_string();
        let ended =
            ["InsufficientInput", "enough data for image", "chunk is missing"].iter().any(|words| message.contains(words));
        if ended { TRUNCATED.to_string() } else { format!("broken PNG: {message}") }
    };
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true);
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(stream, options);
    decoder.set_limits(Limits { bytes: 1 << 30 });
    let mut reader = decoder.read_info().map_err(broken)?;
    let kind = reader.output_color_type();
    let palette = Palette::new(chunks.palette);

    let (width, height) = (width as usize, height as usize);
    let mut image = black(width, height)?;
    let mut row = vec![0; reader.output_line_size(columns).ok_or("broken PNG: its rows are too long")?];
    let mut pixels = vec![0; if interlace == 0 { 0 } else { columns as usize * 3 }];
    let mut unchecked = 0;
    let passes = if interlace == 0 { &[[0, 1, 0, 1]][..] } else { &ADAM7 };
    for &[first, down, start, across] in passes {
        let samples = (columns as usize).saturating_sub(start).div_ceil(across);
        // A pass without columns has no rows either.
        let rows = if samples == 0 { 0 } else { rows as usize };
        for y in (first..rows).step_by(down) {
            reader.read_row(&mut row).map_err(broken)?.ok_or(TRUNCATED)?;
            let start = ((top as usize + y) * width + left as usize + start) * 3;
            if across == 1 {
                to_rgb(&row, kind, &palette, &mut image.rgb[start..start + samples * 3]);
            } else {
                to_rgb(&row, kind, &palette, &mut pixels[..samples * 3]);
                let places = image.rgb[start..].chunks_mut(3).step_by(across);
                places.zip(pixels.chunks_exact(3)).take(samples).for_each(|(place, pixel)| place.copy_from_slice(pixel));
            }
            unchecked += row.len();
            if unchecked >= CHECKED {
                limits.check_time()?;
                unchecked = 0;
            }
        }
    }
    let exif = chunks.exif.or_else(|| chunks.profile.as_deref().and_then(from_hexadecimal));
    Ok(upright::upright(image, exif::of_metadata(exif.as_deref(), chunks.xmp.as_deref())))
}

/// First row, distance of rows, first column and distance of columns in each pass of an interlaced image.
const ADAM7: [[usize; 4]; 7] = [[0, 8, 0, 8], [0, 8, 4, 8], [4, 8, 0, 4], [0, 4, 2, 4], [2, 4, 0, 2], [0, 2, 1, 2], [1, 2, 0, 1]];

/// A file with this header and these data, without checksums.
fn plain_file(header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(data.len() + 1100);
    file.extend_from_slice(b"\x89PNG\r\n\x1a\n");
    let mut chunk = |name: &[u8; 4], data: &[u8]| {
        file.extend_from_slice(&(data.len() as u32).to_be_bytes());
        file.extend_from_slice(name);
        file.extend_from_slice(data);
        file.extend_from_slice(&[0; 4]);
    };
    chunk(b"IHDR", header);
    // The colours are looked up here, but without a palette indices are refused.
    if header[9] == 3 {
        chunk(b"PLTE", &[0; 768]);
    }
    chunk(b"IDAT", data);
    chunk(b"IEND", &[]);
    file
}

/// Walks over the chunks: up to the end of the image data they must be sound, behind it whatever can be read counts.
fn read_chunks(mut rest: &[u8]) -> Result<Chunks<'_>, String> {
    let mut chunks = Chunks::default();
    let mut first = true;
    // Whether the image data have begun, and whether they have ended.
    let (mut begun, mut ended) = (false, false);
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let (length, name) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize, &head[4..]);
        if !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            if begun {
                break;
            }
            return Err("broken PNG: it has a chunk without a proper name".into());
        }
        if name == b"IEND" {
            break;
        }
        let whole = behind.len() >= length;
        let data = &behind[..length.min(behind.len())];
        rest = behind.get(length + 4..).unwrap_or_default();
        let is_data = name == b"IDAT" || (name == b"fdAT" && (begun || chunks.frame.is_some()));
        if is_data {
            begun = true;
            if !ended {
                chunks.data.extend_from_slice(if name == b"fdAT" { data.get(4..).unwrap_or_default() } else { data });
            }
            continue;
        }
        ended |= begun;
        if !whole {
            if begun {
                break;
            }
            return Err(TRUNCATED.into());
        }
        let sum = behind.get(length..length + 4).map(|sum| u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]));
        if sum.is_none() && !begun {
            return Err(TRUNCATED.into());
        }
        let sound = sum == Some(checksum(&[name, data]));
        let critical = name[0].is_ascii_uppercase();
        if !begun && critical && !sound {
            return Err(format!("broken PNG: wrong checksum of {}", String::from_utf8_lossy(name)));
        }
        if first && name != b"IHDR" {
            return Err("broken PNG: it does not begin with a header".into());
        }
        first = false;
        if sound || begun {
            chunks.note(name, data, begun);
        }
    }
    Ok(chunks)
}

impl<'a> Chunks<'a> {
    fn note(&mut self, name: &[u8], data: &'a [u8], behind_image: bool) {
        match name {
            b"IHDR" if self.header.is_none() => self.header = Some(data),
            b"PLTE" if !behind_image => self.palette = data,
            b"fcTL" if !behind_image && data.len() >= 26 => {
                let number = |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
                self.frame = Some([number(12), number(16), number(4), number(8)]);
            }
            b"eXIf" => self.exif = Some(data.to_vec()),
            b"tEXt" => {
                if let Some((keyword, text)) = split_at_zero(data) {
                    self.text(keyword, text.to_vec());
                }
            }
            b"zTXt" => {
                if let Some((keyword, [0, text @ ..])) = split_at_zero(data) {
                    self.text(keyword, inflated(text).unwrap_or_default());
                }
            }
            b"iTXt" => {
                let Some((keyword, [compressed, method, rest @ ..])) = split_at_zero(data) else { return };
                let Some((_, text)) = split_at_zero(rest).and_then(|(_, rest)| split_at_zero(rest)) else { return };
                match (compressed, method) {
                    (0, _) => self.text(keyword, text.to_vec()),
                    (_, 0) => {
                        if let Some(text) = inflated(text) {
                            self.text(keyword, text);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, keyword: &[u8], text: Vec<u8>) {
        match keyword {
            b"XML:com.adobe.xmp" => self.xmp = Some(text),
            b"Raw profile type exif" => self.profile = Some(text),
            b"exif" => self.exif = Some(text),
            _ => {}
        }
    }
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    decompress_to_vec_zlib_with_limit(bytes, MAX_TEXT).ok()
}

/// The bytes of a raw profile: behind an empty line, its name and its length, hexadecimal digits in lines.
fn from_hexadecimal(profile: &[u8]) -> Option<Vec<u8>> {
    let lines = profile.split(|&byte| byte == b'\n').skip(3);
    let digits: Option<Vec<u8>> = lines
        .flatten()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The checksum of a chunk.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The colours of all 256 indices; those that the file lacks are black.
struct Palette([[u8; 3]; 256]);

impl Palette {
    fn new(bytes: &[u8]) -> Self {
        let mut colours = [[0; 3]; 256];
        colours.iter_mut().zip(bytes.chunks_exact(3)).for_each(|(colour, bytes)| colour.copy_from_slice(bytes));
        Palette(colours)
    }
}

/// Pillow's `convert("RGB")` of a row: the high byte of 16-bit values, alpha dropped, grey three times.
fn to_rgb(row: &[u8], (colours, depth): (ColorType, BitDepth), palette: &Palette, out: &mut [u8]) {
    let bits = depth as usize;
    let places = out.chunks_exact_mut(3);
    if bits < 8 {
        let most = (1u8 << bits) - 1;
        let value = |x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & most;
        places.enumerate().for_each(|(x, place)| match colours {
            ColorType::Indexed => place.copy_from_slice(&palette.0[usize::from(value(x))]),
            _ => place.fill(value(x) * (255 / most)),
        });
        return;
    }
    // Big-endian: the high byte comes first.
    let size = bits / 8;
    match colours {
        ColorType::Indexed => places.zip(row).for_each(|(place, &index)| place.copy_from_slice(&palette.0[usize::from(index)])),
        ColorType::Grayscale | ColorType::GrayscaleAlpha => {
            places.zip(row.chunks_exact(size * colours.samples())).for_each(|(place, pixel)| place.fill(pixel[0]));
        }
        ColorType::Rgb if size == 1 => out.copy_from_slice(&row[..out.len()]),
        ColorType::Rgb | ColorType::Rgba => {
            let pixels = row.chunks_exact(size * colours.samples());
            places.zip(pixels).for_each(|(place, pixel)| place.copy_from_slice(&[pixel[0], pixel[size], pixel[2 * size]]));
        }
    }
}
