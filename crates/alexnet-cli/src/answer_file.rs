//! Destination of answers: standard output, or a file that appears when it is complete.

use alexnet::files::{self, AtomicFile};
use std::io::{self, Stdout, Write};
use std::path::Path;

/// Standard output or a file.
pub(crate) enum AnswerFile {
    Standard(Stdout),
    File(AtomicFile),
}

impl AnswerFile {
    /// Starts the file at `path`, or takes standard output.
    pub(crate) fn create(path: Option<&Path>) -> anyhow::Result<AnswerFile> {
        Ok(match path {
            Some(path) => AnswerFile::File(AtomicFile::create(path)?),
            None => AnswerFile::Standard(io::stdout()),
        })
    }

    /// Puts the file in place.
    pub(crate) fn commit(self) -> anyhow::Result<()> {
        match self {
            AnswerFile::Standard(mut out) => Ok(out.flush()?),
            AnswerFile::File(file) => Ok(file.commit()?),
        }
    }
}

impl Write for AnswerFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            AnswerFile::Standard(out) => out.write(bytes),
            AnswerFile::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            AnswerFile::Standard(out) => out.flush(),
            AnswerFile::File(file) => file.flush(),
        }
    }
}

/// A failed write to standard output, which `main` recognises if it means that the reader has gone, or to the file `path`.
pub(crate) fn failed(path: Option<&Path>, error: io::Error) -> anyhow::Error {
    match path {
        Some(path) => files::explain(path, error).into(),
        None => error.into(),
    }
}
