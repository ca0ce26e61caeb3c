//! Rows of a Parquet file, read one at a time.
//!
//! A column lies in pages of about 1 MiB. To read a row, the headers of the pages before it are read, and the page that holds it is
//! decompressed; neither a row group nor a column is held in memory.

use crate::Result;
use crate::image::decode;
use crate::read_at::{read_at, read_exact_at};
use crate::stored::Store;
use ::parquet::column::page::PageReader;
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// Part of a file that is read at a time for a header.
const HEADER: usize = 256;

/// An open file, which several threads may read.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
}

impl Length for Shared {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Shared {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(HEADER, From { file: self.file.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.size)));
        }
        let mut bytes = vec![0; length];
        read_exact_at(&self.file, &mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The bytes of a file from an offset.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(&self.file, buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// A file with a column of encoded images.
pub(super) struct Table {
    pub(super) shared: Arc<Shared>,
    pub(super) metadata: ParquetMetaData,
    /// Index of the column.
    pub(super) images: usize,
}

/// Location of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Index of the file.
    pub(super) file: u32,
    pub(super) group: u32,
    /// Row within the group.
    pub(super) row: u32,
}

/// Columns of images in files.
pub(super) struct Tables(pub(super) Vec<Table>);

impl Store for Tables {
    type Place = Place;

    fn read(&self, _: &str, place: Place) -> Result<Option<Vec<u8>>> {
        let table = &self.0[place.file as usize];
        let bytes =
            guarded(|| table.image(place)).map_err(|error| format!("cannot be read from the table: {}", one_line(&error)))?;
        let bytes = bytes.ok_or("the table has no bytes for it, only a path")?;
        if bytes.len() as u64 > decode::MAX_FILE {
            return Err(decode::TOO_LARGE.into());
        }
        Ok(Some(bytes.data().to_vec()))
    }

    /// Unknown until the page is decompressed.
    fn size(&self, _: &str, _: Place) -> Option<u64> {
        None
    }
}

impl Table {
    /// Mean size of a page of images in the first row group, in bytes.
    pub(super) fn page_size(&self) -> u64 {
        let Some(group) = self.metadata.row_groups().first() else { return 0 };
        let chunk = group.column(self.images);
        let Ok(rows) = usize::try_from(group.num_rows()) else { return 0 };
        let Ok(mut pages) = SerializedPageReader::new(self.shared.clone(), chunk, rows, None) else { return 0 };
        let mut count = 0;
        while let Ok(Some(_)) = pages.peek_next_page() {
            count += 1;
            if pages.skip_next_page().is_err() {
                break;
            }
        }
        u64::try_from(chunk.uncompressed_size()).unwrap_or_default() / count.max(1)
    }

    /// The bytes of an image; `None` for a null.
    fn image(&self, place: Place) -> ParquetResult<Option<ByteArray>> {
        let mut column = column::<ByteArrayType>(&self.shared, &self.metadata, place.group as usize, self.images)?;
        let row = place.row as usize;
        if column.skip_records(row)? != row {
            return Err(ParquetError::EOF(format!("no row {row} in its row group")));
        }
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        if column.read_records(1, Some(&mut levels), None, &mut values)?.0 != 1 {
            return Err(ParquetError::EOF(format!("no row {row} in its row group")));
        }
        Ok(values.pop())
    }
}

/// Reader of a column in a row group.
pub(super) fn column<T: DataType>(
    shared: &Arc<Shared>,
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
) -> ParquetResult<ColumnReaderImpl<T>> {
    let group = metadata.row_group(group);
    let chunk = group.column(column);
    let (start, length) = (chunk.data_page_offset(), chunk.compressed_size());
    let start = chunk.dictionary_page_offset().map_or(start, |dictionary| dictionary.min(start));
    if start < 0 || length < 0 || (start as u64).saturating_add(length as u64) > shared.size {
        return Err(ParquetError::EOF("a column ends beyond the file".into()));
    }
    let rows = usize::try_from(group.num_rows())?;
    let pages = SerializedPageReader::new(shared.clone(), chunk, rows, None)?;
    Ok(ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages)))
}

/// Calls the parquet crate, which asserts what damaged pages do not hold: such a panic becomes an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    let panicked = |_| Err(ParquetError::General("a damaged page".into()));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// An error's text without the kind that it begins with, on one line.
pub(super) fn one_line(error: &ParquetError) -> String {
    let text = error.to_string();
    let text = ["Parquet error: ", "EOF: ", "External: "].iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(&text);
    crate::escape::printable(text.lines().next().unwrap_or_default()).to_string()
}
