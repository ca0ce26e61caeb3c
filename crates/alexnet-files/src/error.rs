//! The shared error type: what failed, where, and what to do.

use std::path::{Path, PathBuf};

/// Error of the alexnet crates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error. Not the `source`, which would print it twice.
        cause: std::io::Error,
    },
    /// A file has invalid content.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// An invalid network, or one that does not match its weights or its input.
    #[error("{0}")]
    Net(String),
    /// Invalid settings, data or state.
    #[error("{0}")]
    Invalid(String),
}

/// Result with the shared error type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error from a reader without a path, such as an image decoder.
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

/// The message, for adding a path or a context.
impl From<Error> for String {
    fn from(error: Error) -> String {
        error.to_string()
    }
}

impl Error {
    /// Wraps a system error for `path`.
    pub fn io(path: impl AsRef<Path>, cause: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), cause }
    }

    /// The same error prefixed with `what`: an option, a file, a step.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        Error::Invalid(format!("{what}: {self}"))
    }

    /// An error about the content of `path`.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// The message without the file name.
    pub fn without_path(self) -> String {
        match self {
            Error::Io { cause, .. } => cause.to_string(),
            Error::File { message, .. } => message,
            other => other.to_string(),
        }
    }
}
