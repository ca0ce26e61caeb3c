//! Parquet: a nullable column per column of the table. Uncompressed, in groups of rows.

use super::{Cell, Column, Kind};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows per group, which are kept in memory until they are written.
const GROUP: usize = 1 << 14;

/// Writer of a file.
pub(super) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    /// The rows of the current group, by column.
    cells: Vec<Vec<Cell>>,
}

impl<W: Write + Send> Table<W> {
    pub(super) fn new(columns: Vec<Column>, out: W) -> io::Result<Table<W>> {
        let field = |column: &Column| {
            let kind = match column.kind {
                Kind::Text => "binary NAME (UTF8)",
                Kind::Number => "float NAME",
                Kind::Integer => "int64 NAME",
                Kind::Flag => "boolean NAME",
            };
            format!("optional {};", kind.replace("NAME", &column.name))
        };
        let schema = format!("message answers {{ {} }}", columns.iter().map(field).collect::<String>());
        let schema = Arc::new(parse_message_type(&schema).map_err(of_parquet)?);
        let properties = Arc::new(WriterProperties::builder().set_created_by("alexnet".into()).build());
        let writer = SerializedFileWriter::new(out, schema, properties).map_err(of_parquet)?;
        let cells = vec![Vec::new(); columns.len()];
        Ok(Table { writer, columns, cells })
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) -> io::Result<()> {
        self.cells.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
        if self.cells.first().is_some_and(|column| column.len() >= GROUP) { self.write_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.cells.first().is_some_and(|column| !column.is_empty()) {
            self.write_group()?;
        }
        self.writer.into_inner().map_err(of_parquet)
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(of_parquet)?;
        for (column, cells) in self.columns.iter().zip(&mut self.cells) {
            let cells = std::mem::take(cells);
            let Some(mut writer) = group.next_column().map_err(of_parquet)? else { break };
            let present: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Empty)).collect();
            write(writer.untyped(), column.kind, cells, &present).map_err(of_parquet)?;
            writer.close().map_err(of_parquet)?;
        }
        group.close().map_err(of_parquet)?;
        Ok(())
    }
}

/// Writes the present values of a column.
fn write(writer: &mut ColumnWriter<'_>, kind: Kind, cells: Vec<Cell>, present: &[i16]) -> parquet::errors::Result<usize> {
    let cells = cells.into_iter();
    match (writer, kind) {
        (ColumnWriter::ByteArrayColumnWriter(out), Kind::Text) => {
            let values: Vec<ByteArray> = cells
                .filter_map(|cell| if let Cell::Text(text) = cell { Some(text.into_bytes().into()) } else { None })
                .collect();
            out.write_batch(&values, Some(present), None)
        }
        (ColumnWriter::FloatColumnWriter(out), Kind::Number) => {
            let values: Vec<f32> =
                cells.filter_map(|cell| if let Cell::Number(number) = cell { Some(number as f32) } else { None }).collect();
            out.write_batch(&values, Some(present), None)
        }
        (ColumnWriter::Int64ColumnWriter(out), Kind::Integer) => {
            let values: Vec<i64> =
                cells.filter_map(|cell| if let Cell::Integer(number) = cell { Some(number) } else { None }).collect();
            out.write_batch(&values, Some(present), None)
        }
        (ColumnWriter::BoolColumnWriter(out), Kind::Flag) => {
            let values: Vec<bool> =
                cells.filter_map(|cell| if let Cell::Flag(flag) = cell { Some(flag) } else { None }).collect();
            out.write_batch(&values, Some(present), None)
        }
        _ => Err(ParquetError::General("a column's type differs from its schema".into())),
    }
}

/// The system's own error, if there is one.
pub(crate) fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => error.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error),
        error => io::Error::other(error),
    }
}
