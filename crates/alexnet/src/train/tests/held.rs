//! Runs with a moving average of the weights, accumulated and clipped gradients.

use super::ranks::rank_by;
use super::*;
use crate::distributed::data_parallel::DataParallel;
use crate::distributed::{Communicator, Partition, SingleProcess, in_process, towers::Towers};
use crate::engine::{ParameterStore, Precision, Training};
use crate::train::recipe::Ema;

/// 9 batches an epoch, accumulated by 4, make 3 steps; all of their gradients are clipped.
fn held() -> Recipe {
    let ema = Some(Ema { decay: 0.9, every: 2, warmup: true });
    Recipe { accumulate: 4, clip_norm: Some(0.05), ema, ..recipe() }
}

fn until(steps: u64) -> TrainerOptions {
    TrainerOptions { max_steps: Some(steps), ..options() }
}

fn run(at: &Path, recipe: Recipe, options: TrainerOptions) -> StopReason {
    train(at, Ask { recipe, source: squares(90, &[7]), options, breaks_at: None, watch: &mut |_, _| {} }).unwrap()
}

fn tensors(path: &Path) -> Vec<Vec<f32>> {
    formats::read(path).unwrap().tensors.values().map(|values| values.to_vec()).collect()
}

fn assert_same_average(a: &Path, b: &Path) {
    assert_same_run(a, b);
    let [a, b] = [a, b].map(|at| std::fs::read(at.join("ema.safetensors")).unwrap());
    assert!(a == b, "ema.safetensors differs");
}

#[test]
fn stopping_anywhere_and_resuming_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, recipe) in [("sgd", held()), ("adamw", held().with_optimizer("adamw").unwrap())] {
        let whole = folder.path().join(name);
        assert_eq!(run(&whole, recipe.clone(), options()), StopReason::Done);
        let csv = std::fs::read_to_string(whole.join("metrics.csv")).unwrap();
        assert!(csv.lines().nth(4).unwrap().starts_with("4,12,"), "{csv}");
        for stops in [vec![1], vec![2, 3], vec![4, 5, 6, 11]] {
            let at = folder.path().join(format!("{name}-{stops:?}"));
            for stop in stops {
                assert_eq!(run(&at, recipe.clone(), until(stop)), StopReason::MaxSteps);
            }
            assert_eq!(run(&at, recipe.clone(), options()), StopReason::Done);
            assert_same_average(&whole, &at);
        }
        // Ctrl-C in the middle of an accumulation, and a kill there with a state of an earlier step.
        for (killed, save_every) in [(false, Duration::from_secs(3600)), (true, Duration::ZERO)] {
            let at = folder.path().join(format!("{name}-{killed}"));
            let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let watch = &mut |event: &Event<'_>, stop: &AtomicBool| {
                    if let Event::Step { step: 5, .. } = event {
                        assert!(!killed, "the run is killed here");
                        stop.store(true, Ordering::Relaxed);
                    }
                };
                let options = TrainerOptions { save_every, ..options() };
                train(&at, Ask { recipe: recipe.clone(), source: squares(90, &[7]), options, breaks_at: None, watch }).unwrap()
            }));
            assert!(if killed { stopped.is_err() } else { stopped.unwrap() == StopReason::Interrupted });
            assert_eq!(run(&at, recipe.clone(), options()), StopReason::Done);
            assert_same_average(&whole, &at);
        }
    }
}

#[test]
fn accumulated_batches_train_as_one_large_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (large, parts) = (folder.path().join("large"), folder.path().join("parts"));
    // An image is missing, and the last step has fewer.
    let recipe = Recipe { drop_last: false, ..recipe() };
    run(&large, Recipe { batch: 20, ..recipe.clone() }, options());
    run(&parts, Recipe { batch: 5, accumulate: 4, ..recipe }, options());
    let [a, b] = [&large, &parts].map(|at| std::fs::read_to_string(at.join("metrics.csv")).unwrap());
    let steps = |csv: &str| -> Vec<String> { csv.lines().map(|line| line.split(',').nth(1).unwrap().to_string()).collect() };
    assert_eq!(steps(&a), steps(&b));
    for (a, b) in tensors(&large.join("last.safetensors")).iter().zip(&tensors(&parts.join("last.safetensors"))) {
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-6, "{apart}");
    }
}

#[test]
fn a_limit_that_no_gradient_reaches_changes_nothing_and_a_low_one_slows_down() {
    let folder = tempfile::tempdir().unwrap();
    let last = |name: &str, clip_norm| {
        let at = folder.path().join(name);
        run(&at, Recipe { clip_norm, batch: 8, ..recipe() }, options());
        tensors(&at.join("last.safetensors"))
    };
    let first = Linear::new(SIZE, 3);
    let first = ["fc1.bias", "fc1.weight"].map(|name| first.parameter(name).unwrap());
    let moved = |last: &[Vec<f32>]| -> f32 {
        last.iter().zip(&first).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    };
    let (plain, high, low) = (last("plain", None), last("high", Some(1e9)), last("low", Some(1e-3)));
    let apart = plain.iter().zip(&high).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-6, "{apart}");
    // 36 steps of at most 0.05 * 0.001 / (1 - 0.9), beside weight decay.
    assert!(moved(&low) < 0.1 * moved(&plain), "{} {}", moved(&low), moved(&plain));
}

#[test]
fn the_best_model_and_the_metrics_are_those_of_the_average() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, averaged) = (folder.path().join("plain"), folder.path().join("averaged"));
    run(&plain, recipe(), options());
    run(&averaged, Recipe { ema: Some(Ema { decay: 0.9, every: 1, warmup: true }), ..recipe() }, options());
    let last = |at: &Path| tensors(&at.join("last.safetensors"));
    assert_eq!(last(&plain), last(&averaged));
    let average = tensors(&averaged.join("ema.safetensors"));
    assert_ne!(average, last(&averaged));
    let val = |at: &Path| -> Vec<String> {
        let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
        csv.lines().last().unwrap().split(',').map(String::from).collect()
    };
    let (a, b) = (val(&plain), val(&averaged));
    assert!(a[..5] == b[..5] && a[5] != b[5], "{a:?} {b:?}");
    assert!(!plain.join("ema.safetensors").exists());
}

#[test]
fn ranks_train_as_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let part = |ranks: Arc<dyn Communicator>, at: &Path, options: TrainerOptions| {
        let cut = Partition::new(ranks.rank(), ranks.size(), Some(6))?;
        let mut engine = DataParallel::new(Linear::new(SIZE, 3), ranks.clone(), cut);
        rank_by(held(), &mut engine, ranks, cut, at, squares(90, &[7]), options)
    };
    let (one, many) = (folder.path().join("one"), folder.path().join("many"));
    part(Arc::new(SingleProcess::default()), &one, options()).unwrap();
    for (size, options) in [(3, until(5)), (2, options())] {
        in_process::run(size, |ranks| part(Arc::new(ranks), &many, options.clone()))
            .into_iter()
            .for_each(|end| drop(end.unwrap()));
    }
    assert_same_average(&one, &many);
}

#[test]
fn engines_that_cannot_are_refused() {
    let net = crate::net::presets::by_name("paper").unwrap().with_image_size(67).with_classes(3);
    let refused = in_process::run(2, |ranks| {
        let mut engine = Towers::new(&net, Arc::new(ranks), 10, 1, Precision::F32).unwrap();
        let engine: &mut dyn Training = &mut engine;
        let plain = recipe();
        let recipes = [
            Recipe { ema: held().ema, ..recipe() },
            Recipe { accumulate: 2, ..recipe() },
            Recipe { clip_norm: Some(1.0), ..recipe() },
        ];
        assert!(crate::train::ema::check(engine, &plain).is_ok());
        Ok::<_, crate::Error>(recipes.map(|recipe| crate::train::ema::check(engine, &recipe).unwrap_err().to_string()))
    });
    for messages in refused {
        for (message, name) in messages.unwrap().iter().zip(["ema", "accumulate", "clip_norm"]) {
            assert!(message.starts_with(name) && message.contains("--parallel data"), "{message}");
        }
    }
}
