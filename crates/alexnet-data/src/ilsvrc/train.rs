//! The training images: a tar of a tar per class, a folder of those, or class folders.

use super::parts::{self, TRAIN_TAR};
use super::{Part, a_few, identifiers};
use crate::containers::{Container, Place};
use crate::image_folder::class_folders;
use crate::listing::{Found, Listing};
use crate::passed_over::Reason;
use crate::read_at::{Buffered, Window};
use crate::tar::Scan;
use crate::{Error, PassedOver, Result, escape, files};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Lists the training images.
pub(super) fn list(part: &parts::Part) -> Result<Part> {
    match part {
        parts::Part::Tar(path) => of_tar(path),
        parts::Part::ClassTars(path) => of_class_tars(path),
        parts::Part::ClassFolders(path) | parts::Part::Flat(path) => of_folders(path),
    }
}

/// Part of a file that is the tar of a class.
struct Inner {
    /// Number of the file.
    container: u32,
    start: u64,
    size: u64,
}

/// Images of the tars in a tar, through the offsets of both.
fn of_tar(path: &Path) -> Result<Part> {
    let (file, size) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
    let mut passed = PassedOver::default();
    let inner = inner_tars(path, &file, size, &mut passed)?;
    if inner.is_empty() {
        return Err(Error::file(path, format!("holds no tars of classes, such as n01440764.tar{}", again(path))));
    }
    let open = |_: &Inner| file.try_clone().map_err(|error| Error::io(path, error));
    of_inner(path, &inner, vec![Container::tar(path)], open, passed)
}

/// Images of a folder of tars.
fn of_class_tars(path: &Path) -> Result<Part> {
    let (mut inner, mut paths, mut passed) = (BTreeMap::new(), Vec::new(), PassedOver::default());
    for entry in std::fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let entry = entry.map_err(|error| Error::io(path, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !parts::is_class_tar(&name) {
            passed.add(if name.starts_with('.') { Reason::Hidden } else { Reason::NotImage }, name);
            continue;
        }
        let size = std::fs::metadata(entry.path()).map_err(|error| Error::io(entry.path(), error))?.len();
        inner.insert(name.trim_end_matches(".tar").to_string(), Inner { container: paths.len() as u32, start: 0, size });
        paths.push(entry.path());
    }
    let containers = paths.iter().map(Container::tar).collect();
    let open = |inner: &Inner| {
        let path = &paths[inner.container as usize];
        files::open_regular(path).map(|(file, _)| file).map_err(|error| Error::io(path, error))
    };
    of_inner(path, &inner, containers, open, passed)
}

/// Images of the tars of classes. `open` opens the file of one.
fn of_inner(
    path: &Path,
    inner: &BTreeMap<String, Inner>,
    containers: Vec<Container>,
    open: impl Fn(&Inner) -> Result<File>,
    mut passed: PassedOver,
) -> Result<Part> {
    let mut known = identifiers();
    let (own, mut others): (Vec<&String>, Vec<&String>) = inner.keys().partition(|class| known.binary_search(class).is_ok());
    // Other classes of ImageNet are packed in the same way. By its name, or with all the 1,000 and a few more, it is ILSVRC 2012.
    let is_ilsvrc = path.ends_with(TRAIN_TAR) || (own.len() == known.len() && others.len() < own.len());
    if !others.is_empty() && !is_ilsvrc {
        known = inner.keys().cloned().collect();
        others.clear();
    }
    let mut notes = Vec::new();
    if !others.is_empty() {
        notes.push(format!("tars of classes that are not among the 1,000, not used: {}", a_few(&others)));
    }
    let (mut images, mut labels) = (Found::default(), Vec::new());
    for (class, inner) in inner.iter().filter(|(class, _)| known.binary_search(class).is_ok()) {
        let shown = path.join(format!("{class}.tar"));
        add_class(&shown, class, inner, open(inner)?, &mut images, &mut passed)?;
        let label = known.binary_search(class).unwrap_or_default() as u32;
        labels.resize(images.len(), label);
    }
    let missing: Vec<&String> = missing(&known, &labels);
    let incomplete = (!missing.is_empty()).then(|| {
        format!(
            "{} of {} classes have no images in it: {}{}; to train on some classes only, unpack them into class folders",
            missing.len(),
            known.len(),
            a_few(&missing),
            again(path)
        )
    });
    Ok(Part { images, labels, labelled: true, classes: known, containers, passed, notes, incomplete })
}

/// The tars of classes within a tar, by class.
fn inner_tars(path: &Path, file: &File, size: u64, passed: &mut PassedOver) -> Result<BTreeMap<String, Inner>> {
    let broken = |_| Error::file(path, format!("broken tar{}", again(path)));
    let mut inner = BTreeMap::new();
    let mut archive = ::tar::Archive::new(Buffered::new(Window { file, start: 0, size, at: 0 }));
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let last = name.rsplit('/').next().unwrap_or(&name);
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() || !parts::is_class_tar(last) {
            passed.add(Reason::NotImage, name);
            continue;
        }
        let start = entry.raw_file_position();
        if start.checked_add(entry.size()).is_none_or(|end| end > size) {
            return Err(Error::file(
                path,
                format!("truncated within {last}, after {} whole classes{}", inner.len(), again(path)),
            ));
        }
        let class = last.trim_end_matches(".tar").to_string();
        if inner.insert(class, Inner { container: 0, start, size: entry.size() }).is_some() {
            return Err(Error::file(path, format!("contains {last} twice{}", again(path))));
        }
    }
    Ok(inner)
}

/// Adds the images of a class's tar, sorted by name.
fn add_class(
    shown: &Path,
    class: &str,
    inner: &Inner,
    file: File,
    images: &mut Found<Place>,
    passed: &mut PassedOver,
) -> Result<()> {
    let scan = Scan::within(shown, file, inner.start, inner.size)?;
    passed.merge(&format!("{class}/"), &scan.passed);
    let mut order: Vec<usize> = (0..scan.images.len()).collect();
    order.sort_by(|&a, &b| scan.images.name(a).cmp(scan.images.name(b)));
    if let Some(twice) = order.windows(2).find(|pair| scan.images.name(pair[0]) == scan.images.name(pair[1])) {
        return Err(Error::file(shown, format!("contains {} twice", escape::printable(scan.images.name(twice[0])))));
    }
    let mut name = String::new();
    for i in order {
        let (file, place) = scan.images.get(i);
        name.clear();
        name.extend([class, "/", file]);
        if place.sparse {
            passed.add(Reason::Sparse, name.as_str());
        } else {
            images.push(&name, Place::in_tar(inner.container, place.start, place.bytes));
        }
    }
    Ok(())
}

/// Advice after a problem with a download.
fn again(path: &Path) -> String {
    let whole = if path.ends_with(TRAIN_TAR) { " (the whole file has 147,897,477,120 bytes)" } else { "" };
    format!("; continue or repeat the download{whole}")
}

/// Classes without images.
fn missing<'a>(classes: &'a [String], labels: &[u32]) -> Vec<&'a String> {
    let mut present = vec![false; classes.len()];
    labels.iter().for_each(|&label| present[label as usize] = true);
    classes.iter().zip(present).filter(|(_, present)| !present).map(|(class, _)| class).collect()
}

/// Images of class folders, which may be some of the 1,000.
pub(super) fn of_folders(path: &Path) -> Result<Part> {
    let mut passed = PassedOver::default();
    let (folders, found) = class_folders(path, &mut passed)?;
    let known = identifiers();
    if let Some(other) = folders.iter().find(|folder| known.binary_search(folder).is_err()) {
        let other = escape::printable(other);
        return Err(Error::file(path, format!("{other} is not one of the 1,000 classes of ILSVRC 2012; move it elsewhere")));
    }
    let (mut images, mut labels) = (Found::default(), Vec::new());
    for name in found.names() {
        match name.split_once('/').and_then(|(class, _)| known.binary_search_by(|other| other.as_str().cmp(class)).ok()) {
            Some(label) => {
                images.push(name, Place { container: 0, bytes: 0, start: 0 });
                labels.push(label as u32);
            }
            None => passed.add(Reason::Unlabelled, name),
        }
    }
    drop(found);
    let Listing { classes, images, labels, .. } = Listing::by_label(known, &images, &labels);
    let missing = missing(&classes, &labels);
    let note = format!("{} of the 1,000 classes have no images: {}", missing.len(), a_few(&missing));
    let notes = if missing.is_empty() { Vec::new() } else { vec![note] };
    Ok(Part {
        images,
        labels,
        labelled: true,
        classes,
        containers: vec![Container::folder(path)],
        passed,
        notes,
        incomplete: None,
    })
}
