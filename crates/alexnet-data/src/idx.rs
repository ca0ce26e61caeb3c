//! MNIST and Fashion-MNIST as downloaded: `train-images-idx3-ubyte(.gz)`, `t10k-labels-idx1-ubyte(.gz)` and so on.

#[cfg(test)]
mod tests;

use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::{Found as At, Location};
use crate::pixels::{Order, Pixels, Place};
use crate::read_at::read_exact_at;
use crate::stored::Stored;
use crate::unpacked::Plain;
use crate::{Error, Opened, Result, Splits, downloads, list};
use std::path::{Path, PathBuf};

/// A folder with MNIST's files, or the one around it: `MNIST` and `FashionMNIST` of torchvision have it as `raw`.
pub(crate) struct Idx;

/// Splits, and how the names of their files begin.
const SPLITS: [(&str, &str); 2] = [("train", "train"), ("test", "t10k")];

const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Sides of an image, at most.
const LARGEST: u32 = 1 << 12;

impl Layout for Idx {
    fn name(&self) -> &'static str {
        "a set of MNIST's format"
    }

    fn recognises(&self, at: &Location) -> bool {
        match &at.found {
            At::Folder(_) => folder(&at.path).is_some() || downloads::within(at).iter().any(|name| name.ends_with("MNIST")),
            At::Pattern(_) => false,
            At::File(..) => {
                KINDS.iter().any(|kind| SPLITS.iter().any(|(_, start)| forms(start, kind).contains(&at.lower_name())))
            }
        }
    }

    fn takes_classes(&self) -> bool {
        true
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let root = &request.at.path;
        let folder = match &request.at.found {
            At::Folder(_) => match folder(root) {
                Some(folder) => folder,
                None => downloads::only(request.at)?.map_or(root.clone(), |name| root.join(name).join("raw")),
            },
            At::File(..) | At::Pattern(_) => {
                let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let parent = crate::escape::path(parent);
                return Err(Error::file(root, format!("one of the files of such a set; use the folder that holds it: {parent}")));
            }
        };
        let present: Vec<(&str, &str)> =
            SPLITS.into_iter().filter(|(_, start)| find(&folder, start, KINDS[0]).is_some()).collect();
        let splits = Splits::of_names(present.iter().map(|(name, _)| *name));
        let taken = request.split.and_then(|split| splits.as_ref().map(|splits| splits.name_of(split).to_string()));
        let (mut files, mut images, mut labels, mut side, mut notes) =
            (Vec::new(), Found::default(), Vec::new(), None, Vec::new());
        for (name, start) in present {
            if taken.as_ref().is_some_and(|taken| taken != name) {
                continue;
            }
            let set = read(&folder, start)?;
            let first = *side.get_or_insert((set.height, set.width));
            if first != (set.height, set.width) {
                return Err(Error::file(&folder, "its splits have images of different sizes; use a folder for each"));
            }
            let (file, bytes) = (files.len() as u32, u64::from(set.height) * u64::from(set.width));
            for i in 0..set.labels.len() as u64 {
                images.push(&format!("{name}/{i:05}"), Place { file, at: HEADER3 + i * bytes });
            }
            files.push(set.images);
            labels.extend(set.labels.iter().map(|&label| u32::from(label)));
            notes.extend(set.note);
        }
        let (height, width) = side.ok_or_else(|| Error::file(&folder, format!("{}-{} is missing", SPLITS[0].1, KINDS[0])))?;
        let (classes, which) = classes(request, &folder)?;
        notes.push(which);
        notes.dedup();
        let mut listing = Listing::in_order(&folder, request.demand, classes, images, labels)?;
        let empty = std::mem::take(&mut listing.empty);
        let store = Pixels { files, width: width as usize, height: height as usize, order: Order::Grey };
        Ok(Opened { splits, taken, empty, notes, ..Opened::whole(&folder, Stored::new(listing, store)) })
    }
}

/// Parts of the files' names.
const KINDS: [&str; 2] = ["images-idx3-ubyte", "labels-idx1-ubyte"];

/// Names that a file has after download, and as some programs unpack it.
fn forms(start: &str, kind: &str) -> [String; 4] {
    let dotted = kind.replacen("-idx", ".idx", 1);
    [format!("{start}-{kind}"), format!("{start}-{kind}.gz"), format!("{start}-{dotted}"), format!("{start}-{dotted}.gz")]
}

/// A file of a folder; an unpacked one, if it is there both ways.
fn find(folder: &Path, start: &str, kind: &str) -> Option<PathBuf> {
    let [plain, packed, dotted, dotted_packed] = forms(start, kind);
    [plain, dotted, packed, dotted_packed].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The folder that holds the files: this one, or its `raw`.
fn folder(path: &Path) -> Option<PathBuf> {
    let has = |folder: &PathBuf| SPLITS.iter().any(|(_, start)| find(folder, start, KINDS[0]).is_some());
    [path.to_path_buf(), path.join("raw")].into_iter().find(has)
}

/// Names of the classes, and a note that says which.
fn classes(request: &Request<'_>, folder: &Path) -> Result<(Vec<String>, String)> {
    if let Some(path) = request.classes {
        return Ok((list::read_names(path)?, format!("class names from {}", crate::escape::path(path))));
    }
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let fashion = whole.iter().any(|part| part.to_string_lossy().to_ascii_lowercase().contains("fashion"));
    Ok(if fashion {
        (
            FASHION.map(String::from).to_vec(),
            "class names of Fashion-MNIST, since a folder is named so; others: --classes FILE".into(),
        )
    } else {
        let digits = (0..10).map(|digit| digit.to_string()).collect();
        (digits, "digits as class names; for Fashion-MNIST name the folder so, for others: --classes FILE".into())
    })
}

/// Images and labels of a split.
struct Set {
    images: Plain,
    height: u32,
    width: u32,
    labels: Vec<u8>,
    note: Option<String>,
}

/// Lengths of the headers: a number for the type, and the sizes.
const HEADER3: u64 = 16;
const HEADER1: u64 = 8;

fn read(folder: &Path, start: &str) -> Result<Set> {
    let [of_images, of_labels] = KINDS.map(|kind| {
        let missing = || Error::file(folder, format!("{start}-{kind} is missing; copy it here, with or without .gz"));
        find(folder, start, kind).ok_or_else(missing)
    });
    let (of_images, of_labels) = (of_images?, of_labels?);
    let (images, note) = Plain::open(&of_images)?;
    let [count, height, width] = header::<3>(&of_images, &images)?;
    if height == 0 || width == 0 || height > LARGEST || width > LARGEST {
        return Err(Error::file(&of_images, format!("damaged: images of {width} x {height} pixels")));
    }
    check_size(&of_images, &images, HEADER3 + u64::from(count) * u64::from(height) * u64::from(width))?;
    let (file, _) = Plain::open(&of_labels)?;
    let [labelled] = header::<1>(&of_labels, &file)?;
    check_size(&of_labels, &file, HEADER1 + u64::from(labelled))?;
    if labelled != count {
        let name = of_images.file_name().unwrap_or_default().to_string_lossy();
        return Err(Error::file(&of_labels, format!("{labelled} labels for the {count} images of {name}")));
    }
    let mut labels = vec![0; labelled as usize];
    read_exact_at(file.file(), &mut labels, HEADER1).map_err(|error| Error::io(&of_labels, error))?;
    Ok(Set { images, height, width, labels, note })
}

/// The sizes of the axes in a file of bytes.
fn header<const AXES: usize>(path: &Path, file: &Plain) -> Result<[u32; AXES]> {
    let mut start = [0; 16];
    let start = &mut start[..4 + 4 * AXES];
    read_exact_at(file.file(), start, 0).map_err(|_| Error::file(path, "truncated: shorter than its header; copy it again"))?;
    if start[..4] != [0, 0, 8, AXES as u8] {
        let why = format!("not in the idx format: begins with {:02x?}, expected [00, 00, 08, {AXES:02x}]", &start[..4]);
        return Err(Error::file(path, why));
    }
    let (sizes, _) = start[4..].as_chunks::<4>();
    let mut axes = [0; AXES];
    axes.iter_mut().zip(sizes).for_each(|(axis, bytes)| *axis = u32::from_be_bytes(*bytes));
    Ok(axes)
}

fn check_size(path: &Path, file: &Plain, expected: u64) -> Result<()> {
    match file.size() {
        size if size == expected => Ok(()),
        size if size < expected => Err(Error::file(path, format!("truncated: {size} of {expected} bytes; copy it again"))),
        size => Err(Error::file(path, format!("damaged: {size} bytes, but its header says {expected}"))),
    }
}
