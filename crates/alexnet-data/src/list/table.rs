//! Tables: CSV and TSV, with or without a header.

use super::form::{LABEL, PATH, SPLIT, column_name};
use super::rows::{Rows, at_line};
use crate::escape::printable;
use csv::{ReaderBuilder, StringRecord};

/// Positions of the columns.
struct Columns {
    path: usize,
    label: Option<usize>,
    split: Option<usize>,
    /// Number of columns.
    all: usize,
}

/// Reads the rows of a table.
///
/// # Errors
/// Missing or ambiguous columns, or an invalid row, with its line.
pub(super) fn read(text: &str, delimiter: u8, header: bool, rows: &mut Rows) -> Result<(), String> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut columns = (!header).then_some(Columns { path: 0, label: Some(1), split: None, all: 2 });
    let mut record = StringRecord::new();
    let (mut line, mut counted) = (1, 0);
    while reader.read_record(&mut record).map_err(|error| format!("invalid table: {error}"))? {
        // The reader's own line numbers are off after empty lines and with \r\n.
        let from = record.position().map_or(0, |position| position.byte() as usize).min(text.len());
        let rest = &text.as_bytes()[from..];
        let start = from + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line += text.as_bytes()[counted..start].iter().filter(|&&byte| byte == b'\n').count();
        counted = start;
        if reader.position().byte() as usize >= text.len() && ends_within_quotes(&text[start..], delimiter) {
            return Err(at_line(line, "opens a quotation mark that is never closed"));
        }
        if record.len() == 1 && record[0].trim().is_empty() {
            continue;
        }
        match &columns {
            None => columns = Some(of_header(&record, line, rows)?),
            Some(columns) => push(&record, columns, line, rows)?,
        }
    }
    Ok(())
}

/// Adds a row.
fn push(record: &StringRecord, columns: &Columns, line: usize, rows: &mut Rows) -> Result<(), String> {
    if record.len() != columns.all {
        let s = if record.len() == 1 { "" } else { "s" };
        return Err(at_line(line, &format!("has {} column{s} instead of {}", record.len(), columns.all)));
    }
    rows.push(line, &record[columns.path])?;
    for (column, at, what) in [(&mut rows.labels, columns.label, "label"), (&mut rows.splits, columns.split, "split")] {
        let Some(at) = at else { continue };
        match record[at].trim() {
            "" => return Err(at_line(line, &format!("has no {what}"))),
            value => column.get_or_insert_default().push(value),
        }
    }
    Ok(())
}

/// Finds the columns by their names.
fn of_header(record: &StringRecord, line: usize, rows: &mut Rows) -> Result<Columns, String> {
    let names: Vec<String> = record.iter().map(column_name).collect();
    let shown = |i: usize| printable(record[i].trim()).into_owned();
    let find = |kind: &[&str]| -> Result<Option<usize>, String> {
        let found: Vec<usize> = (0..names.len()).filter(|&i| kind.contains(&names[i].as_str())).collect();
        let best: Vec<usize> = found.iter().copied().filter(|&i| names[i] == kind[0]).collect();
        match (found.as_slice(), best.as_slice()) {
            ([], _) => Ok(None),
            (&[only], _) | (_, &[only]) => Ok(Some(only)),
            (&[a, b, ..], _) => {
                let [a, b] = [a, b].map(shown);
                Err(at_line(line, &format!("has the columns {a} and {b}; name the one to use {}", kind[0])))
            }
        }
    };
    let Some(path) = find(&PATH)? else {
        let all: Vec<String> = (0..names.len()).map(shown).collect();
        let all = all.join(", ");
        return Err(at_line(line, &format!("names no column of paths, only {all}; expected path,label or path,label,split")));
    };
    let (label, split) = (find(&LABEL)?, find(&SPLIT)?);
    let used = [Some(path), label, split];
    rows.unused.extend((0..names.len()).filter(|&i| !used.contains(&Some(i))).map(|i| record[i].trim().to_string()));
    if label.is_some() {
        rows.labels.get_or_insert_default();
    }
    if split.is_some() {
        rows.splits.get_or_insert_default();
    }
    Ok(Columns { path, label, split, all: names.len() })
}

/// Whether the last row of a table ends within quotation marks: then a row after it is read as part of it.
fn ends_within_quotes(row: &str, delimiter: u8) -> bool {
    let text = format!("{row}\nx\n");
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    reader.records().count() < 2
}
