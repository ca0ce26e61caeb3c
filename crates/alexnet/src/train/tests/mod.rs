//! Whole runs on a tiny engine and a tiny set.

pub(crate) mod linear;
mod ranks;
mod tuning;

use self::linear::Linear;
use super::loaders::loaders;
use super::recipe::{Augmentation, BiasRate, Recipe, Schedule, by_name as recipe_named};
use super::run_dir::RunDir;
use super::{Event, OnDecodeError, StopReason, Trainer, TrainerOptions};
use crate::data::{Dataset, hold_out};
use crate::eval::{by_name, evaluate};
use crate::image::Image;
use crate::{Result, formats};
use alexnet_kernels::random::Key;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Noisy squares, each class of its own colour; some images broken.
struct Squares {
    classes: Vec<String>,
    names: Vec<String>,
    broken: Vec<usize>,
}

pub(crate) fn squares(n: usize, broken: &[usize]) -> Arc<dyn Dataset> {
    let classes: Vec<String> = ["blue", "green", "red"].map(String::from).to_vec();
    let names = (0..n).map(|i| format!("{}/{i}.png", classes[i % 3])).collect();
    Arc::new(Squares { classes, names, broken: broken.to_vec() })
}

impl Dataset for Squares {
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn len(&self) -> usize {
        self.names.len()
    }
    fn label(&self, i: usize) -> u32 {
        (i % 3) as u32
    }
    fn name(&self, i: usize) -> &str {
        &self.names[i]
    }
    fn picture(&self, i: usize) -> Result<Image, String> {
        if self.broken.contains(&i) {
            return Err("the file ends in the middle".into());
        }
        let value = |j: usize| (Key(i as u64).uniform(j as u64) * 200.0) as u8 + if j % 3 == 2 - i % 3 { 55 } else { 0 };
        Ok(Image { width: 10, height: 12, rgb: (0..360).map(value).collect() })
    }
}

const SIZE: usize = 8;

fn recipe() -> Recipe {
    Recipe { epochs: 4, batch: 8, lr: 0.05, schedule: Schedule::WarmupCosine { warmup: 0.1 }, ..recipe_named("simple").unwrap() }
}

fn adamw() -> Recipe {
    recipe().with_optimizer("adamw").unwrap()
}

fn options() -> TrainerOptions {
    TrainerOptions { max_steps: None, save_every: Duration::from_secs(3600), on_bad: OnDecodeError::Skip, frozen_room: None }
}

/// What a test wants from a run.
struct Ask<'a> {
    recipe: Recipe,
    source: Arc<dyn Dataset>,
    options: TrainerOptions,
    breaks_at: Option<u64>,
    watch: &'a mut dyn FnMut(&Event<'_>, &AtomicBool),
}

/// Whether the model is validated before the first step.
#[derive(Clone, Copy, PartialEq)]
enum First {
    Step,
    Validation,
}

/// Begins or goes on with the run in `at`.
fn train(at: &Path, ask: Ask<'_>) -> Result<StopReason> {
    train_from(at, ask, First::Step)
}

fn train_from(at: &Path, ask: Ask<'_>, first: First) -> Result<StopReason> {
    let folder = if at.join("config.toml").exists() { RunDir::open(at)? } else { RunDir::create(at)? };
    std::fs::write(folder.config(), "").unwrap();
    let (train, val) = hold_out(ask.source, 0.2);
    let mut engine = Linear::new(SIZE, 3);
    engine.breaks_at = ask.breaks_at;
    let net = crate::engine::ParameterStore::net(&engine).clone();
    let loaders = loaders(&ask.recipe, &net, None, &train, &val, 3, 1)?;
    let stop = AtomicBool::new(false);
    let mut trainer = Trainer::new(&mut engine, &ask.recipe, 3, &loaders, train, val, &folder, ask.options)?;
    // As the command does: a run that goes on was validated first if it was to be.
    if first == First::Validation && !folder.state().exists() {
        trainer = trainer.validating_first();
    }
    trainer.run(&stop, &mut |event| (ask.watch)(&event, &stop))
}

fn plain(at: &Path, options: TrainerOptions) -> Result<StopReason> {
    train(at, Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} })
}

/// A run by a recipe, to its end.
fn ask_for(at: &Path, recipe: Recipe) -> Result<StopReason> {
    train(at, Ask { recipe, source: squares(90, &[]), options: options(), breaks_at: None, watch: &mut |_, _| {} })
}

const FILES: [&str; 4] = ["last.safetensors", "best.safetensors", "state.safetensors", "metrics.csv"];

fn assert_same_run(a: &Path, b: &Path) {
    for name in FILES {
        assert!(std::fs::read(a.join(name)).unwrap() == std::fs::read(b.join(name)).unwrap(), "{name} differs");
    }
}

#[test]
fn it_learns_and_leaves_the_files_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    let mut accuracies = Vec::new();
    let ask = Ask {
        recipe: recipe(),
        source: squares(90, &[]),
        options: options(),
        breaks_at: None,
        watch: &mut |event, _| {
            if let Event::Epoch { row, .. } = event {
                accuracies.push(row.val.unwrap().top1);
            }
        },
    };
    assert_eq!(train(&at, ask).unwrap(), StopReason::Done);
    assert_eq!(accuracies.len(), 4);
    assert!(accuracies[3] > 0.9, "{accuracies:?}");
    let mut names: Vec<String> = std::fs::read_dir(&at).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".lock", "best.safetensors", "config.toml", "last.safetensors", "metrics.csv", "state.safetensors"]);
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    // 72 images to train with, 9 steps an epoch.
    assert!(csv.lines().count() == 5 && csv.lines().nth(4).unwrap().starts_with("4,36,"), "{csv}");

    // The model in the file does what the run said of it, also for images whose classes come in another order.
    let model = formats::read(at.join("last.safetensors")).unwrap();
    let mut engine = Linear::new(SIZE, 3);
    crate::engine::load_model(&model, &mut engine).unwrap();
    let (_, val) = hold_out(squares(90, &[]), 0.2);
    let loader =
        crate::data::loader::Loader::sequential(val, model.preprocess, crate::image::crop::Crops::Ten, Default::default())
            .unwrap();
    let report = evaluate(&mut engine, &loader, &model.classes, 10, &mut |_| true).unwrap();
    assert!(report.images == 18 && report.crops == 10 && report.top1 > 0.9, "{report:?}");
    let state = formats::read(at.join("state.safetensors")).unwrap_err().to_string();
    assert!(state.contains("best.safetensors"), "{state}");
}

#[test]
fn stopped_at_any_step_and_resumed_it_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    plain(&whole, options()).unwrap();
    let with_adamw = folder.path().join("whole-adamw");
    ask_for(&with_adamw, adamw()).unwrap();
    // Within an epoch, at an epoch's last step (27), after its first (28), twice; with another optimizer.
    let sgd = [vec![1], vec![13], vec![27], vec![28], vec![5, 20]].map(|stops| (recipe(), &whole, stops));
    for (recipe, whole, stops) in sgd.into_iter().chain([(adamw(), &with_adamw, vec![5, 20])]) {
        let at = folder.path().join(format!("stopped-{}-{stops:?}", recipe.optimizer.name()));
        for stop_after in stops {
            let mut step = if at.join("state.safetensors").exists() { 5 } else { 0 };
            let ask = Ask {
                recipe: recipe.clone(),
                source: squares(90, &[]),
                options: options(),
                breaks_at: None,
                watch: &mut |event, stop| {
                    step += u64::from(matches!(event, Event::Step { .. }));
                    stop.store(step >= stop_after, Ordering::Relaxed);
                },
            };
            assert_eq!(train(&at, ask).unwrap(), StopReason::Interrupted);
        }
        assert_eq!(ask_for(&at, recipe).unwrap(), StopReason::Done);
        assert_same_run(whole, &at);
    }
    // Going on with what is done changes nothing.
    assert_eq!(plain(&whole, options()).unwrap(), StopReason::Done);
}

#[test]
fn a_run_killed_between_any_two_saves_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    plain(&whole, options()).unwrap();
    // A panic in the middle is to the files what a kill is; one state is older than best model and metrics.
    for (save_every, killed_at) in [(Duration::ZERO, 12), (Duration::from_secs(3600), 22), (Duration::ZERO, 1)] {
        let at = folder.path().join(format!("killed-{killed_at}"));
        let mut step = 0;
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let watch = &mut |event: &Event<'_>, _: &AtomicBool| {
                step += u64::from(matches!(event, Event::Step { .. }));
                assert!(step < killed_at, "killed, as this test wants");
            };
            let options = TrainerOptions { save_every, ..options() };
            let _ = train(&at, Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at: None, watch });
        }));
        assert!(killed.is_err());
        assert_eq!(plain(&at, options()).unwrap(), StopReason::Done);
        assert_same_run(&whole, &at);
    }
}

#[test]
fn a_model_that_no_epoch_improves_stays_the_best() {
    let folder = tempfile::tempdir().unwrap();
    // A rate too small to change a bit of a weight, and one that learns.
    for (lr, kept) in [(1e-12, true), (0.05, false)] {
        let run = |at: &Path, stop_after: u64, max_steps| {
            let (mut step, mut before) = (0, Vec::new());
            let watch = &mut |event: &Event<'_>, stop: &AtomicBool| {
                if let Event::InitialValidation { row, validation } = event {
                    before.push((row.epoch, row.train_loss, row.val, validation.is_some()));
                }
                step += u64::from(matches!(event, Event::Step { .. }));
                stop.store(step >= stop_after, Ordering::Relaxed);
            };
            let (recipe, options) = (Recipe { lr, ..recipe() }, TrainerOptions { max_steps, ..options() });
            let ask = Ask { recipe, source: squares(90, &[]), options, breaks_at: None, watch };
            (train_from(at, ask, First::Validation).unwrap(), before)
        };
        let at = |name: &str| folder.path().join(format!("{name}-{kept}"));
        let (ending, before) = run(&at("whole"), 99, None);
        assert_eq!((ending, before.len()), (StopReason::Done, 1));
        let (epoch, train_loss, val, reported) = before[0];
        assert_eq!((epoch, train_loss, reported), (0, None, true));
        let csv = std::fs::read_to_string(at("whole").join("metrics.csv")).unwrap();
        let val = val.unwrap();
        let line = format!("0,0,,,,{:.6},{:.6},{:.6},0", val.loss, val.top1, val.top5);
        assert_eq!((csv.lines().nth(1), csv.lines().count()), (Some(line.as_str()), 6), "{csv}");
        // Best is the model as it was, or one that has learnt.
        let best = formats::read(at("whole").join("best.safetensors")).unwrap();
        let first = Linear::new(SIZE, 3);
        let name = "fc1.weight";
        let same = best.tensors[name].to_vec() == crate::engine::ParameterStore::parameter(&first, name).unwrap();
        assert_eq!(same, kept);
        // Stopped before the first step, within the first epoch and after it, it is the same run.
        for (stop_after, most) in [(0, None), (0, Some(0)), (3, None), (9, None), (12, None)] {
            let at = at(&format!("stopped-{stop_after}-{most:?}"));
            run(&at, if most.is_some() { 99 } else { stop_after }, most);
            assert_eq!(run(&at, 99, None).0, StopReason::Done);
            assert_same_run(&folder.path().join(format!("whole-{kept}")), &at);
        }
    }
}

#[test]
fn most_steps_end_a_run_that_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, twice) = (folder.path().join("straight"), folder.path().join("twice"));
    let until = |steps| TrainerOptions { max_steps: Some(steps), ..options() };
    assert_eq!(plain(&straight, until(15)).unwrap(), StopReason::MaxSteps);
    assert_eq!(plain(&twice, until(4)).unwrap(), StopReason::MaxSteps);
    formats::read(twice.join("best.safetensors")).unwrap();
    assert_eq!(plain(&twice, until(15)).unwrap(), StopReason::MaxSteps);
    assert_same_run(&straight, &twice);
    assert_eq!(plain(&straight, options()).unwrap(), StopReason::Done);
    assert_eq!(plain(&twice, until(1_000)).unwrap(), StopReason::Done);
    assert_same_run(&straight, &twice);
}

#[test]
fn other_pictures_or_recipes_do_not_go_on_with_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    plain(&at, TrainerOptions { max_steps: Some(3), ..options() }).unwrap();
    let other = |recipe, source| {
        train(&at, Ask { recipe, source, options: options(), breaks_at: None, watch: &mut |_, _| {} }).unwrap_err().to_string()
    };
    let message = other(Recipe { lr: 0.04, ..recipe() }, squares(90, &[]));
    assert!(message.contains("another recipe"), "{message}");
    let message = other(recipe(), squares(60, &[]));
    assert!(message.contains("72 training images") && message.contains("48"), "{message}");
    // As many, one of them renamed; and classes with other names.
    let renamed = |source: Arc<dyn Dataset>, from: &str, to: &str| -> Arc<dyn Dataset> {
        let rename = |text: &str| text.replace(from, to);
        let classes = source.classes().iter().map(|class| rename(class)).collect();
        let names = (0..source.len()).map(|i| rename(source.name(i))).collect();
        Arc::new(Squares { classes, names, broken: Vec::new() })
    };
    let message = other(recipe(), renamed(squares(90, &[]), "red/5.png", "red/5x.png"));
    assert!(message.contains("images: those of red have other names"), "{message}");
    let message = other(recipe(), renamed(squares(90, &[]), "green", "grey"));
    assert!(message.contains("green is missing, grey is new"), "{message}");
    // A state of an earlier version has no hashes.
    let path = at.join("state.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (start, end) = (find(&bytes, b"\\\"images\\\":{"), find(&bytes, b"\\\"epoch\\\":"));
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let spaces = vec![b' '; end - start];
    std::fs::write(&path, [&bytes[..start], &bytes[end..header], &spaces, &bytes[header..]].concat()).unwrap();
    plain(&at, options()).unwrap();
}

/// Where a part begins.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_the_last_good_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    let run = |at: &Path, breaks_at, options| {
        let ask = Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at, watch: &mut |_, _| {} };
        train(at, ask).unwrap_err().to_string()
    };
    // Saved at each step, so the state is that of the step before.
    let message = run(&at, Some(14), TrainerOptions { save_every: Duration::ZERO, ..options() });
    assert!(
        message.contains("step 15 (epoch 2)") && message.contains("last.safetensors") && message.contains("--lr"),
        "{message}"
    );
    formats::read(at.join("last.safetensors")).unwrap();
    plain(&at, options()).unwrap();
    let early = folder.path().join("early");
    let message = run(&early, Some(0), options());
    assert!(message.contains("nothing was saved"), "{message}");
}

#[test]
fn parameters_that_are_no_numbers_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    // A rate that lets the weights overflow within the first steps, while their loss is still a number.
    let wild = Recipe { lr: 1e38, bias_lr: BiasRate::Times(1.0), schedule: Schedule::Constant, ..recipe() };
    let options = TrainerOptions { save_every: Duration::ZERO, ..options() };
    let ask = Ask { recipe: wild, source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&at, ask).unwrap_err().to_string();
    assert!(message.contains("finite") && message.contains("--lr"), "{message}");
    let names: Vec<_> = std::fs::read_dir(&at).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{names:?}");
}

#[test]
fn broken_pictures_are_listed_counted_and_left_out_or_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("skip");
    let (mut told, source) = (Vec::new(), squares(90, &[0, 7, 44]));
    let ask = Ask {
        recipe: recipe(),
        source: source.clone(),
        options: options(),
        breaks_at: None,
        watch: &mut |event, _| {
            if let Event::Broken { name, .. } = event {
                told.push(name.to_string());
            }
        },
    };
    assert_eq!(train(&at, ask).unwrap(), StopReason::Done);
    told.sort();
    assert_eq!(told, ["blue/0.png", "green/7.png", "red/44.png"]);
    let list = std::fs::read_to_string(at.join("broken.txt")).unwrap();
    assert_eq!(list.lines().next(), Some("blue/0.png: the file ends in the middle"));
    assert_eq!(list.lines().count(), 3);
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",3")), "{csv}");

    let stop = TrainerOptions { on_bad: OnDecodeError::Stop, ..options() };
    let ask = Ask { recipe: recipe(), source, options: stop, breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&folder.path().join("stop"), ask).unwrap_err().to_string();
    assert!(message.contains(".png: the file ends in the middle"), "{message}");

    let all: Vec<usize> = (0..90).collect();
    let ask = Ask { recipe: recipe(), source: squares(90, &all), options: options(), breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&folder.path().join("all"), ask).unwrap_err().to_string();
    assert!(message.contains("none of the training images"), "{message}");
}

#[test]
fn without_validation_the_last_model_is_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    // 6 images: a fifth of 2 a class is none. The first epoch is the best in training, at a rate that then spoils all.
    let schedule = Schedule::WarmupPoly { epochs: 2.0, power: 9.0 };
    let recipe = Recipe { augment: Augmentation::None, lr: 30.0, schedule, ..recipe() };
    let mut seen = Vec::new();
    let watch = &mut |event: &Event<'_>, _: &AtomicBool| {
        if let Event::Epoch { row, .. } = event {
            seen.push(row.train_top1.unwrap());
        }
    };
    let ask = Ask { recipe, source: squares(6, &[]), options: options(), breaks_at: None, watch };
    assert_eq!(train(&at, ask).unwrap(), StopReason::Done);
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().contains(",,,"), "{csv}");
    assert!(seen[..3].iter().any(|&top1| top1 >= seen[3]), "the last epoch would be chosen by chance: {seen:?}");
    let [best, last] = ["best", "last"].map(|name| std::fs::read(at.join(format!("{name}.safetensors"))).unwrap());
    assert!(best == last);
}

#[test]
fn the_paper_s_mean_picture_and_colour_noise_survive_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let paper = || Recipe { epochs: 3, batch: 8, ..recipe_named("paper").unwrap() };
    let run = |at: &Path, max_steps| {
        let options = TrainerOptions { max_steps, ..options() };
        train(at, Ask { recipe: paper(), source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} }).unwrap()
    };
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(&whole, None);
    run(&stopped, Some(11));
    run(&stopped, None);
    assert_same_run(&whole, &stopped);
    let model = formats::read(whole.join("best.safetensors")).unwrap();
    let crate::image::Mean::Image { values, .. } = model.preprocess.mean else { panic!("no mean image") };
    assert!(values.iter().any(|&v| v != 0.0));
}

#[test]
fn classes_are_matched_by_name() {
    let source = squares(9, &[]);
    let order: Vec<String> = ["red", "yellow", "green", "blue"].map(String::from).to_vec();
    let matched = by_name(source.clone(), &order).unwrap();
    assert_eq!((0..3).map(|i| matched.label(i)).collect::<Vec<_>>(), [3, 2, 0]);
    let message = by_name(source, &order[..2]).err().unwrap().to_string();
    assert!(message.contains("blue, green") && message.contains("it knows red, yellow"), "{message}");
}
