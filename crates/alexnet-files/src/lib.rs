//! Safe reading and writing of files, and the error type of the alexnet crates.
//!
//! - [`write_atomic`] replaces a file atomically: a reader sees the old file or the new one, even after a crash.
//! - [`open_regular`] opens only regular files: reading a named pipe or a device could block forever.
//! - [`read_text`] reads text written by people and other programs: UTF-8 with or without a byte-order mark, and UTF-16.
//! - [`escape`] makes file names safe to print on a terminal.
//! - [`memory`] rejects work that needs more memory than the machine has.
//!
//! ```
//! use std::io::Write;
//!
//! # fn main() -> alexnet_files::Result<()> {
//! let path = std::env::temp_dir().join("alexnet-files-example.txt");
//! alexnet_files::write_atomic(&path, |out| out.write_all(b"cat\ndog\n"))?;
//! let text = alexnet_files::read_text(&path).map_err(|e| alexnet_files::Error::io(&path, e))?;
//! assert_eq!(text.lines().collect::<Vec<_>>(), ["cat", "dog"]);
//! # Ok(())
//! # }
//! ```

mod atomic;
pub mod error;
pub mod escape;
pub mod memory;
mod regular;
mod text;

pub use atomic::{
    AtomicFile, Sync, TempFile, abandon, explain, force_to_disk, is_leftover, remove_leftovers, write_atomic, write_atomic_with,
};
pub use error::{Error, Result};
pub use regular::{open_regular, read_regular};
pub use text::{read_text, start_of_text};
