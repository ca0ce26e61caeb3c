//! Gaps in the numbering of shards.

use crate::escape::printable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most missing shards that are named.
const NAMED: usize = 4;

/// A note about the shards that the numbers of the others suggest: s-000001.tar between s-000000.tar and s-000002.tar.
pub(super) fn note(shards: &[PathBuf]) -> Option<String> {
    // Numbers by what stands before and after them.
    let mut series: BTreeMap<(&Path, &str, &str), BTreeMap<u64, usize>> = BTreeMap::new();
    for shard in shards {
        if let Some((before, number, after)) = shard.file_name().and_then(|name| name.to_str()).and_then(numbered)
            && let (Some(folder), Ok(value)) = (shard.parent(), number.parse())
        {
            series.entry((folder, before, after)).or_default().insert(value, number.len());
        }
    }
    let (mut count, mut names) = (0, Vec::new());
    for ((_, before, after), numbers) in &series {
        for ((first, width), next) in numbers.iter().zip(numbers.keys().skip(1)) {
            let missing = first + 1..*next;
            count += missing.end - missing.start;
            let name = |number: u64| printable(&format!("{before}{number:0width$}{after}")).into_owned();
            names.extend(missing.take(NAMED - names.len()).map(name));
        }
    }
    let more = if count > names.len() as u64 { ", ..." } else { "" };
    (count > 0).then(|| format!("shards missing between the others, by their numbers: {count} ({}{more})", names.join(", ")))
}

/// Splits a name around its number, the last one before `-of-00100` and the ending.
fn numbered(name: &str) -> Option<(&str, &str, &str)> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem = stem.split("-of-").next().unwrap_or(stem);
    let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = stem[..end].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    Some((&name[..start], &name[start..end], &name[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_named() {
        let of = |names: &[&str]| note(&names.iter().map(|name| Path::new("d").join(name)).collect::<Vec<_>>());
        let found = |text: &str| Some(format!("shards missing between the others, by their numbers: {text}"));
        assert_eq!(of(&["s-000000.tar", "s-000002.tar"]), found("1 (s-000001.tar)"));
        assert_eq!(of(&["a-3-of-9.tar", "a-5-of-9.tar"]), found("1 (a-4-of-9.tar)"));
        assert_eq!(of(&["0.tar", "9.tar", "x.tar"]), found("8 (1.tar, 2.tar, 3.tar, 4.tar, ...)"));
        assert_eq!(of(&["a0.tar", "a1.tar", "b3.tar", "x.tar", "99999999999999999999.tar"]), None);
    }
}
