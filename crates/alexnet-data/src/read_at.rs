//! Reads at an offset that do not move a position shared by other threads.

use crate::image::decode;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Reads some bytes at an offset.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, start)
}

/// Reads some bytes at an offset.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, start)
}

/// Fills the buffer from an offset.
///
/// # Errors
/// The file ends before, or cannot be read.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut start: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, start) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                start += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An image file's bytes at an offset.
///
/// # Errors
/// It is too large, or cannot be read.
pub(crate) fn read_image(file: &File, start: u64, bytes: u64) -> Result<Vec<u8>, String> {
    if bytes > decode::MAX_FILE {
        return Err(decode::TOO_LARGE.into());
    }
    let mut buffer = vec![0; bytes as usize];
    read_exact_at(file, &mut buffer, start).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(buffer)
}

/// Bytes of a file from an offset, as a stream.
pub(crate) struct ReadFrom<'a> {
    pub(crate) file: &'a File,
    pub(crate) at: u64,
}

impl Read for ReadFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(self.file, buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Part of a file as a file of its own.
pub(crate) struct Window<'a> {
    pub(crate) file: &'a File,
    /// Start of the part.
    pub(crate) start: u64,
    pub(crate) size: u64,
    /// Position within the part.
    pub(crate) at: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let n = read_at(self.file, &mut buffer[..most], self.start + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.at)
    }
}

/// A [`Window`] with a buffer that survives short seeks, for archives: their headers lie a few bytes apart, or far apart.
pub(crate) struct Buffered<'a> {
    window: Window<'a>,
    buffer: Box<[u8]>,
    /// Position of the buffer's first byte within the window, and its number of valid bytes.
    start: u64,
    filled: usize,
    at: u64,
}

impl<'a> Buffered<'a> {
    /// One page: a header and a short label, but little of an image that is skipped.
    const SIZE: usize = 4096;

    pub(crate) fn new(window: Window<'a>) -> Self {
        let at = window.at;
        Buffered { window, buffer: vec![0; Self::SIZE].into_boxed_slice(), start: at, filled: 0, at }
    }

    /// The valid bytes from the current position on.
    fn ahead(&self) -> &[u8] {
        let skip = self.at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer[..self.filled].get(skip..)).unwrap_or_default()
    }
}

impl Read for Buffered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.ahead().is_empty() {
            self.window.at = self.at;
            if buffer.len() >= Self::SIZE {
                let n = self.window.read(buffer)?;
                self.at += n as u64;
                return Ok(n);
            }
            self.filled = 0;
            self.filled = self.window.read(&mut self.buffer)?;
            self.start = self.at;
        }
        let ahead = self.ahead();
        let n = ahead.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ahead[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Buffered<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.window.at = self.at;
        self.at = self.window.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffered_window_reads_as_the_bytes_do() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bytes"), &bytes).unwrap();
        let file = File::open(folder.path().join("bytes")).unwrap();
        let part = &bytes[100..19_000];
        let mut plain = std::io::Cursor::new(part);
        let mut buffered = Buffered::new(Window { file: &file, start: 100, size: part.len() as u64, at: 0 });
        let steps = [
            (0i64, 512usize),
            (1000, 512),
            (-200, 10),
            (4000, 5000),
            (0, 4096),
            (-9000, 3),
            (3, 4095),
            (6000, 100),
            (9000, 10),
            (-20, 7),
        ];
        for (by, n) in steps {
            assert_eq!(buffered.seek(SeekFrom::Current(by)).unwrap(), plain.seek(SeekFrom::Current(by)).unwrap());
            let read = |from: &mut dyn Read| {
                let mut bytes = Vec::new();
                from.take(n as u64).read_to_end(&mut bytes).map(|_| bytes).unwrap()
            };
            assert_eq!(read(&mut buffered), read(&mut plain), "{by} {n}");
        }
        assert!(buffered.seek(SeekFrom::Current(-1_000_000)).is_err());
    }
}
