//! Files of a model's answers, one row per image: CSV, JSON Lines, Parquet.
//!
//! A row is written when it is known; only Parquet collects some thousands before it writes them. Text is UTF-8.

#[cfg(feature = "parquet")]
pub(crate) mod parquet;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

/// Format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values as of RFC 4180, with a header; an absent value is empty.
    Csv,
    /// One JSON object per line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format of a file name's extension: `.csv`, `.jsonl` or `.ndjson`, `.parquet`.
    pub fn of_extension(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }
}

/// Type of a column's values, each of which may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A floating-point number, stored in single precision.
    Number,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Flag,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub kind: Kind,
}

impl Column {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, kind: Kind) -> Column {
        Column { name: name.into(), kind }
    }
}

/// A value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Empty,
    /// A string.
    Text(String),
    /// A floating-point number.
    Number(f64),
    /// An integer.
    Integer(i64),
    /// A truth value.
    Flag(bool),
}

impl Cell {
    /// The value in a text file.
    fn text(&self) -> String {
        match self {
            Cell::Empty => String::new(),
            Cell::Text(text) => text.clone(),
            // Single precision is what the net computes in; more digits are noise.
            Cell::Number(number) => (*number as f32).to_string(),
            Cell::Integer(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
        }
    }
}

/// The row of an image: a cell per column, and the same as a JSON object, which may be nested.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Cells in the order of the columns.
    pub cells: Vec<Cell>,
    /// The line of a JSON Lines file.
    pub json: serde_json::Value,
}

/// Writer of a table.
pub struct Writer<W: Write + Send>(Inner<W>);

enum Inner<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::Table<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// Starts a table with these columns.
    ///
    /// # Errors
    /// A failed write, or [`Format::Parquet`] in a build without it.
    pub fn new(format: Format, columns: Vec<Column>, out: W) -> io::Result<Writer<W>> {
        Ok(Writer(match format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(columns.iter().map(|column| &column.name)).map_err(of_csv)?;
                Inner::Csv(Box::new(writer))
            }
            Format::JsonLines => Inner::JsonLines(out),
            #[cfg(feature = "parquet")]
            Format::Parquet => Inner::Parquet(Box::new(parquet::Table::new(columns, out)?)),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                let why = "this build does not support parquet; add --features parquet, or use csv or jsonl";
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        }))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A failed write.
    pub fn push(&mut self, row: Row) -> io::Result<()> {
        match &mut self.0 {
            Inner::Csv(writer) => writer.write_record(row.cells.iter().map(Cell::text)).map_err(of_csv),
            Inner::JsonLines(out) => {
                let line = serde_json::to_string(&row.json)? + "\n";
                out.write_all(line.as_bytes())
            }
            #[cfg(feature = "parquet")]
            Inner::Parquet(table) => table.push(row.cells),
        }
    }

    /// Passes all rows so far on to the reader of a pipe or terminal; Parquet keeps its own.
    ///
    /// # Errors
    /// A failed write.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::Csv(writer) => writer.flush(),
            Inner::JsonLines(out) => out.flush(),
            #[cfg(feature = "parquet")]
            Inner::Parquet(_) => Ok(()),
        }
    }

    /// Completes the table.
    ///
    /// # Errors
    /// A failed write.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Csv(writer) => writer.into_inner().map_err(|error| error.into_error()),
            Inner::JsonLines(mut out) => {
                out.flush()?;
                Ok(out)
            }
            #[cfg(feature = "parquet")]
            Inner::Parquet(table) => table.finish(),
        }
    }
}

/// The system's own error, whose kind says whether a disk is full or a pipe closed.
fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
