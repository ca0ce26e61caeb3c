//! Scan of a tar file for the positions of its members.

use super::LEVELS;
use super::member::{Place, read};
use crate::escape::printable;
use crate::listing::Found;
use crate::passed_over::{Reason, is_hidden};
use crate::read_at::{Buffered, Window};
use crate::sniff::{self, Content};
use crate::stored::is_image;
use crate::{Error, PassedOver, Result};
use std::collections::{BTreeSet, HashMap};
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
        // All regular files, since links may lead to any of them.
        let (mut files, mut links) = (Found::default(), Vec::new());
        let (mut folders, mut hidden, mut passed) = (BTreeSet::new(), BTreeSet::new(), PassedOver::default());
        let mut archive = ::tar::Archive::new(Buffered::new(Window { file: &file, start, size, at: 0 }));
        for entry in archive.entries_with_seek().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
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
            if (kind.is_hard_link() || kind.is_symlink()) && !is_hidden_within(&inner) {
                let target = text(&entry.link_name_bytes().unwrap_or_default())?;
                let target = if kind.is_symlink() { beside(&inner, &target) } else { Some(parts(&target).join("/")) };
                links.push((inner, target));
                continue;
            }
            if is_hidden_within(&inner) {
                hidden.insert(hidden_part(&inner).to_string());
                if !kind.is_file() {
                    continue;
                }
            }
            match kind {
                _ if kind.is_dir() => {
                    if inner.matches('/').count() < LEVELS {
                        folders.insert(inner);
                    }
                }
                _ if pax_sparse.is_some() => passed.add(Reason::Sparse, inner),
                _ if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                    let sparse = kind.is_gnu_sparse();
                    let at = if sparse { entry.raw_header_position() } else { entry.raw_file_position() };
                    let stored = if sparse { entry.header().entry_size().map_err(broken)? } else { entry.size() };
                    if entry.raw_file_position().checked_add(stored).is_none_or(|end| end > size) {
                        return Err(Error::file(path, format!("truncated within {}; copy it again", printable(&name))));
                    }
                    files.push(&inner, Place { start: start + at, bytes: entry.size(), sparse });
                }
                _ => passed.add(Reason::NotRegular, inner),
            }
        }
        drop(archive);
        // Most tars hold only images: a million names need no second list.
        if links.is_empty() && hidden.is_empty() && files.names().all(|name| is_image(name.rsplit('/').next().unwrap_or(name))) {
            return Ok(Scan { file, images: files, folders, passed });
        }
        let resolved = resolve(&files, links, &mut passed);
        hidden.into_iter().for_each(|name| passed.add(Reason::Hidden, name));
        let linked = resolved.iter().map(|(name, place)| (name.as_str(), *place));
        let mut images = Found::default();
        for (name, place) in files.iter().chain(linked).filter(|(name, _)| !is_hidden_within(name)) {
            match kind_of(&file, name, place) {
                None => images.push(name, place),
                Some(why) => passed.add(why, name),
            }
        }
        Ok(Scan { file, images, folders, passed })
    }
}

/// Path components of a name.
pub(super) fn parts(name: &str) -> Vec<&str> {
    name.split('/').filter(|part| !matches!(*part, "" | ".")).collect()
}

/// Whether a name or a parent folder is hidden. `..`, which leads out of the tar, counts as hidden too.
fn is_hidden_within(name: &str) -> bool {
    name.split('/').any(is_hidden)
}

/// Prefix of a name up to its first hidden component.
fn hidden_part(name: &str) -> &str {
    let mut end = 0;
    for part in name.split('/') {
        end += part.len();
        if is_hidden(part) {
            break;
        }
        end += 1;
    }
    &name[..end.min(name.len())]
}

/// Target of a symbolic link within the tar; `None` if outside.
fn beside(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut at = parts(link);
    at.pop();
    for part in parts(target) {
        match part {
            ".." => drop(at.pop()?),
            part => at.push(part),
        }
    }
    Some(at.join("/"))
}

/// Resolves links, including links to links, to the location of the final file. Others are counted.
fn resolve(files: &Found<Place>, links: Vec<(String, Option<String>)>, passed: &mut PassedOver) -> Vec<(String, Place)> {
    /// Longer chains are cycles.
    const MOST: usize = 40;
    if links.is_empty() {
        return Vec::new();
    }
    let places: HashMap<&str, Place> = files.iter().collect();
    let next: HashMap<&str, &str> = links.iter().filter_map(|(name, target)| Some((name.as_str(), target.as_deref()?))).collect();
    let end = |target: &Option<String>| {
        let mut at = target.as_deref()?;
        for _ in 0..MOST {
            if let Some(place) = places.get(at) {
                return Some(*place);
            }
            at = next.get(at)?;
        }
        None
    };
    let mut resolved = Vec::new();
    for (name, target) in &links {
        match end(target) {
            Some(place) => resolved.push((name.clone(), place)),
            None => passed.add(Reason::Link, name.as_str()),
        }
    }
    resolved
}

/// Reason why an entry is not an image, if any. As in a folder, known extensions are trusted.
fn kind_of(file: &File, name: &str, place: Place) -> Option<Reason> {
    if is_image(name.rsplit('/').next().unwrap_or(name)) {
        return None;
    }
    match read(file, Place { bytes: place.bytes.min(sniff::START as u64), ..place }).map(|start| sniff::content(&start)) {
        Ok(Content::Image) => None,
        Ok(Content::Unread(_)) => Some(Reason::Format),
        Ok(_) => Some(Reason::NotImage),
        Err(_) => Some(Reason::Unreadable),
    }
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
