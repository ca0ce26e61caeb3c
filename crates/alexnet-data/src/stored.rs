//! Data sets whose images lie in some store: files of a folder, members of an archive, records of a file.

use crate::image::{Image, decode};
use crate::listing::{Found, Listing};
use crate::{Dataset, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Access to the images of a listing.
pub(crate) trait Store: Send + Sync {
    /// Place of one image.
    type Place: Copy + Send + Sync + 'static;

    /// Encoded bytes of an image; `None` if only its pixels are stored.
    fn read(&self, name: &str, place: Self::Place) -> Result<Option<Vec<u8>>>;

    /// Stored size of an image in bytes, if it is known without reading the image.
    fn size(&self, name: &str, place: Self::Place) -> Option<u64>;

    /// Path of an image that is a file of its own.
    fn path(&self, _name: &str, _place: Self::Place) -> Option<PathBuf> {
        None
    }

    /// Pixels of an image that is not encoded.
    fn pixels(&self, _name: &str, _place: Self::Place) -> Result<Image> {
        Err(crate::Error::Invalid("no pixels are stored".into()))
    }
}

/// A listing, and the store that its places refer to.
pub(crate) struct Stored<S: Store> {
    listing: Listing<S::Place>,
    store: S,
}

impl<S: Store + 'static> Stored<S> {
    #[allow(clippy::new_ret_no_self, reason = "only the trait is used")]
    pub(crate) fn new(listing: Listing<S::Place>, store: S) -> Arc<dyn Dataset> {
        Arc::new(Stored { listing, store })
    }
}

impl<S: Store> Dataset for Stored<S> {
    fn classes(&self) -> &[String] {
        &self.listing.classes
    }

    fn len(&self) -> usize {
        self.listing.labels.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.listing.labels[i]
    }

    fn name(&self, i: usize) -> &str {
        self.listing.images.name(i)
    }

    fn image(&self, i: usize) -> Result<Image> {
        let (name, place) = self.listing.images.get(i);
        match self.store.read(name, place)? {
            Some(bytes) => Ok(decode::decode(&bytes)?),
            None => self.store.pixels(name, place),
        }
    }

    fn file_size(&self, i: usize) -> Option<u64> {
        let (name, place) = self.listing.images.get(i);
        self.store.size(name, place)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>> {
        let (name, place) = self.listing.images.get(i);
        self.store.read(name, place)
    }

    fn path(&self, i: usize) -> Option<PathBuf> {
        let (name, place) = self.listing.images.get(i);
        self.store.path(name, place)
    }
}

/// Files whose names are paths relative to a folder, or absolute.
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
}

impl Store for Folder {
    type Place = ();

    fn read(&self, name: &str, (): ()) -> Result<Option<Vec<u8>>> {
        decode::read(&self.root.join(name)).map(Some)
    }

    fn size(&self, name: &str, (): ()) -> Option<u64> {
        std::fs::metadata(self.root.join(name)).ok().map(|file| file.len())
    }

    fn path(&self, name: &str, (): ()) -> Option<PathBuf> {
        Some(self.root.join(name))
    }
}

/// Files at paths that need not be UTF-8.
struct Paths(Vec<PathBuf>);

impl Store for Paths {
    type Place = u32;

    fn read(&self, _: &str, place: u32) -> Result<Option<Vec<u8>>> {
        decode::read(&self.0[place as usize]).map(Some)
    }

    fn size(&self, _: &str, place: u32) -> Option<u64> {
        std::fs::metadata(&self.0[place as usize]).ok().map(|file| file.len())
    }

    fn path(&self, _: &str, place: u32) -> Option<PathBuf> {
        self.0.get(place as usize).cloned()
    }
}

/// A data set of image files in this order, without classes. Their names are their paths as given.
pub fn of_files(paths: &[PathBuf]) -> Arc<dyn Dataset> {
    let mut images = Found::default();
    paths.iter().zip(0..).for_each(|(path, i)| images.push(&path.to_string_lossy(), i));
    Stored::new(Listing::unlabelled(images), Paths(paths.to_vec()))
}

/// Whether a file of this name counts as an image: a known extension, and not hidden.
pub(crate) fn is_image(file: &str) -> bool {
    !file.starts_with('.') && decode::is_named_image(Path::new(file))
}
