//! Progress output of a run: a progress bar, lines per epoch, or JSON.

use super::ending::Ending;
use super::pace::Pace;
use super::plan;
use super::warnings::{self, Setting, Warnings};
use crate::commands::dist_args;
use crate::output::{self, plural};
use crate::progress::duration;
use alexnet::distributed::{Communicator, Parallel};
use alexnet::net::Net;
use alexnet::train::config::Config;
use alexnet::train::finetune::HeadMapping;
use alexnet::train::param_groups;
use alexnet::train::recipe::{Choice, Monitor};
use alexnet::train::state::EpochMetrics;
use alexnet::train::{Event, Finished, FrozenPlan, Observer, Started, StopReason};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Observer that prints a run's progress. With several ranks, only the first one prints.
pub(super) struct ProgressPrinter {
    ranks: Arc<dyn Communicator>,
    /// Set by Ctrl-C once the run has started.
    stop: Arc<AtomicBool>,
    json: bool,
    quiet: bool,
    /// Suppresses all output, including results, because another rank prints it.
    silent: bool,
    epochs: usize,
    /// Hidden without a terminal.
    bar: ProgressBar,
    start: Instant,
    /// Start of this process's first step.
    since: Instant,
    pace: Pace,
    warnings: Warnings,
    classes: usize,
    /// Whether the last model counts as the best because too few validation images exist to choose by.
    last_is_best: bool,
    /// Time in which the run is to end.
    budget: Option<Duration>,
    /// Metric by which epochs are compared.
    monitor: Monitor,
    /// Whether the run was complete before this process.
    was_complete: bool,
    /// Whether the training loss is cross-entropy with a known value at chance level.
    has_chance_level: bool,
}

impl ProgressPrinter {
    pub(super) fn new(
        json: bool,
        quiet: bool,
        ranks: Arc<dyn Communicator>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<ProgressPrinter> {
        let silent = ranks.rank() > 0;
        let (json, quiet) = (json && !silent, quiet || silent);
        let bar = if json || quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.set_style(ProgressStyle::with_template("{wide_bar} {msg}")?);
        let (now, pace, warnings) = (Instant::now(), Pace::default(), Warnings::default());
        let (epochs, classes, last_is_best) = (0, 0, false);
        Ok(ProgressPrinter {
            ranks,
            stop,
            json,
            quiet,
            silent,
            epochs,
            bar,
            start: now,
            since: now,
            pace,
            warnings,
            classes,
            last_is_best,
            budget: None,
            monitor: Monitor::default(),
            was_complete: false,
            has_chance_level: true,
        })
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| crate::output::say(text));
    }

    /// Prints the settings, and the adaptations to a small set.
    fn settings(&self, run: &Started<'_>) -> alexnet::Result<()> {
        let Started { config, net, train, val, .. } = *run;
        if self.json || self.quiet {
            self.warn_before(config, train.len(), val.len());
            return Ok(());
        }
        let millions = net.totals()?.parameters as f64 / 1e6;
        let recipe = &config.recipe;
        self.line(&format!(
            "{} at {} pixels, {millions:.1} million parameters; {} {} of {} classes, {} for validation",
            config.net,
            config.image_size,
            train.len(),
            plural(train.len() as u64, "image"),
            train.classes().len(),
            val.len()
        ));
        if val.is_empty() {
            self.line("no validation images, so best.safetensors will be the last model; use --val or a larger --val-share");
        }
        let seconds = config.time.and_then(|time| Duration::try_from_secs_f64(time).ok());
        let epochs = || format!("{} {}", recipe.epochs, plural(recipe.epochs as u64, "epoch"));
        let length = seconds.map_or_else(epochs, |time| format!("{} of time", duration(time)));
        self.line(&format!(
            "recipe {}: {length}, batch {}, learning rate {}; output {}",
            recipe.name,
            recipe.batch,
            recipe.lr,
            crate::output::path(run.dir.path())
        ));
        if let Some(adapted) = run.adapted {
            self.line(&format!(
                "adapted to this set and these epochs: {adapted}; keys that you state with --set stay as they are"
            ));
        }
        if self.last_is_best && !val.is_empty() {
            self.line(&format!(
                "{} validation {} too few to select the best model, so best.safetensors will be the last one",
                val.len(),
                if val.len() == 1 { "image is" } else { "images are" }
            ));
        }
        self.warn_before(config, train.len(), val.len());
        Ok(())
    }

    /// Prints the plan of a new run.
    fn plan(&self, run: &Started<'_>) {
        let Some(forecast) = run.forecast else { return };
        if self.json {
            self.line(&plan::json(forecast).to_string());
        } else if !self.quiet {
            // A run that stops after some steps may not need its time.
            let budget = run.config.time.and_then(|time| Duration::try_from_secs_f64(time).ok());
            let timed = budget.is_some() && forecast.time == budget;
            plan::lines(forecast, timed).iter().for_each(|line| self.line(line));
        }
    }

    /// Warns about a set that is too small.
    fn warn_before(&self, config: &Config, train: usize, validation: usize) {
        let (recipe, from, own) = (&config.recipe, config.from.is_some(), config.data.is_some());
        if !self.quiet {
            warnings::before(&Setting { recipe, train, validation, from, own }).iter().for_each(|line| output::note(line));
        }
    }

    /// Prints the initialization, the learning-rate multipliers and the frozen layers.
    fn tuning(&self, config: &Config, net: &Net, head: Option<&HeadMapping>, plan: &FrozenPlan) {
        if self.json || self.quiet {
            return;
        }
        if let (Some(head), Some(from)) = (head, &config.from) {
            let (known, all) = (head.known(), head.rows.len());
            let head = match known {
                0 => format!("new head for {all} classes, none of which it has by name"),
                _ if known == all => format!("head rows kept for all {all} classes"),
                _ => format!("head rows kept for {known} of {all} classes, new for the others"),
            };
            self.line(&format!("initialized from {}; {head}", crate::output::path(from)));
        }
        let rates = &config.recipe.layer_rates;
        let of =
            |times: f64| -> Vec<&str> { rates.iter().filter(|(_, t)| **t == times).map(|(name, _)| name.as_str()).collect() };
        let mut different: Vec<f64> = rates.values().copied().filter(|&times| times != 0.0 && times != 1.0).collect();
        different.sort_by(f64::total_cmp);
        different.dedup();
        if !different.is_empty() {
            let multipliers = different.iter().map(|&times| format!("{} x{times}", param_groups::to_list(net, &of(times))));
            self.line(&format!("learning-rate multipliers: {}", multipliers.collect::<Vec<_>>().join("; ")));
        }
        let frozen = of(0.0);
        if !frozen.is_empty() {
            let how = match plan {
                FrozenPlan::Nothing => String::new(),
                FrozenPlan::Always(reason) => format!("; computed in every step because {reason}"),
                FrozenPlan::Keep { after, views, bytes } => {
                    let views = if *views == 1 { "each image".into() } else { format!("{views} views of each image") };
                    format!(
                        "; features of {views} up to {after} are computed once and cached, {:.1} MB in total",
                        *bytes as f64 / 1e6
                    )
                }
                FrozenPlan::NoRoom { bytes, room } => format!(
                    "; computed in every step, since caching the features needs {:.1} GB of memory and {:.1} GB are available; fewer --views need less",
                    *bytes as f64 / 1e9,
                    *room as f64 / 1e9
                ),
            };
            self.line(&format!("frozen: {}{how}", param_groups::to_list(net, &frozen)));
        }
    }

    /// Prints how many processes share the work.
    fn ranks(&self, size: usize, how: Parallel, blocks: Option<usize>) {
        if self.json || self.quiet || (size == 1 && blocks.is_none()) {
            return;
        }
        let blocks = blocks.map_or(String::new(), |blocks| format!(", each batch in {blocks} blocks, summed in a fixed order"));
        let ranks = if size == 1 { "rank" } else { "ranks" };
        self.line(&format!("{size} {ranks}, {how} parallel{blocks}"));
    }

    /// Prints the position of a resumed run, and resets the bar.
    fn position(&mut self, run: &Started<'_>) {
        self.was_complete = run.complete;
        if run.complete && !self.json && !self.quiet {
            let (epochs, last) = (run.state.epoch, crate::output::path(&run.dir.last()));
            let noun = plural(epochs as u64, "epoch");
            self.line(&format!("the run is complete after {epochs} {noun}; to train on, start a new run with --from {last}"));
        } else if run.step > 0 && !self.json && !self.quiet {
            self.line(&format!("resuming in epoch {} after step {}", run.state.epoch + 1, run.step));
        }
        self.since = Instant::now();
        self.bar.set_length((self.epochs * run.steps_per_epoch()) as u64);
        self.bar.set_position(run.step);
        let epoch = self.epochs.min(run.state.epoch + 1);
        self.bar.set_message(format!("epoch {epoch}/{}, loading the first images", self.epochs));
    }

    /// Prints the validation before the first step.
    fn before(&self, row: &EpochMetrics) {
        if self.json {
            self.row(row, true, None);
        } else if !self.quiet {
            self.line(&format!("before: {}", validated(row, self.classes)));
        }
    }

    fn epoch(&mut self, row: &EpochMetrics, best: bool, train_time: Duration, images: u64) {
        let seconds = train_time.as_secs_f64();
        let rate = images as f64 / seconds.max(1e-9);
        if self.json {
            self.row(row, best, Some((seconds, rate)));
        } else if !self.quiet {
            let val = if row.val.is_some() { format!(" | {}", validated(row, self.classes)) } else { String::new() };
            self.line(&format!(
                "epoch {:>2}/{}: loss {:.4}, top-1 {:.2} %{val} | {rate:.0} images/s{}",
                row.epoch,
                self.epochs,
                row.train_loss.unwrap_or(f64::NAN),
                row.train_top1.unwrap_or(f64::NAN) * 100.0,
                if best && row.val.is_some() && !self.last_is_best { ", best so far" } else { "" }
            ));
        }
        let loss = row.train_loss.filter(|_| self.has_chance_level);
        let warning = loss.and_then(|loss| self.warnings.epoch(loss, self.classes, self.epochs));
        if let Some(warning) = warning.filter(|_| !self.quiet) {
            self.bar.suspend(|| output::note(&warning));
        }
    }

    /// Prints a JSON row. `speed` is the training time in seconds and the images per second.
    fn row(&self, row: &EpochMetrics, best: bool, speed: Option<(f64, f64)>) {
        let val = |of: fn(&alexnet::train::state::Validation) -> f64| row.val.as_ref().map(of);
        self.line(
            &json!({
                "epoch": row.epoch, "step": row.step, "lr": row.lr,
                "train_loss": row.train_loss, "train_top1": row.train_top1,
                "val_loss": val(|v| v.loss), "val_top1": val(|v| v.top1), "val_top5": val(|v| v.top5),
                "val_macro_f1": row.val.and_then(|v| v.macro_f1),
                "broken": row.broken, "best": best,
                "seconds": speed.map(|(seconds, _)| seconds), "images_per_second": speed.map(|(_, rate)| rate),
            })
            .to_string(),
        );
    }
}

impl Observer for ProgressPrinter {
    fn wants_forecast(&self) -> bool {
        !self.quiet
    }

    fn note(&mut self, line: &str) {
        if !self.quiet {
            output::note(line);
        }
    }

    fn warning(&mut self, line: &str) {
        if !self.silent {
            output::note(line);
        }
    }

    fn started(&mut self, run: &Started<'_>) -> alexnet::Result<()> {
        let recipe = &run.config.recipe;
        self.budget = run.config.time.and_then(|time| Duration::try_from_secs_f64(time).ok());
        (self.epochs, self.classes, self.last_is_best) = (recipe.epochs, run.train.classes().len(), recipe.best == Choice::Last);
        (self.monitor, self.has_chance_level) = (recipe.monitor, recipe.loss.focal == 0.0);
        self.settings(run)?;
        self.plan(run);
        self.ranks(run.ranks.size(), run.parallel, run.config.blocks);
        self.tuning(run.config, run.net, run.head, run.frozen);
        self.position(run);
        dist_args::stop_on_signal(&self.ranks, &self.stop)
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { epoch, steps: (done, all), loss, top1, images, until, .. } => {
                self.pace.step(self.since.elapsed(), *epoch, *images);
                // A run by the clock plans its length as it goes.
                let (position, length) = (((epoch - 1) * all + done) as u64, *until);
                self.epochs = until.div_ceil(*all as u64) as usize;
                let rate = self.pace.rate().map_or(String::new(), |rate| format!(", {rate:.0} images/s"));
                let left = self.pace.left(length.saturating_sub(position));
                let left = left.map_or(String::new(), |left| format!(", {} left", duration(left)));
                self.bar.set_length(length);
                self.bar.set_position(position);
                let (epochs, top1) = (self.epochs, top1 * 100.0);
                self.bar.set_message(format!("epoch {epoch}/{epochs}, loss {loss:.3}, top-1 {top1:.1} %{rate}{left}"));
            }
            Event::InitialValidation { row, .. } => self.before(row),
            Event::Epoch { row, best, train_time, images, .. } => self.epoch(row, *best, *train_time, *images),
            Event::Broken { .. } if self.silent => {}
            Event::Broken { name, why } => self.bar.suspend(|| crate::output::note(&format!("left out: {name}: {why}"))),
        }
    }

    fn finished(&mut self, run: &Finished<'_>) {
        if self.silent {
            return;
        }
        self.bar.finish_and_clear();
        let ending = Ending {
            time: self.start.elapsed(),
            budget: self.budget,
            monitor: self.monitor,
            last_is_best: self.last_is_best,
            was_complete: self.was_complete,
        };
        if self.json {
            output::say(&ending.json(run).to_string());
        } else if run.reason != StopReason::Interrupted {
            ending.lines(run, self.quiet).iter().for_each(|line| output::say(line));
        }
    }
}

/// Formats the validation results. With five classes or fewer, top-5 is always 100 % and omitted.
fn validated(row: &EpochMetrics, classes: usize) -> String {
    row.val.map_or(String::new(), |v| {
        let top5 = if classes > 5 { format!(", top-5 {:.2} %", v.top5 * 100.0) } else { String::new() };
        let macro_f1 = v.macro_f1.map_or(String::new(), |f1| format!(", macro-F1 {:.2} %", f1 * 100.0));
        format!("validation: loss {:.4}, top-1 {:.2} %{macro_f1}{top5}", v.loss, v.top1 * 100.0)
    })
}
