//! CPU-engine runs with frozen layers.

use super::{FILES, OnDecodeError, TrainerOptions, squares};
use crate::engine::cpu::Cpu;
use crate::engine::{ParameterStore, init};
use crate::net::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, WeightInit};
use crate::train::feature_cache::Plan;
use crate::train::loaders::loaders;
use crate::train::recipe::{Augmentation, Recipe, by_name};
use crate::train::run_dir::RunDir;
use crate::train::{Event, StopReason, Trainer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A net of two convolutions, dropout and two linear layers.
fn net() -> Net {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.1));
    let conv = |out| {
        let (kernel, stride, pad, groups, rounding) = (3, 1, Pad::all(1), 1, Rounding::Floor);
        Op::Conv { out, kernel, stride, pad, groups, rounding, weight_init, bias_init }
    };
    let relu = || Op::Activation { function: Activation::Relu };
    let pool = || Op::MaxPool { kernel: 2, stride: 2, pad: Pad::all(0), rounding: Rounding::Floor };
    let fc = |out| Op::Linear { out, weight_init, bias_init };
    let rows = [
        ("conv1", conv(6)),
        ("relu1", relu()),
        ("pool1", pool()),
        ("conv2", conv(8)),
        ("relu2", relu()),
        ("pool2", pool()),
        // Its output is larger than pool2's, so the features are cached before it.
        ("avgpool", Op::AdaptiveAvgPool { out: 3 }),
        ("drop3", Op::Dropout { rate: 0.5, style: DropoutStyle::ScaleInTraining }),
        ("fc3", fc(12)),
        ("relu3", relu()),
        ("fc4", fc(3)),
    ];
    let layers = rows.into_iter().map(|(name, op)| Layer { name: name.into(), op }).collect();
    Net { name: "small".into(), image_size: 8, layers }
}

fn recipe(augment: Augmentation, views: usize, frozen: &[&str]) -> Recipe {
    let layer_rates = frozen.iter().map(|name| (name.to_string(), 0.0)).chain([("head".to_string(), 4.0)]).collect();
    Recipe { epochs: 5, batch: 8, lr: 0.01, augment, views, layer_rates, ..by_name("finetune").unwrap() }
}

/// Files and losses of a run, and its plan for frozen layers.
struct Left {
    files: BTreeMap<&'static str, Vec<u8>>,
    plan: Plan,
    losses: Vec<f64>,
}

/// Trains in `at` with `room` for cached features; stops after each of `stops` steps and resumes.
fn train(at: &Path, recipe: &Recipe, room: Option<u64>, stops: &[u64]) -> Left {
    let mut losses = Vec::new();
    let mut plan = None;
    for stop_after in stops.iter().copied().chain([u64::MAX]) {
        let folder = if at.join("config.toml").exists() { RunDir::open(at) } else { RunDir::create(at) }.unwrap();
        std::fs::write(folder.config(), "").unwrap();
        let (train, val) = crate::data::hold_out(squares(90, &[4, 31]), 0.2);
        let mut engine = Cpu::new(&net(), 8, 2).unwrap();
        init::initialise(&mut engine, 3).unwrap();
        let loaders = loaders(recipe, &net(), None, &train, &val, 3, 1).unwrap();
        let stop = AtomicBool::new(false);
        let options = TrainerOptions {
            max_steps: None,
            save_every: Duration::from_secs(3600),
            on_bad: OnDecodeError::Skip,
            frozen_room: room,
            snapshots: Default::default(),
        };
        let mut trainer = Trainer::new(&mut engine, recipe, 3, &loaders, train, val, &folder, options).unwrap();
        plan = Some(trainer.frozen().clone());
        let mut step = 0;
        let ending = trainer.run(&stop, &mut |event| {
            if let Event::Step { loss, .. } = event {
                losses.push(loss);
                step += 1;
                stop.store(step >= stop_after, Ordering::Relaxed);
            }
        });
        assert_eq!(ending.unwrap(), if stop_after == u64::MAX { StopReason::Done } else { StopReason::Interrupted });
    }
    let files = FILES.map(|name| (name, std::fs::read(at.join(name)).unwrap())).into();
    Left { files, plan: plan.unwrap(), losses }
}

#[test]
fn cached_features_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let crops = Augmentation::crop_mirror();
    for (i, (augment, views, frozen)) in [
        (Augmentation::none(), 0, ["conv1", "conv2"].as_slice()),
        (crops, 2, &["conv1", "conv2"]),
        (crops, 3, &["conv1"]),
        (crops, 1, &["conv1", "conv2", "fc3"]),
    ]
    .into_iter()
    .enumerate()
    {
        // With and without a last, smaller batch; without it, a view is complete only after several epochs.
        let recipe = Recipe { drop_last: i % 2 == 0, ..recipe(augment, views, frozen) };
        let at = |name: &str| folder.path().join(format!("{name}-{i}"));
        let kept = train(&at("kept"), &recipe, None, &[]);
        let always = train(&at("always"), &recipe, Some(100), &[]);
        assert!(
            matches!(&kept.plan, Plan::Keep { views: v, after, .. } if *v == views.max(1)
            && *after == if frozen.len() == 1 { "pool1" } else { "pool2" }),
            "{:?}",
            kept.plan
        );
        assert!(matches!(always.plan, Plan::NoRoom { room: 100, .. }), "{:?}", always.plan);
        assert_eq!(kept.losses, always.losses);
        let stopped = train(&at("stopped"), &recipe, None, &[3, 11]);
        for name in FILES {
            assert!(kept.files[name] == always.files[name], "{name} differs, {frozen:?}");
            assert!(kept.files[name] == stopped.files[name], "{name} differs after a stop, {frozen:?}");
        }
        // The run has learnt, and frozen layers are unchanged.
        assert!(kept.losses[kept.losses.len() - 1] < 0.8 * kept.losses[0], "{:?}", kept.losses);
        let model = crate::formats::read(at("kept").join("last.safetensors")).unwrap();
        let mut first = Cpu::new(&net(), 1, 1).unwrap();
        init::initialise(&mut first, 3).unwrap();
        for layer in ["conv1", "conv2", "fc3", "fc4"] {
            let name = format!("{layer}.weight");
            let same = model.tensors[&name].to_vec() == first.parameter(&name).unwrap();
            assert_eq!(same, frozen.contains(&layer), "{name}");
        }
    }
}

#[test]
fn views_repeat_and_without_them_nothing_is_cached() {
    let folder = tempfile::tempdir().unwrap();
    let crops = Augmentation::crop_mirror();
    let anew = train(&folder.path().join("anew"), &recipe(crops, 0, &["conv1"]), None, &[]);
    let again = train(&folder.path().join("again"), &recipe(crops, 5, &["conv1"]), None, &[]);
    assert!(matches!(anew.plan, Plan::Always(_)), "{:?}", anew.plan);
    // 5 views in 5 epochs give the same run as views that never repeat.
    assert_eq!(anew.losses, again.losses);
    assert!(again.losses != train(&folder.path().join("fewer"), &recipe(crops, 4, &["conv1"]), None, &[]).losses);
    let nothing = train(&folder.path().join("nothing"), &recipe(crops, 4, &["conv2"]), None, &[]);
    assert_eq!(nothing.plan, Plan::Nothing);
}

#[test]
fn a_frozen_layer_has_no_velocity_in_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let left = train(folder.path(), &recipe(Augmentation::none(), 0, &["conv1"]), None, &[]);
    let state = String::from_utf8_lossy(&left.files["state.safetensors"]).into_owned();
    assert!(state.contains("velocity.conv2.weight") && !state.contains("velocity.conv1") && state.contains("\"conv1.weight\""));
}

#[test]
fn stopping_before_a_validation_gives_bitwise_equal_validation() {
    let folder = tempfile::tempdir().unwrap();
    // Validation uses small batches, which an engine that had only loaded parameters once summed in a different
    // order.
    for (i, (frozen, room)) in [
        ([].as_slice(), None),
        (&["conv1"], Some(100)),
        (&["conv1", "conv2", "fc3"], Some(100)),
        (&["conv1", "conv2", "fc3"], None),
    ]
    .into_iter()
    .enumerate()
    {
        let recipe = recipe(Augmentation::none(), 0, frozen);
        let at = |name: &str| folder.path().join(format!("{name}-{i}"));
        let whole = train(&at("whole"), &recipe, room, &[]);
        // At the last step of the first epoch, and of the next one.
        let stopped = train(&at("stopped"), &recipe, room, &[9, 9]);
        for name in FILES {
            assert!(whole.files[name] == stopped.files[name], "{name} differs, {frozen:?} frozen, room {room:?}");
        }
    }
}
