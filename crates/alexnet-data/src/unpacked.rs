//! Decompressed files: the content of a gzip or zstd file in an unnamed temporary file.

use crate::read_at::{ReadFrom, read_exact_at};
use crate::sniff::{self, Codec, Content};
use crate::{Error, Result, escape};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// Maximum ratio of the sizes after and before, beyond [`ALWAYS`]. Images hardly compress, their pixels to a tenth.
const MOST: u64 = 200;
pub(crate) const ALWAYS: u64 = 256 << 20;

/// Content of a compressed file.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// An unnamed file, which ceases to exist with the last handle.
    pub(crate) file: File,
    pub(crate) size: u64,
}

/// A file that can be read anywhere.
#[derive(Debug)]
pub(crate) enum Plain {
    /// As it is.
    File(File, u64),
    /// Decompressed, possibly shared with other splits.
    Unpacked(Arc<Unpacked>),
}

impl Plain {
    /// Opens a file, and decompresses it if need be, in which case there is a note.
    ///
    /// # Errors
    /// As [`unpack`].
    pub(crate) fn open(path: &Path) -> Result<(Plain, Option<String>)> {
        let (file, size) = crate::files::open_regular(path).map_err(|error| Error::io(path, error))?;
        let mut start = [0; 4];
        let codec = match read_exact_at(&file, &mut start, 0).map(|()| sniff::content(&start)) {
            Ok(Content::Compressed(codec)) => codec,
            _ => return Ok((Plain::File(file, size), None)),
        };
        let unpacked = unpack(path, codec)?;
        let note = unpacked.note(codec);
        Ok((Plain::Unpacked(unpacked), Some(note)))
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Plain::File(file, _) => file,
            Plain::Unpacked(unpacked) => &unpacked.file,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Plain::File(_, size) => *size,
            Plain::Unpacked(unpacked) => unpacked.size,
        }
    }
}

impl Unpacked {
    /// Note that a file was decompressed.
    pub(crate) fn note(&self, codec: Codec) -> String {
        let how = match codec {
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        };
        let (size, folder) = (self.size.div_ceil(1 << 20), std::env::temp_dir());
        format!(
            "compressed with {how}: decompressed into {size} MiB of {} for this run; `alexnet data pack` makes a file that opens at once",
            escape::path(&folder)
        )
    }
}

/// What was decompressed, and is still in use.
type Kept = (PathBuf, u64, Option<SystemTime>, Weak<Unpacked>);
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Decompresses a file, unless that was done before and the result is still in use: training and validation images often come from one
/// file.
///
/// # Errors
/// The file is damaged, truncated or implausibly large when decompressed, or the temporary folder is full.
pub(crate) fn unpack(path: &Path, codec: Codec) -> Result<Arc<Unpacked>> {
    let io = |error| Error::io(path, error);
    let (file, size) = crate::files::open_regular(path).map_err(io)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    // Held while decompressing, so that another thread waits for the same file instead of decompressing it too.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|(.., unpacked)| unpacked.strong_count() > 0);
    let same = kept.iter().find(|(known, length, at, _)| (known.as_path(), *length, *at) == (path, size, modified));
    if let Some(unpacked) = same.and_then(|(.., unpacked)| unpacked.upgrade()) {
        return Ok(unpacked);
    }
    let source = BufReader::with_capacity(1 << 16, ReadFrom { file: &file, at: 0 });
    let most = size.saturating_mul(MOST).max(ALWAYS);
    let unpacked = Arc::new(match codec {
        Codec::Gzip => copy(path, MultiGzDecoder::new(source), most)?,
        Codec::Zstd => copy(path, Frames::new(source), most)?,
    });
    kept.push((path.to_path_buf(), size, modified, Arc::downgrade(&unpacked)));
    Ok(unpacked)
}

fn copy(path: &Path, mut source: impl Read, most: u64) -> Result<Unpacked> {
    let folder = std::env::temp_dir();
    let no_room = |error: io::Error| {
        let advice = "set TMPDIR to a folder with room, or unpack it";
        Error::file(path, format!("cannot be decompressed into {}: {error}; {advice}", escape::path(&folder)))
    };
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::file(path, "truncated; copy it again"),
        _ => Error::file(path, format!("cannot be decompressed: {error}; copy it again")),
    };
    let mut file = tempfile::tempfile().map_err(no_room)?;
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => return Ok(Unpacked { file, size }),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        size += n as u64;
        if size > most {
            return Err(Error::file(path, format!("expands to more than {MOST} times its size; unpack it")));
        }
        file.write_all(&buffer[..n]).map_err(no_room)?;
    }
}

/// Frames of a zstd file, one after another, with their checksums compared.
struct Frames<R: BufRead> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun and is not finished.
    within: bool,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.explain(error))?;
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let stored = self.decoder.get_checksum_from_data();
            if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum differs"));
            }
            self.within = false;
        }
    }
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        Frames { source, decoder: FrameDecoder::new(), within: false }
    }

    /// Starts the next frame, or passes over one that holds no content.
    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.within = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(self.explain(error)),
        }
        Ok(())
    }

    /// The decoder's error; at the end of the file it is only that the file is truncated.
    fn explain(&mut self, error: FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            _ => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}
