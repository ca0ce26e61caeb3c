//! Unused entries of a data set, counted and named.

use crate::escape::printable;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Reason why an entry of a data set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An image in a format that the decoder does not support.
    Format,
    /// Not an image.
    NotImage,
    /// An image outside the selected split.
    OutsideSplit,
    /// A pipe, socket or device, which could block forever when opened.
    NotRegular,
    /// A link whose target is not a file of the set.
    Link,
    /// A sparse file in an unsupported form.
    Sparse,
    /// A file that cannot be opened.
    Unreadable,
    /// A hidden file or folder, or one left behind by a system or an archiver.
    Hidden,
    /// An image without a label.
    Unlabelled,
}

impl Reason {
    /// Description for one entry and for several.
    fn words(self) -> [&'static str; 2] {
        match self {
            Reason::Format => ["image in an unsupported format", "images in unsupported formats"],
            Reason::NotImage => ["file that is not an image", "files that are not images"],
            Reason::OutsideSplit => ["image outside the splits", "images outside the splits"],
            Reason::NotRegular => ["entry that is not a regular file", "entries that are not regular files"],
            Reason::Link => ["link to a target outside the set", "links to targets outside the set"],
            Reason::Sparse => ["sparse file", "sparse files"],
            Reason::Unreadable => ["file that cannot be opened", "files that cannot be opened"],
            Reason::Hidden => ["hidden or system file", "hidden or system files"],
            Reason::Unlabelled => ["image without a label", "images without labels"],
        }
    }
}

/// Maximum number of names kept per reason; the others are counted.
const NAMES: usize = 5;

/// Entries with the same reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Group {
    count: usize,
    /// The first names in sorted order, independent of the listing order.
    names: BTreeSet<String>,
}

/// Unused entries of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PassedOver {
    groups: BTreeMap<Reason, Group>,
}

impl PassedOver {
    /// Counts an entry.
    pub(crate) fn add(&mut self, reason: Reason, name: impl Into<String>) {
        let group = self.groups.entry(reason).or_default();
        group.count += 1;
        let name = name.into();
        if group.names.len() < NAMES || group.names.last().is_some_and(|last| name < *last) {
            group.names.insert(name);
            if group.names.len() > NAMES {
                group.names.pop_last();
            }
        }
    }

    /// Adds the entries of a part of the set, whose names within the set start with `prefix`.
    pub(crate) fn merge(&mut self, prefix: &str, part: &PassedOver) {
        for (&reason, group) in &part.groups {
            group.names.iter().for_each(|name| self.add(reason, format!("{prefix}{name}")));
            if let Some(own) = self.groups.get_mut(&reason) {
                own.count += group.count - group.names.len();
            }
        }
    }

    /// Number of entries skipped for this reason.
    pub fn count(&self, reason: Reason) -> usize {
        self.groups.get(&reason).map_or(0, |group| group.count)
    }

    /// Whether every entry is used.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Counts and first names on one line; empty if every entry is used.
    pub fn words(&self) -> String {
        let words = |(reason, Group { count, names }): (&Reason, &Group)| {
            let what = reason.words()[usize::from(*count != 1)];
            let more = if *count > names.len() { ", ..." } else { "" };
            let names: Vec<_> = names.iter().map(|name| printable(name)).collect();
            let advice = if *reason == Reason::Format { "; convert to JPEG or PNG" } else { "" };
            format!("{count} {what} ({}{more}{advice})", names.join(", "))
        };
        self.groups.iter().map(words).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a file or folder of this name is hidden, or left behind by a system or an archiver.
pub fn is_hidden(name: &str) -> bool {
    const LEFT_BEHIND: [&str; 7] =
        ["__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini"];
    name.starts_with('.') || LEFT_BEHIND.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_and_the_first_are_named() {
        let mut passed = PassedOver::default();
        assert!(passed.is_empty() && passed.words().is_empty());
        for name in ["d", "b", "f", "e", "a", "c\n", "g"] {
            passed.add(Reason::NotImage, name);
        }
        passed.add(Reason::Hidden, ".DS_Store");
        assert_eq!(passed.words(), "7 files that are not images (a, b, c\\n, d, e, ...), 1 hidden or system file (.DS_Store)");
        assert_eq!((passed.count(Reason::NotImage), passed.count(Reason::Link)), (7, 0));
        for (name, hidden) in [(".git", true), ("__MACOSX", true), ("Thumbs.db", true), ("cat", false), ("a.jpg", false)] {
            assert_eq!(is_hidden(name), hidden, "{name}");
        }
    }
}
