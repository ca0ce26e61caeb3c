//! Data set in a compressed tar: `.tar.gz`, `.tgz` or `.tar.zst`.

#[cfg(test)]
mod tests;

use crate::archive::{self, Images};
use crate::layouts::{Layout, Request};
use crate::location::Location;
use crate::read_at::read_exact_at;
use crate::sniff::{self, Content};
use crate::stored::Store;
use crate::tar::{self, Scan};
use crate::unpacked::{Plain, Unpacked, unpack};
use crate::{Error, Opened, Result, cifar};
use std::path::Path;
use std::sync::Arc;

/// A gzip or zstd file of a tar. Such a file can only be read from its start, so it is decompressed once into a temporary file, whose
/// images are then read in place.
pub(crate) struct Compressed;

impl Layout for Compressed {
    fn name(&self) -> &'static str {
        "a compressed .tar file"
    }

    fn recognises(&self, at: &Location) -> bool {
        matches!(at.content(), Some(Content::Compressed(_)))
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        let Some(Content::Compressed(codec)) = request.at.content() else {
            return Err(Error::file(path, "not a compressed file"));
        };
        let unpacked = unpack(path, codec)?;
        check_can_be_tar(path, &unpacked)?;
        let plain = Plain::Unpacked(unpacked.clone());
        if cifar::is_archive(&plain) {
            return cifar::of_archive(request, plain, Some(unpacked.note(codec)));
        }
        let file = unpacked.file.try_clone().map_err(|error| Error::io(path, error))?;
        let Scan { file, images, folders, passed } = Scan::within(path, file, 0, unpacked.size)?;
        let note = unpacked.note(codec);
        let store = Kept { members: tar::Members { file }, _unpacked: unpacked };
        let mut opened = archive::class_folders(path, Images { images, folders, passed }, store, request.split, request.demand)?;
        opened.notes.push(note);
        Ok(opened)
    }
}

/// Members of a decompressed tar, which other splits of the same data set share.
struct Kept {
    members: tar::Members,
    _unpacked: Arc<Unpacked>,
}

impl Store for Kept {
    type Place = tar::Place;

    fn read(&self, name: &str, place: tar::Place) -> Result<Option<Vec<u8>>> {
        self.members.read(name, place)
    }

    fn size(&self, name: &str, place: tar::Place) -> Option<u64> {
        self.members.size(name, place)
    }
}

/// Checks that the content can be a tar: another file would be reported as a damaged one.
fn check_can_be_tar(path: &Path, unpacked: &Unpacked) -> Result<()> {
    let mut start = vec![0; sniff::START.min(unpacked.size as usize)];
    read_exact_at(&unpacked.file, &mut start, 0).map_err(|error| Error::io(path, error))?;
    let other = match sniff::content(&start) {
        Content::Image | Content::Unread(_) => "an image",
        Content::Zip => "a zip",
        Content::Packed(..) | Content::Compressed(_) => "another compressed file",
        _ => return Ok(()),
    };
    Err(Error::file(path, format!("contains {other}, not a tar of images; unpack it")))
}
