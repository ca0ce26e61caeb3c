//! Image classification data sets as people have them, each recognised by its contents and read in place.
//!
//! A [`Dataset`] names and labels its images in a fixed order and decodes one at a time. A [`Source`] says where one lies;
//! [`Source::open`] picks the reader from the table in `layouts.rs` and selects a split.
//!
//! ```
//! use alexnet_data::{Demand, Source, Split};
//!
//! # fn main() -> alexnet_data::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path().join("animals");
//! # for name in ["train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg"] {
//! #     std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
//! #     std::fs::write(root.join(name), b"").unwrap();
//! # }
//! // animals/train/cat/1.jpg, animals/val/dog/2.jpg and so on.
//! let val = Source::new(root).open(Split::Validation, Demand::WithImages)?;
//! assert_eq!(val.source.classes(), ["cat", "dog"]);
//! assert_eq!((val.source.name(1), val.source.label(1)), ("dog/2.jpg", 1));
//! # Ok(())
//! # }
//! ```

mod archive;
mod cifar;
mod compressed;
mod containers;
mod dataset;
mod downloads;
mod hold_out;
mod idx;
mod ilsvrc;
mod image_folder;
mod layouts;
pub mod list;
mod listing;
mod location;
mod opened;
pub mod pack;
mod parquet;
mod passed_over;
mod path_list;
mod pixels;
mod read_at;
mod shard_pattern;
mod single_image;
mod sniff;
mod source;
mod splits;
mod stored;
pub mod synthetic;
mod tar;
#[cfg(test)]
mod tests;
mod unpacked;
mod webdataset;
mod zip;

pub use alexnet_files::{Error, Result};
pub use dataset::Dataset;
pub use hold_out::hold_out;
pub use listing::Demand;
pub use opened::{Opened, Unused};
pub use passed_over::{PassedOver, Reason, is_hidden};
pub use source::{Source, open, open_loose};
pub use splits::{Split, Splits};
pub use stored::of_files;
pub use synthetic::synthetic;

pub(crate) use alexnet_files::{self as files, escape};
pub(crate) use alexnet_image as image;
