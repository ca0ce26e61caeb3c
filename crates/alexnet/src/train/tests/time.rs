//! Runs that end by the clock, and their repetition by a timeline.

use super::*;
use crate::train::timeline::Leg;
use std::time::Instant;

/// Runs with a time budget, interrupted after `stop_after` steps of this process.
fn by_clock(at: &Path, budget: Duration, stop_after: u64, steps: &mut Vec<(u64, u64, f64)>) -> StopReason {
    let folder = if at.join("config.toml").exists() { RunDir::open(at) } else { RunDir::create(at) }.unwrap();
    std::fs::write(folder.config(), "").unwrap();
    let (train, val) = hold_out(squares(90, &[]), 0.2);
    let mut engine = Linear::new(SIZE, 3);
    let net = crate::engine::ParameterStore::net(&engine).clone();
    let recipe = recipe();
    let loaders = loaders(&recipe, &net, None, &train, &val, 3, 1).unwrap();
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    let trainer = Trainer::new(&mut engine, &recipe, 3, &loaders, train, val, &folder, options()).unwrap();
    let mut trainer = trainer.with_time(budget, began);
    let ending = trainer.run(&stop, &mut |event| {
        if let Event::Step { step, until, lr, .. } = event {
            steps.push((step, until, lr));
            stop.store(steps.len() as u64 >= stop_after, Ordering::Relaxed);
        }
    });
    ending.unwrap()
}

fn timeline(at: &Path) -> serde_json::Value {
    let file = crate::formats::TensorFile::open(&at.join("state.safetensors")).unwrap();
    serde_json::from_str::<serde_json::Value>(file.text(crate::formats::METADATA_STATE).unwrap()).unwrap()["timeline"].clone()
}

fn parameters(at: &Path) -> Vec<f32> {
    formats::read(at.join("last.safetensors")).unwrap().tensors["fc1.weight"].to_vec()
}

#[test]
fn a_run_by_the_clock_finishes_its_schedule_and_is_repeated_by_its_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (budget, mut steps) = (Duration::from_millis(1500), Vec::new());
    // Interrupted, and resumed with what is left of the time.
    assert_eq!(by_clock(&at("clock"), budget, 20, &mut steps), StopReason::Interrupted);
    let used = timeline(&at("clock"))["used"].as_f64().unwrap();
    assert!(used > 0.0);
    assert_eq!(by_clock(&at("clock"), budget, u64::MAX, &mut steps), StopReason::Done);
    let found = timeline(&at("clock"));
    assert!(found["used"].as_f64().unwrap() > used.max(1.0), "{found}");
    let legs: Vec<Leg> = serde_json::from_value(found["legs"].clone()).unwrap();
    crate::train::timeline::check(&legs).unwrap();
    let (last, until, lr) = *steps.last().unwrap();
    assert_eq!((found["ended"].as_u64(), legs.last().unwrap().until), (Some(last), last));
    // The schedule ends with the run: half a cosine down from 0.05. How close to its end depends on how evenly the machine runs
    // in a second; the plans themselves are tested without a clock.
    assert!(until >= last && lr < 0.025, "{lr} in step {last} of {until}");
    assert!(steps.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "every step once");
    // A completed run stays as it is.
    let bytes = |name: &str| std::fs::read(at("clock").join(name)).unwrap();
    let before = FILES.map(bytes);
    assert_eq!(by_clock(&at("clock"), budget, u64::MAX, &mut steps), StopReason::Done);
    assert!(FILES.map(bytes) == before);

    // Without a clock, the timeline gives the same parameters and metrics, also with an interruption.
    let recipe = Recipe { timeline: legs, ..recipe() };
    by_recipe(&at("again"), recipe.clone()).unwrap();
    assert!(parameters(&at("again")) == parameters(&at("clock")));
    let metrics = |name: &str| std::fs::read_to_string(at(name).join("metrics.csv")).unwrap();
    assert_eq!(metrics("again"), metrics("clock"));
    for max_steps in [1, last / 2, last - 1] {
        let at = at(&format!("parts-{max_steps}"));
        for max_steps in [Some(max_steps), None] {
            let options = TrainerOptions { max_steps, ..options() };
            let ask = Ask { recipe: recipe.clone(), source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} };
            train(&at, ask).unwrap();
        }
        assert_same_run(&at, &folder.path().join("again"));
    }
}
