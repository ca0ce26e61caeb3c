//! A file read by place: a format's reader notes where the tensors lie, and their values are read when they are wanted.
//!
//! So no reader takes memory for what a file merely claims: every length is held against what is left of the file first.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes read at once while looking at headers.
const BUFFER: u64 = 1 << 14;

/// An open file of known length.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    length: u64,
}

/// Opens a model file, and gives its length.
pub(super) fn open_file(path: &Path) -> Result<(File, u64)> {
    alexnet_files::open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::Other => Error::file(path, format!("{error}; give a model file such as best.safetensors")),
        _ => Error::io(path, error),
    })
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is no file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_file(path)?;
        Ok(Reader { path: path.to_path_buf(), file, length })
    }

    /// Opens another file of the same model, which must lie in this one's folder wherever links lead: a model from elsewhere could
    /// otherwise have any file of this machine read as its weights.
    ///
    /// # Errors
    /// When it cannot be read, is no file, or lies elsewhere.
    pub(crate) fn beside(&self, path: &Path) -> ParseResult<Reader> {
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let place = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e).to_string());
        if !place(path)?.starts_with(place(folder)?) {
            let path = path.display();
            return Err(format!("{path} leads out of the model's folder; copy the file that it leads to into its place"));
        }
        Reader::open(path).map_err(|e| e.to_string())
    }

    /// The file's place.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The file itself, for libraries that read it their own way.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Reads from byte `start` on, up to `end`, which are cut to what the file has.
    pub(crate) fn cursor(&self, start: u64, end: u64) -> Cursor<'_> {
        let end = end.min(self.length);
        Cursor { reader: self, at: start.min(end), end, buffer: Vec::new(), buffer_start: 0 }
    }

    /// Fills `bytes` from byte `start` on.
    pub(crate) fn fill(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}

/// What a reader of a format says went wrong; the file's name is put before it later.
pub(crate) type ParseResult<T> = std::result::Result<T, String>;

/// A place in a part of a file, moving forward.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    reader: &'a Reader,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_start: u64,
}

impl<'a> Cursor<'a> {
    /// The place in the file.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes left in this part.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The file that it reads.
    pub(crate) fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// The next `length` bytes as a part of their own, which are then passed.
    ///
    /// # Errors
    /// When so many are not left.
    pub(crate) fn part(&mut self, length: u64) -> ParseResult<Cursor<'a>> {
        let start = self.skip(length)?;
        Ok(self.reader.cursor(start, start + length))
    }

    /// Passes `length` bytes and tells where they began.
    ///
    /// # Errors
    /// When so many are not left.
    pub(crate) fn skip(&mut self, length: u64) -> ParseResult<u64> {
        if length > self.left() {
            return Err(format!(
                "cut off or damaged: {length} bytes are announced at byte {}, {} are left",
                self.at,
                self.left()
            ));
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
    /// When so many are not left.
    pub(crate) fn array<const N: usize>(&mut self) -> ParseResult<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// The next `length` bytes; memory is taken after they are known to be there.
    ///
    /// # Errors
    /// When so many are not left, or cannot be read.
    pub(crate) fn bytes(&mut self, length: u64) -> ParseResult<Vec<u8>> {
        let start = self.skip(length)?;
        let mut bytes = vec![0; length as usize];
        self.reader.fill(start, &mut bytes).map_err(|e| format!("cannot be read at byte {start}: {e}"))?;
        Ok(bytes)
    }

    /// The next `length` bytes as text.
    ///
    /// # Errors
    /// When so many are not left, or are no UTF-8.
    pub(crate) fn text(&mut self, length: u64) -> ParseResult<String> {
        let at = self.at;
        String::from_utf8(self.bytes(length)?).map_err(|_| format!("damaged: the text at byte {at} is no UTF-8"))
    }

    /// Text up to the end of a line, of at most 4,096 bytes.
    ///
    /// # Errors
    /// When the line does not end, or is no UTF-8.
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
        String::from_utf8(bytes).map_err(|_| format!("damaged: the text at byte {at} is no UTF-8"))
    }
}
