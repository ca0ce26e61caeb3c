//! Scan of a tar file for the positions of its members.

use super::member::{Place, read};
use crate::archive::{self, beside, parts};
use crate::escape::printable;
use crate::listing::Found;
use crate::passed_over::Reason;
use crate::read_at::{Buffered, Window};
use crate::sniff;
use crate::{Error, PassedOver, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Content of a tar.
pub(crate) struct Scan {
    pub(crate) file: File,
    pub(crate) images: Found<Place>,
    /// Folders with entries of their own, from the outermost levels.
    pub(crate) folders: BTreeSet<String>,
    pub(crate) passed: PassedOver,
}

impl Scan {
    /// Scans a tar file.
    ///
    /// # Errors
    /// It cannot be read, is damaged or truncated, or a name in it is not UTF-8.
    pub(crate) fn of(path: &Path) -> Result<Scan> {
        let (file, size) = crate::files::open_regular(path).map_err(|error| Error::io(path, error))?;
        Scan::within(path, file, 0, size)
    }

    /// Scans the tar that occupies `size` bytes of `file` from `start`; places are positions in `file`. `path` is for messages.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn within(path: &Path, file: File, start: u64, size: u64) -> Result<Scan> {
        // The tar crate quotes damaged numbers with the surrounding bytes, whatever they are.
        let broken = |error: std::io::Error| match error.to_string() {
            why if why.starts_with("numeric field") => Error::file(path, "not a tar, or damaged: invalid number in a header"),
            why => Error::file(path, format!("broken tar: {why}")),
        };
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::file(path, "a name in it is not UTF-8; pack it again with UTF-8 names"))
        };
        let (mut members, mut end) = (archive::Members::default(), 0);
        let mut archive = ::tar::Archive::new(Buffered::new(Window { file: &file, start, size, at: 0 }));
        for entry in archive.entries_with_seek().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            end = entry.raw_file_position();
            let mut name = text(&entry.path_bytes())?;
            let kind = entry.header().entry_type();
            let pax_sparse = pax_sparse_name(&mut entry).map_err(broken)?;
            if let Some(real) = &pax_sparse {
                name = text(real)?;
            }
            // "./cat/1.jpg" and "cat//1.jpg" are cat/1.jpg.
            let inner = parts(&name).join("/");
            if inner.is_empty() || kind.is_pax_global_extensions() {
                continue;
            }
            match kind {
                _ if kind.is_hard_link() || kind.is_symlink() => {
                    let target = text(&entry.link_name_bytes().unwrap_or_default())?;
                    let target = if kind.is_symlink() { beside(&inner, &target) } else { Some(parts(&target).join("/")) };
                    members.link(&inner, target);
                }
                _ if kind.is_dir() => members.folder(&inner),
                _ if pax_sparse.is_some() => members.pass_over(Reason::Sparse, &inner),
                _ if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                    let sparse = kind.is_gnu_sparse();
                    let at = if sparse { entry.raw_header_position() } else { entry.raw_file_position() };
                    let stored = if sparse { entry.header().entry_size().map_err(broken)? } else { entry.size() };
                    end = entry.raw_file_position().saturating_add(stored);
                    if end > size {
                        return Err(Error::file(path, format!("truncated within {}; copy it again", printable(&name))));
                    }
                    members.file(&inner, Place { start: start + at, bytes: entry.size(), sparse });
                }
                _ => members.pass_over(Reason::NotRegular, &inner),
            }
        }
        drop(archive);
        no_end_mark(size, end).map_or(Ok(()), |why| Err(Error::file(path, why)))?;
        let first = |place: Place| read(&file, Place { bytes: place.bytes.min(sniff::START as u64), ..place });
        let archive::Images { images, folders, passed } = members.images(first);
        Ok(Scan { file, images, folders, passed })
    }
}

/// What is wrong with a tar of `size` bytes whose last file ends at `end`, if no block of zeros follows: one cut between two files is
/// otherwise like a whole one.
pub(crate) fn no_end_mark(size: u64, end: u64) -> Option<&'static str> {
    let missing = end.checked_next_multiple_of(512).and_then(|end| end.checked_add(512)).is_none_or(|whole| size < whole);
    missing.then_some("truncated: it has no end mark, so that files may be missing; copy or download it again")
}

/// Real name of a sparse file in pax form, which is not supported.
fn pax_sparse_name<R: Read>(entry: &mut ::tar::Entry<'_, R>) -> std::io::Result<Option<Vec<u8>>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    let (mut sparse, mut name) = (false, None);
    for extension in extensions {
        let extension = extension?;
        sparse |= extension.key_bytes().starts_with(b"GNU.sparse.");
        if extension.key_bytes() == b"GNU.sparse.name" {
            name = Some(extension.value_bytes().to_vec());
        }
    }
    Ok(sparse.then(|| name.unwrap_or_else(|| entry.path_bytes().into_owned())))
}
