//! CIFAR-10 and CIFAR-100 as downloaded: binary files or Python's, in a folder or in the archive.

mod binary;
mod files;
mod pickle;
mod python;
#[cfg(test)]
mod tests;

use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::{Found as At, Location};
use crate::pixels::{Order, Pixels, Place};
use crate::read_at::Window;
use crate::sniff::Content;
use crate::stored::Stored;
use crate::unpacked::Plain;
use crate::{Error, Opened, Result, Split, Splits, downloads};
use files::Files;
use std::io::BufReader;

/// A folder such as `cifar-10-batches-py`, the one around it, or a tar of it.
pub(crate) struct Cifar;

/// Side of the images, which are all equally large.
const SIDE: usize = 32;
/// Bytes of an image.
const PIXELS: u64 = 3 * (SIDE * SIDE) as u64;

/// One of the four downloads.
struct Variant {
    /// Its folder.
    folder: &'static str,
    /// By how many of the first training file, the test file and the one with the class names it is recognised.
    marks: usize,
    train: &'static [&'static str],
    test: &'static str,
    /// The file with the class names.
    names: &'static str,
    kind: Kind,
}

/// Form of the files.
enum Kind {
    /// Records of `labels` bytes, the last of which is the class, and the pixels.
    Binary { labels: u64 },
    /// Pickled dictionaries, with the labels and the class names under these keys.
    Python { labels: &'static str, names: &'static str },
}

static VARIANTS: [Variant; 4] = [
    Variant {
        folder: "cifar-10-batches-py",
        marks: 1,
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        names: "batches.meta",
        kind: Kind::Python { labels: "labels", names: "label_names" },
    },
    Variant {
        folder: "cifar-10-batches-bin",
        marks: 1,
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        names: "batches.meta.txt",
        kind: Kind::Binary { labels: 1 },
    },
    Variant {
        folder: "cifar-100-python",
        marks: 2,
        train: &["train"],
        test: "test",
        names: "meta",
        kind: Kind::Python { labels: "fine_labels", names: "fine_label_names" },
    },
    Variant {
        folder: "cifar-100-binary",
        marks: 2,
        train: &["train.bin"],
        test: "test.bin",
        names: "fine_label_names.txt",
        kind: Kind::Binary { labels: 2 },
    },
];

impl Layout for Cifar {
    fn name(&self) -> &'static str {
        "CIFAR-10 or CIFAR-100"
    }

    fn recognises(&self, at: &Location) -> bool {
        match &at.found {
            At::Folder(_) => of_folder(at).is_some() || downloads::within(at).iter().any(|name| name.starts_with("cifar")),
            At::File(content, _) => *content == Content::Tar && Plain::open(&at.path).is_ok_and(|(plain, _)| is_archive(&plain)),
            At::Pattern(_) => false,
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        if !request.at.is_folder() {
            let (plain, note) = Plain::open(path)?;
            return of_archive(request, plain, note);
        }
        if let Some(variant) = of_folder(request.at) {
            return open(request, variant, Files::of_folder(path), Vec::new());
        }
        let inner = downloads::only(request.at)?.map_or(path.clone(), |name| path.join(name));
        match of_folder(&Location::of(&inner)?) {
            Some(variant) => open(request, variant, Files::of_folder(&inner), Vec::new()),
            None => Err(Error::file(inner, "no CIFAR-10 or CIFAR-100 here; unpack the download again")),
        }
    }
}

/// The variant whose files are in a folder.
fn of_folder(at: &Location) -> Option<&'static Variant> {
    let has = |name: &&str| at.names().iter().any(|found| found == name) && at.path.join(name).is_file();
    let found = |variant: &Variant| [variant.train[0], variant.test, variant.names].iter().filter(|name| has(name)).count();
    VARIANTS.iter().find(|variant| found(variant) >= variant.marks)
}

/// Whether a tar is one of the downloads, which its first members say.
pub(crate) fn is_archive(tar: &Plain) -> bool {
    archived(tar).is_some()
}

/// Members before the first one in the folder: `./`, as some write it.
const BEFORE: usize = 4;

fn archived(tar: &Plain) -> Option<&'static Variant> {
    let window = Window { file: tar.file(), start: 0, size: tar.size(), at: 0 };
    let mut archive = ::tar::Archive::new(BufReader::new(window));
    let entries = archive.entries_with_seek().ok()?;
    entries.take(BEFORE).map_while(Result::ok).find_map(|entry| {
        let name = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
        let first = name.split('/').find(|part| !matches!(*part, "" | "."))?;
        VARIANTS.iter().find(|variant| variant.folder == first)
    })
}

/// Opens a tar of one of the downloads.
pub(crate) fn of_archive(request: &Request<'_>, plain: Plain, note: Option<String>) -> Result<Opened> {
    let path = &request.at.path;
    let variant = archived(&plain).ok_or_else(|| Error::file(path, "no CIFAR-10 or CIFAR-100 here"))?;
    open(request, variant, Files::of_tar(path, plain)?, note.into_iter().collect())
}

fn open(request: &Request<'_>, variant: &Variant, mut files: Files, mut notes: Vec<String>) -> Result<Opened> {
    // Without its file there is no test split, and what is left are the training images.
    let has_test = files.has(variant.test) || matches!(request.split, Some(Split::Validation | Split::Test));
    if !has_test {
        let test = variant.test;
        notes.push(format!("{test} is missing from the set, which leaves the training images; download or unpack it again"));
    }
    let splits = Splits::of_names(["train", "test"].into_iter().filter(|split| has_test || *split == "train"));
    let taken = request.split.and_then(|split| splits.as_ref().map(|splits| splits.name_of(split).to_string()));
    let mut wanted: Vec<&str> = Vec::new();
    if taken.as_deref() != Some("test") {
        wanted.extend(variant.train);
    }
    if has_test && taken.as_deref() != Some("train") {
        wanted.push(variant.test);
    }
    let classes = match variant.kind {
        Kind::Binary { .. } => binary::names(&files.part(variant.names)?)?,
        Kind::Python { names, .. } => python::names(&files.part(variant.names)?, names)?,
    };
    let (mut images, mut labels) = (Found::default(), Vec::new());
    for file in wanted {
        let part = files.part(file)?;
        let batch = match variant.kind {
            Kind::Binary { labels } => binary::batch(&part, labels)?,
            Kind::Python { labels, .. } => python::batch(&part, labels)?,
        };
        let place = match batch.pixels {
            Some(pixels) => files.add(pixels),
            None => part.file,
        };
        if let Some(label) = batch.labels.iter().find(|label| **label as usize >= classes.len()) {
            let why = format!("a label is {label}, but {} has {} class names", variant.names, classes.len());
            return Err(Error::file(&part.path, why));
        }
        let file = file.strip_suffix(".bin").unwrap_or(file);
        for i in 0..batch.labels.len() as u64 {
            images.push(&format!("{file}/{i:05}"), Place { file: place, at: batch.start + i * batch.step });
        }
        labels.extend(batch.labels);
    }
    let root = files.root().to_path_buf();
    let mut listing = Listing::in_order(&root, request.demand, classes, images, labels)?;
    let empty = std::mem::take(&mut listing.empty);
    let store = Pixels { files: files.into_plain(), width: SIDE, height: SIDE, order: Order::Planes };
    Ok(Opened { splits, taken, empty, notes, ..Opened::whole(&root, Stored::new(listing, store)) })
}

/// Labels of a file, and where the pixels of its images are.
struct Batch {
    labels: Vec<u32>,
    /// Start of the first image's pixels.
    start: u64,
    /// Bytes from one image to the next.
    step: u64,
    /// A file of its own with the pixels, if they are not in the batch's as they are.
    pixels: Option<Plain>,
}
