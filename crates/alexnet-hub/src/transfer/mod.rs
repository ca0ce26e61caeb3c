//! Downloads that survive cut connections and end with a verified file.

mod content;
mod http;
mod part;
mod proxy;

pub(crate) use part::Part;

use crate::hub::Event;
use crate::record::Record;
use crate::source::{Source, without_secrets};
use alexnet_formats::published::PublishedFile;
use http::{Answer, Range};
use std::io::Read;
use std::time::Duration;

/// No AlexNet is larger, even in double precision.
const MOST: u64 = 2 << 30;
/// Bytes that suffice to recognise a web page.
const BEGINNING: usize = 512;

/// Time limits of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to find the host and connect to it [default: 15 s].
    pub connect: Duration,
    /// Longest pause between two pieces of data [default: 30 s].
    pub stall: Duration,
    /// Attempts without progress before giving up [default: 5].
    pub attempts: u32,
    /// Pause before the second attempt, doubled before each further one [default: 1 s].
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits { connect: seconds(15), stall: seconds(30), attempts: 5, pause: seconds(1) }
    }
}

/// Why a download failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The network or the server: another attempt may succeed.
    Passing(String),
    /// There is no connection: another attempt is futile, unless there was one before.
    Unreachable(String),
    /// The network or the server: another attempt is futile.
    Network(String),
    /// The server has another file than the one wanted.
    Content(String),
    /// The file cannot be written.
    Local(alexnet_files::Error),
}

impl From<alexnet_files::Error> for Failure {
    fn from(error: alexnet_files::Error) -> Failure {
        Failure::Local(error)
    }
}

/// Downloads and verifies a file into `part`.
pub(crate) fn transfer(
    file: &PublishedFile,
    source: &Source,
    part: &mut Part,
    limits: &Limits,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Record, Failure> {
    loop {
        receive(file, source, part, limits, observer)?;
        let digests = part.digests();
        if source.accept.accepts(file, &digests) {
            return Ok(part.record(digests, &without_secrets(&source.url))?);
        }
        // Pieces of two downloads need not fit together: the file may have changed, or the part may be of another mirror.
        let patched = part.is_patched();
        part.clear()?;
        if !patched {
            let (found, wanted) = match &source.accept {
                crate::source::Accept::Sha256(wanted) => (format!("sha256 {}", digests.sha256), format!("sha256 {wanted}")),
                _ => (digests.like(&file.checksum), file.checksum.to_string()),
            };
            return Err(Failure::Content(format!("the checksum is wrong: {found}, expected {wanted}")));
        }
        observer(Event::Retrying { why: "the resumed file has a wrong checksum" });
    }
}

/// Downloads what is missing, in as many attempts as make progress.
fn receive(
    file: &PublishedFile,
    source: &Source,
    part: &mut Part,
    limits: &Limits,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let start = part.len();
    let (mut furthest, mut failures) = (start, 0);
    loop {
        let why = match attempt(file, source, part, limits, observer) {
            Err(Failure::Passing(why)) => why,
            Err(Failure::Unreachable(why)) if furthest > start => why,
            done => return done,
        };
        // A server that sends the beginning again and again makes no progress.
        failures = if part.len() > furthest { 1 } else { failures + 1 };
        furthest = furthest.max(part.len());
        if failures >= limits.attempts {
            let kept = match part.len() {
                0 => String::new(),
                kept => format!("; the first {kept} bytes are kept for the next attempt"),
            };
            return Err(Failure::Network(why + &kept));
        }
        observer(Event::Retrying { why: &why });
        std::thread::sleep(limits.pause * 2u32.pow((failures - 1).min(5)));
    }
}

/// Downloads what is missing through one connection.
fn attempt(
    file: &PublishedFile,
    source: &Source,
    part: &mut Part,
    limits: &Limits,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let size = source.accept.bytes(file);
    if size.is_some_and(|size| part.len() > size) {
        part.clear()?;
    } else if size == Some(part.len()) {
        return Ok(());
    }
    let range = part.resumable(source).map(|validator| Range { from: part.len(), validator });
    if range.is_none() {
        part.clear()?;
    }
    let mut answer = http::get(&source.url, range.as_ref(), limits)?;
    if let Some(page) = content::of_type(answer.content_type.as_deref()) {
        return Err(Failure::Network(page.into()));
    }
    if let (Some(size), Some(total)) = (size, answer.total)
        && size != total
    {
        return Err(Failure::Content(format!("the file there has {total} bytes, the published one {size}")));
    }
    if answer.total.is_some_and(|total| total > MOST) {
        return Err(Failure::Content(format!("the file there has more than {MOST} bytes, too many for an AlexNet")));
    }
    // From here on the answer is taken for the file, and an earlier part for a part of it.
    match (answer.from, range) {
        (0, _) => part.clear()?,
        (from, Some(_)) if from == part.len() => part.patch(),
        (from, _) => {
            part.clear()?;
            return Err(Failure::Passing(format!("the server sent bytes from {from} on, which were not requested")));
        }
    }
    part.describe(source, answer.validator.as_deref())?;
    observer(Event::Started { url: &without_secrets(&answer.url), position: part.len(), total: answer.total.or(size) });
    let limit = size.or(answer.total).unwrap_or(MOST);
    copy(&mut answer, part, limit, observer)?;
    match answer.total.or(size) {
        Some(total) if part.len() < total => {
            Err(Failure::Passing(format!("the connection was cut off after {} of {total} bytes", part.len())))
        }
        _ => Ok(()),
    }
}

/// Writes the body of an answer to `part`, at most up to `limit` bytes in all.
fn copy(answer: &mut Answer, part: &mut Part, limit: u64, observer: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 17];
    let mut filled = 0;
    loop {
        let count = answer.body.read(&mut buffer[filled..]).map_err(|error| http::while_reading(error, &answer.url))?;
        filled += count;
        // The first bytes together: a page is recognised by them.
        if part.is_empty() && count > 0 && filled < BEGINNING {
            continue;
        }
        if part.is_empty()
            && let Some(other) = content::of_beginning(&buffer[..filled])
        {
            return Err(Failure::Network(other.into()));
        }
        if part.len() + filled as u64 > limit {
            part.clear()?;
            return Err(Failure::Content(format!("the server sends more than the {limit} bytes of the file")));
        }
        if filled > 0 {
            part.write(&buffer[..filled])?;
            observer(Event::Received { position: part.len() });
        }
        if count == 0 {
            return Ok(());
        }
        filled = 0;
    }
}
