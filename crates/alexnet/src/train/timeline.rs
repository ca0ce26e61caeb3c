//! Schedules by the clock: a run that ends after a given time, and the plan that it followed.
//!
//! A recipe's schedule depends on the share of the run that is done. With a time budget the number of steps is not known before:
//! it is planned from the steps, validations and saves so far, again and again, and each plan is a [`Leg`]. A leg begins at the
//! share of the time that is over, and grows evenly to 1 at the planned last step. The legs of a run are in its state, and a recipe
//! that states them as its `timeline` repeats the run without a clock.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A plan of the rest of a run, written as `[step, share, until]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u64, f64, u64)", into = "(u64, f64, u64)")]
pub struct Leg {
    /// Step from which on it holds.
    pub step: u64,
    /// Share of the schedule that is done there.
    pub share: f64,
    /// Number of steps of the whole run, as planned then.
    pub until: u64,
}

impl From<(u64, f64, u64)> for Leg {
    fn from((step, share, until): (u64, f64, u64)) -> Leg {
        Leg { step, share, until }
    }
}

impl From<Leg> for (u64, f64, u64) {
    fn from(leg: Leg) -> Self {
        (leg.step, leg.share, leg.until)
    }
}

/// Progress of a run with a timeline.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// Seconds used so far, also by earlier processes.
    pub used: f64,
    /// Seconds used before the first step.
    #[serde(default)]
    pub begun: f64,
    /// The plans, in order of their steps.
    pub legs: Vec<Leg>,
    /// Number of steps of the run, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
}

impl Timeline {
    /// A timeline that repeats these legs.
    pub fn of(legs: &[Leg]) -> Timeline {
        Timeline { legs: legs.to_vec(), ..Timeline::default() }
    }

    /// Number of steps of the whole run, as planned last.
    pub fn until(&self) -> u64 {
        self.legs.last().map_or(0, |leg| leg.until)
    }

    /// Share of the schedule done at a step.
    pub fn share(&self, step: u64) -> f64 {
        let Some(leg) = self.legs.iter().rev().find(|leg| leg.step <= step) else { return 0.0 };
        let (done, all) = (step - leg.step, leg.until.saturating_sub(leg.step).max(1));
        (leg.share + (1.0 - leg.share) * done as f64 / all as f64).min(1.0)
    }

    /// Plans that the run ends after `until` steps; at `step`, this share of it is done.
    fn plan(&mut self, step: u64, share: f64, until: u64) {
        self.legs.retain(|leg| leg.step < step);
        self.legs.push(Leg { step, share, until });
    }
}

/// Checks a recipe's timeline.
///
/// # Errors
/// Legs that are not in order.
pub(super) fn check(legs: &[Leg]) -> Result<(), String> {
    let sound = |leg: &Leg| (0.0..=1.0).contains(&leg.share) && leg.until >= leg.step;
    let ordered = |pair: &[Leg]| pair[0].step < pair[1].step;
    let begins = legs.first().is_none_or(|leg| leg.step == 0 && leg.until > 0);
    let ends = legs.last().is_none_or(|leg| leg.until > 0);
    match legs.iter().all(sound) && legs.windows(2).all(ordered) && begins && ends {
        true => Ok(()),
        false => Err("invalid timeline: expected [step, share, until] with steps that grow from 0 and shares from 0 to 1".into()),
    }
}

/// Share of the budget after which a plan is made again, and over which times are averaged.
const PLAN_AGAIN: f64 = 0.02;
const MEMORY: f64 = 0.1;
/// Assumed speed of the disk, in bytes per second, before the first save.
const DISK: f64 = 1.5e8;
/// Assumed time to evaluate an image, as a share of the time to train on it, before the first validation.
const VALIDATION: f64 = 0.4;

/// The clock of a run with a time budget. Its times decide how many steps the run has, so such a run is repeated by its
/// timeline, not by its budget.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    budget: f64,
    /// Start of this process, and seconds used by earlier ones.
    start: Instant,
    before: f64,
    /// Exponentially weighted number of steps and their seconds.
    steps: f64,
    seconds: f64,
    /// End of the last step or epoch.
    last: Instant,
    /// Seconds from an epoch's last step to the next one's first: validation and saves.
    between: Option<f64>,
    /// Number of validation images relative to a batch, and seconds of a save.
    validation: f64,
    save: f64,
    /// Whether a step of this process is over: the first one also starts threads and reads the first images.
    settled: bool,
    /// Seconds used at the last plan.
    planned: f64,
    steps_per_epoch: u64,
}

/// What a clock needs to know of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunSize {
    pub(super) batch: usize,
    pub(super) validation: usize,
    pub(super) parameters: usize,
    pub(super) steps_per_epoch: u64,
}

impl Clock {
    /// The clock of a process that began at `start`, in a run that has used `before` seconds.
    pub(super) fn new(budget: Duration, start: Instant, before: f64, size: RunSize) -> Clock {
        let RunSize { batch, validation, parameters, steps_per_epoch } = size;
        Clock {
            budget: budget.as_secs_f64(),
            start,
            before,
            steps: 0.0,
            seconds: 0.0,
            last: Instant::now(),
            between: None,
            validation: validation as f64 / batch.max(1) as f64,
            // Two models, and a state with one slot or two.
            save: 4.0 * 4.0 * parameters as f64 / DISK,
            settled: false,
            planned: 0.0,
            steps_per_epoch,
        }
    }

    /// Seconds that the run has used.
    pub(super) fn used(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Notes the end of a step.
    pub(super) fn step(&mut self) {
        let took = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        if std::mem::replace(&mut self.settled, true) {
            let keeps = (-took / (MEMORY * self.budget)).exp();
            (self.steps, self.seconds) = (self.steps * keeps + 1.0, self.seconds * keeps + took);
        }
    }

    /// Notes how long a save of models and state took.
    pub(super) fn saved(&mut self, took: Duration) {
        self.save = took.as_secs_f64();
    }

    /// Plans the rest of a run that has done `step` steps, if the last plan is old or done.
    pub(super) fn plan(&mut self, timeline: &mut Timeline, step: u64) {
        timeline.used = self.used();
        let over = timeline.used >= self.budget;
        let old = self.steps > 0.0 && timeline.used - self.planned >= PLAN_AGAIN * self.budget;
        if old || over || step >= timeline.until() {
            self.planned = timeline.used;
            // Before a step is measured, one more follows.
            let more = if self.steps == 0.0 && !over { 1 } else { self.more(timeline.used) };
            timeline.plan(step, self.share(timeline), step + more);
        }
    }

    /// Plans the rest of a run after an epoch with its validation and saves, which end here. Returns whether the run ends, because
    /// no time is left for a step.
    pub(super) fn plan_after_epoch(&mut self, timeline: &mut Timeline, step: u64) -> bool {
        let took = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.between = Some(self.between.map_or(took, |before| (before + took) / 2.0));
        self.plan(timeline, step);
        let ends = self.steps > 0.0 && self.more(timeline.used) == 0;
        if ends && timeline.until() != step {
            timeline.plan(step, self.share(timeline), step);
        }
        ends
    }

    /// Share of the time for steps that is over.
    fn share(&self, timeline: &Timeline) -> f64 {
        let (over, left) = ((timeline.used - timeline.begun).max(0.0), self.left(timeline.used).max(0.0));
        if left == 0.0 { 1.0 } else { over / (over + left) }
    }

    /// Seconds from an epoch's last step to the next one's first.
    fn between(&self) -> f64 {
        let each = if self.steps > 0.0 { self.seconds / self.steps } else { 0.0 };
        self.between.unwrap_or(self.validation * each * VALIDATION + self.save / 4.0)
    }

    /// Seconds that are left for steps: the run ends with a validation and a save.
    fn left(&self, used: f64) -> f64 {
        self.budget - used - self.between() - self.save
    }

    /// Number of steps for which the rest of the time suffices, with the validations between them.
    fn more(&self, used: f64) -> u64 {
        if self.steps == 0.0 {
            return 0;
        }
        let each = (self.seconds / self.steps).max(1e-9) + self.between() / self.steps_per_epoch.max(1) as f64;
        (self.left(used) / each).max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_plan_to_plan() {
        let mut timeline = Timeline::of(&[Leg { step: 0, share: 0.0, until: 100 }]);
        assert_eq!((timeline.share(0), timeline.share(50), timeline.until()), (0.0, 0.5, 100));
        // The steps are slower than planned: more of the time is over.
        timeline.plan(20, 0.5, 40);
        assert_eq!((timeline.share(20), timeline.share(30), timeline.share(40)), (0.5, 0.75, 1.0));
        timeline.plan(30, 0.7, 50);
        assert!((timeline.share(40) - 0.85).abs() < 1e-12 && timeline.share(50) == 1.0 && timeline.share(99) == 1.0);
        // Earlier steps keep their shares.
        assert_eq!((timeline.share(10), timeline.share(20), timeline.legs.len()), (0.1, 0.5, 3));
        check(&timeline.legs).unwrap();
        let text = serde_json::to_string(&timeline).unwrap();
        assert!(text.contains("[20,0.5,40]"), "{text}");
        assert_eq!(serde_json::from_str::<Timeline>(&text).unwrap(), timeline);
        for legs in [&[(1, 0.0, 5)][..], &[(0, 0.0, 0)], &[(0, 0.0, 5), (0, 0.5, 5)], &[(0, 2.0, 5)]] {
            let legs: Vec<Leg> = legs.iter().map(|&leg| leg.into()).collect();
            assert!(check(&legs).is_err(), "{legs:?}");
        }
    }

    #[test]
    fn a_clock_plans_for_steps_validations_and_the_last_save() {
        let size = RunSize { batch: 10, validation: 0, parameters: 0, steps_per_epoch: 10 };
        let mut clock = Clock::new(Duration::from_secs(100), Instant::now(), 0.0, size);
        assert_eq!(clock.more(10.0), 0, "nothing is measured yet");
        (clock.steps, clock.seconds) = (10.0, 10.0);
        assert_eq!(clock.more(10.0), 90);
        // Five seconds after each epoch: 85 seconds are 56 steps of 1.5 seconds.
        clock.between = Some(5.0);
        assert_eq!(clock.more(10.0), 56);
        clock.saved(Duration::from_secs(15));
        assert_eq!((clock.more(10.0), clock.more(96.0), clock.more(200.0)), (46, 0, 0));
        let mut timeline = Timeline::of(&[Leg { step: 0, share: 0.0, until: 30 }]);
        clock.plan(&mut timeline, 1);
        assert_eq!(timeline.until(), 30, "planned again at once");
        // Time used by an earlier process counts.
        (clock.before, timeline.begun) = (20.0, 10.0);
        clock.plan(&mut timeline, 10);
        assert!((48..=50).contains(&timeline.until()), "{timeline:?}");
        assert!((timeline.share(10) - 10.0 / 70.0).abs() < 0.01, "{timeline:?}");
        assert!(!clock.plan_after_epoch(&mut timeline, 20));
        clock.before = 200.0;
        clock.plan(&mut timeline, 30);
        assert_eq!((timeline.until(), timeline.share(30)), (30, 1.0));
        assert!(clock.plan_after_epoch(&mut timeline, 30));
    }
}
