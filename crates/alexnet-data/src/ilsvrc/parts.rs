//! Where the splits of ILSVRC 2012 lie.

use super::{identifiers, is_identifier, validation_number};
use crate::location::{Found, Location};
use crate::sniff::Content;
use crate::tar::first_files;
use std::path::{Path, PathBuf};

pub(super) const TRAIN: &str = "train";
pub(super) const VAL: &str = "val";
/// Names of the downloads.
pub(super) const TRAIN_TAR: &str = "ILSVRC2012_img_train.tar";
pub(super) const VAL_TAR: &str = "ILSVRC2012_img_val.tar";

/// One split.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// A tar: for training one of a tar per class, for validation of images.
    Tar(PathBuf),
    /// A folder with a tar per class.
    ClassTars(PathBuf),
    /// A folder with a folder per class.
    ClassFolders(PathBuf),
    /// A folder of validation images.
    Flat(PathBuf),
}

impl Part {
    pub(super) fn path(&self) -> &PathBuf {
        match self {
            Part::Tar(path) | Part::ClassTars(path) | Part::ClassFolders(path) | Part::Flat(path) => path,
        }
    }
}

/// The splits at a location.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) train: Option<Part>,
    pub(super) val: Option<Part>,
}

impl Parts {
    /// Looks for ILSVRC 2012 in one of its own forms. Plain class folders are left to their reader.
    pub(super) fn of(at: &Location) -> Option<Parts> {
        match &at.found {
            Found::Folder(names) => in_folder(&at.path, names),
            Found::File(content, _) => in_file(at, *content),
            Found::Pattern(_) => None,
        }
    }
}

fn in_file(at: &Location, content: Content) -> Option<Parts> {
    let name = at.lower_name();
    let (mut train, mut val) = (name == TRAIN_TAR.to_ascii_lowercase(), name == VAL_TAR.to_ascii_lowercase());
    match content {
        Content::Tar => {
            let files = first_files(&at.path, 4);
            let first = files.first().map(String::as_str).unwrap_or_default();
            train |= is_class_tar(first.rsplit('/').next()?);
            val |= validation_number(first).is_some() && !first.split('/').any(is_identifier);
        }
        // A download that broke off at once, or an error page, is named by its reader.
        Content::Other => {}
        _ => return None,
    }
    let part = |is: bool| is.then(|| Part::Tar(at.path.clone()));
    (train || val).then(|| Parts { train: part(train), val: part(val && !train) })
}

fn in_folder(path: &Path, names: &[String]) -> Option<Parts> {
    let mut visible = names.iter().filter(|name| !name.starts_with('.')).peekable();
    if visible.peek().is_some() && visible.all(|name| is_class_tar(name)) {
        return Some(Parts { train: Some(Part::ClassTars(path.to_path_buf())), val: None });
    }
    let tar = |name: &str| names.iter().any(|other| other == name).then(|| Part::Tar(path.join(name)));
    let (train_tar, val_tar) = (tar(TRAIN_TAR), tar(VAL_TAR));
    let own = train_tar.is_some() || val_tar.is_some();
    let bases = ["", "CLS-LOC", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC"];
    for base in bases.into_iter().filter(|base| base.is_empty() || path.join(base).is_dir()) {
        let folder = path.join(base);
        let (train, val) = (train_folder(&folder.join(TRAIN)), val_folder(&folder.join(VAL)));
        let flat = matches!(val, Some(Part::Flat(_)));
        let downloaded = own || flat || matches!(train, Some(Part::ClassTars(_)));
        if downloaded || (!base.is_empty() && (train.is_some() || val.is_some())) {
            // Tars before what is unpacked from them, perhaps in part.
            return Some(Parts { train: train_tar.or(train), val: val_tar.or(val) });
        }
    }
    let flat = names.iter().any(|name| validation_number(name).is_some());
    flat.then(|| Parts { train: None, val: Some(Part::Flat(path.to_path_buf())) })
}

/// Whether a file is named like the tar of a class.
pub(super) fn is_class_tar(name: &str) -> bool {
    name.strip_suffix(".tar").is_some_and(is_identifier)
}

fn train_folder(path: &Path) -> Option<Part> {
    let names = some_names(path);
    let known = identifiers();
    if names.iter().any(|name| known.binary_search(name).is_ok()) {
        return Some(Part::ClassFolders(path.to_path_buf()));
    }
    names.iter().any(|name| is_class_tar(name)).then(|| Part::ClassTars(path.to_path_buf()))
}

fn val_folder(path: &Path) -> Option<Part> {
    let names = some_names(path);
    if names.iter().any(|name| validation_number(name).is_some()) {
        return Some(Part::Flat(path.to_path_buf()));
    }
    let known = identifiers();
    names.iter().any(|name| known.binary_search(name).is_ok()).then(|| Part::ClassFolders(path.to_path_buf()))
}

/// Some names of a folder's entries: enough to recognise one that has tens of thousands.
fn some_names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).take(64).collect()
}
