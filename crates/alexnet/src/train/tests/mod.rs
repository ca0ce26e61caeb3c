//! Complete runs on a tiny engine and a tiny data set.

mod by_hand;
mod failures;
mod held;
pub(crate) mod linear;
mod ranks;
mod resume;
mod stops;
mod time;
mod tuning;

use self::linear::Linear;
use super::loaders::loaders;
use super::recipe::{
    Augmentation, Auto, BiasRate, ClassWeights, CropKind, LossSettings, Recipe, Schedule, by_name as recipe_named,
};
use super::run_dir::RunDir;
use super::snapshots::Snapshots;
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

/// Noisy squares, one colour per class; some images are broken.
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
    fn image(&self, i: usize) -> Result<Image> {
        if self.broken.contains(&i) {
            return Err("the file is truncated".into());
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

/// With every setting of the loss.
fn weighted() -> Recipe {
    let class_weights = Some(ClassWeights::Given([("red".to_string(), 3.0)].into()));
    Recipe { loss: LossSettings { smoothing: 0.1, focal: 2.0, class_weights }, ..recipe() }
}

/// With every augmentation, mixing in all epochs but the last.
fn augmented() -> Recipe {
    let augment = Augmentation {
        kind: CropKind::RandomResizedCrop,
        scale: Some([0.4, 1.0]),
        short_side: Some(16),
        vertical_flip: 0.2,
        rotation: 20.0,
        translate: 0.1,
        zoom: [0.8, 1.2],
        shear: 5.0,
        auto: Some(Auto::Rand),
        brightness: 0.2,
        contrast: 0.2,
        saturation: 0.2,
        hue: 0.1,
        grayscale: 0.2,
        blur: 0.3,
        erasing: 0.3,
        mixup: 0.4,
        cutmix: 1.0,
        mix_probability: 0.8,
        mix_off_last: 0.25,
        ..Augmentation::none()
    };
    Recipe { augment, ..recipe() }
}

fn options() -> TrainerOptions {
    TrainerOptions {
        max_steps: None,
        save_every: Duration::from_secs(3600),
        on_bad: OnDecodeError::Skip,
        frozen_room: None,
        snapshots: Snapshots::default(),
    }
}

/// Parameters of a test run.
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

/// Starts or resumes the run in `at`.
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
    // As in the command, a resumed run does not validate first again.
    if first == First::Validation && !folder.state().exists() {
        trainer = trainer.validating_first();
    }
    trainer.run(&stop, &mut |event| (ask.watch)(&event, &stop))
}

fn plain(at: &Path, options: TrainerOptions) -> Result<StopReason> {
    train(at, Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} })
}

/// Runs a recipe to completion.
fn by_recipe(at: &Path, recipe: Recipe) -> Result<StopReason> {
    train(at, Ask { recipe, source: squares(90, &[]), options: options(), breaks_at: None, watch: &mut |_, _| {} })
}

const FILES: [&str; 4] = ["last.safetensors", "best.safetensors", "state.safetensors", "metrics.csv"];

fn assert_same_run(a: &Path, b: &Path) {
    for name in FILES {
        assert!(std::fs::read(a.join(name)).unwrap() == std::fs::read(b.join(name)).unwrap(), "{name} differs");
    }
}

#[test]
fn a_run_learns_and_writes_its_files() {
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
    // 72 training images make 9 steps an epoch.
    assert!(csv.lines().count() == 5 && csv.lines().nth(4).unwrap().starts_with("4,36,"), "{csv}");

    // The saved model reproduces the reported metrics, even with the classes in a different order.
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
fn an_initial_model_that_no_epoch_improves_stays_the_best() {
    let folder = tempfile::tempdir().unwrap();
    // A rate too small to change a single weight bit, and one that learns.
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
        let line = format!("0,0,,,,{:.6},{:.6},{:.6},{:.6},0", val.loss, val.top1, val.top5, val.macro_f1.unwrap());
        assert_eq!((csv.lines().nth(1), csv.lines().count()), (Some(line.as_str()), 6), "{csv}");
        // The best model is the initial one, or a trained one.
        let best = formats::read(at("whole").join("best.safetensors")).unwrap();
        let first = Linear::new(SIZE, 3);
        let name = "fc1.weight";
        let same = best.tensors[name].to_vec() == crate::engine::ParameterStore::parameter(&first, name).unwrap();
        assert_eq!(same, kept);
        // Stopping before the first step, within the first epoch or after it gives the same run.
        for (stop_after, most) in [(0, None), (0, Some(0)), (3, None), (9, None), (12, None)] {
            let at = at(&format!("stopped-{stop_after}-{most:?}"));
            run(&at, if most.is_some() { 99 } else { stop_after }, most);
            assert_eq!(run(&at, 99, None).0, StopReason::Done);
            assert_same_run(&folder.path().join(format!("whole-{kept}")), &at);
        }
    }
}

#[test]
fn without_validation_the_last_model_is_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    // A fifth of each class's 2 images (6 in all) is none. The first epoch is best in training, and the rate then
    // ruins the model.
    let schedule = Schedule::WarmupPoly { epochs: 2.0, power: 9.0 };
    let recipe = Recipe { augment: Augmentation::none(), lr: 30.0, schedule, ..recipe() };
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
    assert!(seen[..3].iter().any(|&top1| top1 >= seen[3]), "the last epoch would have been chosen by chance: {seen:?}");
    let [best, last] = ["best", "last"].map(|name| std::fs::read(at.join(format!("{name}.safetensors"))).unwrap());
    assert!(best == last);
}

#[test]
fn classes_are_matched_by_name() {
    let source = squares(9, &[]);
    let order: Vec<String> = ["red", "yellow", "green", "blue"].map(String::from).to_vec();
    let matched = by_name(source.clone(), &order).unwrap();
    assert_eq!((0..3).map(|i| matched.label(i)).collect::<Vec<_>>(), [3, 2, 0]);
    let message = by_name(source, &order[..2]).err().unwrap().to_string();
    assert!(message.contains("blue, green") && message.contains("its classes are red, yellow"), "{message}");
}
