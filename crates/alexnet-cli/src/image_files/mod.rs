//! Images on the command line: files, folders, patterns, lists, archives and other data sets, as a stream that is searched while
//! its first images are already processed.
//!
//! Memory is bounded by the largest folder, whose names are sorted (about 80 bytes each), and by the index of an archive.

mod list;
mod pattern;
mod skipped;
mod walk;

pub(crate) use skipped::Skipped;

use alexnet::data::{self, Dataset, Source};
use alexnet::files;
use alexnet::image::{Image, Preprocess, decode};
use anyhow::bail;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image, or what stands in its place.
pub(crate) enum ImageSource {
    /// An image file.
    File(PathBuf),
    /// An image of a data set, such as a .tar.
    Member {
        /// What its name within the set is relative to: the archive, or the folder of a list.
        parent: Arc<Path>,
        set: Arc<dyn Dataset>,
        index: usize,
    },
    /// Something that cannot be read: its name, and why.
    Unreadable(PathBuf, String),
}

/// A stream of images.
pub(crate) type Images = Box<dyn Iterator<Item = ImageSource> + Send>;

impl ImageSource {
    /// Its name: the path of a file, `ARCHIVE/NAME` for an image within another file. What is not UTF-8 is replaced.
    pub(crate) fn name(&self) -> String {
        match self {
            ImageSource::File(path) | ImageSource::Unreadable(path, _) => path.to_string_lossy().into_owned(),
            ImageSource::Member { parent, set, index } => {
                // The images of a list are files of their own.
                let path = set.path(*index).unwrap_or_else(|| parent.join(set.name(*index)));
                path.to_string_lossy().into_owned()
            }
        }
    }

    /// Decodes and resizes it. Errors do not repeat the name.
    pub(crate) fn resized(&self, preprocess: &Preprocess) -> alexnet::Result<Image> {
        match self {
            ImageSource::File(path) => decode::open_resized(path, preprocess).map_err(|error| error.without_path().into()),
            ImageSource::Member { set, index, .. } => data::resized(&**set, *index, preprocess),
            ImageSource::Unreadable(_, why) => Err(why.as_str().into()),
        }
    }
}

/// How arguments are searched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    /// Folder to which the paths in lists are relative; `None`: the list's own, and for standard input the current folder.
    pub(crate) root: Option<PathBuf>,
    /// Entries of folders that are no images.
    pub(crate) skipped: Arc<Skipped>,
}

/// The images that command-line arguments name, in this order: `-` is a list of paths on standard input, `@FILE` a list in a file.
pub(crate) fn of_arguments(arguments: &[PathBuf], lists: &[PathBuf], search: &Search) -> Images {
    let (arguments, lists, search) = (arguments.to_vec(), lists.to_vec(), search.clone());
    let again = search.clone();
    let named = arguments.into_iter().flat_map(move |argument| of_argument(argument, &search));
    Box::new(named.chain(lists.into_iter().flat_map(move |list| list::of_file(list, &again))))
}

fn of_argument(argument: PathBuf, search: &Search) -> Images {
    if argument == Path::new("-") {
        return list::of_standard_input(search);
    }
    // A file of this very name is meant, if there is one.
    if argument.symlink_metadata().is_err() {
        if let Some(list) = argument.to_str().and_then(|text| text.strip_prefix('@')) {
            return list::of_file(list.into(), search);
        }
        if pattern::is_pattern(&argument) {
            return pattern::matches(argument, search);
        }
    }
    of_path(argument, search)
}

/// The images of a path: a file, a folder, or a data set in a file.
fn of_path(path: PathBuf, search: &Search) -> Images {
    if path.is_dir() {
        let mut images = walk::folder(path.clone(), search).peekable();
        // A folder without images may hold shards or another data set.
        if matches!(images.peek(), Some(ImageSource::Unreadable(at, _)) if *at == path)
            && let Ok(set) = members(&path, search)
        {
            return set;
        }
        return Box::new(images);
    }
    // Extensions are trusted, so that a million listed files are not opened twice. What cannot be opened fails when it is decoded.
    if decode::is_named_image(&path) || starts_as_image(&path).unwrap_or(true) {
        return one(ImageSource::File(path));
    }
    members(&path, search).unwrap_or_else(|error| one(ImageSource::Unreadable(path, error.without_path())))
}

/// The images of a data set.
fn members(path: &Path, search: &Search) -> alexnet::Result<Images> {
    let source = Source { root: search.root.clone(), lenient: true, ..Source::new(path) };
    let set = source.open_any()?.source;
    let parent: Arc<Path> = path.into();
    Ok(Box::new((0..set.len()).map(move |index| ImageSource::Member { parent: parent.clone(), set: set.clone(), index })))
}

/// A stream of one image.
fn one(source: ImageSource) -> Images {
    Box::new(std::iter::once(source))
}

/// Whether a file begins as an image.
fn starts_as_image(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    files::open_regular(path)?.0.take(512).read_to_end(&mut start)?;
    Ok(decode::FORMATS.iter().any(|format| format.is_certain(&start)) || decode::unread(&start).is_some())
}

/// Expands `paths` to files: each folder is replaced by the images below it at any depth, sorted.
pub(crate) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, search) = (Vec::new(), Search::default());
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for source in walk::folder(path.clone(), &search) {
            match source {
                ImageSource::File(file) => files.push(file),
                ImageSource::Unreadable(path, why) => bail!("{}: {why}", path.display()),
                ImageSource::Member { .. } => {}
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
