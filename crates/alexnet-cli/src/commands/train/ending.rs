//! What `train` prints at the end of a run.

use crate::output::plural;
use crate::progress::duration;
use alexnet::train::recipe::Monitor;
use alexnet::train::{CommStats, Finished, StopReason};
use serde_json::{Value, json};
use std::time::Duration;

/// Circumstances of the end that the run itself does not know.
pub(super) struct Ending {
    /// Time since the start of the process.
    pub(super) time: Duration,
    /// Time in which the run was to end.
    pub(super) budget: Option<Duration>,
    /// Metric by which epochs are compared.
    pub(super) monitor: Monitor,
    /// Whether the last model counts as the best because too few validation images exist to choose by.
    pub(super) last_is_best: bool,
    /// Whether the run was complete before.
    pub(super) was_complete: bool,
}

impl Ending {
    /// The end as a JSON object.
    pub(super) fn json(&self, run: &Finished<'_>) -> Value {
        let Finished { reason, state, step, dir, stats } = *run;
        let row = state.best.and_then(|best| state.rows.iter().find(|row| row.epoch == best.epoch));
        json!({
            "ending": match reason {
                StopReason::Done => "done",
                StopReason::EarlyStop => "early-stop",
                StopReason::MaxSteps => "max-steps",
                StopReason::Interrupted => "interrupted",
            },
            "epochs": state.epoch, "steps": step, "run": dir.path(), "last": dir.last(), "best": dir.best(),
            "monitor": self.monitor.name(), "best_epoch": state.best.map(|b| b.epoch), "best_top1": state.best.map(|b| b.top1),
            "best_loss": state.best.map(|b| b.loss), "best_macro_f1": row.and_then(|row| row.val?.macro_f1),
            "broken": state.broken.len(), "seconds": self.time.as_secs_f64(),
            "ranks": stats.ranks, "bytes_per_step": stats.bytes_per_step,
            "bytes_per_step_of_the_busiest_rank": stats.most_per_step,
            "seconds_per_step": stats.seconds_per_step,
        })
    }

    /// The end in lines. `quiet`: only the results.
    pub(super) fn lines(&self, run: &Finished<'_>, quiet: bool) -> Vec<String> {
        let Finished { reason, state, step, dir, stats } = *run;
        let stopped = match reason {
            StopReason::EarlyStop => {
                let waited = state.epochs_without_improvement(self.monitor);
                format!("; stopped early: no better {} for {waited} {}", self.monitor, plural(waited as u64, "epoch"))
            }
            _ => String::new(),
        };
        let broken = match state.broken.len() {
            0 => String::new(),
            n => format!("; {n} unreadable {}, see {}", plural(n as u64, "image"), dir.broken().display()),
        };
        // A step, a validation and a save are the least that a run takes.
        let late = self.budget.filter(|budget| self.time > budget.mul_f64(1.05));
        let late = late.map_or(String::new(), |budget| format!(", which is more than --time {}", duration(budget)));
        let time = if self.was_complete { String::new() } else { format!(" in {:.0} s{late}", self.time.as_secs_f64()) };
        let steps = plural(step, "step");
        let mut lines = vec![format!("{step} {steps}{time}; {}{stopped}{broken}", self.best(run))];
        if stats.ranks > 1 && !quiet {
            let CommStats { ranks, bytes_per_step, most_per_step, seconds_per_step } = stats;
            let [all, most] = [bytes_per_step, most_per_step].map(|bytes| bytes / 1e6);
            let milliseconds = seconds_per_step * 1e3;
            lines.push(format!(
                "{ranks} ranks sent {all:.1} MB per step in total, the busiest {most:.1} MB; a step took {milliseconds:.0} ms"
            ));
        }
        lines
    }

    /// The best model, by the monitored metric.
    fn best(&self, run: &Finished<'_>) -> String {
        let Finished { state, dir, .. } = *run;
        let Some(best) = state.best else { return format!("stopped within the first epoch: {}", dir.last().display()) };
        let row = state.rows.iter().find(|row| row.epoch == best.epoch);
        let value = row.map_or_else(|| format!("top-1 {:.2} %", best.top1 * 100.0), |row| self.monitor.describe(row));
        let (epoch, path) = (best.epoch, dir.best());
        let path = path.display();
        if epoch == 0 {
            return format!("no epoch is better than the initial model, {value}: {path} is the initial model");
        }
        // Without validation nothing can be chosen by.
        if state.rows.iter().all(|row| row.val.is_none()) {
            return format!("training {value} in epoch {epoch}, the last: {path}");
        }
        match self.last_is_best {
            true => format!("{value} in epoch {epoch}, the last: {path}"),
            false => format!("best {value} in epoch {epoch}: {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet::train::run_dir::RunDir;
    use alexnet::train::state::{BestEpoch, EpochMetrics, State, Validation};
    use std::path::Path;

    fn state(epoch: usize, val: Option<Validation>) -> State {
        let row = EpochMetrics { epoch, step: 1, lr: None, train_loss: Some(2.0), train_top1: Some(0.25), val, broken: 0 };
        State { best: Some(BestEpoch::of(&row)), rows: vec![row], epoch, ..State::default() }
    }

    #[test]
    fn the_ending_names_the_monitored_metric() {
        let dir = RunDir::of_other(Path::new("run"));
        let val = Some(Validation { loss: 1.5, top1: 0.5, top5: 1.0, macro_f1: Some(0.4) });
        let ending = |monitor, last_is_best| Ending {
            time: Duration::from_secs(3),
            budget: None,
            monitor,
            last_is_best,
            was_complete: false,
        };
        let said = |ending: Ending, state: &State, reason| {
            let stats = CommStats { ranks: 1, bytes_per_step: 0.0, most_per_step: 0.0, seconds_per_step: 0.1 };
            let run = Finished { reason, state, step: 1, dir: &dir, stats };
            (ending.lines(&run, false).join("\n"), ending.json(&run))
        };
        let (line, json) = said(ending(Monitor::MacroF1, false), &state(2, val), StopReason::Done);
        assert_eq!(line, "1 step in 3 s; best macro-F1 40.00 % in epoch 2: run/best.safetensors");
        assert_eq!((&json["monitor"], &json["best_macro_f1"]), (&"macro-f1".into(), &0.4.into()));
        assert_eq!((&json["best_top1"], &json["best_loss"]), (&0.5.into(), &1.5.into()));
        let late = Ending { budget: Some(Duration::from_secs(1)), ..ending(Monitor::MacroF1, false) };
        let (line, _) = said(late, &state(2, val), StopReason::Done);
        assert!(line.starts_with("1 step in 3 s, which is more than --time 1s; best macro-F1"), "{line}");
        let (line, _) = said(ending(Monitor::MacroF1, true), &state(2, val), StopReason::Done);
        assert_eq!(line, "1 step in 3 s; macro-F1 40.00 % in epoch 2, the last: run/best.safetensors");
        let (line, _) = said(ending(Monitor::MacroF1, false), &state(0, val), StopReason::Done);
        assert!(line.contains("no epoch is better than the initial model, macro-F1 40.00 %"), "{line}");
        let (line, json) = said(ending(Monitor::Loss, false), &state(1, None), StopReason::Done);
        assert_eq!(line, "1 step in 3 s; training loss 2.0000 in epoch 1, the last: run/best.safetensors");
        assert!(json["best_macro_f1"].is_null());
        let mut waiting = state(1, val);
        waiting.epoch = 2;
        let complete = Ending { was_complete: true, ..ending(Monitor::Top1, false) };
        let (line, _) = said(complete, &waiting, StopReason::EarlyStop);
        assert_eq!(
            line,
            "1 step; best top-1 50.00 % in epoch 1: run/best.safetensors; stopped early: no better top1 for 1 epoch"
        );
    }
}
