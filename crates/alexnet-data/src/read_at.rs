//! Reads at an offset that do not move a position shared by other threads.

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
