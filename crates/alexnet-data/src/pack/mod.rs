//! Packs: a whole data set in one file, resized once, for fast reading.
//!
//! Layout of the file; all numbers are little-endian, all checksums CRC-32:
//!
//! | part | content |
//! |---|---|
//! | header | magic `\x89ALEXPACK\r\n\x1a`, version (u32, now 1), length (u32) and checksum (u32) of a JSON object, and the object: what was done to the images (`form`), the set that they came from (`source`), and the name and classes of each split (`splits`) |
//! | data | the images, one after the other without gaps |
//! | index | one entry for each image of the source, in the order of the images |
//! | footer | start (u64), length (u64) and number of entries (u64) of the index, checksum of the index (u32), checksum of the footer up to here (u32), magic `ALEXPEND` |
//!
//! An entry is its length (u32) and checksum (u32), then: kind (u8), split (u8), label (u32), length (u32) and checksum (u32) of the
//! image's bytes, length of its name (u32), the name in UTF-8, and for an image that was left out the reason. Kinds: 0 an image file
//! as it was, 1 a JPEG file made from it, 2 pixels, 3 left out. Pixels are the width (u32), the height (u32), and red, green, blue
//! of each pixel, row by row.
//!
//! While a pack is being written, header and data are in `OUT.partial` and the index in `OUT.partial-index`, which is the journal
//! from which an interrupted run continues.

mod format;
mod layout;
mod partial;
mod prepare;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub use format::Form;
pub(crate) use layout::Pack;
pub use partial::{Skipped, Totals};
pub use write::{OnBad, Options, Summary, open_all, write};
