//! The bytes of a scan without the zeros that are stuffed behind each 0xFF, in segments between restart markers.

use std::ops::Range;

/// Zeros behind each segment, so that a reader of eight bytes at a time stays within the bytes.
const PADDING: usize = 16;

/// The segments of a scan.
pub(super) struct Segments {
    pub(super) bytes: Vec<u8>,
    pub(super) ranges: Vec<Range<usize>>,
    at: usize,
}

impl Segments {
    /// Splits a scan; `None` unless it has exactly `count` segments, the right restart markers between them, and an end marker.
    pub(super) fn of(scan: &[u8], count: usize) -> Option<Segments> {
        let mut bytes = Vec::with_capacity(scan.len() + PADDING * (1 + count.min(scan.len() / 2)));
        let (mut ranges, mut start) = (Vec::new(), 0);
        let mut rest = scan;
        loop {
            let at = memchr::memchr(0xFF, rest)?;
            let marker = *rest.get(at + 1)?;
            if marker == 0 {
                bytes.extend_from_slice(&rest[..=at]);
            } else {
                bytes.extend_from_slice(&rest[..at]);
                ranges.push(start..bytes.len());
                bytes.extend_from_slice(&[0; PADDING]);
                start = bytes.len();
                match marker {
                    0xD9 if ranges.len() == count => return Some(Segments { bytes, ranges, at: 0 }),
                    0xD0..=0xD7 if usize::from(marker & 7) == (ranges.len() - 1) % 8 && ranges.len() < count => {}
                    _ => return None,
                }
            }
            rest = &rest[at + 2..];
        }
    }

    /// Moves on to the next segment.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.at += 1;
        self.ranges.get(self.at).cloned()
    }
}
