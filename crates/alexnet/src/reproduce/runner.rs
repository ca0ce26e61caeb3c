//! Training of a study's runs, one after the other, and its reports.

use super::{Arm, Finding, Race, Setup, Study, Trained, page};
use crate::distributed::{Communicator, SingleProcess};
use crate::report::{Run, RunReport, Writes};
use crate::train::{CpuEngines, Environment, Event, Observer, Settings, Started, StopReason};
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Name of the file that describes a study in its folder.
const RECORD: &str = "study.json";

/// What is about to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Number of arms.
    pub arms: usize,
    /// Number of seeds.
    pub seeds: usize,
    /// Number of epochs of each run, at most.
    pub epochs: usize,
    /// Number of runs that are already finished.
    pub finished: usize,
    /// Time of the remaining runs on this machine, at most if runs may end early; `None` if it cannot be measured.
    pub time: Option<Duration>,
    /// Whether runs end before their last epoch if they reach their goal.
    pub at_most: bool,
    /// Disk space of all runs in bytes.
    pub disk: u64,
}

/// Progress of a study.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Everything is checked; the runs begin.
    Planned(&'a Plan),
    /// A run begins or continues: name, number from 1, and number of all.
    Run(&'a str, usize, usize),
    /// An epoch is complete: its number, that of the last, training and validation accuracy.
    Epoch(usize, usize, f64, Option<f64>),
    /// A note or a warning.
    Note(&'a str),
}

/// The written reports.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Page for people.
    pub html: PathBuf,
    /// The same for programs.
    pub json: PathBuf,
    /// The finding.
    pub finding: Finding,
}

/// Content of [`RECORD`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    study: String,
    setup: Setup,
    /// Seconds of each finished run, of all its processes together.
    finished: BTreeMap<String, f64>,
}

impl Study {
    /// Trains what is not trained yet, and writes the reports into `out`.
    ///
    /// # Errors
    /// Choices that the study cannot follow, a folder with another study, a failed run, or a stop, after which the same call
    /// continues.
    pub fn run(&self, setup: &Setup, out: &Path, stop: &AtomicBool, tell: &mut dyn FnMut(Progress<'_>)) -> Result<Reports> {
        setup.check(self)?;
        let arms = (self.arms)(self, setup)?;
        let mut record = Record::open(self, setup, out)?;
        let seeds = if arms.is_empty() { Vec::new() } else { setup.seeds(self) };
        let plan = self.plan(setup, &arms, &seeds, &record, stop, tell)?;
        record.write(out)?;
        tell(Progress::Planned(&plan));
        let all = arms.len() * seeds.len();
        let mut runs: Vec<Vec<Run>> = arms.iter().map(|_| Vec::new()).collect();
        for (s, seed) in seeds.iter().enumerate() {
            for (a, arm) in arms.iter().enumerate() {
                let name = run_name(arm, *seed);
                let folder = out.join(&name);
                let is_finished = record.finished.contains_key(&name);
                if !is_finished {
                    tell(Progress::Run(&name, s * arms.len() + a + 1, all));
                    let limit = arm.race.as_ref().and_then(|race| fastest(race, &arms, &runs, s));
                    let seconds = train(arm, *seed, &folder, limit, stop, tell)?;
                    record.finished.insert(name, seconds);
                    record.write(out)?;
                }
                // Only what is recorded, since a run without its state begins anew.
                tidy(&folder)?;
                runs[a].push(Run::read(&folder)?);
            }
        }
        let trained = Trained { study: self, setup, arms: &arms, seeds: &seeds, runs: &runs, out };
        let finding = (self.conclude)(&trained)?;
        let [html, json] = ["report.html", "report.json"].map(|name| out.join(name));
        let text = page::html(&trained, &finding, &record.finished);
        files::write_atomic(&html, |file| file.write_all(text.as_bytes()))?;
        let text = page::json(&trained, &finding, &record.finished)?;
        files::write_atomic(&json, |file| file.write_all(text.as_bytes()))?;
        Ok(Reports { html, json, finding })
    }

    /// Measures what is about to run.
    fn plan(
        &self,
        setup: &Setup,
        arms: &[Arm],
        seeds: &[u64],
        record: &Record,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Plan> {
        let finished = |arm: &Arm| seeds.iter().filter(|seed| record.finished.contains_key(&run_name(arm, **seed))).count();
        let mut plan = Plan {
            arms: arms.len(),
            seeds: seeds.len(),
            epochs: setup.scale(self).epochs,
            finished: arms.iter().map(finished).sum(),
            time: Some(Duration::ZERO),
            at_most: arms.iter().any(|arm| arm.race.is_some()),
            disk: 0,
        };
        let environment = Environment { ranks: &one_process(), engines: &CpuEngines, stop };
        for arm in arms.iter().filter(|arm| finished(arm) < seeds.len()) {
            let forecast = arm.settings.forecast(&environment).map_err(|error| error.context(&arm.title))?;
            let left = (seeds.len() - finished(arm)) as u32;
            plan.time = plan.time.zip(forecast.time).and_then(|(sum, time)| Some(sum + time.checked_mul(left)?));
            // While it runs, a run also has its state and its best model, which are removed at its end.
            plan.disk += u64::from(left) * forecast.disk / 4;
            if stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
        }
        if setup.data.is_none() && !arms.is_empty() {
            tell(Progress::Note(
                "note: without --data these are the drawn images of the built-in set, which are easy to tell apart",
            ));
        }
        Ok(plan)
    }
}

fn run_name(arm: &Arm, seed: u64) -> String {
    format!("{}-seed-{seed}", arm.name)
}

fn one_process() -> Arc<dyn Communicator> {
    Arc::new(SingleProcess::default())
}

fn stopped() -> Error {
    Error::Invalid("stopped; everything is saved, and the same command continues".into())
}

/// Number of epochs in which the fastest finished run of the same group and seed has reached the goal.
fn fastest(race: &Race, arms: &[Arm], runs: &[Vec<Run>], seed: usize) -> Option<usize> {
    let same = arms.iter().zip(runs).filter(|(arm, _)| arm.race.as_ref().is_some_and(|other| other.group == race.group));
    same.filter_map(|(_, runs)| Some(super::figure_1::epochs_to(runs.get(seed)?, race.error)?.ceil() as usize)).min()
}

/// Trains or continues a run, and returns its seconds, those of earlier processes among them.
fn train(
    arm: &Arm,
    seed: u64,
    folder: &Path,
    limit: Option<usize>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<f64> {
    let begun = folder.join("config.toml").is_file();
    let settings = match begun {
        true => Settings { resume: Some(folder.into()), threads: arm.settings.threads, ..Settings::default() },
        false => Settings { seed: Some(seed), out: Some(folder.into()), ..arm.settings.clone() },
    };
    let own_stop = AtomicBool::new(false);
    let mut follower = Follower { race: arm.race.as_ref(), limit, stop, own_stop: &own_stop, tell, ended: false, epochs: 0 };
    let environment = Environment { ranks: &one_process(), engines: &CpuEngines, stop: &own_stop };
    // A resumed run that has already reached its goal, but was not recorded, goes no further.
    let last = if begun { Run::read(folder)?.epochs.last().map(|row| (row.epoch as usize, row.train_top1)) } else { None };
    if !follower.is_over(last) {
        let report = RunReport::new(Writes { report: true, tensorboard: false }, arm.settings.threads, |_: &str| ());
        match settings.run_in(&environment, &mut (&mut follower, report)) {
            Ok(outcome) if outcome.reason == StopReason::Interrupted && !follower.ended => return Err(stopped()),
            // In a race, a learning rate may be too high.
            Err(error) if arm.race.is_some() && error.to_string().contains("is not finite") => {
                (follower.tell)(Progress::Note(&format!("{}: {error}; it is out of the race", arm.title)));
            }
            Err(error) => return Err(error.context(folder.display())),
            Ok(_) => (),
        }
    }
    Ok(Run::read(folder)?.seconds().unwrap_or_default())
}

/// Removes what a finished run no longer needs: 0.7 GB of a net of the paper's size.
fn tidy(folder: &Path) -> Result<()> {
    for name in ["state.safetensors", "best.safetensors"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(folder.join(name), error)),
            _ => (),
        }
    }
    Ok(())
}

/// Observer of a run that ends races and passes on what is to be told.
struct Follower<'a> {
    race: Option<&'a Race>,
    /// Number of epochs after which a race is lost.
    limit: Option<usize>,
    /// The study's flag.
    stop: &'a AtomicBool,
    /// The run's flag.
    own_stop: &'a AtomicBool,
    tell: &'a mut dyn FnMut(Progress<'_>),
    /// Whether the race is over.
    ended: bool,
    /// Planned number of epochs.
    epochs: usize,
}

impl Follower<'_> {
    /// Whether the race is over after an epoch with this training accuracy.
    fn is_over(&self, epoch: Option<(usize, Option<f64>)>) -> bool {
        let (Some(race), Some((epoch, top1))) = (self.race, epoch) else { return false };
        top1.is_some_and(|top1| 1.0 - top1 <= race.error) || self.limit.is_some_and(|limit| epoch >= limit)
    }
}

impl Observer for &mut Follower<'_> {
    fn warning(&mut self, line: &str) {
        (self.tell)(Progress::Note(line));
    }

    fn started(&mut self, run: &Started<'_>) -> Result<()> {
        self.epochs = run.config.recipe.epochs;
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        if let Event::Epoch { row, .. } = event {
            let train = row.train_top1.unwrap_or(f64::NAN);
            (self.tell)(Progress::Epoch(row.epoch, self.epochs, train, row.val.as_ref().map(|val| val.top1)));
            self.ended |= self.is_over(Some((row.epoch, row.train_top1)));
        }
        if let Event::Broken { name, why } = event {
            (self.tell)(Progress::Note(&format!("left out: {name}: {why}")));
        }
        if self.ended || self.stop.load(Ordering::Relaxed) {
            self.own_stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Record {
    /// The record of a folder that is new, or has this study with the same choices; more seeds may be asked for.
    fn open(study: &Study, setup: &Setup, out: &Path) -> Result<Record> {
        let path = out.join(RECORD);
        let new = || Record { study: study.name.into(), setup: setup.clone(), finished: BTreeMap::new() };
        let text = match files::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut entries = std::fs::read_dir(out).into_iter().flatten().flatten();
                if let Some(entry) = entries.find(|entry| !files::is_leftover(&entry.file_name())) {
                    let found = entry.file_name();
                    let found = found.to_string_lossy();
                    return Err(Error::file(out, format!("not empty (contains {found}), and no study; choose another --out")));
                }
                return Ok(new());
            }
            Err(error) => return Err(Error::io(&path, error)),
        };
        let mut record: Record =
            serde_json::from_str(&text).map_err(|error| Error::file(&path, format!("not a study: {error}")))?;
        let comparable = |setup: &Setup| Setup { seeds: None, threads: 0, ..setup.clone() };
        if record.study != study.name || comparable(&record.setup) != comparable(setup) {
            let other = &record.study;
            let what =
                if *other == study.name { "the same study with other options".into() } else { format!("`reproduce {other}`") };
            return Err(Error::file(out, format!("holds {what}; repeat its options (see {RECORD}), or choose another --out")));
        }
        record.setup = setup.clone();
        Ok(record)
    }

    fn write(&self, out: &Path) -> Result<()> {
        std::fs::create_dir_all(out).map_err(|error| files::explain(out, error))?;
        let path = out.join(RECORD);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::file(&path, error.to_string()))?;
        files::write_atomic(&path, |file| file.write_all(text.as_bytes()))
    }
}
