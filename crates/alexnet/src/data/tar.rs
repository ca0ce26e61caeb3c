//! Data set in a .tar file of class folders, read in place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::Listing;
use super::passed_over::{PassedOver, Reason, is_hidden};
use super::sniff::{self, Content};
use super::split_folders::Splits;
use super::{Dataset, Demand, Opened, Split, is_image};
use crate::escape::printable;
use crate::image::{Image, decode};
use crate::{Error, Result};

/// `class/.../file.jpg` entries of a tar file (ustar, GNU or pax names, with or without a leading `./`). The file is scanned once
/// for the positions of its images; each image is then read from its position.
#[derive(Debug)]
struct Tar {
    file: File,
    listing: Listing<Place>,
}

/// Levels of folders whose own entries are kept, and in which splits are searched.
const LEVELS: usize = 8;

/// Location of a file's bytes in the tar.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Offset of the bytes, or of the header for a sparse file.
    start: u64,
    bytes: u64,
    /// Whether zeros are omitted, as by `tar --sparse`.
    sparse: bool,
}

/// Lists the images of a tar, sorted by class and name.
pub(super) fn open(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    let Scan { file, mut images, mut folders, mut passed } = Scan::of(path)?;
    let (root, splits) = splits(path, &images, &folders)?;
    let taken = splits.as_ref().map(|splits| splits.folder(split).to_string());
    if let (Some(taken), Some(splits)) = (&taken, &splits) {
        let prefix = |split: &str| if root.is_empty() { format!("{split}/") } else { format!("{root}/{split}/") };
        let (taken, all) = (prefix(taken), splits.names.iter().map(|name| prefix(name)).collect::<Vec<_>>());
        let inside = |name: &str| name.strip_prefix(&taken).map(String::from);
        images.retain(|(name, _)| {
            let within = all.iter().any(|split| name.starts_with(split));
            if !within {
                passed.add(Reason::OutsideSplit, name.as_str());
            }
            within
        });
        images = images.into_iter().filter_map(|(name, place)| Some((inside(&name)?, place))).collect();
        folders = folders.iter().filter_map(|name| inside(name)).collect();
    }
    let class = |name: &String| name.split_once('/').map(|(class, _)| class.to_string());
    let named = images.iter().filter_map(|(name, _)| class(name));
    let classes = folders.iter().filter(|name| !name.contains('/')).cloned().chain(named).collect();
    let root = within_tar(path, &root);
    let within = taken.as_ref().map_or(root.clone(), |taken| root.join(taken));
    let mut listing = Listing::new(&within, demand, classes, images, &passed)?;
    let empty = std::mem::take(&mut listing.empty);
    let source = Arc::new(Tar { file, listing: without_doubles(path, listing)? });
    Ok(Opened { source, root, splits, taken, empty, passed_over: passed })
}

/// Lists the images, with or without classes.
pub(super) fn open_loose(path: &Path) -> Result<Opened> {
    let Scan { file, images, folders, passed } = Scan::of(path)?;
    let (root, splits) = splits(path, &images, &folders)?;
    let depth = usize::from(splits.is_some()) + parts(&root).len();
    let listing = Listing::loose(path, depth, images, &passed)?;
    let source = Arc::new(Tar { file, listing: without_doubles(path, listing)? });
    Ok(Opened { source, root: within_tar(path, &root), splits, taken: None, empty: Vec::new(), passed_over: passed })
}

/// The splits of a tar, if any, and the folder that contains them: none, its only folder, and so on.
fn splits(path: &Path, images: &[(String, Place)], folders: &BTreeSet<String>) -> Result<(String, Option<Splits>)> {
    let of = |root: &str| -> Result<(Vec<String>, Option<Splits>)> {
        // Folders in the root, and whether they contain folders.
        let mut found: BTreeMap<&str, bool> = BTreeMap::new();
        let inner = |name: &'_ str| {
            if root.is_empty() { Some(0) } else { name.strip_prefix(root)?.starts_with('/').then_some(root.len() + 1) }
        };
        let of_folders = folders.iter().filter_map(|name| Some(&name[inner(name)?..]));
        for name in of_folders {
            let (first, nested) = name.split_once('/').map_or((name, false), |(first, _)| (first, true));
            *found.entry(first).or_default() |= nested;
        }
        for (first, rest) in images.iter().filter_map(|(name, _)| name[inner(name)?..].split_once('/')) {
            *found.entry(first).or_default() |= rest.contains('/');
        }
        let names: Vec<String> = found.keys().map(|name| (*name).to_string()).collect();
        let splits = Splits::of(&names, &|name| found.get(name).copied().unwrap_or_default());
        Ok((names, splits.map_err(|reason| Error::file(within_tar(path, root), reason))?))
    };
    let (mut root, mut found) = (String::new(), of("")?);
    for _ in 0..LEVELS {
        let (names, None) = &found else { break };
        let [only] = names.as_slice() else { break };
        root = if root.is_empty() { only.clone() } else { format!("{root}/{only}") };
        found = of(&root)?;
    }
    Ok(if found.1.is_some() { (root, found.1) } else { (String::new(), None) })
}

/// A folder of the tar, for messages.
fn within_tar(path: &Path, folder: &str) -> PathBuf {
    if folder.is_empty() { path.to_path_buf() } else { path.join(folder) }
}

fn without_doubles(path: &Path, listing: Listing<Place>) -> Result<Listing<Place>> {
    match listing.images.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::file(path, format!("contains {} twice", printable(&pair[0].0)))),
        None => Ok(listing),
    }
}

/// Content of a tar.
struct Scan {
    file: File,
    images: Vec<(String, Place)>,
    /// Folders with entries of their own, from the outermost levels.
    folders: BTreeSet<String>,
    passed: PassedOver,
}

impl Scan {
    fn of(path: &Path) -> Result<Scan> {
        let io = |error| Error::io(path, error);
        // The tar crate quotes damaged numbers with the surrounding bytes, whatever they are.
        let broken = |error: std::io::Error| match error.to_string() {
            why if why.starts_with("numeric field") => Error::file(path, "not a tar, or damaged: invalid number in a header"),
            why => Error::file(path, format!("broken tar: {why}")),
        };
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::file(path, "a name in it is not UTF-8; pack it again with UTF-8 names"))
        };
        let (file, size) = crate::files::open_regular(path).map_err(io)?;
        // All regular files, since links may lead to any of them.
        let (mut files, mut links) = (Vec::new(), Vec::new());
        let (mut folders, mut hidden, mut passed) = (BTreeSet::new(), BTreeSet::new(), PassedOver::default());
        let mut archive = ::tar::Archive::new(BufReader::new(file.try_clone().map_err(io)?));
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
                    let start = if sparse { entry.raw_header_position() } else { entry.raw_file_position() };
                    let stored = if sparse { entry.header().entry_size().map_err(broken)? } else { entry.size() };
                    if entry.raw_file_position().checked_add(stored).is_none_or(|end| end > size) {
                        return Err(Error::file(path, format!("truncated within {}; copy it again", printable(&name))));
                    }
                    files.push((inner, Place { start, bytes: entry.size(), sparse }));
                }
                _ => passed.add(Reason::NotRegular, inner),
            }
        }
        drop(archive);
        let resolved = resolve(&files, links, &mut passed);
        hidden.into_iter().for_each(|name| passed.add(Reason::Hidden, name));
        let mut images = Vec::with_capacity(files.len());
        for (name, place) in files.into_iter().chain(resolved) {
            if is_hidden_within(&name) {
                continue;
            }
            match kind_of(&file, &name, place) {
                None => images.push((name, place)),
                Some(why) => passed.add(why, name),
            }
        }
        Ok(Scan { file, images, folders, passed })
    }
}

/// Path components of a name.
fn parts(name: &str) -> Vec<&str> {
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
fn resolve(files: &[(String, Place)], links: Vec<(String, Option<String>)>, passed: &mut PassedOver) -> Vec<(String, Place)> {
    /// Longer chains are cycles.
    const MOST: usize = 40;
    if links.is_empty() {
        return Vec::new();
    }
    let places: HashMap<&str, Place> = files.iter().map(|(name, place)| (name.as_str(), *place)).collect();
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

/// Maximum size of a sparse file: a few bytes in a tar can claim any number of zeros.
const MAX_SPARSE: u64 = 64 << 20;

/// Bytes of a file.
fn read(file: &File, place: Place) -> Result<Vec<u8>, String> {
    if place.bytes > decode::MAX_FILE {
        return Err(decode::TOO_LARGE.into());
    }
    if place.sparse && place.bytes > MAX_SPARSE {
        return Err("a sparse file of more than 64 MiB; pack it without --sparse".into());
    }
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let mut buffer = vec![0; place.bytes as usize];
    if place.sparse {
        let mut archive = ::tar::Archive::new(ReadFrom { file, at: place.start });
        let mut entries = archive.entries().map_err(unreadable)?;
        let mut entry = entries.next().ok_or("cannot be read: its header is missing")?.map_err(unreadable)?;
        entry.read_exact(&mut buffer).map_err(unreadable)?;
    } else {
        read_exact_at(file, &mut buffer, place.start).map_err(unreadable)?;
    }
    Ok(buffer)
}

/// Bytes of a file from an offset.
struct ReadFrom<'a> {
    file: &'a File,
    at: u64,
}

impl Read for ReadFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(self.file, buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Dataset for Tar {
    fn classes(&self) -> &[String] {
        &self.listing.classes
    }

    fn len(&self) -> usize {
        self.listing.images.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.listing.images[i].1
    }

    fn name(&self, i: usize) -> &str {
        &self.listing.images[i].0
    }

    fn image(&self, i: usize) -> Result<Image> {
        decode::decode(&read(&self.file, self.listing.images[i].2)?)
    }

    fn file_size(&self, i: usize) -> Option<u64> {
        Some(self.listing.images[i].2.bytes)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>> {
        Ok(Some(read(&self.file, self.listing.images[i].2)?))
    }
}

/// Reads at an offset without moving a position shared by other threads.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, start)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, start)
}

fn read_exact_at(file: &File, mut buffer: &mut [u8], mut start: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, start) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                start += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
