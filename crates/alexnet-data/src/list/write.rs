//! Lists written as CSV: `path,label` or `path,label,split`.

use crate::escape::printable;
use crate::files::{Sync, TempFile};
use crate::{Error, Result};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// A row of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path of the image, from the list's folder or absolute.
    pub path: &'a str,
    /// Name of its class.
    pub label: &'a str,
    /// Name of its split.
    pub split: Option<&'a str>,
}

/// Writes a list. It has a column of splits if the first entry has one.
///
/// # Errors
/// The file cannot be written, or a path or name begins or ends with a blank, which the reader would drop.
pub fn write<'a>(path: &Path, entries: impl IntoIterator<Item = Entry<'a>>) -> Result<()> {
    prepare(path, entries)?.take_place()
}

/// Writes a list to a temporary file, to be put in place together with others.
///
/// # Errors
/// As [`write()`].
pub fn prepare<'a>(path: &Path, entries: impl IntoIterator<Item = Entry<'a>>) -> Result<TempFile> {
    let mut entries = entries.into_iter().peekable();
    let with_splits = entries.peek().is_some_and(|entry| entry.split.is_some());
    let mut refused = None;
    let written = TempFile::write(path, Sync::Disk, |out| {
        let mut table = csv::Writer::from_writer(out);
        let columns: &[&str] = if with_splits { &["path", "label", "split"] } else { &["path", "label"] };
        table.write_record(columns)?;
        for Entry { path, label, split } in entries {
            let blank = |(text, _): &(&str, &str)| text.trim() != *text;
            if let Some((text, what)) = [(label, "class"), (path, "path")].into_iter().find(blank) {
                let text = printable(text);
                let why = format!(
                    "the {what} '{text}' begins or ends with a blank, which a list does not keep; rename its folder or file"
                );
                refused = Some(why.clone());
                return Err(io::Error::other(why));
            }
            let fields = [path, label].into_iter().chain(split.filter(|_| with_splits));
            table.write_record(fields)?;
        }
        table.flush()
    });
    match refused {
        Some(why) => Err(Error::file(path, why)),
        None => written,
    }
}

/// Requires a name that the reader of lists recognises.
///
/// # Errors
/// The name does not end in `.csv`.
pub fn check_name(path: &Path) -> Result<()> {
    match path.extension() {
        Some(ending) if ending.eq_ignore_ascii_case("csv") => Ok(()),
        _ => Err(Error::file(path, "a list is written as CSV; its name must end in .csv")),
    }
}

/// Converts paths of images for a list in `folder`: relative if they lie below it, otherwise absolute.
///
/// # Errors
/// There is no current folder. The returned function fails for a path that is not UTF-8.
pub fn relative(folder: &Path) -> Result<impl Fn(&Path) -> Result<String> + use<>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io(path, error));
    let mut folders: Vec<PathBuf> = vec![absolute(folder)?];
    folders.extend(folder.canonicalize());
    Ok(move |path: &Path| {
        let path = absolute(path)?;
        let inner = folders.iter().find_map(|folder| path.strip_prefix(folder).ok()).unwrap_or(&path);
        let text =
            inner.to_str().ok_or_else(|| Error::file(&path, "its path is not UTF-8, so a list cannot name it; rename it"))?;
        let text = if cfg!(windows) { Cow::Owned(text.replace('\\', "/")) } else { Cow::Borrowed(text) };
        Ok(text.into_owned())
    })
}
