//! Terminal output: tables, and text that ends quietly when the reader closes the pipe. Control characters in untrusted names
//! never reach a terminal; [`name`] also keeps such a name on one line.

use alexnet::escape;
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// Escapes an untrusted name for use within a line.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    escape::printable(name)
}

/// Escapes a path for use within a line.
pub(crate) fn path(path: &Path) -> String {
    escape::path(path)
}

/// Refuses to write over an input.
pub(crate) fn not_over_input<'a>(
    option: &str,
    out: &Path,
    inputs: impl IntoIterator<Item = &'a (impl AsRef<Path> + ?Sized + 'a)>,
) -> anyhow::Result<()> {
    let Ok(real) = out.canonicalize() else { return Ok(()) };
    match inputs.into_iter().find(|input| input.as_ref().canonicalize().is_ok_and(|input| input == real)) {
        Some(_) => anyhow::bail!("{option} {}: an input of this command; choose another name", path(out)),
        None => Ok(()),
    }
}

/// A noun as it follows a number: itself after 1, otherwise with an s.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    if n == 1 { noun.into() } else { format!("{noun}s") }
}

/// Prints a note, warning or per-image error to standard error.
pub(crate) fn note(line: &str) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{}", escape::printable(line));
}

/// Prints `text`, keeping its line breaks. `println!` panics when the reader has closed the pipe (`alexnet nets | head -1`); this
/// returns an error that `main` treats as success.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_as_is(&escape::printable_lines(text))
}

/// Prints trusted text, such as a script, without escaping.
pub(crate) fn print_as_is(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a line of a command that must finish even if nobody reads the output, such as training.
pub(crate) fn say(line: &str) {
    // A failed write is no reason to stop.
    let _ = print(&format!("{line}\n"));
}

/// Prints a JSON document on one line.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_as_is(&(serde_json::to_string(value)? + "\n"))
}

/// Returns whether an error only means that the reader has closed our output.
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(broken)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

/// Alignment of a table column.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Formats rows as a table with two spaces between columns.
pub(crate) fn table<const N: usize>(align: [Align; N], rows: &[[String; N]]) -> String {
    columns(&align, rows)
}

/// Padding of a cell to the column's width. East Asian wide characters take two columns.
fn blanks(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.width()))
}

/// [`table`] with a number of columns known only at run time.
pub(crate) fn columns(align: &[Align], rows: &[impl AsRef<[String]>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.as_ref().iter().map(|cell| name(cell)).collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(align.iter().zip(&widths))
            .map(|(cell, (align, &width))| match align {
                Align::Left => format!("{cell}{}", blanks(cell, width)),
                Align::Right => blanks(cell, width) + cell,
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
