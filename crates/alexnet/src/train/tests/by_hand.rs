//! Learning rates changed during a run: by hand, and of single layers by the recipe.

use super::*;
use crate::train::LrChange;
use crate::train::recipe::RateChange;

/// A run that stops after `steps`, with the changes so far; `lr` is given by hand before it goes on.
fn part(at: &Path, recipe: &Recipe, steps: Option<u64>, changes: &mut Vec<LrChange>, lr: Option<f64>) -> Result<StopReason> {
    let folder = if at.join("config.toml").exists() { RunDir::open(at)? } else { RunDir::create(at)? };
    std::fs::write(folder.config(), "").unwrap();
    let (train, val) = hold_out(squares(90, &[]), 0.2);
    let mut engine = Linear::new(SIZE, 3);
    let net = crate::engine::ParameterStore::net(&engine).clone();
    let loaders = loaders(recipe, &net, None, &train, &val, 3, 1)?;
    let options = TrainerOptions { max_steps: steps, ..options() };
    let mut trainer = Trainer::new(&mut engine, recipe, 3, &loaders, train, val, &folder, options)?.with_lr_changes(changes);
    if let Some(lr) = lr
        && let Some(all) = trainer.change_lr(lr)?
    {
        *changes = all.to_vec();
        assert!((trainer.lr() / lr - 1.0).abs() < 1e-12);
    }
    trainer.run(&AtomicBool::new(false), &mut |_| {})
}

fn rates(at: &Path) -> Vec<f64> {
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    csv.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_rate_given_by_hand_scales_the_rest_of_the_schedule_and_resumes_with_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped, plain] = ["whole", "stopped", "plain"].map(|name| folder.path().join(name));
    // 9 steps an epoch; a tenth of the rate from the second half on.
    let recipe = Recipe { schedule: Schedule::Steps { at: vec![[1, 2]], by: 10.0 }, ..recipe() };
    by_recipe(&plain, recipe.clone()).unwrap();
    let mut changes = Vec::new();
    part(&whole, &recipe, Some(9), &mut changes, None).unwrap();
    part(&whole, &recipe, None, &mut changes, Some(0.02)).unwrap();
    assert_eq!((changes.len(), changes[0].step, changes[0].lr), (1, 9, 0.02));
    let close = |found: Vec<f64>, expected: [f64; 4]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
    };
    close(rates(&plain), [0.05, 0.05, 0.005, 0.005]);
    close(rates(&whole), [0.05, 0.02, 0.002, 0.002]);
    // Further stops, and the same rate again, change nothing.
    let mut changes = Vec::new();
    part(&stopped, &recipe, Some(9), &mut changes, None).unwrap();
    for steps in [Some(12), Some(20), None] {
        part(&stopped, &recipe, steps, &mut changes, Some(0.02)).unwrap();
    }
    assert_eq!(changes.len(), 1);
    assert_same_run(&whole, &stopped);
    // The initial rate, before any change, is a repeated option.
    let mut none = Vec::new();
    assert!(part(&plain, &recipe, None, &mut none, Some(0.05)).is_ok() && none.is_empty());
    for (lr, part_of) in [(0.001, "complete"), (-1.0, "positive"), (f64::NAN, "positive")] {
        let message = part(&whole, &recipe, None, &mut changes, Some(lr)).unwrap_err().to_string();
        assert!(message.contains(part_of), "{message}");
    }
}

#[test]
fn a_layer_slows_down_and_freezes_and_the_run_resumes_with_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let change = |n, times| RateChange { at: [n, 4], layer: "fc1".into(), times };
    let recipe = Recipe { layer_rate_changes: vec![change(3, 0.0), change(1, 0.5)], ..recipe() };
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    by_recipe(&whole, recipe.clone()).unwrap();
    for steps in [Some(5), Some(14), Some(30), None] {
        part(&stopped, &recipe, steps, &mut Vec::new(), None).unwrap();
    }
    assert_same_run(&whole, &stopped);
    // Frozen in the last quarter, so the last epoch's model is that of the third.
    let third = folder.path().join("third");
    part(&third, &recipe, Some(27), &mut Vec::new(), None).unwrap();
    let weights = |at: &Path| formats::read(at.join("last.safetensors")).unwrap().tensors["fc1.weight"].to_vec();
    assert!(weights(&third) == weights(&whole));
    let plain = folder.path().join("plain");
    by_recipe(&plain, Recipe { layer_rate_changes: vec![change(1, 0.5)], ..recipe }).unwrap();
    assert!(weights(&plain) != weights(&whole));
}
