//! File-based rendezvous of processes started without `mpirun`, on a disk that all of them can access.
//!
//! Rank 0 has to distribute the 128-byte id that NCCL's ranks share. Two things complicate this: files of an earlier
//! job may remain, whose processes no longer exist; and ranks may join late, or never. So the ranks use a handshake:
//!
//! 1. Rank r writes a ticket, a unique number, beside the file (`FILE.r`).
//! 2. Once every rank has a ticket, rank 0 writes a roster into the file: all these tickets and a ticket of its own.
//! 3. A rank that finds its ticket in the roster answers: it adds rank 0's ticket to its own file.
//! 4. Once all have answered, rank 0 adds the bytes. Each rank reads them and removes its ticket; then rank 0
//!    removes the file.
//!
//! Remains of earlier jobs are harmless: a rank ignores a roster without its own ticket, and an old ticket is listed
//! but never answers, until the new rank replaces it. Every file is written to a temporary file and then renamed.

use alexnet::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Length of the distributed data: NCCL's job id.
pub const BYTES: usize = 128;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Rendezvous of ranks, from the view of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The file. Each job needs its own; its folder must exist.
    pub file: PathBuf,
    /// Index of this rank, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub size: usize,
    /// Timeout for the other ranks.
    pub limit: Duration,
}

/// Content of `FILE.r`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RankFile {
    size: usize,
    ticket: String,
    /// Ticket of the rank 0 whose roster it has answered.
    answers: Option<String>,
}

/// Content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roster {
    host: String,
    /// Tickets of ranks 1, 2, ...
    guests: Vec<String>,
    bytes: Option<[u8; BYTES]>,
}

impl Rendezvous {
    /// Distributes rank 0's bytes to all ranks. `bytes` is called on rank 0 only, once all have joined.
    ///
    /// # Errors
    /// Ranks that do not join in time, a folder that cannot be written, or errors of `bytes`.
    pub fn hand_over(&self, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        if self.rank >= self.size {
            return Err(Error::Invalid(format!(
                "rank {} of {}: ranks count from 0, so --rank must be below --ranks",
                self.rank, self.size
            )));
        }
        if self.rank == 0 { self.host(bytes) } else { self.visit() }
    }

    /// Runs rank 0's part.
    fn host(&self, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        let began = Instant::now();
        let mut roster = Roster { host: ticket(), guests: Vec::new(), bytes: None };
        let result = self.call(began, &mut roster, bytes);
        // Remove the file: all ranks have read it, or the rendezvous failed.
        remove(&self.file)?;
        result
    }

    /// Updates the roster until all ranks have answered, then publishes the bytes.
    fn call(&self, began: Instant, roster: &mut Roster, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        // Also fails immediately if the folder cannot be written.
        self.write(&self.file, &roster.text())?;
        loop {
            let guests = (1..self.size).map(|rank| self.guest(rank)).collect::<Result<Vec<_>>>()?;
            let is_here =
                |guest: &&Option<RankFile>| guest.as_ref().is_some_and(|guest| guest.answers.as_ref() == Some(&roster.host));
            if guests.iter().filter(is_here).count() == self.size - 1 {
                break;
            }
            let tickets: Vec<String> = guests.iter().flatten().map(|guest| guest.ticket.clone()).collect();
            if tickets.len() == self.size - 1 && tickets != roster.guests {
                roster.guests = tickets;
                self.write(&self.file, &roster.text())?;
            }
            let missing = (1..self.size).zip(&guests).filter(|(_, guest)| !is_here(guest)).map(|(rank, _)| rank);
            self.wait(began, || format!("{} not joined", ranks(missing.collect())))?;
        }
        let bytes = bytes()?;
        roster.bytes = Some(bytes);
        self.write(&self.file, &roster.text())?;
        loop {
            let there = |rank: &usize| self.path_of(*rank).exists();
            let slow: Vec<usize> = (1..self.size).filter(there).collect();
            if slow.is_empty() {
                return Ok(bytes);
            }
            self.wait(began, || format!("{} joined but not continued", ranks(slow)))?;
        }
    }

    /// Runs every other rank's part.
    fn visit(&self) -> Result<[u8; BYTES]> {
        let began = Instant::now();
        let mut own = RankFile { size: self.size, ticket: ticket(), answers: None };
        let path = self.path_of(self.rank);
        self.write(&path, &own.text(self.rank))?;
        let result = loop {
            // The roster may be of another job, of a finished one, or missing.
            let called = self.roster()?.filter(|roster| roster.guests.get(self.rank - 1) == Some(&own.ticket));
            match called {
                Some(Roster { host, bytes: Some(bytes), .. }) if own.answers.as_ref() == Some(&host) => break Ok(bytes),
                Some(roster) if own.answers.as_ref() != Some(&roster.host) => {
                    own.answers = Some(roster.host);
                    self.write(&path, &own.text(self.rank))?;
                }
                _ => {}
            }
            let missing = || match own.answers {
                None => "rank 0, or another rank that it waits for, has not joined".to_string(),
                Some(_) => "rank 0 has joined, but another rank (see rank 0's message) has not".to_string(),
            };
            if let Err(late) = self.wait(began, missing) {
                break Err(late);
            }
        };
        remove(&path)?;
        result
    }

    /// Sleeps until the next poll, or fails after the timeout.
    fn wait(&self, began: Instant, missing: impl FnOnce() -> String) -> Result<()> {
        if began.elapsed() < self.limit {
            std::thread::sleep(POLL_INTERVAL);
            return Ok(());
        }
        let (rank, size, seconds) = (self.rank, self.size, self.limit.as_secs_f64());
        let message = format!(
            "rank {rank} of {size}: {} within {seconds} s; start all ranks with the same --rendezvous and --ranks {size}, each \
             with its own --rank, on a disk that all can access, or increase --rendezvous-limit",
            missing()
        );
        Err(Error::file(&self.file, message))
    }

    /// Path of a rank's ticket.
    fn path_of(&self, rank: usize) -> PathBuf {
        beside(&self.file, &rank.to_string())
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let new = beside(path, &format!("new{}", self.rank));
        std::fs::write(&new, text).map_err(|cause| Error::io(&new, cause))?;
        std::fs::rename(&new, path).map_err(|cause| Error::io(path, cause))
    }

    /// Ticket of a rank, if it has written one for the same number of ranks.
    fn guest(&self, rank: usize) -> Result<Option<RankFile>> {
        let guest = read(&self.path_of(rank))?.and_then(|text| RankFile::parse(&text, rank));
        Ok(guest.filter(|guest| guest.size == self.size))
    }

    fn roster(&self) -> Result<Option<Roster>> {
        Ok(read(&self.file)?.and_then(|text| Roster::parse(&text)))
    }
}

impl RankFile {
    fn text(&self, rank: usize) -> String {
        let answers = self.answers.as_deref().unwrap_or("nobody");
        format!("alexnet rank {rank} of {}\nticket {}\nanswers {answers}\n", self.size, self.ticket)
    }

    /// Parses a ticket of rank `rank`; `None` for anything else.
    fn parse(text: &str, rank: usize) -> Option<RankFile> {
        let mut lines = text.lines();
        let size = lines.next()?.strip_prefix(&format!("alexnet rank {rank} of "))?.parse().ok()?;
        let ticket = lines.next()?.strip_prefix("ticket ")?.to_string();
        let answers = lines.next()?.strip_prefix("answers ")?;
        Some(RankFile { size, ticket, answers: (answers != "nobody").then(|| answers.to_string()) })
    }
}

impl Roster {
    fn text(&self) -> String {
        let bytes: String = self.bytes.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
        let guests: String = self.guests.iter().map(|guest| format!("ticket {guest}\n")).collect();
        format!("alexnet ranks meet here\nhost {}\nbytes {bytes}\n{guests}", self.host)
    }

    fn parse(text: &str) -> Option<Roster> {
        let mut lines = text.lines();
        lines.next().filter(|first| *first == "alexnet ranks meet here")?;
        let host = lines.next()?.strip_prefix("host ")?.to_string();
        let hex = lines.next()?.strip_prefix("bytes ")?;
        let bytes: Option<Vec<u8>> = hex
            .as_bytes()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let guests = lines.map(|line| line.strip_prefix("ticket ").map(str::to_string)).collect::<Option<Vec<_>>>()?;
        Some(Roster { host, guests, bytes: bytes?.try_into().ok() })
    }
}

/// Creates a unique number, different for every process and call.
fn ticket() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The standard library's hasher uses random keys.
    format!("{now:x}-{:x}-{:016x}", std::process::id(), RandomState::new().hash_one(now))
}

/// `FILE.ending`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    PathBuf::from(name)
}

/// "rank 2 has" or "ranks 1, 3 have".
fn ranks(ranks: Vec<usize>) -> String {
    let names: Vec<String> = ranks.iter().map(usize::to_string).collect();
    if names.len() == 1 { format!("rank {} has", names[0]) } else { format!("ranks {} have", names.join(", ")) }
}

/// Text of a file; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io(path, cause)),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::io(path, cause)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
