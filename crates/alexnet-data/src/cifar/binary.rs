//! Binary files: records of one or two labels and 3,072 bytes of pixels.

use super::files::Part;
use super::{Batch, PIXELS};
use crate::Result;

/// Bytes read at once for labels.
const AT_ONCE: usize = 1 << 8;

/// Labels and pixels of a file.
pub(super) fn batch(part: &Part, labels: u64) -> Result<Batch> {
    let step = labels + PIXELS;
    if part.size == 0 || !part.size.is_multiple_of(step) {
        return Err(part.error(format!("truncated or damaged: {} bytes are no multiple of {step}; download it again", part.size)));
    }
    let mut found = Vec::with_capacity((part.size / step) as usize);
    let mut records = vec![0; AT_ONCE * step as usize];
    let mut at = 0;
    while at < part.size {
        let bytes = (records.len() as u64).min(part.size - at) as usize;
        part.read(&mut records[..bytes], part.start + at)?;
        found.extend(records[..bytes].chunks_exact(step as usize).map(|record| u32::from(record[labels as usize - 1])));
        at += bytes as u64;
    }
    Ok(Batch { labels: found, start: part.start + labels, step, pixels: None })
}

/// Class names, one per line.
pub(super) fn names(part: &Part) -> Result<Vec<String>> {
    /// Longer files are something else; the downloads have less than 1 KiB.
    const LONGEST: u64 = 1 << 20;
    let mut bytes = vec![0; part.size.min(LONGEST) as usize];
    part.read(&mut bytes, part.start)?;
    let text = String::from_utf8(bytes).map_err(|_| part.error("not text; download it again"))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}
