//! Opening of tables: columns, labels and class names. Images are read later.

use super::columns::{self, Columns, Kind};
use super::labels::Values;
use super::names;
use super::rows::{Place, Shared, Table, Tables, guarded, one_line};
use super::shards::{self, Shard};
use crate::escape::printable;
use crate::layouts::{LAYOUT, Request};
use crate::listing::{Found, Listing};
use crate::stored::Stored;
use crate::{Demand, Error, Opened, Result, Splits};
use ::parquet::basic::Compression;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::path::Path;
use std::sync::Arc;

/// Pages above this size make reading in random order slow.
const LARGE_PAGE: u64 = 16 << 20;

/// Opens the tables at a location.
pub(super) fn open(request: &Request<'_>) -> Result<Opened> {
    let path = &request.at.path;
    let mut shards = shards::of(request.at).map_err(|why| Error::file(path, why))?;
    let splits = Splits::of_names(shards.iter().map(|shard| shard.split.as_str()));
    let taken = request.split.and_then(|split| splits.as_ref().map(|splits| splits.name_of(split).to_string()));
    if let Some(taken) = &taken {
        shards.retain(|shard| shard.split == *taken);
    }
    let (mut tables, mut images, mut labels) = (Vec::new(), Found::default(), Values::default());
    let (mut first, mut notes): (Option<Head>, Vec<String>) = (None, Vec::new());
    for shard in &shards {
        let (table, head) = table(&shard.path)?;
        let of_first = first.get_or_insert_with(|| head.clone());
        if (of_first.label(), &of_first.classes) != (head.label(), &head.classes) {
            let other = crate::escape::path(&shards[0].path);
            return Err(Error::file(&shard.path, format!("its label column or class names differ from those of {other}")));
        }
        let page = guarded(|| Ok(table.page_size())).unwrap_or_default();
        if page > LARGE_PAGE && notes.is_empty() {
            let advice = "`alexnet data pack` makes a faster file";
            notes.push(format!("its pages have {} MiB, one of which is read for each image; {advice}", page >> 20));
        }
        rows(shard, &table, &head, tables.len() as u32, &mut images, &mut labels)?;
        tables.push(table);
    }
    let Some(Head { columns, classes }) = first.filter(|_| !images.is_empty()) else {
        return Err(Error::file(path, "its tables have no rows"));
    };
    notes.insert(0, columns.note);
    let unlabelled = columns.labels.is_none() || labels.are_missing();
    let missing = labels.first_missing();
    let mut listing = match columns.labels {
        _ if request.demand == Demand::LabelsOptional && (unlabelled || missing.is_some()) => Listing::unlabelled(images),
        None => {
            let why = format!("a table without a column of labels: an integer or a text called label; or {LAYOUT}");
            return Err(Error::file(path, why));
        }
        Some(_) if unlabelled => return Err(Error::file(path, "all its labels are missing (null or -1), as in many test sets")),
        Some(of) => {
            if let Some(row) = missing {
                return Err(Error::file(path, format!("{} has no label", printable(images.name(row)))));
            }
            let (classes, labels) = labels.classes(path, of.kind, classes, request.classes)?;
            Listing::in_order(path, request.demand, classes, images, labels)?
        }
    };
    let empty = std::mem::take(&mut listing.empty);
    Ok(Opened { splits, taken, empty, notes, ..Opened::whole(path, Stored::new(listing, Tables(tables))) })
}

/// What the files of a set have in common.
#[derive(Clone)]
struct Head {
    columns: Columns,
    /// Class names in the metadata.
    classes: Vec<String>,
}

impl Head {
    fn label(&self) -> Option<(&str, Kind)> {
        self.columns.labels.as_ref().map(|labels| (labels.name.as_str(), labels.kind))
    }
}

/// Opens a file.
fn table(path: &Path) -> Result<(Table, Head)> {
    let (file, size) = crate::files::open_regular(path).map_err(|error| Error::io(path, error))?;
    if size == 0 {
        return Err(Error::file(path, "empty file; copy or download it again"));
    }
    let shared = Arc::new(Shared { file: Arc::new(file), size });
    let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&*shared)).map_err(|error| broken(path, &error))?;
    let mut classes = names::read(metadata.file_metadata().key_value_metadata());
    let columns = columns::find(metadata.file_metadata().schema_descr(), &classes).map_err(|why| Error::file(path, why))?;
    if let Some(codec) = unsupported(&metadata, &columns) {
        let why = "which is not supported; write it again with Snappy, gzip, LZ4, Zstandard or no compression";
        return Err(Error::file(path, format!("compressed with {codec}, {why}")));
    }
    let classes = columns.labels.as_ref().and_then(|labels| classes.remove(&labels.name)).unwrap_or_default();
    // As `to_parquet` writes images that are files, unless they are embedded before.
    let first = metadata.row_groups().first().map(|group| (group.num_rows(), group.column(columns.images).statistics()));
    if let Some((rows, Some(statistics))) = first
        && rows > 0
        && statistics.null_count_opt() == u64::try_from(rows).ok()
    {
        let why = "holds the paths of its images, but not their bytes; write it again after datasets' embed_table_storage";
        return Err(Error::file(path, why));
    }
    Ok((Table { shared, metadata, images: columns.images }, Head { columns, classes }))
}

/// Name of the first compression of these columns that is not supported.
fn unsupported(metadata: &ParquetMetaData, columns: &Columns) -> Option<&'static str> {
    let used = || std::iter::once(columns.images).chain(columns.labels.as_ref().map(|labels| labels.index));
    let mut codecs = metadata.row_groups().iter().flat_map(|group| used().map(|index| group.column(index).compression()));
    codecs.find_map(|codec| match codec {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) => None,
        Compression::LZ4 | Compression::LZ4_RAW | Compression::ZSTD(_) => None,
        Compression::BROTLI(_) => Some("Brotli"),
        Compression::LZO => Some("LZO"),
    })
}

/// Appends the rows of a file.
fn rows(shard: &Shard, table: &Table, head: &Head, file: u32, images: &mut Found<Place>, labels: &mut Values) -> Result<()> {
    let mut row_of_file = 0;
    for (number, group) in table.metadata.row_groups().iter().enumerate() {
        let claimed = group.num_rows();
        // Without a label column nothing else bounds the number of names.
        let rows = u32::try_from(claimed).ok().filter(|&rows| u64::from(rows) <= table.shared.size);
        let rows = rows.ok_or_else(|| Error::file(&shard.path, format!("damaged: a row group of {claimed} rows")))?;
        if let Some(of) = &head.columns.labels {
            let read = guarded(|| labels.read(&table.shared, &table.metadata, number, of))
                .map_err(|error| broken(&shard.path, &error))?;
            if read as u64 != u64::from(rows) {
                return Err(Error::file(&shard.path, format!("damaged: {read} labels for the {rows} rows of a row group")));
            }
        }
        for row in 0..rows {
            images.push(&format!("{}/{row_of_file:06}", shard.name), Place { file, group: number as u32, row });
            row_of_file += 1;
        }
    }
    Ok(())
}

fn broken(path: &Path, error: &ParquetError) -> Error {
    Error::file(path, format!("damaged or truncated: {}; copy it again", one_line(error)))
}
