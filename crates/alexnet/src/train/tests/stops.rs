//! Early stopping, the monitored metric, snapshots and balanced sampling.

use super::*;
use crate::train::recipe::{Monitor, Sampling};
use crate::train::snapshots::Keep;

/// The run's snapshots on disk.
fn snapshots(at: &Path) -> Vec<String> {
    let names = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("epoch-")).collect();
    names.sort();
    names
}

fn with(at: &Path, recipe: Recipe, options: TrainerOptions) -> Result<StopReason> {
    train(at, Ask { recipe, source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} })
}

#[test]
fn a_run_without_improvement_ends_early_and_stays_ended() {
    let folder = tempfile::tempdir().unwrap();
    for monitor in [Monitor::Top1, Monitor::Loss, Monitor::MacroF1] {
        // The rate is too small to change a bit, so the first epoch stays the best.
        let recipe = Recipe { lr: 1e-12, epochs: 9, patience: 2, monitor, ..recipe() };
        let at = folder.path().join(monitor.name());
        assert_eq!(with(&at, recipe.clone(), options()).unwrap(), StopReason::EarlyStop);
        let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
        assert_eq!(csv.lines().count(), 4, "{csv}");
        // Resuming it changes nothing; stopping on the way neither.
        let bytes = std::fs::read(at.join("state.safetensors")).unwrap();
        assert_eq!(with(&at, recipe.clone(), options()).unwrap(), StopReason::EarlyStop);
        assert!(std::fs::read(at.join("state.safetensors")).unwrap() == bytes);
        let stopped = folder.path().join(format!("{monitor}-stopped"));
        for max_steps in [Some(12), Some(18), None] {
            with(&stopped, recipe.clone(), TrainerOptions { max_steps, ..options() }).unwrap();
        }
        assert_same_run(&at, &stopped);
    }
}

#[test]
fn the_monitored_metric_selects_the_best_model() {
    let folder = tempfile::tempdir().unwrap();
    let best = |monitor: Monitor| {
        let at = folder.path().join(monitor.name());
        let (mut rows, mut best) = (Vec::new(), 0);
        let watch = &mut |event: &Event<'_>, _: &AtomicBool| {
            if let Event::Epoch { row, best: is_best, .. } = event {
                rows.push(row.val.unwrap());
                best = if *is_best { rows.len() } else { best };
            }
        };
        let recipe = Recipe { monitor, lr: 0.3, epochs: 8, schedule: Schedule::Constant, ..recipe() };
        let ask = Ask { recipe, source: squares(60, &[]), options: options(), breaks_at: None, watch };
        train(&at, ask).unwrap();
        (rows, best)
    };
    let (rows, by_loss) = best(Monitor::Loss);
    assert!(rows.iter().all(|row| row.macro_f1.is_some_and(|f1| (0.0..=1.0).contains(&f1))));
    assert!(rows.iter().all(|row| row.loss >= rows[by_loss - 1].loss), "{rows:?} {by_loss}");
    let (rows, by_f1) = best(Monitor::MacroF1);
    assert!(rows.iter().all(|row| row.macro_f1 <= rows[by_f1 - 1].macro_f1), "{rows:?} {by_f1}");
}

#[test]
fn patience_and_macro_f1_need_validation_images() {
    let folder = tempfile::tempdir().unwrap();
    for (name, recipe) in
        [("patience", Recipe { patience: 1, ..recipe() }), ("f1", Recipe { monitor: Monitor::MacroF1, ..recipe() })]
    {
        // Two images leave none to hold out.
        let ask = Ask { recipe, source: squares(3, &[]), options: options(), breaks_at: None, watch: &mut |_, _| {} };
        if let Err(error) = train(&folder.path().join(name), ask) {
            assert!(error.to_string().contains("need validation images"), "{error}");
        }
    }
}

#[test]
fn snapshots_remain_as_requested_through_stops_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    for (every, keep, expected) in [
        (2, Keep::All, vec!["epoch-0002.safetensors", "epoch-0004.safetensors", "epoch-0006.safetensors"]),
        (1, Keep::Last(2), vec!["epoch-0005.safetensors", "epoch-0006.safetensors"]),
        (0, Keep::All, vec![]),
    ] {
        let options = TrainerOptions { snapshots: Snapshots { every, keep }, ..options() };
        let recipe = Recipe { epochs: 6, ..recipe() };
        let whole = folder.path().join(format!("whole-{every}-{keep}").replace(':', "-"));
        with(&whole, recipe.clone(), options.clone()).unwrap();
        assert_eq!(snapshots(&whole), expected);
        if every == 2 {
            let [a, b] = ["epoch-0006.safetensors", "last.safetensors"].map(|name| std::fs::read(whole.join(name)).unwrap());
            assert!(a == b);
        }
        let stopped = folder.path().join(format!("stopped-{every}-{keep}").replace(':', "-"));
        for max_steps in [Some(13), Some(36)] {
            with(&stopped, recipe.clone(), TrainerOptions { max_steps, ..options.clone() }).unwrap();
        }
        // Killed in the fifth or sixth epoch, with a state that is older than the last snapshot.
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let watch = &mut |event: &Event<'_>, _: &AtomicBool| {
                assert!(!matches!(event, Event::Step { step: 50.., .. }), "the run must be killed at this step");
            };
            let (recipe, options) = (recipe.clone(), options.clone());
            let _ = train(&stopped, Ask { recipe, source: squares(90, &[]), options, breaks_at: None, watch });
        }));
        assert!(killed.is_err());
        with(&stopped, recipe, options).unwrap();
        assert_eq!(snapshots(&stopped), expected);
        assert_same_run(&whole, &stopped);
        for name in expected {
            assert!(std::fs::read(whole.join(name)).unwrap() == std::fs::read(stopped.join(name)).unwrap(), "{name}");
        }
    }
    let at = folder.path().join("best");
    let options = TrainerOptions { snapshots: Snapshots { every: 1, keep: Keep::Best(1) }, ..options() };
    with(&at, recipe(), options).unwrap();
    let names = snapshots(&at);
    assert_eq!(names.len(), 1);
    assert!(std::fs::read(at.join(&names[0])).unwrap() == std::fs::read(at.join("best.safetensors")).unwrap(), "{names:?}");
}

#[test]
fn balanced_epochs_survive_stops() {
    let folder = tempfile::tempdir().unwrap();
    let balanced = Recipe { sampling: Sampling::Balanced, ..recipe() };
    let [plain, whole, stopped] = ["plain", "whole", "stopped"].map(|name| folder.path().join(name));
    with(&plain, recipe(), options()).unwrap();
    with(&whole, balanced.clone(), options()).unwrap();
    for max_steps in [Some(4), Some(13), None] {
        with(&stopped, balanced.clone(), TrainerOptions { max_steps, ..options() }).unwrap();
    }
    assert_same_run(&whole, &stopped);
    let [plain, whole] = [plain, whole].map(|at| std::fs::read(at.join("last.safetensors")).unwrap());
    assert!(plain != whole);
}
