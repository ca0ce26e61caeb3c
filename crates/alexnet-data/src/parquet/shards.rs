//! Files of a data set: `train-00000-of-00002.parquet` and so on, in a folder, in its `data`, or in a folder per split.

use crate::location::Location;
use std::path::{Path, PathBuf};

/// Whether tables are in a folder.
pub(super) fn are_in(at: &Location) -> bool {
    let folders = || at.names().iter().map(|name| at.path.join(name)).filter(|path| path.is_dir());
    at.names().iter().any(|name| is_table(name))
        || at.names().iter().any(|name| name == "data") && !tables(&at.path.join("data")).is_empty()
        || (at.names().len() <= MOST_SPLITS && folders().any(|folder| !tables(&folder).is_empty()))
}

/// Folders with more entries have no folder per split: each would have to be searched.
const MOST_SPLITS: usize = 16;

fn is_table(name: &str) -> bool {
    !name.starts_with('.') && name.to_ascii_lowercase().ends_with(".parquet")
}

/// Names of the tables in a folder, sorted.
fn tables(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_table(name)).collect();
    names.sort();
    names
}

/// A file, and the split it belongs to.
#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only recognised"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) split: String,
    /// Name for messages and images: the file's without its ending, within the folder of its split if there is one.
    pub(super) name: String,
}

/// All files at a location, sorted.
///
/// # Errors
/// A shard is missing.
#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only recognised"))]
pub(super) fn of(at: &Location) -> Result<Vec<Shard>, String> {
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_string();
    let of_name = |path: PathBuf, name: &str| Shard { path, split: split(name).0.to_string(), name: stem(name) };
    if !at.is_folder() {
        let name = at.path.file_name().unwrap_or_default().to_string_lossy();
        return Ok(vec![of_name(at.path.clone(), &name)]);
    }
    for folder in [at.path.clone(), at.path.join("data")] {
        let names = tables(&folder);
        if !names.is_empty() {
            check_complete(&names)?;
            return Ok(names.iter().map(|name| of_name(folder.join(name), name)).collect());
        }
    }
    let mut shards = Vec::new();
    for split in at.names() {
        let folder = at.path.join(split);
        let names = tables(&folder);
        check_complete(&names)?;
        let shard =
            |name: &String| Shard { path: folder.join(name), split: split.clone(), name: format!("{split}-{}", stem(name)) };
        shards.extend(names.iter().map(shard));
    }
    Ok(shards)
}

/// Split of a file by its name, and its number among how many: `train-00000-of-00002.parquet`, also with a hash behind.
fn split(name: &str) -> (&str, Option<(u32, u32)>) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let parts: Vec<&str> = stem.split('-').collect();
    let Some(of) = parts.iter().position(|part| *part == "of").filter(|of| *of >= 2) else { return (stem, None) };
    let numbers = parts[of - 1].parse().ok().zip(parts.get(of + 1).and_then(|count| count.parse().ok()));
    let length = parts[..of - 1].iter().map(|part| part.len() + 1).sum::<usize>() - 1;
    if numbers.is_some() { (&stem[..length], numbers) } else { (stem, None) }
}

/// Every shard must be there that the others count.
fn check_complete(names: &[String]) -> Result<(), String> {
    let numbered: Vec<(&str, (u32, u32))> =
        names.iter().filter_map(|name| split(name).1.map(|numbers| (split(name).0, numbers))).collect();
    for &(split, (_, count)) in &numbered {
        let has = |wanted: u32| numbered.iter().any(|&(of, (i, n))| (of, i, n) == (split, wanted, count));
        // As many numbers as there are files find the first gap.
        if let Some(missing) = (0..count).take(numbered.len() + 1).find(|&i| !has(i)) {
            return Err(format!("{split}-{missing:05}-of-{count:05}.parquet is missing; copy it here"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_split_and_the_number() {
        for (name, expected) in [
            ("train-00000-of-00002.parquet", ("train", Some((0, 2)))),
            ("test-00001-of-00002-0a1b2c.parquet", ("test", Some((1, 2)))),
            ("my-train-00000-of-00001.parquet", ("my-train", Some((0, 1)))),
            ("validation.parquet", ("validation", None)),
            ("house-of-cards.parquet", ("house-of-cards", None)),
            ("of-1.parquet", ("of-1", None)),
        ] {
            assert_eq!(split(name), expected);
        }
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
        assert_eq!(check_complete(&names(&["test-0-of-1.parquet", "train-0-of-2.parquet", "train-1-of-2.parquet"])), Ok(()));
        let why = check_complete(&names(&["test-0-of-1.parquet", "train-1-of-4000000000.parquet"])).unwrap_err();
        assert_eq!(why, "train-00000-of-4000000000.parquet is missing; copy it here");
    }
}
