//! What people read: tables, and text that ends quietly when nobody reads on. Control characters of names that others chose
//! never reach a terminal; where a line holds such a name, [`name`] keeps it on its line.

use alexnet::escape;
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// A name that others chose, for one line.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    escape::printable(name)
}

/// A path, for one line.
pub(crate) fn path(path: &Path) -> String {
    escape::path(path)
}

/// Prints a line beside the results: a note, a warning, the complaint about one of many images.
pub(crate) fn note(line: &str) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{}", escape::printable(line));
}

/// Prints `text`, whose lines stay. `println!` would panic when the reader has gone (`alexnet nets | head -1`); this gives an error
/// that `main` takes for success.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_as_is(&escape::printable_lines(text))
}

/// Prints `text` of this program alone, such as a script.
pub(crate) fn print_as_is(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a line of something that is worth doing even if nobody reads along, such as training.
pub(crate) fn say(line: &str) {
    // Not even the terminal is worth stopping for.
    let _ = print(&format!("{line}\n"));
}

/// Prints one JSON document on one line.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_as_is(&(serde_json::to_string(value)? + "\n"))
}

/// Whether an error only says that the reader of our output has gone.
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(broken)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines of cells under each other, two spaces between columns.
pub(crate) fn table<const N: usize>(align: [Align; N], rows: &[[String; N]]) -> String {
    columns(&align, rows)
}

/// What a cell lacks of a column's width. Letters of East Asian scripts are two columns wide.
fn blanks(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.width()))
}

/// [`table`], where the number of columns is not known beforehand.
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
