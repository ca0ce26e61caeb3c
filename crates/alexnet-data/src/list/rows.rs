//! Rows of one or several lists, before labels become classes.

use crate::escape::printable;
use crate::listing::Found;
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Images in the order of their lists, with the text of their labels.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) images: Found<()>,
    /// Labels, unless a list has none.
    pub(super) labels: Option<Column>,
    /// Splits, if the list has such a column.
    pub(super) splits: Option<Column>,
    /// Columns that are not used.
    pub(super) unused: Vec<String>,
    /// Line of each row in its file.
    lines: Vec<u32>,
    /// Each file, and the number of its first row.
    files: Vec<(PathBuf, usize)>,
}

/// A column of few distinct values.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) values: Vec<String>,
    /// For each row an index into `values`.
    pub(super) of_row: Vec<u32>,
    known: HashMap<String, u32>,
}

impl Column {
    pub(super) fn push(&mut self, value: &str) {
        let index = match self.known.get(value) {
            Some(&index) => index,
            None => {
                let index = self.values.len() as u32;
                self.values.push(value.to_string());
                self.known.insert(value.to_string(), index);
                index
            }
        };
        self.of_row.push(index);
    }
}

impl Rows {
    /// Starts a file, whose rows follow.
    pub(super) fn begin(&mut self, path: &Path) {
        self.files.push((path.to_path_buf(), self.images.len()));
    }

    /// Adds an image, whose label and split the caller adds to their columns.
    ///
    /// # Errors
    /// The path is empty.
    pub(super) fn push(&mut self, line: usize, image: &str) -> Result<(), String> {
        let name = tidy(image);
        if name.is_empty() {
            return Err(at_line(line, "has no path"));
        }
        self.images.push(&name, ());
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        Ok(())
    }

    /// An error about a row, with its file and line.
    pub(super) fn error(&self, row: usize, what: &str) -> Error {
        Error::file(self.file(row), at_line(self.lines[row] as usize, what))
    }

    /// The file of a row.
    fn file(&self, row: usize) -> &Path {
        let after = self.files.partition_point(|(_, first)| *first <= row);
        &self.files[after.saturating_sub(1)].0
    }

    /// Requires that no path occurs twice, not even with the same label: in two splits it would be a leak, in one it would count
    /// double.
    pub(super) fn check_distinct(&self) -> Result<()> {
        let files: Vec<Cow<'_, str>> = self.images.names().map(without_parents).collect();
        let file = |i: u32| &*files[i as usize];
        let mut order: Vec<u32> = (0..files.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| file(a).cmp(file(b)).then(a.cmp(&b)));
        // The first one in the list, so that the message does not depend on the names.
        let twice = order.windows(2).filter(|pair| file(pair[0]) == file(pair[1])).min_by_key(|pair| pair[1]);
        let Some(&[first, second]) = twice else { return Ok(()) };
        let line = self.lines[first as usize];
        let (earlier, later) = (self.file(first as usize), self.file(second as usize));
        let whose = if earlier == later { String::new() } else { format!(" of {}", crate::escape::path(earlier)) };
        let name = printable(self.images.name(second as usize));
        Err(self.error(second as usize, &format!("names {name} again, after line {line}{whose}")))
    }

    /// Converts the backslashes of relative paths to slashes, as Windows programs write them. On other systems a file name may
    /// contain a backslash: if the first such file exists under `root`, all are left as they are.
    pub(super) fn convert_backslashes(&mut self, root: &Path) {
        let relative = |name: &&str| name.contains('\\') && !Path::new(name).is_absolute() && !has_drive(name);
        let Some(first) = self.images.names().find(relative) else { return };
        if !cfg!(windows) && root.join(first).exists() {
            return;
        }
        let mut converted = Found::default();
        for name in self.images.names() {
            if relative(&name) {
                converted.push(&tidy(&name.replace('\\', "/")), ());
            } else {
                converted.push(name, ());
            }
        }
        self.images = converted;
    }
}

/// Message about a line, counted from 1.
pub(super) fn at_line(line: usize, what: &str) -> String {
    format!("line {line} {what}")
}

/// Whether a path starts with a drive, such as `C:\`.
fn has_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
}

/// A path without empty and `.` components, so that equal files have equal names: `./cat//1.jpg` is `cat/1.jpg`.
fn tidy(path: &str) -> Cow<'_, str> {
    let superfluous = |part: &str| matches!(part, "" | ".");
    if path.starts_with('/') || !path.split('/').any(superfluous) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.split('/').filter(|part| !superfluous(part)).collect::<Vec<_>>().join("/"))
}

/// A path without `..` after a folder, for comparison only: `a/../b/1.jpg` is `b/1.jpg`, unless `a` is a link.
fn without_parents(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(|part| part == "..") {
        return Cow::Borrowed(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("..", Some(&last)) if last != ".." && !last.is_empty() => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    Cow::Owned(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_have_equal_names() {
        for (path, name) in [("./a/1.jpg", "a/1.jpg"), ("a//./1.jpg", "a/1.jpg"), ("/a//1.jpg", "/a//1.jpg"), ("../a", "../a")] {
            assert_eq!(tidy(path), name);
        }
        for (path, file) in [
            ("a/../a/0.jpg", "a/0.jpg"),
            ("a/b/../../0.jpg", "0.jpg"),
            ("../../a/../0.jpg", "../../0.jpg"),
            ("/a/../0.jpg", "/0.jpg"),
            ("a..b/0.jpg", "a..b/0.jpg"),
        ] {
            assert_eq!(without_parents(path), file);
        }
        assert!(tidy("./").is_empty() && matches!(tidy("a/1.jpg"), Cow::Borrowed(_)));
    }
}
