//! Layouts of data sets: the one table of readers.

use crate::location::{Found, Location};
use crate::sniff::Content;
use crate::{Demand, Error, Opened, Result, Split, Unused, escape};
use std::path::Path;

/// Advice about the expected layout.
pub(crate) const LAYOUT: &str = "expected one folder per class, such as cat/1.jpg and dog/1.jpg";

/// What is to be opened, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) at: &'a Location,
    /// The split to open; `None`: all of them.
    pub(crate) split: Option<Split>,
    pub(crate) demand: Demand,
    /// See [`Source::root`](crate::Source::root).
    pub(crate) root: Option<&'a Path>,
    /// See [`Source::classes`](crate::Source::classes).
    pub(crate) classes: Option<&'a Path>,
}

/// A way in which data sets are stored.
pub(crate) trait Layout: Sync {
    /// Noun phrase for messages, such as "a list of images".
    fn name(&self) -> &'static str;

    /// Whether the location has this layout.
    fn recognises(&self, at: &Location) -> bool;

    /// Whether it uses [`Request::root`].
    fn takes_root(&self) -> bool {
        false
    }

    /// Whether it uses [`Request::classes`].
    fn takes_classes(&self) -> bool {
        false
    }

    /// Lists the images, in the order that they keep.
    fn open(&self, request: &Request<'_>) -> Result<Opened>;
}

/// All layouts; the first that recognises a location opens it, so that special ones precede general ones.
#[rustfmt::skip]
static LAYOUTS: &[&dyn Layout] = &[
    &crate::pack::Pack,
    &crate::cifar::Cifar,
    &crate::idx::Idx,
    &crate::parquet::Parquet,
    &crate::ilsvrc::Ilsvrc,
    &crate::webdataset::WebDataset,
    &crate::tar::Tar,
    &crate::list::List,
    &crate::list::ListFolder,
    &crate::zip::Zip,
    &crate::compressed::Compressed,
    &crate::path_list::PathList,
    &crate::single_image::SingleImage,
    &crate::image_folder::ImageFolder,
];

/// Opens a data set with the reader for its layout.
///
/// `lenient`: see [`Source::lenient`](crate::Source::lenient).
pub(crate) fn open(request: &Request<'_>, lenient: bool) -> Result<Opened> {
    let path = &request.at.path;
    let Some(layout) = LAYOUTS.iter().find(|layout| layout.recognises(request.at)) else { return Err(unrecognised(request)) };
    let mut unused = Vec::new();
    for (given, taken, option, to) in [
        (request.root.is_some(), layout.takes_root(), "--root", "lists of files"),
        (request.classes.is_some(), layout.takes_classes(), "--classes", "sets with numbers as labels"),
    ] {
        if given && !taken {
            unused.push(Unused { option, why: format!("{option} applies to {to}, but this is {}", layout.name()) });
        }
    }
    match unused.first() {
        Some(Unused { why, .. }) if !lenient => Err(Error::file(path, why)),
        _ => Ok(Opened { unused, ..layout.open(request)? }),
    }
}

/// Endings of files that cannot be empty.
const ARCHIVES: [&str; 6] = [".tar", ".zip", ".gz", ".tgz", ".zst", ".parquet"];

/// Error for a file that no reader recognises.
fn unrecognised(request: &Request<'_>) -> Error {
    let path = &request.at.path;
    let why = match &request.at.found {
        Found::File(Content::Packed(how, command), _) => {
            let (shown, into) = (quoted(path), if command.starts_with("tar") { " -C images" } else { "" });
            format!(
                "compressed with {how}, but only .tar, .zip, .tar.gz and .tar.zst can be read; unpack it first: mkdir images && {command} {shown}{into}"
            )
        }
        Found::File(..) if request.at.is_empty() && ARCHIVES.iter().any(|ending| request.at.lower_name().ends_with(ending)) => {
            "empty file; copy or download it again".into()
        }
        Found::File(Content::Unread(format), _) if request.demand == Demand::LabelsOptional => {
            format!("{format} images are not supported; convert it to JPEG or PNG")
        }
        _ if request.demand == Demand::LabelsOptional => {
            "neither a folder, an archive (.tar, .zip, .tar.gz, .tar.zst), a .txt list of images, nor an image".into()
        }
        _ => format!("neither a folder nor an archive (.tar, .zip, .tar.gz, .tar.zst); {LAYOUT}"),
    };
    Error::file(path, why)
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = escape::path(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
