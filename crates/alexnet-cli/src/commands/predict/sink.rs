//! Output of `alexnet predict` in each format.

use super::rows::Answers;
use crate::answer_file::{AnswerFile, failed};
use alexnet::Predictions;
use alexnet::answers::{self, Writer};
use alexnet::escape;
use anyhow::bail;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Csv,
    Jsonl,
    Parquet,
    /// One JSON array, as `--json`.
    Json,
}

impl Format {
    /// The format of the options `--format` and `--out`.
    pub(super) fn choose(format: Option<Format>, out: Option<&Path>) -> anyhow::Result<Format> {
        let of_extension = |path: &Path| match answers::Format::of_extension(path) {
            Some(answers::Format::Csv) => Ok(Format::Csv),
            Some(answers::Format::JsonLines) => Ok(Format::Jsonl),
            Some(answers::Format::Parquet) => Ok(Format::Parquet),
            None => match path.extension().and_then(|ending| ending.to_str()) {
                Some("txt") => Ok(Format::Text),
                Some("json") => Ok(Format::Json),
                _ => bail!("--out {}: unknown extension; use .csv, .jsonl, .parquet or .txt, or add --format", path.display()),
            },
        };
        let chosen = match (format, out) {
            (Some(format), _) => format,
            (None, Some(path)) => of_extension(path)?,
            (None, None) => Format::Text,
        };
        if chosen == Format::Parquet && out.is_none() {
            bail!("--format parquet: a binary file; add --out FILE");
        }
        Ok(chosen)
    }

    fn table(self) -> Option<answers::Format> {
        match self {
            Format::Csv => Some(answers::Format::Csv),
            Format::Jsonl => Some(answers::Format::JsonLines),
            Format::Parquet => Some(answers::Format::Parquet),
            Format::Text | Format::Json => None,
        }
    }
}

/// Writer of the answers.
pub(super) struct Sink {
    answers: Answers,
    path: Option<PathBuf>,
    kind: Kind,
    /// Whether names are escaped, so that no file name controls the terminal.
    terminal: bool,
}

enum Kind {
    Text(AnswerFile),
    /// A JSON array, and whether it has elements.
    Json(AnswerFile, bool),
    Table(Writer<AnswerFile>),
}

impl Sink {
    /// Starts the output.
    pub(super) fn create(format: Format, out: Option<&Path>, answers: Answers) -> anyhow::Result<Sink> {
        let mut file = AnswerFile::create(out)?;
        let kind = match format.table() {
            Some(table) => Kind::Table(Writer::new(table, answers.columns(), file).map_err(|error| failed(out, error))?),
            None if format == Format::Json => {
                file.write_all(b"[").map_err(|error| failed(out, error))?;
                Kind::Json(file, false)
            }
            None => Kind::Text(file),
        };
        let terminal = out.is_none() && io::stdout().is_terminal();
        Ok(Sink { answers, path: out.map(PathBuf::from), kind, terminal })
    }

    /// Adds an image. One that could not be read has a row in a table, but no line of text and no element of an array.
    pub(super) fn push(&mut self, name: &str, answer: alexnet::Result<Predictions>) -> anyhow::Result<()> {
        let done = match (&mut self.kind, answer) {
            (Kind::Table(table), answer) => {
                let shown = if self.terminal { escape::printable(name) } else { name.into() };
                let pushed = table.push(self.answers.row(&shown, answer));
                // The reader of a pipe sees a row when it is known.
                if self.path.is_none() { pushed.and_then(|()| table.flush()) } else { pushed }
            }
            (Kind::Text(_) | Kind::Json(..), Err(_)) => Ok(()),
            (Kind::Text(out), Ok(answer)) => {
                let line = self.answers.line(name, &answer);
                out.write_all(escape::printable_lines(&line).as_bytes())
            }
            (Kind::Json(out, has_elements), Ok(answer)) => {
                let comma = if std::mem::replace(has_elements, true) { "," } else { "" };
                write!(out, "{comma}{}", self.answers.json(name, &answer))
            }
        };
        done.map_err(|error| failed(self.path.as_deref(), error))
    }

    /// Completes the output.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let explained = |error| failed(self.path.as_deref(), error);
        let file = match self.kind {
            Kind::Table(table) => table.finish().map_err(explained)?,
            Kind::Text(file) => file,
            Kind::Json(mut file, _) => {
                file.write_all(b"]\n").map_err(explained)?;
                file
            }
        };
        file.commit()
    }
}
