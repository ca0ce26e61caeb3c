//! Scan of a zip file's directory for the positions of its members.

use super::member::{Place, read};
use super::names;
use crate::archive::{Images, Members, beside, parts};
use crate::escape::printable;
use crate::passed_over::Reason;
use crate::stored::is_image;
use crate::{Error, Result, sniff};
use rawzip::{CompressionMethod, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive};
use std::fs::File;
use std::path::Path;

/// Longest target of a link.
const LONGEST_TARGET: u64 = 1 << 12;

/// Types of a file in its Unix mode.
const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const REGULAR: u32 = 0o100_000;

/// Lists the images of a zip file.
///
/// # Errors
/// It cannot be read, is damaged or truncated, or an image in it is encrypted or compressed in an unsupported way.
pub(super) fn scan(path: &Path) -> Result<(File, Images<Place>)> {
    let (file, size) = crate::files::open_regular(path).map_err(|error| Error::io(path, error))?;
    let broken = |error: rawzip::Error| Error::file(path, format!("a damaged or truncated zip ({error}); copy it again"));
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let shared = file.try_clone().map_err(|error| Error::io(path, error))?;
    let archive = ZipArchive::from_file(shared, &mut buffer).map_err(broken)?;
    let (expected, mut counted) = (archive.entries_hint(), 0u64);
    let mut members = Members::default();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        counted += 1;
        let name = names::name(&entry)
            .ok_or_else(|| Error::file(path, "a name in it is marked as UTF-8 and is not; pack it again with UTF-8 names"))?;
        // "./cat/1.jpg" and "cat//1.jpg" are cat/1.jpg.
        let inner = parts(&name).join("/");
        if inner.is_empty() {
            continue;
        }
        if name.ends_with('/') {
            members.folder(&inner);
            continue;
        }
        let length = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let place = Place {
            header: entry.local_header_offset(),
            stored: length(entry.compressed_size_hint()),
            size: length(entry.uncompressed_size_hint()),
            crc: entry.crc32(),
            deflated: entry.compression_method() == CompressionMethod::DEFLATE,
        };
        if entry.local_header_offset().saturating_add(entry.compressed_size_hint()) > size {
            return Err(Error::file(path, format!("truncated within {}; copy it again", printable(&inner))));
        }
        let plain = place.deflated || entry.compression_method() == CompressionMethod::STORE;
        let refused = if entry.flags().is_encrypted() {
            Some("is encrypted".to_string())
        } else if !plain {
            Some(format!("is compressed with {}, not deflate", entry.compression_method()))
        } else {
            None
        };
        let kind = entry.mode().value() & TYPE;
        match refused {
            Some(why) if is_image(inner.rsplit('/').next().unwrap_or(&inner)) => {
                let why = format!("{} {why}; unpack it with another program and use the folder", printable(&inner));
                return Err(Error::file(path, why));
            }
            Some(_) => members.pass_over(Reason::Unreadable, &inner),
            None if kind == LINK => {
                let target = if u64::from(place.size) > LONGEST_TARGET { None } else { read(&file, place, LONGEST_TARGET).ok() };
                let target = target.and_then(|bytes| String::from_utf8(bytes).ok());
                members.link(&inner, target.and_then(|target| beside(&inner, &target)));
            }
            None if kind == REGULAR || kind == 0 => members.file(&inner, place),
            None => members.pass_over(Reason::NotRegular, &inner),
        }
    }
    if counted != expected {
        let why = format!("a damaged zip: it lists {counted} of {expected} members; copy it again");
        return Err(Error::file(path, why));
    }
    let images = members.images(|place| read(&file, place, sniff::START as u64));
    Ok((file, images))
}
