//! Patterns of shard names: `train-{000000..000146}.tar`, `{train,val}-{0..9}.tar`, `data/*.tar`.
//!
//! Braces expand in the order in which they are written, as by the package `braceexpand` that WebDataset uses; `*` and `?` match
//! names of existing files, in sorted order.

use crate::{Error, Result};
use std::path::{Component, Path, PathBuf};

/// Maximum number of files of a pattern.
const MAX_FILES: usize = 1 << 20;

/// The files that a path names as a pattern; `None` if it is none.
///
/// # Errors
/// A file of it does not exist, or there is none.
pub(crate) fn expand(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(text) = path.to_str() else { return Ok(None) };
    let mut names = Vec::new();
    braces("", text, &mut names).map_err(|why| Error::file(path, why))?;
    let many = names.len();
    if many == 1 && names[0] == text && !is_glob(text) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for name in names {
        if is_glob(&name) {
            let found = glob(Path::new(&name))?;
            if found.is_empty() {
                return Err(Error::file(&name, "matches no files"));
            }
            files.extend(found);
        } else {
            let file = PathBuf::from(name);
            if !file.is_file() {
                return Err(Error::file(path, format!("{} is missing, one of the {many} files that this names", file.display())));
            }
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(Error::file(path, "names more than a million files"));
        }
    }
    Ok(Some(files))
}

/// Whether a name has wildcards.
fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Expands the braces of `text`, each result after `head`.
fn braces(head: &str, text: &str, results: &mut Vec<String>) -> Result<(), String> {
    let opening = text.match_indices('{').find_map(|(start, _)| {
        let end = closing(&text[start..])? + start;
        Some((start, end, alternatives(&text[start + 1..end])?))
    });
    let Some((start, end, alternatives)) = opening else {
        results.push(format!("{head}{text}"));
        return if results.len() > MAX_FILES { Err("names more than a million files".into()) } else { Ok(()) };
    };
    let (before, after) = (&text[..start], &text[end + 1..]);
    for alternative in alternatives {
        // Alternatives may contain braces of their own.
        let mut inner = Vec::new();
        braces("", &alternative, &mut inner)?;
        for inner in inner {
            braces(&format!("{head}{before}{inner}"), after, results)?;
        }
    }
    Ok(())
}

/// Position of the brace that closes the one at the start.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.bytes().position(|byte| {
        depth = match byte {
            b'{' => depth + 1,
            b'}' => depth - 1,
            _ => depth,
        };
        depth == 0
    })
}

/// What the inside of braces stands for: a range, or parts between commas; `None` for other text.
fn alternatives(inside: &str) -> Option<Vec<String>> {
    if let Some(range) = range(inside) {
        return Some(range);
    }
    let (mut parts, mut depth) = (vec![String::new()], 0usize);
    for c in inside.chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                parts.last_mut()?.push(c);
            }
        }
    }
    (parts.len() > 1).then_some(parts)
}

/// The numbers of `000..146` or `0..146..2`, as wide as the wider end if one starts with a zero.
fn range(inside: &str) -> Option<Vec<String>> {
    let mut parts = inside.split("..");
    let (first, last, step) = (parts.next()?, parts.next()?, parts.next());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (from, to) = (number(first)?, number(last)?);
    let step = step.map_or(Some(1), number)?.max(1);
    if parts.next().is_some() || from.abs_diff(to) / step > MAX_FILES as u64 {
        return None;
    }
    let padded = [first, last].iter().any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 0 };
    let count = from.abs_diff(to) / step;
    let at = |i: u64| if from <= to { from + i * step } else { from - i * step };
    Some((0..=count).map(|i| format!("{:0width$}", at(i))).collect())
}

/// Existing files whose paths match, sorted.
fn glob(pattern: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = match component {
            Component::Normal(name) if is_glob(&name.to_string_lossy()) => name.to_string_lossy().into_owned(),
            other => {
                found.iter_mut().for_each(|at| at.push(other));
                continue;
            }
        };
        let mut matching = Vec::new();
        for at in found {
            let folder = if at.as_os_str().is_empty() { Path::new(".") } else { &at };
            // Another part of the pattern may lead through files, or nowhere.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let entry = entry.map_err(|error| Error::io(folder, error))?.file_name();
                if entry.to_str().is_some_and(|entry| matches(&name, entry)) {
                    matching.push(at.join(entry));
                }
            }
        }
        found = matching;
    }
    found.retain(|file| file.is_file());
    found.sort();
    Ok(found)
}

/// Whether a name matches a pattern with `*` and `?`. As in a shell, `*` matches no leading dot.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                // Let the last star match one more character.
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Vec<String> {
        let mut names = Vec::new();
        braces("", text, &mut names).unwrap();
        names
    }

    #[test]
    fn braces_expand_as_by_braceexpand() {
        assert_eq!(expanded("a-{08..11}.tar"), ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]);
        assert_eq!(expanded("{a,b}{0..1}"), ["a0", "a1", "b0", "b1"]);
        assert_eq!(expanded("{9..11}"), ["9", "10", "11"]);
        assert_eq!(expanded("{3..0..2}"), ["3", "1"]);
        assert_eq!(expanded("{x{1,2},y}z"), ["x1z", "x2z", "yz"]);
        for literal in ["plain", "{one}", "{0..x}", "{", "}{", "{0..1..2..3}"] {
            assert_eq!(expanded(literal), [literal]);
        }
        let mut many = Vec::new();
        assert!(braces("", "{0..1000}{0..1000}{0..1000}{0..1000}", &mut many).is_err());
        assert!(braces("", "{0..18446744073709551615}", &mut Vec::new()).is_ok());
    }

    #[test]
    fn wildcards_match_names() {
        for (pattern, name, expected) in [
            ("*.tar", "a.tar", true),
            ("*.tar", ".tar", false),
            ("a-*.tar", "a-.tar", true),
            ("a?c*", "abcd", true),
            ("a?c", "ac", false),
            ("*a*b*", "xaxxb", true),
            ("*a*b", "xbxa", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_listed_in_order_and_missing_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.tar", "b/10.tar", "a/1.tar", "a/x.txt", "b/.3.tar"] {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let of = |pattern: &str| {
            expand(&folder.path().join(pattern)).map(|files| {
                files.map(|files| {
                    files.iter().map(|file| file.strip_prefix(folder.path()).unwrap().display().to_string()).collect::<Vec<_>>()
                })
            })
        };
        assert_eq!(of("*/*.tar").unwrap().unwrap(), ["a/1.tar", "b/10.tar", "b/2.tar"]);
        assert_eq!(of("{b,a}/*.tar").unwrap().unwrap(), ["b/10.tar", "b/2.tar", "a/1.tar"]);
        assert_eq!(of("b/{2..10..8}.tar").unwrap().unwrap(), ["b/2.tar", "b/10.tar"]);
        assert!(of("a/1.tar").unwrap().is_none());
        assert!(of("b/{2..3}.tar").unwrap_err().to_string().contains("3.tar is missing, one of the 2 files"));
        assert!(of("c/*.tar").unwrap_err().to_string().contains("matches no files"));
    }
}
