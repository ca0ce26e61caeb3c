//! Parquet: one row per image, columns `name`, `label` (nullable) and `features` (a list of floats), and the provenance as the
//! file's metadata key `features`. Uncompressed, since such values hardly compress.

use super::Provenance;
use super::table::FEATURES;
use crate::answers::parquet::of_parquet;
use crate::{Error, Result, files};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Schema with lists as specified by the format, which Arrow, pandas and Polars recognise.
const SCHEMA: &str = "message features {
    required binary name (UTF8);
    optional binary label (UTF8);
    required group features (LIST) { repeated group list { required float element; } }
}";

/// Floats per row group, which a reader keeps in memory at once.
const GROUP: usize = 1 << 24;

/// Writes a file.
pub(super) fn write(path: &Path, about: &Provenance, names: &[String], labels: &[Option<String>], values: &[f32]) -> Result<()> {
    let metadata = serde_json::to_string(about).map_err(|e| Error::Invalid(format!("cannot be written as JSON: {e}")))?;
    let names: Vec<ByteArray> = names.iter().map(|name| name.as_str().into()).collect();
    files::write_atomic(path, |out| fill(out, metadata, about.width(), &names, labels, values).map_err(of_parquet))
}

fn fill(
    out: &mut (dyn Write + Send),
    metadata: String,
    width: usize,
    names: &[ByteArray],
    labels: &[Option<String>],
    values: &[f32],
) -> parquet::errors::Result<()> {
    let properties = WriterProperties::builder()
        .set_created_by("alexnet".into())
        .set_key_value_metadata(Some(vec![KeyValue::new(FEATURES.into(), metadata)]))
        // The values hardly repeat, and nobody searches them by size.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None);
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties.build()))?;
    let rows = (GROUP / width).max(1);
    for ((names, labels), values) in names.chunks(rows).zip(labels.chunks(rows)).zip(values.chunks(rows * width)) {
        let mut group = file.next_row_group()?;
        if let Some(mut column) = group.next_column()? {
            column.typed::<ByteArrayType>().write_batch(names, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let there: Vec<i16> = labels.iter().map(|label| i16::from(label.is_some())).collect();
            let labels: Vec<ByteArray> = labels.iter().flatten().map(|label| label.as_str().into()).collect();
            column.typed::<ByteArrayType>().write_batch(&labels, Some(&there), None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let (inside, mut again) = (vec![1i16; width], vec![1i16; width]);
            again[0] = 0; // the first value of each row starts a list
            for values in values.chunks_exact(width) {
                column.typed::<FloatType>().write_batch(values, Some(&inside), Some(&again))?;
            }
            column.close()?;
        }
        group.close()?;
    }
    file.close().map(|_| ())
}
