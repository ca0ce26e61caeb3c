//! Lists of paths, one per line, read line by line: in a file, or on standard input.

use super::{ImageSource, Images, Search, of_path, one};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Maximum bytes of a line. No system has longer paths; without a limit, a file without line breaks would fill the memory.
const MAX_LINE: usize = 1 << 16;

/// The images listed on standard input; paths are relative to the current folder, or to `--root`.
pub(super) fn of_standard_input(search: &Search) -> Images {
    lines(Box::new(BufReader::new(io::stdin())), "standard input".into(), PathBuf::new(), search)
}

/// The images listed in a file; paths are relative to its folder, or to `--root`.
pub(super) fn of_file(path: PathBuf, search: &Search) -> Images {
    if path == Path::new("-") {
        return of_standard_input(search);
    }
    match open(&path) {
        Ok(file) => {
            let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
            lines(Box::new(BufReader::new(file)), path, folder, search)
        }
        Err(error) => one(ImageSource::Unreadable(path, error.to_string())),
    }
}

/// Opens a list. Files already opened by the shell, `<(command)`, may be pipes.
fn open(path: &Path) -> io::Result<std::fs::File> {
    let is_open = ["/dev/fd", "/proc/self/fd", "/dev/stdin"].iter().any(|known| path.starts_with(known));
    if is_open { std::fs::File::open(path) } else { alexnet::files::open_regular(path).map(|(file, _)| file) }
}

fn lines(reader: Box<dyn BufRead + Send>, name: PathBuf, folder: PathBuf, search: &Search) -> Images {
    let search = search.clone();
    let folder = search.root.clone().unwrap_or(folder);
    let lines = Lines { reader, name, number: 0, ended: false };
    Box::new(lines.flat_map(move |line| match line {
        Ok(path) => of_path(folder.join(path), &search),
        Err(unreadable) => one(unreadable),
    }))
}

/// The paths of a list. After a line that cannot be a path there are no others.
struct Lines {
    reader: Box<dyn BufRead + Send>,
    name: PathBuf,
    number: usize,
    ended: bool,
}

impl Lines {
    /// The next line without its end; `None` at the end of the list.
    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        self.number += 1;
        match read.map_err(|error| error.to_string())? {
            0 => return Ok(None),
            n if n > MAX_LINE => {
                return Err(format!("line {} has more than {MAX_LINE} bytes; expected one path per line", self.number));
            }
            _ => {}
        }
        if line.contains(&0) {
            return Err(format!("line {} is not text; expected one path per line, in UTF-8", self.number));
        }
        let marked = if self.number == 1 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line) } else { &line };
        let end = marked.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        Ok(Some(marked[..end].to_vec()))
    }
}

impl Iterator for Lines {
    type Item = Result<PathBuf, ImageSource>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.line() {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => return Some(Ok(path(line))),
                Ok(None) => self.ended = true,
                Err(why) => {
                    self.ended = true;
                    return Some(Err(ImageSource::Unreadable(self.name.clone(), why)));
                }
            }
        }
        None
    }
}

/// The path of a line, in any encoding where the system allows it.
#[cfg(unix)]
fn path(line: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(line).into()
}

/// The path of a line.
#[cfg(not(unix))]
fn path(line: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&line).into_owned().into()
}
