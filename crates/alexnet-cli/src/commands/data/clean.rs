//! `alexnet data check --write`: the list of images without findings.

use super::paths;
use crate::output;
use alexnet::data::{Dataset, list};
use alexnet::quality::Scan;
use alexnet::quality::duplicates::Group;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A written list, and what it leaves out.
#[derive(Serialize)]
pub(super) struct Written {
    path: PathBuf,
    /// Number of images in the list.
    images: usize,
    /// Number of images in the sets.
    of: usize,
    unreadable: usize,
    /// Copies of images in the list.
    duplicates: usize,
    /// Equal or nearly equal images with two labels.
    conflicting: usize,
    doubtful: usize,
    /// Classes of which nothing is left.
    emptied: Vec<String>,
}

/// Reason for leaving an image out.
#[derive(Clone, Copy, PartialEq)]
enum Finding {
    Unreadable,
    Conflicting,
    Duplicate,
    Doubtful,
}

/// Names of the splits in the list, if there are two sets.
const SPLITS: [&str; 2] = ["train", "val"];

/// Writes the list: of each group of duplicates the first image, which is one for training if there is any, and none of them if
/// their labels differ.
pub(super) fn write(
    path: &Path,
    sources: &[Arc<dyn Dataset>],
    scans: &[Scan],
    groups: &[Group],
    doubtful: &[(usize, usize)],
) -> anyhow::Result<Written> {
    let class = |(set, i): (usize, usize)| &sources[set].classes()[sources[set].label(i) as usize];
    let mut findings: Vec<Vec<Option<Finding>>> = sources.iter().map(|source| vec![None; source.len()]).collect();
    for (set, scan) in scans.iter().enumerate() {
        scan.broken().for_each(|(i, _)| findings[set][i] = Some(Finding::Unreadable));
    }
    for group in groups {
        let conflicting = group.places.iter().any(|&place| class(place) != class(group.places[0]));
        let (left_out, finding) =
            if conflicting { (&group.places[..], Finding::Conflicting) } else { (&group.places[1..], Finding::Duplicate) };
        left_out.iter().for_each(|&(set, i)| findings[set][i] = Some(finding));
    }
    for &(set, i) in doubtful {
        findings[set][i].get_or_insert(Finding::Doubtful);
    }
    let name = paths::for_list(path)?;
    let kept = |set: usize| findings[set].iter().enumerate().filter(|(_, finding)| finding.is_none()).map(|(i, _)| i);
    let mut rows = Vec::new();
    let mut emptied: Vec<&String> = sources[0].classes().iter().collect();
    for (set, source) in sources.iter().enumerate() {
        let split = (sources.len() > 1).then_some(SPLITS[set.min(1)]);
        for i in kept(set) {
            rows.push((name(&**source, i)?, class((set, i)), split));
        }
    }
    let filled: std::collections::HashSet<&String> = kept(0).map(|i| class((0, i))).collect();
    emptied.retain(|class| !filled.contains(class));
    let entry = |(path, class, split)| list::Entry { path, label: class, split };
    list::write(path, rows.iter().map(|(path, class, split)| entry((path.as_str(), class.as_str(), *split))))?;
    let count = |wanted| findings.iter().flatten().filter(|finding| **finding == Some(wanted)).count();
    Ok(Written {
        path: path.to_path_buf(),
        images: rows.len(),
        of: findings.iter().map(Vec::len).sum(),
        unreadable: count(Finding::Unreadable),
        duplicates: count(Finding::Duplicate),
        conflicting: count(Finding::Conflicting),
        doubtful: count(Finding::Doubtful),
        emptied: emptied.into_iter().cloned().collect(),
    })
}

impl Written {
    /// One line, and another if classes have become empty.
    pub(super) fn report(&self) -> String {
        let Written { path, images, of, unreadable, duplicates, conflicting, doubtful, emptied } = self;
        let mut text = format!(
            "{}: {images} of {of} images, without {unreadable} unreadable, {duplicates} duplicates, {conflicting} with two labels, \
             {doubtful} with doubtful labels\n",
            output::path(path)
        );
        if !emptied.is_empty() {
            let names: Vec<_> = emptied.iter().map(|class| output::name(class)).collect();
            writeln!(text, "    no training images left of {}", names.join(", ")).expect("writing to a string cannot fail");
        }
        text
    }
}
