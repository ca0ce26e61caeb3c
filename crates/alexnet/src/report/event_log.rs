//! Event log `RUN/log.jsonl`, one record per line. Timestamps are stored only here, so that equal runs have equal models, states
//! and metrics.
//!
//! A killed process leaves at most half a line, which is ignored. A resumed run starts with a record of its first step; later
//! steps of an earlier process are repeated, and their old records no longer count.

use super::host_info::HostInfo;
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the log file.
pub(super) const FILE: &str = "log.jsonl";

/// Maximum size that is read: a record has 150 bytes, and an epoch a hundred records.
const MOST: u64 = 64 << 20;

/// A record of the log. `at` is in milliseconds since 1970; steps are counted from the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Record {
    /// A process starts or resumes the run.
    Begin { at: u64, step: u64, epochs: usize, steps_per_epoch: usize, train: usize, val: usize, machine: HostInfo },
    /// Mean loss and accuracy over some steps.
    Steps {
        at: u64,
        step: u64,
        lr: f64,
        loss: Option<f64>,
        top1: Option<f64>,
        #[serde(rename = "pictures")]
        images: u64,
        seconds: f64,
    },
    /// An epoch ends; `seconds` is its training time in this process.
    Epoch {
        at: u64,
        step: u64,
        epoch: usize,
        #[serde(rename = "pictures")]
        images: u64,
        seconds: f64,
    },
    /// The process ends.
    End { at: u64, step: u64, ending: Ended },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs are complete.
    Done,
    /// No epoch was better for as long as the recipe's patience.
    EarlyStop,
    /// The requested number of steps is complete.
    MaxSteps,
    /// Stopped on request, with the state saved.
    Interrupted,
    /// Failed for the given reason.
    Failed(String),
}

impl Record {
    fn at(&self) -> u64 {
        let (Record::Begin { at, .. } | Record::Steps { at, .. } | Record::Epoch { at, .. } | Record::End { at, .. }) = self;
        *at
    }
}

/// Current time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The log, open for appending.
pub(super) struct Log {
    file: File,
    path: std::path::PathBuf,
}

impl Log {
    pub(super) fn open(folder: &Path) -> Result<Log> {
        let path = folder.join(FILE);
        let mut file =
            OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(|e| files::explain(&path, e))?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).map_err(|e| Error::io(&path, e))?;
        }
        let mut log = Log { file, path };
        if last != *b"\n" {
            log.line(Vec::new())?;
        }
        Ok(log)
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<()> {
        self.line(serde_json::to_vec(record).map_err(|e| Error::file(&self.path, e.to_string()))?)
    }

    /// Appends in one call, so that lines cannot be interleaved.
    fn line(&mut self, mut bytes: Vec<u8>) -> Result<()> {
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(|e| files::explain(&self.path, e))
    }
}

/// Logs some steps: see [`Record::Steps`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) step: u64,
    pub(super) lr: f64,
    pub(super) loss: Option<f64>,
    pub(super) top1: Option<f64>,
    pub(super) images: u64,
    pub(super) seconds: f64,
}

/// Logs an epoch: see [`Record::Epoch`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) step: u64,
    pub(super) epoch: usize,
    pub(super) images: u64,
    pub(super) seconds: f64,
    /// Time since the start of the run in seconds, without pauses between processes.
    pub(super) after: f64,
}

/// History of a run according to its log, without repeated work.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The latest `Begin`.
    pub(super) begin: Option<Record>,
    pub(super) steps: Vec<Steps>,
    pub(super) epochs: Vec<Done>,
    /// How the last process ended; `None` if it is running or was killed.
    pub(super) ended: Option<Ended>,
    /// Number of processes.
    pub(super) processes: usize,
    /// Total seconds of all processes.
    pub(super) seconds: f64,
    /// Time of the first and the last record.
    pub(super) from_to: (u64, u64),
}

impl History {
    /// Reads the history of the run in `folder`; empty without a log.
    pub(super) fn read(folder: &Path) -> History {
        let mut bytes = Vec::new();
        if let Ok((file, _)) = files::open_regular(&folder.join(FILE)) {
            // A partly unreadable log is used as far as it can be parsed.
            let _ = file.take(MOST).read_to_end(&mut bytes);
        }
        let mut history = History::default();
        // Time of the preceding record of the same process.
        let mut before = 0;
        for record in bytes.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice::<Record>(line).ok()) {
            let at = record.at();
            if let Record::Begin { step: from, .. } = record {
                history.steps.retain(|steps| steps.step <= from);
                history.epochs.retain(|epoch| epoch.step <= from);
                history.processes += 1;
                before = at;
                if history.processes == 1 {
                    history.from_to.0 = at;
                }
            }
            history.seconds += at.saturating_sub(before) as f64 / 1e3;
            (before, history.from_to.1) = (at, at);
            history.ended = None;
            match record {
                Record::Begin { .. } => history.begin = Some(record),
                Record::Steps { step, lr, loss, top1, images, seconds, .. } => {
                    history.steps.push(Steps { step, lr, loss, top1, images, seconds });
                }
                Record::Epoch { step, epoch, images, seconds, .. } => {
                    let after = history.seconds;
                    history.epochs.push(Done { step, epoch, images, seconds, after });
                }
                Record::End { ending, .. } => history.ended = Some(ending),
            }
        }
        history
    }

    /// Steps per epoch, if known.
    pub(super) fn steps_per_epoch(&self) -> Option<f64> {
        match self.begin {
            Some(Record::Begin { steps_per_epoch, .. }) if steps_per_epoch > 0 => Some(steps_per_epoch as f64),
            _ => None,
        }
    }

    /// Average images per second in training.
    pub(super) fn speed(&self) -> Option<f64> {
        let add = |sum: (u64, f64), (images, seconds)| (sum.0 + images, sum.1 + seconds);
        let (images, seconds) = if self.epochs.is_empty() {
            self.steps.iter().map(|s| (s.images, s.seconds)).fold((0, 0.0), add)
        } else {
            self.epochs.iter().map(|e| (e.images, e.seconds)).fold((0, 0.0), add)
        };
        (seconds > 0.0).then(|| images as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(at: u64, step: u64) -> Record {
        Record::Begin { at, step, epochs: 2, steps_per_epoch: 4, train: 32, val: 8, machine: HostInfo::here("cpu", "f32", 1) }
    }

    fn steps(at: u64, step: u64) -> Record {
        Record::Steps { at, step, lr: 0.1, loss: Some(1.0), top1: None, images: 16, seconds: 2.0 }
    }

    #[test]
    fn repeated_steps_count_once_but_their_time_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        for record in [begin(1_000, 0), steps(3_000, 2), steps(5_000, 4)] {
            log.write(&record).unwrap();
        }
        log.write(&Record::Epoch { at: 6_000, step: 4, epoch: 1, images: 32, seconds: 4.0 }).unwrap();
        drop(log);
        let path = folder.path().join(FILE);
        // Killed while writing a line; resumed from step 2 an hour later.
        let mut text = std::fs::read(&path).unwrap();
        text.extend(b"{\"kind\":\"steps\",\"at\":70");
        std::fs::write(&path, text).unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        log.write(&begin(3_600_000, 2)).unwrap();
        log.write(&steps(3_602_000, 4)).unwrap();
        let history = History::read(folder.path());
        assert_eq!((history.steps.len(), history.epochs.len(), history.processes), (2, 0, 2));
        assert_eq!((history.seconds, history.ended.clone(), history.speed()), (7.0, None, Some(8.0)));
        log.write(&Record::End { at: 3_603_000, step: 4, ending: Ended::Failed("no".into()) }).unwrap();
        let history = History::read(folder.path());
        assert_eq!((history.seconds, history.from_to), (8.0, (1_000, 3_603_000)));
        assert_eq!(history.ended, Some(Ended::Failed("no".into())));
    }

    #[test]
    fn a_missing_or_invalid_log_is_an_empty_history() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(History::read(folder.path()).processes, 0);
        std::fs::write(folder.path().join(FILE), b"\xff\xfe\n{}\nnull\n{\"kind\":\"end\"}").unwrap();
        let history = History::read(folder.path());
        assert!(history.processes == 0 && history.speed().is_none() && history.steps_per_epoch().is_none());
    }
}
