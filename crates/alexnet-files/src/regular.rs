//! Opening of regular files only: opening a named pipe blocks until it has a writer, and a device has no end.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file, or a link to one, and returns its length.
///
/// # Errors
/// The system's error, or what `path` is instead: "a named pipe, not a file".
pub fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    // Checked before opening, since opening a pipe blocks, and again afterwards in case it was replaced.
    check(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata.len()))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Like [`open_regular`], and for a larger file.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open_regular(path)?;
    read(file, length, most)
}

/// Reads a file of at most `most` bytes named by the user. Files already opened by the shell (`<(command)`, `/dev/stdin`) may be
/// pipes.
///
/// # Errors
/// Like [`read_regular`].
pub(super) fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let open = ["/dev/fd", "/proc/self/fd", "/dev/stdin"].iter().any(|known| path.starts_with(known));
    if open { File::open(path).and_then(|file| read(file, 0, most)) } else { read_regular(path, most) }
}

fn read(file: File, length: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(most) as usize);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::Error::other(format!("it has more than {most} bytes"))) } else { Ok(bytes) }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::other(format!("this is {}, not a file", what(kind))))
}

/// Describes a file type other than regular.
fn what(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "not a regular file" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        std::fs::write(&path, "cat\ndog\n").unwrap();
        assert_eq!(open_regular(&path).unwrap().1, 8);
        assert_eq!(read_regular(&path, 8).unwrap(), b"cat\ndog\n");
        assert!(read_regular(&path, 7).unwrap_err().to_string().contains("more than 7 bytes"));
    }

    #[test]
    fn folders_devices_and_sockets_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open_regular(folder.path()).unwrap_err().to_string().contains("a folder, not a file"));
        #[cfg(unix)]
        {
            assert!(open_regular(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device, not a file"));
            let path = folder.path().join("socket.jpg");
            let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
            assert!(open_regular(&path).unwrap_err().to_string().contains("a socket, not a file"));
        }
    }

    /// Opening a pipe without a writer would block forever.
    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jpg");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(open_regular(&path).unwrap_err().to_string().contains("a named pipe, not a file"));
        assert!(crate::read_text(&path).unwrap_err().to_string().contains("a named pipe, not a file"));
    }
}
