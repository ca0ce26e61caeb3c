//! Data set in a folder with one subfolder per class.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::Location;
use crate::passed_over::{Reason, is_hidden};
use crate::sniff::{self, Content};
use crate::stored::{Folder, Stored, is_image};
use crate::{Demand, Error, Opened, PassedOver, Result, Split, Splits};

/// Maximum depth of folders within a class, since symbolic links may form cycles.
const MAX_DEPTH: usize = 32;

/// Image files `PATH/class/.../file.jpg`: class folders at the top, images at any depth below. Links are followed.
pub(crate) struct ImageFolder;

impl Layout for ImageFolder {
    fn name(&self) -> &'static str {
        "a folder of images"
    }

    fn recognises(&self, at: &Location) -> bool {
        at.is_folder()
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        match request.split {
            Some(split) => open(&request.at.path, split, request.demand),
            None => open_loose(&request.at.path),
        }
    }
}

/// Lists the images of a folder, sorted by class and name.
fn open(root: &Path, split: Split, demand: Demand) -> Result<Opened> {
    let mut passed = PassedOver::default();
    let (root, splits) = splits(root)?;
    let taken = splits.as_ref().map(|splits| splits.name_of(split).to_string());
    let mut path = root.clone();
    if let Some(taken) = &taken {
        // Files next to the splits do not belong to them, but must be reported.
        for Entry { name, at, kind } in entries(&root, "", &mut passed)? {
            if kind != Kind::Folder && is_dataset_image(&name, &at, kind, &name, &mut passed) {
                passed.add(Reason::OutsideSplit, name);
            }
        }
        path.push(taken);
    }
    let (classes, found) = class_folders(&path, &mut passed)?;
    let mut listing = Listing::new(&path, demand, classes, found, &passed)?;
    let empty = std::mem::take(&mut listing.empty);
    let source = Stored::new(listing, Folder { root: path.clone() });
    Ok(Opened { splits, taken, in_class_folders: true, empty, passed_over: passed, root, ..Opened::whole(&path, source) })
}

/// Names of the class folders, and the images within and beside them.
pub(crate) fn class_folders(path: &Path, passed: &mut PassedOver) -> Result<(Vec<String>, Found<()>)> {
    let (mut classes, mut found) = (Vec::new(), Found::default());
    for Entry { name, at, kind } in entries(path, "", passed)? {
        if kind == Kind::Folder {
            walk(&at, &name, 1, &mut found, passed)?;
            classes.push(name);
        } else if is_dataset_image(&name, &at, kind, &name, passed) {
            found.push(&name, ());
        }
    }
    Ok((classes, found))
}

/// Lists the images at any depth, with or without classes.
fn open_loose(root: &Path) -> Result<Opened> {
    let (mut found, mut passed) = (Found::default(), PassedOver::default());
    let (within, splits) = splits(root)?;
    walk(root, "", 0, &mut found, &mut passed)?;
    let above = within.strip_prefix(root).map_or(0, |wrapper| wrapper.components().count());
    let listing = Listing::loose(root, above + usize::from(splits.is_some()), found, &passed)?;
    let source = Stored::new(listing, Folder { root: root.to_path_buf() });
    Ok(Opened { splits, passed_over: passed, ..Opened::whole(&within, source) })
}

/// Whether a root has class folders in several splits.
pub(crate) fn has_splits(root: &Path) -> bool {
    matches!(splits(root), Ok((_, Some(_))))
}

/// The splits of a root, if any, and the folder that contains them: the root, its only subfolder, and so on.
fn splits(root: &Path) -> Result<(PathBuf, Option<Splits>)> {
    let folders = |at: &Path| -> Result<Vec<String>> {
        let entries = entries(at, "", &mut PassedOver::default())?;
        Ok(entries.into_iter().filter(|entry| entry.kind == Kind::Folder).map(|entry| entry.name).collect())
    };
    // A folder that cannot be listed causes an error later, when its images are searched.
    let has_folders = |at: &Path| folders(at).is_ok_and(|inner| !inner.is_empty());
    let of = |at: &Path, names: &[String]| {
        Splits::of(names, &|name| has_folders(&at.join(name))).map_err(|reason| Error::file(at, reason))
    };
    let (mut at, mut names) = (root.to_path_buf(), folders(root)?);
    for _ in 0..MAX_DEPTH {
        let [only] = names.as_slice() else { break };
        at.push(only);
        names = folders(&at).unwrap_or_default();
    }
    let splits = of(&at, &names)?;
    Ok(if splits.is_some() { (at, splits) } else { (root.to_path_buf(), None) })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Folder,
    File,
    /// A pipe, socket or device.
    Special,
    /// A broken link.
    Dangling,
}

struct Entry {
    name: String,
    at: PathBuf,
    kind: Kind,
}

/// Lists the visible entries of a folder, whose name within the set is `prefix`.
fn entries(folder: &Path, prefix: &str, passed: &mut PassedOver) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        let entry = entry.map_err(|error| Error::io(folder, error))?;
        let (at, name) = (entry.path(), entry.file_name());
        let name = match name.into_string() {
            Ok(name) if !is_hidden(&name) => name,
            Ok(name) => {
                passed.add(Reason::Hidden, within(prefix, &name));
                continue;
            }
            Err(_) => return Err(Error::file(&at, "its name is not UTF-8; rename it")),
        };
        // The listing contains the type of most entries; only links need another call, which follows them.
        let kind = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => Some(kind),
            _ => fs::metadata(&at).ok().map(|metadata| metadata.file_type()),
        };
        let kind = match kind {
            Some(kind) if kind.is_dir() => Kind::Folder,
            Some(kind) if kind.is_file() => Kind::File,
            Some(_) => Kind::Special,
            None => Kind::Dangling,
        };
        entries.push(Entry { name, at, kind });
    }
    Ok(entries)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Found<()>, passed: &mut PassedOver) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::file(folder, format!("folders nested more than {MAX_DEPTH} deep; check for circular links")));
    }
    for Entry { name, at, kind } in entries(folder, prefix, passed)? {
        let inner = within(prefix, &name);
        if kind == Kind::Folder {
            walk(&at, &inner, depth + 1, found, passed)?;
        } else if is_dataset_image(&name, &at, kind, &inner, passed) {
            found.push(&inner, ());
        }
    }
    Ok(())
}

fn within(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") }
}

/// Whether a file is an image. A known extension is trusted until decoding, so that a million files are listed without opening
/// one; others are identified by content. Other files are counted under their name within the set, `inner`.
fn is_dataset_image(name: &str, at: &Path, kind: Kind, inner: &str, passed: &mut PassedOver) -> bool {
    let why = match kind {
        Kind::Folder => return false,
        Kind::Special => Reason::NotRegular,
        // A broken link matters only if it is named like an image, in which case reading reports it.
        Kind::File | Kind::Dangling if is_image(name) => return true,
        Kind::Dangling => Reason::Link,
        Kind::File => match start(at).map(|start| sniff::content(&start)) {
            Ok(Content::Image) => return true,
            Ok(Content::Unread(_)) => Reason::Format,
            Ok(_) => Reason::NotImage,
            Err(_) => Reason::Unreadable,
        },
    };
    passed.add(why, inner);
    false
}

/// The first bytes of a file.
fn start(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(sniff::START);
    File::open(path)?.take(sniff::START as u64).read_to_end(&mut start)?;
    Ok(start)
}
