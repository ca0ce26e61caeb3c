//! Patterns such as `photos/**/*.jpg`, for shells that do not expand them, or more files than a command line holds.

use super::{ImageSource, Images, Search, of_path, one, walk};
use alexnet::image::decode;
use glob::{MatchOptions, Pattern};
use std::path::{Path, PathBuf, is_separator};

/// As shells match: `*` stays within a folder and does not match hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The part of a pattern from its first wildcard.
pub(super) struct Matcher {
    pattern: Pattern,
    /// Number of path components that it matches; `None` with `**`.
    depth: Option<usize>,
    /// Whether it ends in the extension of something else than images, such as `.tar`.
    names_sets: bool,
}

impl Matcher {
    /// Whether it matches a path with `/` as separator.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.pattern.matches_with(path, OPTIONS)
    }

    /// Whether its files are data sets rather than images, since it names their extension.
    pub(super) fn names_sets(&self) -> bool {
        self.names_sets
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

/// The images that match a pattern, and those in the folders that do, sorted. A pattern such as `*.tar` stands for the images of
/// these data sets.
pub(super) fn matches(argument: PathBuf, search: &Search) -> Images {
    let text = argument.to_string_lossy().into_owned();
    let parts: Vec<&str> = text.split(is_separator).collect();
    let literal = parts.iter().take_while(|part| !has_wildcard(part)).count();
    // The text before the first wildcard's component, with its separators: `/` is a root, and nothing the current folder.
    let split: usize = parts[..literal].iter().map(|part| part.len() + 1).sum();
    let folder = PathBuf::from(&text[..split]);
    let rest: Vec<&str> = parts[literal..].iter().copied().filter(|part| !part.is_empty()).collect();
    let depth = (!rest.contains(&"**")).then_some(rest.len());
    let last = Path::new(rest.last().copied().unwrap_or_default());
    let names_sets =
        last.extension().is_some_and(|ending| !has_wildcard(&ending.to_string_lossy())) && !decode::is_named_image(last);
    let pattern = match Pattern::new(&rest.join("/")) {
        Ok(pattern) => pattern,
        Err(error) => return one(ImageSource::Unreadable(argument, format!("not a pattern: {}", error.msg))),
    };
    let images = walk::matching(argument, folder, Matcher { pattern, depth, names_sets }, search);
    if !names_sets {
        return images;
    }
    let search = search.clone();
    Box::new(images.flat_map(move |source| match source {
        ImageSource::File(path) => of_path(path, &search),
        unreadable => one(unreadable),
    }))
}
