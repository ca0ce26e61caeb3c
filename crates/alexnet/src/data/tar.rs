//! A .tar file of class folders, read in place.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::{Listing, Source, is_picture};
use crate::image::{Picture, decode};
use crate::{Error, Result};

/// `class/.../file.jpg` entries of a tar file (ustar, GNU or pax names, with or without `./` in front). The file is
/// read through once for the places of its pictures; each picture is then read from its place.
#[derive(Debug)]
pub(super) struct Tar {
    file: File,
    listing: Listing<Place>,
}

/// Where a picture's bytes lie in the tar.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    bytes: u64,
}

impl Tar {
    /// Lists the pictures, sorted by class and name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::listed(path, |classes, found| {
            let loose = found.iter().find(|(name, _)| !name.contains('/')).map(|(name, _)| name.clone());
            Listing::new(path, classes, found, loose)
        })
    }

    /// Lists the pictures, in classes or not.
    pub(super) fn open_loose(path: &Path) -> Result<Self> {
        Self::listed(path, |_, found| Listing::loose(path, found))
    }

    /// Lists the pictures: `list` hears the names of the outermost folders, and name and place of each picture.
    fn listed(path: &Path, list: impl FnOnce(Vec<String>, Vec<(String, Place)>) -> Result<Listing<Place>>) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let broken = |error: std::io::Error| Error::file(path, format!("broken tar: {error}"));
        let (file, size) = crate::files::open_regular(path).map_err(io)?;
        let (mut classes, mut found) = (Vec::new(), Vec::new());
        let mut archive = ::tar::Archive::new(BufReader::new(file.try_clone().map_err(io)?));
        for entry in archive.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|_| Error::file(path, "a name in it is not UTF-8; pack it again with such names"))?;
            // "./cat/1.jpg" and "cat//1.jpg" are cat/1.jpg; hidden files and folders are passed over.
            let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            if parts.iter().any(|part| part.starts_with('.')) {
                continue;
            }
            let kind = entry.header().entry_type();
            match parts.as_slice() {
                [class] if kind.is_dir() => classes.push((*class).to_string()),
                [.., last] if kind.is_file() && is_picture(last) => {
                    let place = Place { start: entry.raw_file_position(), bytes: entry.size() };
                    if place.start.checked_add(place.bytes).is_none_or(|end| end > size) {
                        return Err(Error::file(path, format!("ends in the middle of {name}; copy it again")));
                    }
                    if let [class, _, ..] = parts.as_slice() {
                        classes.push((*class).to_string());
                    }
                    found.push((parts.join("/"), place));
                }
                _ => {}
            }
        }
        let listing = list(classes, found)?;
        if let Some(pair) = listing.pictures.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::file(path, format!("holds {} twice", pair[0].0)));
        }
        Ok(Tar { file, listing })
    }

    /// The bytes of picture `i`.
    fn read(&self, i: usize) -> Result<Vec<u8>, String> {
        let Place { start, bytes } = self.listing.pictures[i].2;
        if bytes > decode::MAX_FILE {
            return Err(decode::TOO_LARGE.into());
        }
        let mut buffer = vec![0; bytes as usize];
        read_exact_at(&self.file, &mut buffer, start).map_err(|error| format!("cannot be read: {error}"))?;
        Ok(buffer)
    }
}

impl Source for Tar {
    fn classes(&self) -> &[String] {
        &self.listing.classes
    }

    fn len(&self) -> usize {
        self.listing.pictures.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.listing.pictures[i].1
    }

    fn name(&self, i: usize) -> &str {
        &self.listing.pictures[i].0
    }

    fn picture(&self, i: usize) -> Result<Picture, String> {
        decode::decode(&self.read(i)?)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>, String> {
        self.read(i).map(Some)
    }
}

/// Reads at a place without moving a position that other threads would share.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut start: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, buffer, start)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[n..];
        start += n as u64;
    }
    Ok(())
}
