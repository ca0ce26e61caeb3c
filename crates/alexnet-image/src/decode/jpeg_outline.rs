//! The outline of a JPEG: its frame, its metadata and how much work its scans ask for, by the markers alone.

use super::limits::TRUNCATED;

/// Blocks that scans may visit for each block of the image. libjpeg's own progressive scripts make about 5 visits, other
/// encoders up to 8; files made to hold a decoder make thousands.
const VISITS: u64 = 12;

/// Visits for each byte of the file on top: a scan that brings data is no attack.
const VISITS_PER_BYTE: u64 = 16;

/// Small images may always have this many.
const FREE_VISITS: u64 = 100_000;

/// What the markers of a JPEG say.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    /// How the frame is coded: the last digit of its marker `SOFn`.
    coding: u8,
    precision: u8,
    pub(super) width: u64,
    pub(super) height: u64,
    components: Vec<Component>,
    /// The EXIF segments before the first scan, joined.
    pub(super) exif: Option<Vec<u8>>,
    /// The last XMP segment before the first scan.
    pub(super) xmp: Option<&'a [u8]>,
    scans: u64,
    /// Blocks of 8 x 8 that all scans visit together.
    visits: u64,
}

#[derive(Debug)]
struct Component {
    id: u8,
    horizontal: u8,
    vertical: u8,
}

impl<'a> Outline<'a> {
    /// Walks over the markers, as libjpeg does.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let mut outline = Outline::default();
        // Whether the file ends before its end marker.
        let mut cut = false;
        let mut rest = bytes.get(2..).unwrap_or_default();
        loop {
            // What stands before a marker is an entropy-coded segment or garbage; fill bytes and stuffed zeros are no markers.
            let found =
                memchr::memchr_iter(0xFF, rest).find(|&at| rest.get(at + 1).is_some_and(|next| !matches!(next, 0 | 0xFF)));
            let Some(at) = found else {
                cut = true;
                break;
            };
            let marker = rest[at + 1];
            rest = &rest[at + 2..];
            match marker {
                // Markers alone: TEM, RST0 to RST7, SOI.
                0x01 | 0xD0..=0xD8 => continue,
                0xD9 => break,
                _ => {}
            }
            let Some(length) = rest.get(..2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))) else {
                cut = true;
                break;
            };
            let Some(segment) = rest.get(2..length.max(2)) else {
                cut = true;
                break;
            };
            rest = &rest[length.max(2)..];
            outline.segment(marker, segment);
        }
        if outline.coding == 0 && outline.components.is_empty() {
            return Err(if cut { TRUNCATED } else { "broken JPEG: there is no image in it" }.into());
        }
        Ok(outline)
    }

    fn segment(&mut self, marker: u8, segment: &'a [u8]) {
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF if self.components.is_empty() => {
                if let [precision, h1, h0, w1, w0, _, components @ ..] = segment {
                    self.coding = marker & 15;
                    self.precision = *precision;
                    self.height = u64::from(u16::from_be_bytes([*h1, *h0]));
                    self.width = u64::from(u16::from_be_bytes([*w1, *w0]));
                    let component = |part: &[u8]| Component { id: part[0], horizontal: part[1] >> 4, vertical: part[1] & 15 };
                    self.components = components.chunks_exact(3).map(component).collect();
                }
            }
            0xDA => {
                self.scans += 1;
                let parts =
                    segment.split_first().map_or(&[][..], |(&count, parts)| &parts[..parts.len().min(2 * usize::from(count))]);
                for part in parts.chunks_exact(2) {
                    let component = self.components.iter().find(|component| component.id == part[0]);
                    self.visits = self.visits.saturating_add(component.map_or(0, |component| self.blocks(component)));
                }
            }
            0xE1 if self.scans == 0 => {
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                    self.exif.get_or_insert_default().extend_from_slice(exif);
                } else if let Some(xmp) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    self.xmp = Some(xmp);
                }
            }
            _ => {}
        }
    }

    fn blocks(&self, component: &Component) -> u64 {
        let largest = |side: fn(&Component) -> u8| self.components.iter().map(side).max().unwrap_or(1).max(1);
        let across = |pixels: u64, factor: u8, largest: u8| (pixels * u64::from(factor)).div_ceil(u64::from(largest)).div_ceil(8);
        across(self.width, component.horizontal, largest(|component| component.horizontal))
            * across(self.height, component.vertical, largest(|component| component.vertical))
    }

    /// Whether libjpeg holds the coefficients of the whole image, since they come in several scans.
    pub(super) fn is_progressive(&self) -> bool {
        self.scans > 1 || matches!(self.coding, 2 | 10)
    }

    /// Whether its entropy coding is arithmetic.
    pub(super) fn is_arithmetic(&self) -> bool {
        self.coding >= 9
    }

    /// Refuses by name what libjpeg does not decode.
    pub(super) fn check_features(&self) -> Result<(), String> {
        let feature = match (self.coding, self.precision, self.components.len()) {
            (3 | 11, ..) => "lossless JPEG coding".into(),
            (5..=7 | 13.., ..) => "hierarchical JPEG coding".into(),
            (_, precision, _) if precision != 8 => format!("JPEG with {precision} bits a channel"),
            (_, _, count) if !matches!(count, 1 | 3 | 4) => format!("JPEG with {count} channels"),
            _ => return Ok(()),
        };
        Err(format!("{feature} is not read; convert it to an ordinary JPEG or PNG"))
    }

    /// Refuses an image whose scans ask for more work than its pixels and its `bytes` can need.
    pub(super) fn check_work(&self, bytes: usize) -> Result<(), String> {
        let blocks: u64 = self.components.iter().map(|component| self.blocks(component)).sum();
        let most = (blocks * VISITS).saturating_add(bytes as u64 * VISITS_PER_BYTE).max(FREE_VISITS);
        if self.visits > most {
            let (scans, width, height) = (self.scans, self.width, self.height);
            return Err(format!(
                "{scans} scans over {width} x {height} pixels are too much work for {bytes} bytes; save it anew"
            ));
        }
        Ok(())
    }
}
