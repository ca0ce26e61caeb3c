//! Random-access file reader: a format's reader records where the tensors are, and values are loaded on demand.
//!
//! No memory is allocated for a claimed length before it is checked against the remaining bytes of the file.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Buffer size for header parsing, in bytes.
const BUFFER: u64 = 1 << 14;

/// An open file of known length.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    length: u64,
}

/// Opens a model file, and returns its length.
pub(super) fn open_file(path: &Path) -> Result<(File, u64)> {
    alexnet_files::open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::Other => Error::file(path, format!("{error}; pass a model file such as best.safetensors")),
        _ => Error::io(path, error),
    })
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is not a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_file(path)?;
        Ok(Reader { path: path.to_path_buf(), file, length })
    }

    /// Opens another file of the same model. It must be in this file's folder after links are resolved: otherwise an untrusted
    /// model could read any file on this machine as its weights.
    ///
    /// # Errors
    /// When it cannot be read, is not a regular file, or is in another folder.
    pub(crate) fn open_sibling(&self, path: &Path) -> ParseResult<Reader> {
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let place = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e).to_string());
        if !place(path)?.starts_with(place(folder)?) {
            let path = path.display();
            return Err(format!("{path} is outside the model's folder; replace the link by a copy of its target"));
        }
        Reader::open(path).map_err(|e| e.to_string())
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The underlying file, for libraries with their own reader.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// A cursor over the bytes from `start` to `end`, both limited to the file's length.
    pub(crate) fn cursor(&self, start: u64, end: u64) -> Cursor<'_> {
        let end = end.min(self.length);
        Cursor { reader: self, at: start.min(end), end, buffer: Vec::new(), buffer_start: 0 }
    }

    /// Fills `bytes` from offset `start`.
    pub(crate) fn fill(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}

/// Result of parsing; the error message is completed with the file's name later.
pub(crate) type ParseResult<T> = std::result::Result<T, String>;

/// A forward cursor over a part of a file.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    reader: &'a Reader,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// File offset of the buffer.
    buffer_start: u64,
}

impl<'a> Cursor<'a> {
    /// Current file offset.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Remaining bytes.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The file being read.
    pub(crate) fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// Splits off the next `length` bytes as a cursor of their own.
    ///
    /// # Errors
    /// When fewer bytes remain.
    pub(crate) fn part(&mut self, length: u64) -> ParseResult<Cursor<'a>> {
        let start = self.skip(length)?;
        Ok(self.reader.cursor(start, start + length))
    }

    /// Skips `length` bytes and returns their offset.
    ///
    /// # Errors
    /// When fewer bytes remain.
    pub(crate) fn skip(&mut self, length: u64) -> ParseResult<u64> {
        if length > self.left() {
            return Err(format!("truncated or damaged: expected {length} bytes at byte {}, {} are left", self.at, self.left()));
        }
        let start = self.at;
        self.at += length;
        Ok(start)
    }

    /// The next byte.
    ///
    /// # Errors
    /// At the end.
    pub(crate) fn byte(&mut self) -> ParseResult<u8> {
        let start = self.skip(1)?;
        let held = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        if !held.contains(&start) {
            let length = BUFFER.min(self.end - start);
            self.buffer.resize(length as usize, 0);
            self.buffer_start = start;
            if let Err(e) = self.reader.fill(start, &mut self.buffer) {
                self.buffer.clear();
                return Err(format!("cannot be read at byte {start}: {e}"));
            }
        }
        Ok(self.buffer[(start - self.buffer_start) as usize])
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer bytes remain.
    pub(crate) fn array<const N: usize>(&mut self) -> ParseResult<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// The next `length` bytes; memory is allocated only after the check.
    ///
    /// # Errors
    /// When fewer bytes remain, or they cannot be read.
    pub(crate) fn bytes(&mut self, length: u64) -> ParseResult<Vec<u8>> {
        let start = self.skip(length)?;
        let mut bytes = vec![0; length as usize];
        self.reader.fill(start, &mut bytes).map_err(|e| format!("cannot be read at byte {start}: {e}"))?;
        Ok(bytes)
    }

    /// The next `length` bytes as UTF-8 text.
    ///
    /// # Errors
    /// When fewer bytes remain, or they are not UTF-8.
    pub(crate) fn text(&mut self, length: u64) -> ParseResult<String> {
        let at = self.at;
        String::from_utf8(self.bytes(length)?).map_err(|_| format!("damaged: the text at byte {at} is not UTF-8"))
    }

    /// Text up to the end of the line, at most 4,096 bytes.
    ///
    /// # Errors
    /// When the line does not end, or is not UTF-8.
    pub(crate) fn line(&mut self) -> ParseResult<String> {
        let at = self.at;
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if bytes.len() == 4_096 => return Err(format!("damaged: the line at byte {at} does not end")),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| format!("damaged: the text at byte {at} is not UTF-8"))
    }
}
