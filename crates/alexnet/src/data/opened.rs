//! Opening a data set, with what a user should know about how it was found.

use super::passed_over::PassedOver;
use super::sniff::{self, Content};
use super::split_folders::Splits;
use super::{Dataset, Demand, LAYOUT, Split, image_folder, is_picture, tar};
use crate::escape::printable;
use crate::{Error, Result, escape, files};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data set, and what a user should know about how it was found.
pub struct Opened {
    /// Its images.
    pub source: Arc<dyn Dataset>,
    /// The path that was opened.
    pub root: PathBuf,
    /// The splits within it, if it holds several.
    pub splits: Option<Splits>,
    /// The folder of the split that was taken; none where there are no splits or all are taken.
    pub taken: Option<String>,
    /// Class folders without images.
    pub empty: Vec<String>,
    /// Entries that are not used.
    pub passed_over: PassedOver,
}

/// Classes named in [`Opened::lines`].
const NAMED: usize = 6;

impl Opened {
    /// The path of its images: of the split that was taken, or the whole.
    pub fn path(&self) -> PathBuf {
        self.taken.as_ref().map_or(self.root.clone(), |taken| self.root.join(taken))
    }

    /// Lines for a user: the split that was taken, the classes and how many images each has, and what is passed over.
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
                "{path}: every image lies in a folder within a class folder, such as {class}/{inner}; if {inner} is the class, give {path}/{class}"
            )
        }));
        if !self.empty.is_empty() {
            let named: Vec<_> = self.empty.iter().take(NAMED).map(|class| printable(class)).collect();
            let more = self.empty.len() - named.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            lines.push(format!("{path}: class folders without images: {}{more}", named.join(", ")));
        }
        if !self.passed_over.is_empty() {
            lines.push(format!("{}: passed over: {}", escape::path(&self.root), self.passed_over.words()));
        }
        lines
    }

    /// A class and a folder within it, where all images lie that deep: the classes may be splits of unknown names, or wrappers.
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

/// Opens a folder of class folders, or a .tar of the same; or, where these lie in splits such as `train/` and `val/`, one of the
/// splits: for [`Split::Validation`] the test split where there is no other.
///
/// # Errors
/// When nothing is there, images do not lie in one folder per class, or the classes are not as `demand` says. Files that are
/// named as images are not opened.
pub fn open_split(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    match Kind::of(path)? {
        Kind::Folder => image_folder::open(path, split, demand),
        Kind::Tar => tar::open(path, split, demand),
        Kind::List | Kind::Image | Kind::Unread(_) | Kind::Other => {
            Err(Error::file(path, format!("neither a folder nor a .tar; {LAYOUT}")))
        }
    }
}

/// Opens images whether or not they lie in classes: a folder or .tar as [`open`](super::open) takes it, one of images at any depth, a
/// text file that names an image a line (from the list's own folder), or a single image. Only where every image lies in a folder
/// of its own there are classes; otherwise there are none, and [`Dataset::label`] says nothing. Of a root with splits all are
/// taken, and their folders are not classes.
///
/// # Errors
/// When nothing is there, or no images.
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
        Kind::Unread(format) => Err(Error::file(path, format!("{format} images are not read; convert it to JPEG or PNG"))),
        Kind::Other => Err(Error::file(path, "neither a folder, a .tar, a .txt that lists images, nor an image")),
    }
}

/// What lies at a path.
enum Kind {
    Folder,
    Tar,
    List,
    Image,
    Unread(&'static str),
    Other,
}

impl Kind {
    /// Goes by content first; the name decides where that says nothing.
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
                    format!("compressed by {how}, and only plain .tar files are read in place; unpack it first: {unpack}"),
                ));
            }
            _ if name.ends_with(".tar") => Kind::Tar,
            _ if name.ends_with(".txt") => Kind::List,
            Content::Unread(format) => Kind::Unread(format),
            Content::Other if is_picture(&name) => Kind::Image,
            Content::Other => Kind::Other,
        })
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = escape::path(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
