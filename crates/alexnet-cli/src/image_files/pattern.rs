//! Patterns such as `photos/**/*.jpg`, for shells that do not expand them, or more files than a command line holds.

use super::skipped::Skipped;
use super::{ImageSource, Images, walk};
use glob::{MatchOptions, Pattern};
use std::path::{Path, PathBuf, is_separator};
use std::sync::Arc;

/// As shells match: `*` stays within a folder and does not match hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The part of a pattern from its first wildcard.
pub(super) struct Matcher {
    pattern: Pattern,
    /// Number of path components that it matches; `None` with `**`.
    depth: Option<usize>,
}

impl Matcher {
    /// Whether it matches a path with `/` as separator.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.pattern.matches_with(path, OPTIONS)
    }

    /// Whether it may match something below a folder that has `depth` components.
    pub(super) fn may_match_below(&self, depth: usize) -> bool {
        self.depth.is_none_or(|most| depth < most)
    }
}

/// Whether a path contains a wildcard: `*`, `?` or `[`.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(has_wildcard)
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The images that match a pattern, and those in the folders that do, sorted.
pub(super) fn matches(argument: PathBuf, skipped: &Arc<Skipped>) -> Images {
    let text = argument.to_string_lossy().into_owned();
    let parts: Vec<&str> = text.split(is_separator).collect();
    let literal = parts.iter().take_while(|part| !has_wildcard(part)).count();
    // The text before the first wildcard's component, with its separators: `/` is a root, and nothing the current folder.
    let split: usize = parts[..literal].iter().map(|part| part.len() + 1).sum();
    let folder = PathBuf::from(&text[..split]);
    let rest: Vec<&str> = parts[literal..].iter().copied().filter(|part| !part.is_empty()).collect();
    let depth = (!rest.contains(&"**")).then_some(rest.len());
    match Pattern::new(&rest.join("/")) {
        Ok(pattern) => walk::matching(argument, folder, Matcher { pattern, depth }, skipped),
        Err(error) => {
            let why = format!("not a pattern: {}", error.msg);
            Box::new(std::iter::once(ImageSource::Unreadable(argument, why)))
        }
    }
}
