//! Opening of data sets, with notes for the user.

use super::passed_over::PassedOver;
use super::sniff::{self, Content};
use super::split_folders::Splits;
use super::{Dataset, Demand, LAYOUT, Split, image_folder, is_image, tar};
use crate::escape::printable;
use crate::{Error, Result, escape, files};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened data set, with notes for the user.
pub struct Opened {
    /// Its images.
    pub source: Arc<dyn Dataset>,
    /// The path that was opened.
    pub root: PathBuf,
    /// The splits within it, if any.
    pub splits: Option<Splits>,
    /// Folder of the selected split; `None` if there are no splits or all are used.
    pub taken: Option<String>,
    /// Class folders without images.
    pub empty: Vec<String>,
    /// Unused entries.
    pub passed_over: PassedOver,
}

/// Maximum number of classes named in [`Opened::lines`].
const NAMED: usize = 6;

impl Opened {
    /// Path of the images: that of the selected split, or the whole.
    pub fn path(&self) -> PathBuf {
        self.taken.as_ref().map_or(self.root.clone(), |taken| self.root.join(taken))
    }

    /// Notes for the user: the selected split, the classes with their image counts, and skipped files.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let path = escape::path(&self.path());
        if let Some(splits) = &self.splits {
            let names: Vec<_> = splits.names.iter().map(|name| printable(name)).collect();
            let taken = self.taken.as_ref().map_or("all".into(), |taken| printable(taken));
            lines.push(format!("{} has the splits {}; using {taken}", escape::path(&self.root), names.join(", ")));
        }
        let (classes, all) = (self.source.classes(), counted(self.source.len(), "image", "images"));
        lines.push(if classes.is_empty() {
            format!("{path}: {all} without classes")
        } else {
            let mut counts = vec![0usize; classes.len()];
            (0..self.source.len()).for_each(|i| counts[self.source.label(i) as usize] += 1);
            let named: Vec<_> =
                classes.iter().zip(&counts).take(NAMED).map(|(class, n)| format!("{} {n}", printable(class))).collect();
            let more = classes.len() - named.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            format!("{path}: {all} in {}: {}{more}", counted(classes.len(), "class", "classes"), named.join(", "))
        });
        lines.extend(self.deep().map(|(class, inner)| {
            let [class, inner] = [class, inner].map(printable);
            format!(
                "{path}: all images are in subfolders of class folders, such as {class}/{inner}; if {inner} is the class, use {path}/{class}"
            )
        }));
        if !self.empty.is_empty() {
            let named: Vec<_> = self.empty.iter().take(NAMED).map(|class| printable(class)).collect();
            let more = self.empty.len() - named.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            lines.push(format!("{path}: class folders without images: {}{more}", named.join(", ")));
        }
        if !self.passed_over.is_empty() {
            lines.push(format!("{}: skipped: {}", escape::path(&self.root), self.passed_over.words()));
        }
        lines
    }

    /// A class and a subfolder of it, if all images are that deep: the classes may be splits of unknown names, or wrappers.
    fn deep(&self) -> Option<(&str, &str)> {
        if self.source.classes().is_empty() || (self.splits.is_some() && self.taken.is_none()) {
            return None;
        }
        let inner = |name: &'_ str| name.split('/').count() > 2;
        let mut parts = self.source.name(0).split('/');
        (0..self.source.len()).all(|i| inner(self.source.name(i))).then(|| Some((parts.next()?, parts.next()?)))?
    }
}

fn counted(n: usize, one: &str, several: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {several}") }
}

/// Opens a folder of class folders, or a .tar of one; or, if these are in splits such as `train/` and `val/`, one of the splits:
/// for [`Split::Validation`] the test split if there is no other.
///
/// # Errors
/// The path does not exist, images are not in one folder per class, or the classes do not meet `demand`. Files named like images
/// are not opened.
pub fn open_split(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    match Kind::of(path)? {
        Kind::Folder => image_folder::open(path, split, demand),
        Kind::Tar => tar::open(path, split, demand),
        Kind::List | Kind::Image | Kind::Unread(_) | Kind::Other => {
            Err(Error::file(path, format!("neither a folder nor a .tar; {LAYOUT}")))
        }
    }
}

/// Opens images with or without classes: a folder or .tar as accepted by [`open`](super::open), a folder of images at any depth,
/// a text file with one path per line (relative to the list's folder), or a single image. There are classes only if every image
/// is in a subfolder; otherwise [`Dataset::label`] is meaningless. Of a root with splits all are used, and their folders are not
/// classes.
///
/// # Errors
/// The path does not exist, or there are no images.
pub fn open_any(path: &Path) -> Result<Opened> {
    let whole = |source| Opened {
        source,
        root: path.to_path_buf(),
        splits: None,
        taken: None,
        empty: Vec::new(),
        passed_over: PassedOver::default(),
    };
    match Kind::of(path)? {
        Kind::Folder => image_folder::open_loose(path),
        Kind::Tar => tar::open_loose(path),
        Kind::List => Ok(whole(image_folder::of_list(path)?)),
        Kind::Image => Ok(whole(super::of_files(&[path.to_path_buf()]))),
        Kind::Unread(format) => Err(Error::file(path, format!("{format} images are not supported; convert it to JPEG or PNG"))),
        Kind::Other => Err(Error::file(path, "neither a folder, a .tar, a .txt list of images, nor an image")),
    }
}

/// Kind of a path.
enum Kind {
    Folder,
    Tar,
    List,
    Image,
    Unread(&'static str),
    Other,
}

impl Kind {
    /// Identifies a path by content first; the name decides if that is inconclusive.
    fn of(path: &Path) -> Result<Kind> {
        let io = |error| Error::io(path, error);
        let metadata = std::fs::metadata(path).map_err(io)?;
        if metadata.is_dir() {
            return Ok(Kind::Folder);
        }
        let (file, _) = files::open_regular(path).map_err(io)?;
        let mut start = Vec::new();
        file.take(sniff::START as u64).read_to_end(&mut start).map_err(io)?;
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        Ok(match sniff::content(&start) {
            Content::Image => Kind::Image,
            Content::Tar => Kind::Tar,
            Content::Packed(how, command) => {
                let (shown, into) = (quoted(path), if command.starts_with("tar") { " -C images" } else { "" });
                let unpack = match command {
                    "unzip" => format!("unzip {shown} -d images"),
                    _ => format!("mkdir images && {command} {shown}{into}"),
                };
                return Err(Error::file(
                    path,
                    format!(
                        "compressed with {how}, but only uncompressed .tar files can be read in place; unpack it first: {unpack}"
                    ),
                ));
            }
            _ if name.ends_with(".tar") => Kind::Tar,
            _ if name.ends_with(".txt") => Kind::List,
            Content::Unread(format) => Kind::Unread(format),
            Content::Other if is_image(&name) => Kind::Image,
            Content::Other => Kind::Other,
        })
    }
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = escape::path(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
