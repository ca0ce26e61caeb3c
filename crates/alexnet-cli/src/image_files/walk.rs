//! The images below a folder, sorted by path, found while the first are already in use.

use super::pattern::Matcher;
use super::skipped::{Reason, Skipped};
use super::{ImageSource, Images, Search, starts_as_image};
use alexnet::data::is_hidden;
use alexnet::image::decode;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Maximum depth of folders.
const MAX_DEPTH: usize = 64;

/// The images below a folder.
pub(super) fn folder(path: PathBuf, search: &Search) -> Images {
    Box::new(Walk::new(path.clone(), path, None, "contains no images", &search.skipped))
}

/// The images below a folder whose paths match a pattern. `argument` is the pattern as given.
pub(super) fn matching(argument: PathBuf, folder: PathBuf, matcher: Matcher, search: &Search) -> Images {
    Box::new(Walk::new(argument, folder, Some(matcher), "no image matches this pattern", &search.skipped))
}

struct Walk {
    /// The folders from the first to the current one.
    folders: Vec<Folder>,
    /// Folder to enter next.
    next: Option<Folder>,
    matcher: Option<Matcher>,
    skipped: Arc<Skipped>,
    /// What to say if there are no images, until one is found.
    none: Option<(PathBuf, &'static str)>,
}

struct Folder {
    path: PathBuf,
    /// Path from the first folder, with `/` on every system.
    within: String,
    /// Whether all images are taken, since there is no pattern or it matches a folder above.
    whole: bool,
    entries: std::vec::IntoIter<Entry>,
}

struct Entry {
    name: OsString,
    is_folder: bool,
    is_file: bool,
    is_link: bool,
}

impl Walk {
    fn new(argument: PathBuf, path: PathBuf, matcher: Option<Matcher>, none: &'static str, skipped: &Arc<Skipped>) -> Walk {
        let first = Folder { path, within: String::new(), whole: matcher.is_none(), entries: Vec::new().into_iter() };
        Walk { folders: Vec::new(), next: Some(first), matcher, skipped: skipped.clone(), none: Some((argument, none)) }
    }

    /// Lists a folder and enters it.
    fn enter(&mut self, mut folder: Folder) -> Result<(), ImageSource> {
        let unreadable = |path: &Path, error: &dyn ToString| ImageSource::Unreadable(path.to_path_buf(), error.to_string());
        let mut entries = Vec::new();
        for entry in fs::read_dir(listed(&folder.path)).map_err(|error| unreadable(&folder.path, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder.path, &error))?;
            let name = entry.file_name();
            if is_hidden(&name.to_string_lossy()) {
                self.skipped.add(Reason::Hidden, &entry.path());
                continue;
            }
            // The listing contains the type of most entries; only links need another call, which follows them.
            let own = entry.file_type().ok();
            let is_link = own.is_some_and(|kind| kind.is_symlink());
            let kind = if is_link { fs::metadata(entry.path()).ok().map(|metadata| metadata.file_type()) } else { own };
            let is_folder = kind.is_some_and(|kind| kind.is_dir());
            // A broken link is reported when it is read, if it is named like an image.
            let is_file = kind.is_none_or(|kind| kind.is_file());
            entries.push(Entry { name, is_folder, is_file, is_link });
        }
        // As the whole paths sort: a folder's name is followed by a slash.
        entries.sort_by(|a, b| a.key().cmp(b.key()));
        folder.entries = entries.into_iter();
        self.folders.push(folder);
        Ok(())
    }

    /// Whether a linked folder is one of those that contain it.
    fn is_cycle(&self, path: &Path) -> bool {
        let same = |target: PathBuf| {
            self.folders.iter().any(|folder| listed(&folder.path).canonicalize().is_ok_and(|own| own == target))
        };
        path.canonicalize().is_ok_and(same)
    }
}

impl Iterator for Walk {
    type Item = ImageSource;

    fn next(&mut self) -> Option<ImageSource> {
        loop {
            if let Some(folder) = self.next.take()
                && let Err(unreadable) = self.enter(folder)
            {
                self.none = None;
                return Some(unreadable);
            }
            let depth = self.folders.len();
            let Some(folder) = self.folders.last_mut() else {
                return self.none.take().map(|(path, why)| ImageSource::Unreadable(path, why.into()));
            };
            let Some(entry) = folder.entries.next() else {
                self.folders.pop();
                continue;
            };
            let path = folder.path.join(&entry.name);
            let name = entry.name.to_string_lossy();
            let within = if folder.within.is_empty() { name.into_owned() } else { format!("{}/{name}", folder.within) };
            let taken = folder.whole || self.matcher.as_ref().is_some_and(|matcher| matcher.matches(&within));
            if entry.is_folder {
                let searched = taken || self.matcher.as_ref().is_some_and(|matcher| matcher.may_match_below(depth));
                if searched && entry.is_link && self.is_cycle(&path) {
                    self.none = None;
                    return Some(ImageSource::Unreadable(path, "a link to a folder that contains it".into()));
                }
                if searched && depth >= MAX_DEPTH {
                    self.none = None;
                    return Some(ImageSource::Unreadable(path, format!("folders nested more than {MAX_DEPTH} deep")));
                }
                self.next = searched.then(|| Folder { path, within, whole: taken, entries: Vec::new().into_iter() });
            } else if taken {
                let names_sets = self.matcher.as_ref().is_some_and(Matcher::names_sets);
                let is_image = || names_sets || decode::is_named_image(&path) || starts_as_image(&path).unwrap_or(false);
                if entry.is_file && is_image() {
                    self.none = None;
                    return Some(ImageSource::File(path));
                }
                self.skipped.add(Reason::NotImage, &path);
            }
        }
    }
}

impl Entry {
    fn key(&self) -> impl Iterator<Item = &u8> {
        self.name.as_encoded_bytes().iter().chain(self.is_folder.then_some(&b'/'))
    }
}

/// The path by which the system knows a folder: an empty path stands for the current folder.
fn listed(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
