//! A look at the start of a tar, by which layouts are recognised.

use crate::read_at::{Buffered, Window};
use std::path::Path;

/// Names of the first regular files of a tar, at most `most`; fewer if it is damaged or short.
pub(crate) fn first_files(path: &Path, most: usize) -> Vec<String> {
    /// Members looked at: folders and the like may precede files.
    const MEMBERS: usize = 1000;
    let mut names = Vec::new();
    let Ok((file, size)) = crate::files::open_regular(path) else { return names };
    let mut archive = ::tar::Archive::new(Buffered::new(Window { file: &file, start: 0, size, at: 0 }));
    let Ok(entries) = archive.entries_with_seek() else { return names };
    for entry in entries.map_while(Result::ok).take(MEMBERS) {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_file() && !name.rsplit('/').next().is_some_and(crate::passed_over::is_hidden) {
            names.push(name.trim_start_matches("./").to_string());
            if names.len() == most {
                break;
            }
        }
    }
    names
}
