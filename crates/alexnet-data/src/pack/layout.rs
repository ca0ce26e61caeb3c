//! Data set in a pack.

use super::format::{Entry, FOOTER, Footer, Header, Kind, MAGIC, SplitClasses};
use super::store::{Packed, Place};
use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::{self, Location};
use crate::read_at::{Window, read_exact_at};
use crate::stored::Stored;
use crate::{Demand, Error, Opened, Result, Splits, files};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// A file written by `alexnet data pack`.
pub(crate) struct Pack;

impl Layout for Pack {
    fn name(&self) -> &'static str {
        "a pack"
    }

    fn recognises(&self, at: &Location) -> bool {
        matches!(&at.found, location::Found::File(_, start) if start.starts_with(MAGIC))
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        let whole = Whole::open(path)?;
        let names = whole.header.splits.iter().map(|split| split.name.as_str());
        let splits = Splits::of_names(names.clone());
        let taken = match (&splits, request.split) {
            (Some(splits), Some(split)) => Some(splits.name_of(split).to_string()),
            _ => None,
        };
        let number = taken.as_ref().and_then(|taken| names.clone().position(|name| name == taken));
        let (listing, skipped) = whole.listing(path, number, request.demand)?;
        let mut notes = vec![format!("packed: {}", whole.header.form)];
        if skipped > 0 {
            let images = if skipped == 1 { "1 unreadable image was" } else { &format!("{skipped} unreadable images were") };
            notes.push(format!("{images} left out when it was packed"));
        }
        let empty = listing.empty.clone();
        let source = Stored::new(listing, Packed { file: whole.file });
        Ok(Opened { splits, taken, empty, notes, ..Opened::whole(path, source) })
    }
}

/// A pack with intact header and footer.
pub(super) struct Whole {
    pub(super) file: File,
    pub(super) header: Header,
    /// Start of the images.
    data: u64,
    footer: Footer,
}

impl Whole {
    /// Opens a pack.
    ///
    /// # Errors
    /// It is not a pack, unfinished, truncated or damaged.
    pub(super) fn open(path: &Path) -> Result<Whole> {
        let broken = |why: String| damaged(path, &why);
        let (file, size) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
        let (header, data) = Header::read(&mut Window { file: &file, start: 0, size, at: 0 }).map_err(broken)?;
        let mut bytes = [0; FOOTER];
        let footer = match size.checked_sub(FOOTER as u64) {
            Some(at) => {
                read_exact_at(&file, &mut bytes, at).map_err(|error| Error::io(path, error))?;
                Footer::of(&bytes, size)
            }
            None => None,
        };
        let footer = footer.ok_or_else(|| broken("its end is missing: it is truncated, or packing has not finished".into()))?;
        if footer.start < data {
            return Err(broken("its index does not follow its images".into()));
        }
        Ok(Whole { file, header, data, footer })
    }

    /// Reads the index: calls `found` with each entry and the position of its bytes.
    pub(super) fn entries(&self, path: &Path, mut found: impl FnMut(&Entry<'_>, u64)) -> Result<()> {
        let Footer { start, length, entries, sum } = self.footer;
        let broken = |why: &str| damaged(path, &format!("its index {why}"));
        let window = Window { file: &self.file, start, size: length, at: 0 };
        let mut index = Summed { of: BufReader::with_capacity(1 << 20, window), sum: crc32fast::Hasher::new() };
        let (mut buffer, mut position, mut count) = (Vec::new(), self.data, 0u64);
        while let Some(entry) = Entry::read(&mut index, &mut buffer).map_err(|why| broken(&why))? {
            let classes = self.header.splits.get(usize::from(entry.split)).map_or(0, |split| split.classes.len());
            if entry.label as usize >= classes {
                return Err(broken("has an entry with an unknown split or class"));
            }
            found(&entry, position);
            position += u64::from(entry.bytes);
            count += 1;
        }
        if index.sum.finalize() != sum || count != entries || position != start {
            return Err(broken("does not match its images"));
        }
        Ok(())
    }

    /// The images of a split, or of all, in the order of the pack; and the number of those that were left out.
    fn listing(&self, path: &Path, split: Option<usize>, demand: Demand) -> Result<(Listing<Place>, usize)> {
        let splits = &self.header.splits;
        let classes = match split {
            Some(split) => splits[split].classes.clone(),
            None => all_classes(splits.iter().map(|split| split.classes.as_slice())),
        };
        // Numbers of each split's classes among these.
        let is_wanted = |of: usize| split.is_none_or(|split| split == of);
        let number = |(of, own): (usize, &SplitClasses)| {
            if is_wanted(of) { numbers(&own.classes, &classes) } else { Vec::new() }
        };
        let numbers: Vec<Vec<u32>> = splits.iter().enumerate().map(number).collect();
        let several = split.is_none() && splits.len() > 1;
        let (mut images, mut labels, mut skipped, mut name) = (Found::default(), Vec::new(), 0, String::new());
        self.entries(path, |entry, start| {
            let of = usize::from(entry.split);
            if !is_wanted(of) {
                return;
            }
            if entry.kind == Kind::Skipped {
                skipped += 1;
                return;
            }
            let place = Place { start, bytes: entry.bytes, sum: entry.sum, pixels: entry.kind == Kind::Pixels };
            if several {
                name.clear();
                name.extend([splits[of].name.as_str(), "/", entry.name]);
                images.push(&name, place);
            } else {
                images.push(entry.name, place);
            }
            labels.push(numbers[of][entry.label as usize]);
        })?;
        // Images of all splits are sorted like those of a folder of such splits, and have no classes without images.
        let demand = if demand == Demand::LabelsOptional { Demand::WithImages } else { demand };
        let mut listing = Listing::in_order(path, demand, classes, images, labels)?;
        if several {
            listing = Listing::by_label(listing.classes, &listing.images, &listing.labels);
        }
        Ok((listing, skipped))
    }
}

/// The classes that several splits have together: in their order if that is the same, otherwise sorted.
fn all_classes<'a>(mut splits: impl Iterator<Item = &'a [String]>) -> Vec<String> {
    let mut all = splits.next().unwrap_or_default().to_vec();
    let mut differ = false;
    for classes in splits.filter(|classes| !classes.is_empty()) {
        differ |= all != classes;
        all.extend_from_slice(if all == classes { &[] } else { classes });
    }
    if differ {
        all.sort();
        all.dedup();
    }
    all
}

/// The number of each of `own` among `classes`, which contain it.
fn numbers(own: &[String], classes: &[String]) -> Vec<u32> {
    let number: std::collections::HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    // Equal lists may contain a name twice.
    if own == classes { (0..own.len() as u32).collect() } else { own.iter().map(|class| number[class.as_str()]).collect() }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::file(path, format!("not a whole pack: {why}; copy it again, or make it again with `alexnet data pack`"))
}

/// A stream, and the checksum of what was read of it.
struct Summed<R> {
    of: R,
    sum: crc32fast::Hasher,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.of.read(buffer)?;
        self.sum.update(&buffer[..n]);
        Ok(n)
    }
}
