//! Safe reading and writing of files, and the error type of the alexnet crates.
//!
//! - [`write_atomic`] replaces a file whole or not at all: a reader sees the old file or the new one, also after a crash.
//! - [`open_regular`] opens regular files only: a named pipe or a device in a file's place would be waited for without end.
//! - [`read_text`] reads text that people and other programs wrote: UTF-8 with or without a mark, and UTF-16.
//! - [`escape`] makes the names of files safe to print on a terminal.
//! - [`memory`] refuses work that needs more memory than the machine has.
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
    Sync, TempFile, abandon, explain, force_to_disk, is_leftover, remove_leftovers, write_atomic, write_atomic_with,
};
pub use error::{Error, Result};
pub use regular::{open_regular, read_regular};
pub use text::read_text;
