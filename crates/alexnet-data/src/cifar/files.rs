//! The files of a download: in a folder, or members of a tar.

use crate::escape::printable;
use crate::read_at::{Window, read_exact_at};
use crate::unpacked::Plain;
use crate::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files of a download.
pub(super) struct Files {
    root: PathBuf,
    plain: Vec<Rc<Plain>>,
    /// Start and size of the members of a tar, the first of the files, by name without folders.
    members: Option<HashMap<String, (u64, u64)>>,
}

/// Maximum number of members; the downloads have up to nine.
const MEMBERS: usize = 1 << 10;

/// A file, or the part of one that a member is.
pub(super) struct Part {
    /// Path for messages.
    pub(super) path: PathBuf,
    /// Index of the file.
    pub(super) file: u32,
    plain: Rc<Plain>,
    pub(super) start: u64,
    pub(super) size: u64,
}

impl Part {
    pub(super) fn file(&self) -> &File {
        self.plain.file()
    }

    /// Reads bytes from an offset in the file.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        read_exact_at(self.file(), bytes, at).map_err(|error| Error::io(&self.path, error))
    }

    pub(super) fn error(&self, why: impl Into<String>) -> Error {
        Error::file(&self.path, why)
    }
}

impl Files {
    pub(super) fn of_folder(root: &Path) -> Files {
        Files { root: root.to_path_buf(), plain: Vec::new(), members: None }
    }

    /// # Errors
    /// The tar is damaged or truncated.
    pub(super) fn of_tar(path: &Path, plain: Plain) -> Result<Files> {
        let broken = |error: std::io::Error| Error::file(path, format!("broken tar: {error}"));
        let size = plain.size();
        let mut members = HashMap::new();
        let mut archive = ::tar::Archive::new(BufReader::new(Window { file: plain.file(), start: 0, size, at: 0 }));
        for entry in archive.entries_with_seek().map_err(broken)?.take(MEMBERS) {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let start = entry.raw_file_position();
            if start.checked_add(entry.size()).is_none_or(|end| end > size) {
                return Err(Error::file(path, format!("truncated within {}; copy it again", printable(&name))));
            }
            if entry.header().entry_type().is_file() {
                let file = name.rsplit('/').next().unwrap_or(&name);
                members.insert(file.to_string(), (start, entry.size()));
            }
        }
        Ok(Files { root: path.to_path_buf(), plain: vec![Rc::new(plain)], members: Some(members) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.as_ref().map_or_else(|| self.root.join(name).exists(), |members| members.contains_key(name))
    }

    /// # Errors
    /// There is no such file, or it cannot be opened.
    pub(super) fn part(&mut self, name: &str) -> Result<Part> {
        let path = self.root.join(name);
        if !self.has(name) {
            return Err(Error::file(&self.root, format!("{name} is missing from the set; download or unpack it again")));
        }
        let Some(members) = &self.members else {
            let (file, size) = crate::files::open_regular(&path).map_err(|error| Error::io(&path, error))?;
            let file = self.add(Plain::File(file, size));
            return Ok(Part { path, file, plain: self.plain[file as usize].clone(), start: 0, size });
        };
        let (start, size) = members.get(name).copied().unwrap_or_default();
        Ok(Part { path, file: 0, plain: self.plain[0].clone(), start, size })
    }

    /// Adds a file, and returns its index.
    pub(super) fn add(&mut self, plain: Plain) -> u32 {
        self.plain.push(Rc::new(plain));
        self.plain.len() as u32 - 1
    }

    pub(super) fn into_plain(self) -> Vec<Plain> {
        self.plain.into_iter().filter_map(Rc::into_inner).collect()
    }
}
