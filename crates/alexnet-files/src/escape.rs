//! Escaping of untrusted text for terminals and line-based files.
//!
//! A file name may contain anything but `/` and NUL. Printed raw, an escape sequence can recolour or retitle the user's terminal,
//! a newline can forge a line of output, and a bidirectional override can disguise the real name.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Whether a character controls the terminal or the text direction rather than being visible.
fn is_control(c: char) -> bool {
    // Marks, embeddings, overrides and isolates of the bidirectional algorithm, and the line and paragraph separators.
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// `text` on one line, with control and bidirectional characters as `\n`, `\x1b` or `\u{202e}`. Visible characters are unchanged.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

/// [`printable`] for multi-line text: line feeds and tabs are kept.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_control(c) && !matches!(c, '\n' | '\t'))
}

/// The first `most` of some names, as [`printable`], and the number of the others.
pub fn first_names<S: AsRef<str>>(names: &[S], most: usize) -> String {
    let named: Vec<_> = names.iter().take(most).map(|name| printable(name.as_ref())).collect();
    let more = if names.len() > most { format!(", and {} more", names.len() - most) } else { String::new() };
    named.join(", ") + &more
}

/// [`printable`] for a path.
pub fn path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn escaped(text: &str, is_control: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            _ if !is_control(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\x7f' => write!(escaped, "\\x{:02x}", u32::from(c)).expect("writing to a string"),
            _ => escaped.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_and_visible_text_is_kept() {
        let plain = "dog/Größe 猫 🧑‍🚀 a\\b.jpg";
        assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain));
        assert_eq!(printable("a\nb\r\tc\u{1b}[31m\u{7f}\0"), "a\\nb\\r\\tc\\x1b[31m\\x7f\\x00");
        // CSI as one character, right-to-left override, line separator.
        assert_eq!(printable("\u{9b}2J \u{202E}gpj\u{2028}"), "\\u{9b}2J \\u{202e}gpj\\u{2028}");
        assert_eq!(printable_lines("one\ttwo\n\u{1b}]0;title\u{7}\r\n"), "one\ttwo\n\\x1b]0;title\\x07\\r\n");
        assert_eq!(path(Path::new("a\nb")), "a\\nb");
    }
}
