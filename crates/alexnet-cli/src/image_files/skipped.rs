//! Entries of folders that are no images: counted, and the first is named.

use std::path::Path;
use std::sync::Mutex;

/// Counts of skipped entries, shared with the threads that search folders.
#[derive(Debug, Default)]
pub(crate) struct Skipped(Mutex<[Count; 2]>);

/// Why an entry is skipped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    NotImage,
    Hidden,
}

#[derive(Debug, Default)]
struct Count {
    entries: usize,
    first: String,
}

impl Skipped {
    pub(super) fn add(&self, reason: Reason, path: &Path) {
        let Ok(mut counts) = self.0.lock() else { return };
        let count = &mut counts[reason as usize];
        if count.entries == 0 {
            count.first = path.to_string_lossy().into_owned();
        }
        count.entries += 1;
    }

    /// A note for the user, if anything was skipped.
    pub(crate) fn note(&self) -> Option<String> {
        let counts = self.0.lock().ok()?;
        let words = [("file that is not an image", "files that are not images"), ("hidden entry", "hidden entries")];
        let parts: Vec<String> = (counts.iter().zip(words).filter(|(count, _)| count.entries > 0))
            .map(|(Count { entries, first }, (one, several))| match entries {
                1 => format!("1 {one} ({first})"),
                n => format!("{n} {several} (first {first})"),
            })
            .collect();
        (!parts.is_empty()).then(|| format!("skipped: {}", parts.join(", ")))
    }
}
