//! Shards at a location, told from other tars by their first files.

use super::labels::in_json;
use super::samples::{Field, is_image, key_and_suffix};
use crate::location::{Found, Location};
use crate::passed_over::is_hidden;
use crate::read_at::{Buffered, Window};
use crate::sniff::Content;
use crate::splits::is_split;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The shards at a location, in order; `None` if these are none.
pub(super) fn shards(at: &Location) -> Option<Vec<PathBuf>> {
    match &at.found {
        Found::Folder(names) => {
            let shards = in_folder(&at.path, names);
            // An empty shard is an error of the set that the others make.
            let has_bytes = |shard: &&PathBuf| std::fs::metadata(shard).is_ok_and(|file| file.len() > 0);
            shards.iter().find(has_bytes).is_some_and(|first| is_shard(first, true)).then_some(shards)
        }
        Found::File(Content::Tar, _) => is_shard(&at.path, false).then(|| vec![at.path.clone()]),
        _ => None,
    }
}

/// The tars of a folder, or of its subfolders named like splits.
fn in_folder(path: &Path, names: &[String]) -> Vec<PathBuf> {
    let tars = |folder: &Path, names: &[String]| -> Vec<PathBuf> {
        names
            .iter()
            .filter(|name| name.to_ascii_lowercase().ends_with(".tar") && !is_hidden(name))
            .map(|name| folder.join(name))
            .collect()
    };
    let own = tars(path, names);
    if !own.is_empty() {
        return own;
    }
    let mut inner = Vec::new();
    for split in names.iter().filter(|name| is_split(name)) {
        if let Ok(Location { path, found: Found::Folder(names) }) = Location::of(&path.join(split)) {
            inner.extend(tars(&path, &names));
        }
    }
    inner
}

/// Whether the first files of a tar are samples: an image with a label of the same key. Files in folders are class folders, unless
/// the label is in a .cls or in JSON. In a folder of tars, images outside folders suffice.
fn is_shard(path: &Path, one_of_many: bool) -> bool {
    /// Files looked at.
    const FILES: usize = 64;
    const MAX_JSON: u64 = 1 << 20;
    let Ok((file, size)) = crate::files::open_regular(path) else { return false };
    let mut archive = ::tar::Archive::new(Buffered::new(Window { file: &file, start: 0, size, at: 0 }));
    let Ok(entries) = archive.entries_with_seek() else { return false };
    let (mut images, mut labels, mut flat) = (Vec::new(), Vec::new(), false);
    for mut entry in entries.map_while(Result::ok).filter(|entry| entry.header().entry_type().is_file()).take(FILES) {
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_string();
        let Some((key, suffix)) = key_and_suffix(&name) else { continue };
        let suffix = suffix.to_lowercase();
        if is_image(&suffix) {
            flat |= !key.contains('/');
            images.push(key.to_string());
        } else if let Some(field) = Field::of(&suffix) {
            let certain = match field {
                Field::Cls => true,
                Field::Txt => false,
                Field::Json => {
                    let mut text = String::new();
                    entry.by_ref().take(MAX_JSON).read_to_string(&mut text).is_ok() && matches!(in_json(&text), Ok(Some(_)))
                }
            };
            if certain || !key.contains('/') {
                labels.push(key.to_string());
            }
        }
    }
    images.iter().any(|key| labels.contains(key)) || (one_of_many && flat)
}
