//! One error type for the library: it says what was wrong, where, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said. Not the error's `source`, or it would be told twice.
        cause: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A network that cannot be built, or does not fit its weights or its input.
    #[error("{0}")]
    Net(String),
    /// Settings, data or a state of affairs that cannot work.
    #[error("{0}")]
    Invalid(String),
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A message of a reader that knows no path, such as a decoder of bytes.
impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::Invalid(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::Invalid(message.into())
    }
}

/// The message, to be given a path or a context.
impl From<Error> for String {
    fn from(error: Error) -> String {
        error.to_string()
    }
}

impl Error {
    /// Wraps what the system said about `path`.
    pub fn io(path: impl AsRef<Path>, cause: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), cause }
    }

    /// The same error, said to be about `what`: an option, a file, a step of the work.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        Error::Invalid(format!("{what}: {self}"))
    }

    /// Says what is wrong with the content of `path`.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// What is wrong, without the file's name.
    pub fn without_path(self) -> String {
        match self {
            Error::Io { cause, .. } => cause.to_string(),
            Error::File { message, .. } => message,
            other => other.to_string(),
        }
    }
}
