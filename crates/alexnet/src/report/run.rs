//! Reader of run folders.

use super::event_log::{Ended, History};
use crate::train::recipe::Monitor;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A run read from its folder: settings, a row per epoch, and its history.
pub struct Run {
    /// Path of the folder.
    pub folder: PathBuf,
    /// Last component of the folder's path.
    pub name: String,
    /// Entries of `config.toml` as names and values, such as `recipe.lr` and `0.01`.
    pub settings: Vec<(String, String)>,
    /// Rows of `metrics.csv`.
    pub epochs: Vec<Epoch>,
    pub(super) history: History,
}

/// A row of `metrics.csv`. Losses are in nats, accuracies fractions of 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Number of the epoch, from 1; 0: the initial model, with validation only.
    pub epoch: u64,
    /// Number of steps, counted from the start of the run.
    pub step: u64,
    /// Learning rate of the last step.
    pub lr: Option<f64>,
    /// Mean training loss.
    pub train_loss: Option<f64>,
    /// Training accuracy.
    pub train_top1: Option<f64>,
    /// Validation loss, if any.
    pub val_loss: Option<f64>,
    /// Validation top-1 accuracy.
    pub val_top1: Option<f64>,
    /// Validation top-5 accuracy.
    pub val_top5: Option<f64>,
    /// Validation macro-F1.
    pub val_macro_f1: Option<f64>,
    /// Number of unreadable images since the start of the run.
    pub broken: u64,
}

impl Epoch {
    /// Accuracy for comparing epochs: validation, or training without validation.
    pub fn top1(&self) -> f64 {
        self.val_top1.or(self.train_top1).unwrap_or_default()
    }

    /// Validation loss, or training loss without validation.
    pub fn loss(&self) -> f64 {
        self.val_loss.or(self.train_loss).unwrap_or_default()
    }
}

impl Run {
    /// Reads the run in `folder`.
    ///
    /// # Errors
    /// There is no run, or one of its files is invalid.
    pub fn read(folder: &Path) -> Result<Run> {
        let path = folder.join("config.toml");
        let text = match crate::files::read_text(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::file(folder, "no run here: no config.toml; use the folder given as train's --out"));
            }
            text => text.map_err(|e| Error::io(&path, e))?,
        };
        let table: toml::Table = toml::from_str(&text).map_err(|e| {
            let line = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            Error::file(&path, format!("invalid configuration: {line}"))
        })?;
        let mut settings = Vec::new();
        flatten("", &table, &mut settings);
        let folder = std::path::absolute(folder).map_err(|e| Error::io(folder, e))?;
        let name = folder.file_name().map_or_else(|| folder.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
        let metrics = folder.join("metrics.csv");
        let epochs = match crate::files::read_text(&metrics) {
            Ok(text) => rows(&text).map_err(|error| Error::file(&metrics, error))?,
            // No epoch is complete yet.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(&metrics, e)),
        };
        Ok(Run { name, settings, epochs, history: History::read(&folder), folder })
    }

    /// A setting by name.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The metric by which epochs are compared.
    pub fn monitor(&self) -> Monitor {
        self.setting("recipe.monitor").and_then(Monitor::of_name).unwrap_or_default()
    }

    /// The best epoch, chosen as by the trainer: the best by the monitored metric, then the lower loss, then the earlier; without
    /// validation the last one.
    pub fn best(&self) -> Option<&Epoch> {
        let monitor = self.monitor();
        let score = |epoch: &Epoch| monitor.score_of(epoch.top1(), epoch.loss(), epoch.val_macro_f1);
        self.epochs.iter().reduce(|best, next| {
            let better =
                next.val_top1.is_none() || score(next) > score(best) || (score(next) == score(best) && next.loss() < best.loss());
            if better { next } else { best }
        })
    }

    /// Number of completed epochs.
    pub fn done(&self) -> u64 {
        self.epochs.iter().filter(|epoch| epoch.epoch > 0).count() as u64
    }

    /// Planned number of epochs, if in the settings.
    pub fn planned(&self) -> Option<u64> {
        self.setting("recipe.epochs")?.parse().ok()
    }

    /// Total time of all processes in seconds; `None` without a log.
    pub fn seconds(&self) -> Option<f64> {
        (self.history.processes > 0).then_some(self.history.seconds)
    }

    /// Images per second in training; `None` without a log.
    pub fn speed(&self) -> Option<f64> {
        self.history.speed()
    }

    /// How its last process ended; `None` if it is running, was killed, or has no log.
    pub fn ended(&self) -> Option<&Ended> {
        self.history.ended.as_ref()
    }
}

/// Flattens nested tables to dotted names.
fn flatten(before: &str, table: &toml::Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, out),
            toml::Value::String(text) => out.push((name, text.clone())),
            other => out.push((name, other.to_string())),
        }
    }
}

/// Parses the rows of metrics.csv; columns are found by name, so additional ones are allowed.
fn rows(text: &str) -> Result<Vec<Epoch>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, head)) = lines.next() else { return Ok(Vec::new()) };
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    lines
        .map(|(i, line)| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let cell = |name: &str| {
                let at = head.iter().position(|column| *column == name);
                at.and_then(|at| cells.get(at)).copied().unwrap_or_default()
            };
            let wrong = |name: &str| format!("line {}: `{}` in the column {name} is not a number", i + 1, cell(name));
            let whole = |name: &str| cell(name).parse::<u64>().map_err(|_| wrong(name));
            let number = |name: &str| cell(name).parse::<f64>().map_err(|_| wrong(name));
            let maybe = |name: &str| if cell(name).is_empty() { Ok(None) } else { number(name).map(Some) };
            Ok(Epoch {
                epoch: whole("epoch")?,
                step: whole("step")?,
                lr: maybe("lr")?,
                train_loss: maybe("train_loss")?,
                train_top1: maybe("train_top1")?,
                val_loss: maybe("val_loss")?,
                val_top1: maybe("val_top1")?,
                val_top5: maybe("val_top5")?,
                val_macro_f1: maybe("val_macro_f1")?,
                broken: if cell("broken").is_empty() { 0 } else { whole("broken")? },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_column_name() {
        let text = "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,broken,new\n\
                    1,9,1e-2,2.5,0.1,,,,0,x\n2,18,5e-3,NaN,0.2,inf,0.5,1.0,3,y\n";
        let rows = rows(text).unwrap();
        assert_eq!((rows[0].epoch, rows[0].lr, rows[0].val_top1, rows[0].top1()), (1, Some(0.01), None, 0.1));
        assert!(rows[1].train_loss.is_some_and(f64::is_nan) && rows[1].val_loss == Some(f64::INFINITY) && rows[1].broken == 3);
        assert!(super::rows("").unwrap().is_empty());
        let message = super::rows("epoch,step,lr,train_loss,train_top1\n1,x,1,1,1").unwrap_err();
        assert!(message.contains("line 2") && message.contains("`x`") && message.contains("step"), "{message}");
        assert!(super::rows("epoch\n1").unwrap_err().contains("step"));
    }

    #[test]
    fn runs_are_read_and_missing_ones_reported() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a run");
        std::fs::create_dir(&at).unwrap();
        assert!(Run::read(&at).err().unwrap().to_string().contains("no run here"));
        std::fs::write(
            at.join("config.toml"),
            "net = \"slim\"\n[recipe]\nepochs = 3\nlr = 0.5\n[recipe.schedule]\nat = [[1, 2]]",
        )
        .unwrap();
        let run = Run::read(&at).unwrap();
        assert_eq!((run.name.as_str(), run.planned(), run.epochs.len()), ("a run", Some(3), 0));
        assert_eq!((run.setting("recipe.lr"), run.setting("recipe.schedule.at")), (Some("0.5"), Some("[[1, 2]]")));
        assert!(run.best().is_none() && run.seconds().is_none() && run.speed().is_none());
        std::fs::write(
            at.join("metrics.csv"),
            "epoch,step,lr,train_loss,train_top1,val_loss,val_top1\n1,1,1,1,1,2,0.5\n2,2,1,1,1,1,0.5\n3,3,1,1,1,1,0.5",
        )
        .unwrap();
        assert_eq!(Run::read(&at).unwrap().best().unwrap().epoch, 2);
        std::fs::write(at.join("config.toml"), "net = ").unwrap();
        let message = Run::read(&at).err().unwrap().to_string();
        assert!(message.contains("config.toml") && !message.contains('\n'), "{message}");
    }
}
