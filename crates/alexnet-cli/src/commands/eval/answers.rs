//! `--answers`: a row per image, written while the evaluation runs.

use crate::answer_file::{AnswerFile, failed};
use alexnet::answers::{Format, Writer};
use alexnet::data::Dataset;
use alexnet::eval::{Answer, AnswerRows, Observer, Options, Report};
use anyhow::bail;
use indicatif::ProgressBar;
use std::path::Path;

/// The format of `--answers`, by its extension.
pub(super) fn format(path: &Path) -> anyhow::Result<Format> {
    match Format::of_extension(path) {
        Some(format) => Ok(format),
        None => bail!("--answers {}: unknown extension; use .csv, .jsonl or .parquet", path.display()),
    }
}

/// Observer that moves a progress bar and writes the rows.
pub(super) struct Answers<'a> {
    bar: &'a ProgressBar,
    source: &'a dyn Dataset,
    rows: AnswerRows<'a>,
    table: Option<(Writer<AnswerFile>, &'a Path)>,
    unwritten: Option<anyhow::Error>,
}

impl<'a> Answers<'a> {
    /// Starts the table, if there is to be one.
    pub(super) fn create(
        bar: &'a ProgressBar,
        source: &'a dyn Dataset,
        options: Options,
        table: Option<(Format, &'a Path)>,
    ) -> anyhow::Result<Answers<'a>> {
        let rows = AnswerRows { classes: source.classes(), top: options.top, threshold: options.threshold.is_some() };
        let start = |(format, path)| -> anyhow::Result<_> {
            let writer = Writer::new(format, rows.columns(), AnswerFile::create(Some(path))?);
            Ok((writer.map_err(|error| failed(Some(path), error))?, path))
        };
        Ok(Answers { bar, source, rows, table: table.map(start).transpose()?, unwritten: None })
    }

    /// Completes the table, unless the evaluation has failed.
    pub(super) fn finish(self, report: alexnet::Result<Report>) -> anyhow::Result<Report> {
        if let Some(error) = self.unwritten {
            return Err(error);
        }
        let report = report?;
        if let Some((writer, path)) = self.table {
            writer.finish().map_err(|error| failed(Some(path), error))?.commit()?;
        }
        Ok(report)
    }
}

impl Observer for Answers<'_> {
    fn progress(&mut self, done: usize) -> bool {
        self.bar.set_position(done as u64);
        true
    }

    fn wants_answers(&self) -> bool {
        self.table.is_some()
    }

    fn answer(&mut self, answer: &Answer) -> alexnet::Result<()> {
        let Some((writer, path)) = &mut self.table else { return Ok(()) };
        let (name, label) = (self.source.name(answer.image), self.source.label(answer.image) as usize);
        writer.push(self.rows.row(name, label, answer)).map_err(|error| {
            self.unwritten = Some(failed(Some(path), error));
            alexnet::Error::Invalid("the answers cannot be written".into())
        })
    }
}
