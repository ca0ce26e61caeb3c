//! Where processes meet that no `mpirun` started: a file on a disk that all of them see.
//!
//! One of them, rank 0, has something to hand over: the 128 bytes under which NCCL's ranks find each other. That is easy but for two
//! things. Files of an earlier job may lie there still, whose processes are long gone; and ranks may come late, or never. So they call a roll:
//!
//! 1. Rank r puts a ticket beside the file (`FILE.r`), a number that nobody else has.
//! 2. When there is a ticket of every rank, rank 0 writes the roll, all these tickets under a ticket of its own, into the file.
//! 3. Who finds its ticket in the roll answers: it writes rank 0's ticket under its own.
//! 4. When all have answered, rank 0 adds the bytes. Each takes them and removes its ticket; then rank 0 removes the file.
//!
//! What lies there of earlier jobs does no harm: a roll without one's own ticket is not for one, and an old ticket is called but does
//! not answer, until the rank comes that puts its own in the place. Every file is written whole, beside, and then renamed.

use alexnet::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How many bytes are handed over: those of NCCL's name for a job.
pub const BYTES: usize = 128;

/// How often a rank looks whether others have written.
const LOOK: Duration = Duration::from_millis(20);

/// A meeting of ranks, seen from one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The file. Each job needs one of its own; its folder must be there.
    pub file: PathBuf,
    /// Which rank this is, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// How long to wait for the others.
    pub limit: Duration,
}

/// What lies in `FILE.r`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RankFile {
    size: usize,
    ticket: String,
    /// The ticket of the rank 0 whose roll it has answered.
    answers: Option<String>,
}

/// What lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roster {
    host: String,
    /// Tickets of ranks 1, 2, ...
    guests: Vec<String>,
    bytes: Option<[u8; BYTES]>,
}

impl Rendezvous {
    /// Hands rank 0's bytes to all ranks. `bytes` is asked on rank 0 alone, when all are there.
    ///
    /// # Errors
    /// Ranks that do not come in time, a folder that cannot be written, or what `bytes` says.
    pub fn hand_over(&self, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        if self.rank >= self.size {
            return Err(Error::Invalid(format!(
                "rank {} of {}: ranks count from 0; --rank is below --ranks",
                self.rank, self.size
            )));
        }
        if self.rank == 0 { self.host(bytes) } else { self.visit() }
    }

    /// Rank 0's part.
    fn host(&self, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        let began = Instant::now();
        let mut roll = Roster { host: ticket(), guests: Vec::new(), bytes: None };
        let met = self.call(began, &mut roll, bytes);
        // Nobody is to find it: those who needed it have read it, or there is nothing to be had.
        remove(&self.file)?;
        met
    }

    /// Calls the roll until all have answered, then tells them.
    fn call(&self, began: Instant, roll: &mut Roster, bytes: impl FnOnce() -> Result<[u8; BYTES]>) -> Result<[u8; BYTES]> {
        // Also shows at once whether the folder can be written.
        self.write(&self.file, &roll.text())?;
        loop {
            let guests = (1..self.size).map(|rank| self.guest(rank)).collect::<Result<Vec<_>>>()?;
            let is_here =
                |guest: &&Option<RankFile>| guest.as_ref().is_some_and(|guest| guest.answers.as_ref() == Some(&roll.host));
            if guests.iter().filter(is_here).count() == self.size - 1 {
                break;
            }
            let tickets: Vec<String> = guests.iter().flatten().map(|guest| guest.ticket.clone()).collect();
            if tickets.len() == self.size - 1 && tickets != roll.guests {
                roll.guests = tickets;
                self.write(&self.file, &roll.text())?;
            }
            let missing = (1..self.size).zip(&guests).filter(|(_, guest)| !is_here(guest)).map(|(rank, _)| rank);
            self.wait(began, || format!("{} not come", ranks(missing.collect())))?;
        }
        let bytes = bytes()?;
        roll.bytes = Some(bytes);
        self.write(&self.file, &roll.text())?;
        loop {
            let there = |rank: &usize| self.path_of(*rank).exists();
            let slow: Vec<usize> = (1..self.size).filter(there).collect();
            if slow.is_empty() {
                return Ok(bytes);
            }
            self.wait(began, || format!("{} come, but not gone on", ranks(slow)))?;
        }
    }

    /// Every other rank's part.
    fn visit(&self) -> Result<[u8; BYTES]> {
        let began = Instant::now();
        let mut own = RankFile { size: self.size, ticket: ticket(), answers: None };
        let path = self.path_of(self.rank);
        self.write(&path, &own.text(self.rank))?;
        let met = loop {
            // Roll of another job, of one that is over, or none yet.
            let called = self.roll()?.filter(|roll| roll.guests.get(self.rank - 1) == Some(&own.ticket));
            match called {
                Some(Roster { host, bytes: Some(bytes), .. }) if own.answers.as_ref() == Some(&host) => break Ok(bytes),
                Some(roll) if own.answers.as_ref() != Some(&roll.host) => {
                    own.answers = Some(roll.host);
                    self.write(&path, &own.text(self.rank))?;
                }
                _ => {}
            }
            let missing = || match own.answers {
                None => "rank 0, or another that it waits for, has not come".to_string(),
                Some(_) => "rank 0 has come, but another rank, which it will name, has not".to_string(),
            };
            if let Err(late) = self.wait(began, missing) {
                break Err(late);
            }
        };
        remove(&path)?;
        met
    }

    /// A little while, or the end of patience.
    fn wait(&self, began: Instant, missing: impl FnOnce() -> String) -> Result<()> {
        if began.elapsed() < self.limit {
            std::thread::sleep(LOOK);
            return Ok(());
        }
        let (rank, size, seconds) = (self.rank, self.size, self.limit.as_secs_f64());
        let message = format!(
            "rank {rank} of {size}: {} in {seconds} s; start all with the same --rendezvous and --ranks {size}, each with its own \
             --rank, on a disk that all see, or wait longer by --rendezvous-limit",
            missing()
        );
        Err(Error::file(&self.file, message))
    }

    /// Where a rank's ticket lies.
    fn path_of(&self, rank: usize) -> PathBuf {
        beside(&self.file, &rank.to_string())
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let new = beside(path, &format!("new{}", self.rank));
        std::fs::write(&new, text).map_err(|cause| Error::io(&new, cause))?;
        std::fs::rename(&new, path).map_err(|cause| Error::io(path, cause))
    }

    /// A rank's ticket, if it has put one there, as one of as many ranks as this one knows.
    fn guest(&self, rank: usize) -> Result<Option<RankFile>> {
        let guest = read(&self.path_of(rank))?.and_then(|text| RankFile::parse(&text, rank));
        Ok(guest.filter(|guest| guest.size == self.size))
    }

    fn roll(&self) -> Result<Option<Roster>> {
        Ok(read(&self.file)?.and_then(|text| Roster::parse(&text)))
    }
}

impl RankFile {
    fn text(&self, rank: usize) -> String {
        let answers = self.answers.as_deref().unwrap_or("nobody");
        format!("alexnet rank {rank} of {}\nticket {}\nanswers {answers}\n", self.size, self.ticket)
    }

    /// What is no ticket of this rank's is none.
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

/// A number that no other process has, nor this one a second time.
fn ticket() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The standard library's hasher begins with random keys.
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

/// A file's text; none if it is not there.
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
