//! Lists of `path label` lines, as of Caffe and PaddleClas.

use super::form::split_line;
use super::rows::{Rows, at_line};
use crate::escape::printable;

/// Reads the lines; blank ones are skipped. A `#` starts no comment: neither tool has any, and a file name may begin with it.
///
/// # Errors
/// A line without a label.
pub(super) fn read(text: &str, rows: &mut Rows) -> Result<(), String> {
    rows.labels.get_or_insert_default();
    for (line, content) in (1..).zip(text.lines()).filter(|(_, content)| !content.trim().is_empty()) {
        let Some((path, label)) = split_line(content) else {
            let shown: String = content.trim().chars().take(SHOWN).collect();
            return Err(at_line(line, &format!("has no label after the path: {}", printable(&shown))));
        };
        rows.push(line, path)?;
        rows.labels.get_or_insert_default().push(label);
    }
    Ok(())
}

/// Maximum number of characters of a line in a message.
const SHOWN: usize = 80;
