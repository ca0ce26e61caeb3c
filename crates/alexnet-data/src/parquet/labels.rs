//! Labels of a table's rows: class indices, or class names as text.

use super::columns::{Kind, Labels};
use super::rows::{Shared, column};
use crate::{Error, Result, list};
use ::parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::ParquetMetaData;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Rows decoded at once.
const AT_ONCE: usize = 1 << 14;
/// Largest index without a name.
const LARGEST: i64 = 1 << 20;
/// Mark of a row without a label, as `datasets` has it in test sets.
const MISSING: i64 = -1;

/// Labels in the order of the rows.
#[derive(Default)]
pub(super) struct Values {
    /// Class indices, or indices into `texts`.
    numbers: Vec<i64>,
    texts: Vec<String>,
    of_text: HashMap<String, i64>,
}

impl Values {
    /// The first row without a label.
    pub(super) fn first_missing(&self) -> Option<usize> {
        self.numbers.iter().position(|&number| number == MISSING)
    }

    /// Whether no row has a label.
    pub(super) fn are_missing(&self) -> bool {
        self.numbers.iter().all(|&number| number == MISSING)
    }

    /// Appends the labels of a row group, and returns their number.
    pub(super) fn read(
        &mut self,
        shared: &Arc<Shared>,
        metadata: &ParquetMetaData,
        group: usize,
        labels: &Labels,
    ) -> ParquetResult<usize> {
        let at = labels.index;
        let numbers = &mut self.numbers;
        let mut number = |value: Option<i64>| numbers.push(value.filter(|&value| value >= 0).unwrap_or(MISSING));
        match labels.kind {
            Kind::Int32 => rows::<Int32Type>(shared, metadata, group, at, |value| number(value.map(|&value| value.into()))),
            Kind::Int64 => rows::<Int64Type>(shared, metadata, group, at, |value| number(value.copied())),
            Kind::Text => rows::<ByteArrayType>(shared, metadata, group, at, |value| {
                let text = value.and_then(|value| value.as_utf8().ok()).filter(|text| !text.is_empty());
                let known = text.map(|text| match self.of_text.get(text) {
                    Some(&known) => known,
                    None => {
                        self.texts.push(text.into());
                        self.of_text.insert(text.into(), self.texts.len() as i64 - 1);
                        self.texts.len() as i64 - 1
                    }
                });
                self.numbers.push(known.unwrap_or(MISSING));
            }),
        }
    }

    /// Class names and the labels, of which none is missing. `names`: those in the metadata, if any; `file`: those the user gives.
    ///
    /// # Errors
    /// The file cannot be read or is not needed, or a label is too large to be one.
    pub(super) fn classes(
        self,
        path: &Path,
        kind: Kind,
        names: Vec<String>,
        file: Option<&Path>,
    ) -> Result<(Vec<String>, Vec<u32>)> {
        if kind == Kind::Text {
            if file.is_some() {
                return Err(Error::file(path, "--classes names numbered classes, but its labels are names"));
            }
            let mut order: Vec<usize> = (0..self.texts.len()).collect();
            order.sort_by_key(|&i| &self.texts[i]);
            let mut place = vec![0; order.len()];
            order.iter().zip(0..).for_each(|(&i, at)| place[i] = at);
            let classes = order.iter().map(|&i| self.texts[i].clone()).collect();
            return Ok((classes, self.numbers.iter().map(|&number| place[number as usize]).collect()));
        }
        let largest = self.numbers.iter().copied().max().unwrap_or_default();
        if largest > LARGEST {
            return Err(Error::file(path, format!("a label is {largest}, which cannot be the index of a class")));
        }
        let classes = match file {
            Some(file) => list::read_names(file)?,
            None if names.is_empty() => (0..=largest).map(|label| label.to_string()).collect(),
            None => names,
        };
        Ok((classes, self.numbers.iter().map(|&number| number as u32).collect()))
    }
}

/// Passes the values of a column in a row group on, `None` for nulls, and returns their number.
fn rows<T: DataType>(
    shared: &Arc<Shared>,
    metadata: &ParquetMetaData,
    group: usize,
    index: usize,
    mut each: impl FnMut(Option<&T::T>),
) -> ParquetResult<usize> {
    let present = metadata.row_group(group).column(index).column_descr().max_def_level();
    let mut column = column::<T>(shared, metadata, group, index)?;
    let (mut levels, mut values, mut all) = (Vec::new(), Vec::new(), 0);
    loop {
        levels.clear();
        values.clear();
        let (records, ..) = column.read_records(AT_ONCE, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Ok(all);
        }
        all += records;
        if all as u64 > shared.size {
            return Err(ParquetError::EOF("more rows than bytes".into()));
        }
        let mut next = values.iter();
        match present {
            0 => next.for_each(|value| each(Some(value))),
            _ => levels.iter().for_each(|&level| each(if level == present { next.next() } else { None })),
        }
    }
}
