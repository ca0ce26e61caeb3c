//! Published AlexNet weights by name.
//!
//! [`PUBLISHED`] lists the files. A [`Hub`] finds them in the user's cache folder, where every file is verified by its checksum,
//! and with the feature `download` fetches those that are missing: by HTTP or HTTPS, from the publisher or a mirror.
//!
//! ```
//! use alexnet_hub::{Hub, published};
//!
//! # fn main() -> alexnet_hub::Result<()> {
//! # let folder = std::env::temp_dir().join("alexnet-hub-example");
//! let hub = Hub::in_folder(folder);
//! let file = published("torchvision").expect("a published file");
//! if hub.find(file)?.is_none() {
//!     println!("{} is not at {}", file.file, hub.path(file).display());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - Downloads are written to `FILE.part`, verified, and renamed. A stopped download resumes where it ended.
//! - Beside each file, `FILE.json` records its digests and its address, so that it is hashed only once.
//! - A lock makes processes that need the same file wait for the first one.

#[cfg(feature = "download")]
mod fetch;
mod folder;
mod hub;
#[cfg(feature = "download")]
mod lock;
mod names;
mod record;
mod source;
#[cfg(feature = "download")]
mod transfer;

pub use alexnet_files::{Error, Result};
pub use alexnet_formats::published::{Checksum, Digests, PUBLISHED, PublishedFile};
pub use folder::cache_folder;
pub use hub::{CachedFile, Event, Hub};
pub use names::{nearest, nearest_of, published};
pub use source::{Accept, Source};
#[cfg(feature = "download")]
pub use transfer::Limits;
