//! Comparison of multi-rank training on the CPU engine with a single process.

use alexnet::Result;
use alexnet::distributed::data_parallel::DataParallel;
use alexnet::distributed::hybrid::Hybrid;
use alexnet::distributed::towers::Towers;
use alexnet::distributed::{Communicator, Partition, SingleProcess, in_process};
use alexnet::engine::cpu::Cpu;
use alexnet::engine::optim::adamw::AdamW;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::optim::{MomentumForm, Optimizer};
use alexnet::engine::{
    Batch, BatchShard, Criterion, DropoutKey, Gradients, Inference, MixedLabel, Objective, OptimizerStep, Precision, StepStats,
    Training, init,
};
use alexnet::formats;
use alexnet::net::{Net, Op, presets};
use alexnet::selftest::formula::uniform;
use std::sync::Arc;

const CLASSES: usize = 6;

/// A preset with narrow layers.
fn thin(name: &str, size: usize) -> Net {
    let mut net = presets::by_name(name).expect("a preset").with_image_size(size).with_classes(CLASSES);
    let last = net.layers.len() - 1;
    for layer in &mut net.layers[..last] {
        match &mut layer.op {
            Op::Conv { out, .. } => *out = out.div_ceil(16).next_multiple_of(4),
            Op::Linear { out, .. } => *out = 38,
            _ => {}
        }
    }
    net
}

/// An SGD step; each training sets its own step number.
fn rule() -> OptimizerStep {
    OptimizerStep {
        optimizer: sgd(None),
        number: 1,
        lr: 0.02,
        bias_lr: 0.04,
        weight_decay: 5e-4,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers: Default::default(),
    }
}

fn sgd(lars_trust: Option<f64>) -> Optimizer {
    Sgd { momentum: 0.9, form: MomentumForm::RateInside, lars_trust, nesterov: false }.into()
}

/// An AdamW step. Its eps is large, so that gradients that consist only of rounding do not move weights as much as
/// others.
fn adamw() -> OptimizerStep {
    OptimizerStep { optimizer: AdamW { eps: 1e-2, ..AdamW::default() }.into(), ..rule() }
}

/// Three batches, the last one too small for some ranks.
const BATCHES: [usize; 3] = [12, 12, 2];

fn batch(net: &Net, step: usize) -> (Vec<f32>, Vec<u32>) {
    let n = BATCHES[step];
    let images = uniform(step as u64 + 3, n * 3 * net.image_size * net.image_size, 1.0);
    (images, (0..n).map(|i| ((i * 5 + step) % CLASSES) as u32).collect())
}

fn key(step: usize, first_image: u64) -> Option<DropoutKey> {
    Some(DropoutKey { seed: 3, step: step as u64, first_image })
}

/// Parameters with their optimizer state, and the statistics of the steps.
type Trained = (Vec<Vec<f32>>, Vec<StepStats>);

fn outcome(engine: &dyn Training, rule: &OptimizerStep, steps: Vec<StepStats>) -> Trained {
    let names = formats::parameters(engine.net()).expect("a valid net");
    let mut values = Vec::new();
    for (name, _) in names {
        values.push(engine.parameter(&name).expect("a parameter"));
        let slots = rule.optimizer.slots().iter();
        values.extend(slots.map(|slot| engine.state(&name, slot).expect("a slot of its state")));
    }
    (values, steps)
}

fn numbered(rule: &OptimizerStep, step: usize) -> OptimizerStep {
    OptimizerStep { number: step as u64 + 1, ..rule.clone() }
}

/// Whether a training uses every setting of the loss or none.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Plain,
    /// With class weights, so that the mean is not that over images.
    Weighted,
    /// With mixed labels too.
    Mixed,
}

impl Loss {
    fn criterion(self) -> Criterion {
        let class_weights = (0..CLASSES).map(|class| 0.25 + class as f32).collect();
        if self == Loss::Plain { Criterion::default() } else { Criterion { smoothing: 0.1, focal: 2.0, class_weights } }
    }

    /// The second labels of a batch's images.
    fn mixed(self, labels: &[u32]) -> Vec<MixedLabel> {
        let second = |(i, &label): (usize, &u32)| MixedLabel { label: (label + 1) % CLASSES as u32, share: (i % 5) as f32 / 4.0 };
        if self == Loss::Mixed { labels.iter().enumerate().map(second).collect() } else { Vec::new() }
    }
}

fn alone(net: &Net, rule: &OptimizerStep) -> Trained {
    alone_with(net, rule, Loss::Plain)
}

fn alone_with(net: &Net, rule: &OptimizerStep, loss: Loss) -> Trained {
    let criterion = loss.criterion();
    let mut engine = Cpu::new(net, 12, 1).expect("a valid net");
    init::initialise(&mut engine, 8).expect("parameters");
    let step = |step| {
        let (images, labels) = batch(net, step);
        let mixed = loss.mixed(&labels);
        let objective = Objective { criterion: Some(&criterion), mixed: &mixed };
        let batch = Batch { images: &images, labels: &labels, dropout: key(step, 0), objective };
        engine.train_step(&batch, &numbered(rule, step)).expect("a step")
    };
    let steps = (0..BATCHES.len()).map(step).collect();
    outcome(&engine, rule, steps)
}

/// Trains as one of several ranks.
fn train(engine: &mut dyn Training, cut: Partition, rule: &OptimizerStep) -> Result<Vec<StepStats>> {
    train_with(engine, cut, rule, Loss::Plain)
}

fn train_with(engine: &mut dyn Training, cut: Partition, rule: &OptimizerStep, loss: Loss) -> Result<Vec<StepStats>> {
    let criterion = loss.criterion();
    init::initialise(engine, 8)?;
    let net = engine.net().clone();
    let image = 3 * net.image_size * net.image_size;
    let step = |step| {
        let (images, labels) = batch(&net, step);
        let blocks: Vec<usize> = Partition { rank: 0, size: 1, ..cut }.own(labels.len()).map(|block| block.len()).collect();
        let own: Vec<usize> = cut.own(labels.len()).flatten().collect();
        let range = own.first().map_or(0..0, |first| *first..first + own.len());
        let (images, mixed) = (&images[range.start * image..range.end * image], loss.mixed(&labels));
        let share = BatchShard {
            images,
            labels: &labels[range.clone()],
            dropout: key(step, range.start as u64),
            objective: Objective { criterion: Some(&criterion), mixed: &mixed }.part(range.clone()),
            blocks: &blocks,
        };
        engine.train_shard(&share, &numbered(rule, step))
    };
    (0..BATCHES.len()).map(step).collect()
}

fn data_parallel(ranks: Arc<dyn Communicator>, blocks: Option<usize>, net: &Net, rule: &OptimizerStep) -> Trained {
    data_parallel_with(ranks, blocks, net, rule, Loss::Plain)
}

fn data_parallel_with(
    ranks: Arc<dyn Communicator>,
    blocks: Option<usize>,
    net: &Net,
    rule: &OptimizerStep,
    loss: Loss,
) -> Trained {
    let cut = Partition::new(ranks.rank(), ranks.size(), blocks).expect("enough blocks");
    let mut engine = DataParallel::new(Cpu::new(net, 12, 1).expect("a valid net"), ranks, cut);
    let steps = train_with(&mut engine, cut, rule, loss).expect("steps");
    outcome(&engine, rule, steps)
}

/// Compares the outcome of several ranks with that of one process.
fn assert_near(what: &str, (values, steps): &Trained, (expected, expected_steps): &Trained) {
    for (step, expected) in steps.iter().zip(expected_steps) {
        assert!((step.loss - expected.loss).abs() < 1e-5, "{what}: {steps:?}, not {expected_steps:?}");
        assert_eq!(step.correct, expected.correct, "{what}");
    }
    let mut moved = false;
    for (values, expected) in values.iter().zip(expected) {
        let size = expected.iter().fold(1e-3f32, |size, v| size.max(v.abs()));
        let apart = values.iter().zip(expected).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs()));
        assert!(apart <= 1e-4 * size, "{what}: {apart} of {size}");
        moved |= apart > 0.0;
    }
    assert!(moved, "{what}: identical rounding, so nothing was summed over ranks");
}

#[test]
fn data_parallel_matches_one_process() {
    for (name, size) in [("torchvision", 64), ("original-145", 67)] {
        let net = thin(name, size);
        let expected = alone(&net, &rule());
        for size in [2, 3, 4] {
            let all = in_process::run(size, |ranks| data_parallel(Arc::new(ranks), None, &net, &rule()));
            assert!(all.iter().all(|rank| rank == &all[0]), "{name}: {size} ranks differ");
            assert_near(&format!("{name}, {size} ranks"), &all[0], &expected);
        }
    }
}

#[test]
fn frozen_layers_are_unchanged_and_not_sent() {
    let net = thin("torchvision", 64);
    let frozen = ["conv1", "conv2", "fc6"].map(|name| (name.to_string(), 0.0));
    let frozen = OptimizerStep { layers: frozen.into(), ..rule() };
    let expected = alone(&net, &frozen);
    let sent = |rule: &OptimizerStep| {
        let all = in_process::run(2, |ranks| {
            let ranks = Arc::new(ranks);
            (data_parallel(ranks.clone(), None, &net, rule), ranks.sent().bytes())
        });
        all.into_iter().next().expect("two ranks")
    };
    let ((_, all_sent), (trained, sent)) = (sent(&rule()), sent(&frozen));
    assert_near("frozen", &trained, &expected);
    let layers = net.shapes().expect("a valid net");
    let of = |name: &str| layers.iter().find(|layer| layer.name == name).map_or(0, |layer| layer.parameters) as u64;
    let spared = (of("conv1") + of("conv2") + of("fc6")) * 4 * BATCHES.len() as u64;
    // Half of each gradient is sent and half of each sum returned; odd lengths are split unevenly.
    assert!((all_sent - sent).abs_diff(spared) < 100, "{all_sent} {sent} {spared}");
}

#[test]
fn with_fixed_blocks_ranks_are_bitwise_equal_to_one_process() {
    let net = thin("torchvision", 64);
    let blocks = Some(8);
    for rule in [rule(), adamw()] {
        let expected = data_parallel(Arc::new(SingleProcess::default()), blocks, &net, &rule);
        assert_near("one process in blocks", &expected, &alone(&net, &rule));
        for size in [2, 3, 4] {
            let all = in_process::run(size, |ranks| data_parallel(Arc::new(ranks), blocks, &net, &rule));
            assert!(all.iter().all(|rank| *rank == expected), "{size} ranks");
        }
    }
}

#[test]
fn weighted_and_mixed_losses_match_one_process() {
    let (rule, blocks) = (rule(), Some(8));
    for loss in [Loss::Weighted, Loss::Mixed] {
        let net = thin("torchvision", 64);
        let expected = alone_with(&net, &rule, loss);
        assert!(expected.0 != alone(&net, &rule).0);
        for size in [2, 4] {
            let all = in_process::run(size, |ranks| data_parallel_with(Arc::new(ranks), None, &net, &rule, loss));
            assert_near(&format!("{size} ranks"), &all[0], &expected);
        }
        let parts = data_parallel_with(Arc::new(SingleProcess::default()), blocks, &net, &rule, loss);
        assert_near("micro-batches", &parts, &expected);
        let all = in_process::run(3, |ranks| data_parallel_with(Arc::new(ranks), blocks, &net, &rule, loss));
        assert!(all.iter().all(|rank| *rank == parts), "fixed blocks");
        let all = in_process::run(4, |ranks| {
            let cut = Partition::new(ranks.rank(), ranks.size(), None).expect("ranks");
            let mut engine = Hybrid::new(&net, Arc::new(ranks), 12, 1, Precision::F32).expect("a valid net");
            let steps = train_with(&mut engine, cut, &rule, loss).expect("steps");
            engine.gather_parameters(rule.optimizer.slots()).expect("all ranks");
            (cut.rank == 0).then(|| outcome(&engine, &rule, steps))
        });
        assert_near("hybrid", all[0].as_ref().expect("rank 0"), &expected);
        let net = thin("paper", 67);
        let all = in_process::run(2, |ranks| {
            let first = ranks.rank() == 0;
            let mut towers = Towers::new(&net, Arc::new(ranks), 12, 1, Precision::F32).expect("two towers");
            let steps = train_with(&mut towers, Partition::WHOLE, &rule, loss).expect("steps");
            towers.gather_parameters(rule.optimizer.slots()).expect("both ranks");
            first.then(|| outcome(&towers, &rule, steps))
        });
        assert_near("towers", all[0].as_ref().expect("rank 0"), &alone_with(&net, &rule, loss));
    }
}

#[test]
fn lars_on_parts_of_a_batch_matches_the_whole() {
    let net = thin("torchvision", 64);
    let lars = OptimizerStep { lr: 4.0, optimizer: sgd(Some(0.01)), ..rule() };
    for rule in [rule(), lars.clone(), adamw()] {
        let expected = alone(&net, &rule);
        // Micro-batches of up to four images.
        let parts = data_parallel(Arc::new(SingleProcess::default()), Some(3), &net, &rule);
        assert_near("a batch in parts", &parts, &expected);
        let ranks = in_process::run(2, |ranks| data_parallel(Arc::new(ranks), None, &net, &rule));
        assert_near("two ranks", &ranks[0], &expected);
    }
    // LARS differs from plain SGD, and requires whole layers.
    assert!(alone(&net, &lars).0 != alone(&net, &OptimizerStep { optimizer: sgd(None), ..lars.clone() }).0);
    let why = in_process::run(2, |ranks| {
        let ranks: Arc<dyn Communicator> = Arc::new(ranks);
        let cut = Partition::new(ranks.rank(), ranks.size(), None).expect("ranks");
        let mut engine = Hybrid::new(&net, ranks, 12, 1, Precision::F32).expect("a valid net");
        train(&mut engine, cut, &lars).expect_err("refused").to_string()
    });
    assert!(why.iter().all(|why| why.contains("LARS") && why.contains("--parallel data")), "{why:?}");
}

/// Outcome on rank 0 of a model-parallel engine.
fn model_parallel(engine: &mut dyn Training, cut: Partition, rule: &OptimizerStep) -> Option<Trained> {
    let steps = train(engine, cut, rule).expect("steps");
    engine.gather_parameters(rule.optimizer.slots()).expect("all ranks");
    (cut.rank == 0).then(|| outcome(engine, rule, steps))
}

fn hybrid(ranks: Arc<dyn Communicator>, net: &Net, rule: &OptimizerStep) -> Option<Trained> {
    let cut = Partition::new(ranks.rank(), ranks.size(), None).expect("ranks");
    model_parallel(&mut Hybrid::new(net, ranks, 12, 1, Precision::F32).expect("a valid net"), cut, rule)
}

#[test]
fn hybrid_matches_one_process() {
    for (name, size) in [("torchvision", 64), ("original-145", 67), ("paper", 67)] {
        let net = thin(name, size);
        let frozen = ["conv1", "fc7"].map(|name| (name.to_string(), 0.0));
        for rule in [rule(), OptimizerStep { layers: frozen.into(), ..rule() }, adamw()] {
            let expected = alone(&net, &rule);
            for size in [2, 3, 4] {
                let all = in_process::run(size, |ranks| hybrid(Arc::new(ranks), &net, &rule));
                assert_near(&format!("hybrid {name}, {size} ranks"), all[0].as_ref().expect("rank 0"), &expected);
            }
        }
    }
}

#[test]
fn hybrid_ranks_infer_their_own_images() {
    let net = thin("torchvision", 64);
    let (images, image) = (uniform(1, 5 * 3 * 64 * 64, 1.0), 3 * 64 * 64);
    let mut one = Cpu::new(&net, 5, 1).expect("a valid net");
    init::initialise(&mut one, 8).expect("parameters");
    let mut expected = Vec::new();
    one.infer(&images, &mut expected).expect("logits");
    // The second of three ranks has no images.
    let parts = [0..2, 2..2, 2..5];
    let found = in_process::run(3, |ranks| {
        let part = parts[ranks.rank()].clone();
        let mut engine = Hybrid::new(&net, Arc::new(ranks), 5, 1, Precision::F32).expect("a valid net");
        init::initialise(&mut engine, 8).expect("parameters");
        let mut logits = vec![9.0; 3];
        engine.infer(&images[part.start * image..part.end * image], &mut logits).expect("logits");
        logits
    });
    let found = found.concat();
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0)), "{found:?}, not {expected:?}");
}

#[test]
fn towers_match_one_process_and_send_the_planned_bytes() {
    // With LRN within a tower, over both, after the pool, and without LRN.
    for name in ["original-145", "paper", "caffenet", "bvlc", "paper-no-lrn"] {
        let net = thin(name, 67);
        let frozen = ["conv1", "fc7"].map(|name| (name.to_string(), 0.0));
        for rule in [rule(), OptimizerStep { layers: frozen.into(), ..rule() }, adamw()] {
            let expected = alone(&net, &rule);
            let all = in_process::run(2, |ranks| {
                let ranks: Arc<dyn Communicator> = Arc::new(ranks);
                let mut towers = Towers::new(&net, ranks.clone(), 12, 1, Precision::F32).expect("two towers");
                let steps = train(&mut towers, Partition::WHOLE, &rule).expect("steps");
                let sent = ranks.sent().bytes();
                towers.gather_parameters(rule.optimizer.slots()).expect("both ranks");
                ((ranks.rank() == 0).then(|| outcome(&towers, &rule, steps)), sent)
            });
            assert_near(&format!("towers {name}"), all[0].0.as_ref().expect("rank 0"), &expected);
            let planned: usize = net.towers().expect("a plan").iter().map(|layer| layer.bytes()).sum();
            let planned = (planned * BATCHES.iter().sum::<usize>()) as u64;
            // Plus a few bytes for the loss.
            let sent = all[0].1 + all[1].1;
            assert!(sent >= planned && sent < planned + 300, "{name}: {sent} bytes, planned {planned}");
        }
    }
}

#[test]
fn towers_infer_alike_and_reject_unsuitable_nets() {
    let net = thin("paper", 67);
    let images = uniform(1, 3 * 3 * 67 * 67, 1.0);
    let mut one = Cpu::new(&net, 3, 1).expect("a valid net");
    init::initialise(&mut one, 8).expect("parameters");
    let mut expected = Vec::new();
    one.infer(&images, &mut expected).expect("logits");
    let found = in_process::run(2, |ranks| {
        let mut towers = Towers::new(&net, Arc::new(ranks), 3, 1, Precision::F32).expect("two towers");
        init::initialise(&mut towers, 8).expect("parameters");
        let mut logits = Vec::new();
        towers.infer(&images, &mut logits).expect("logits");
        logits
    });
    for logits in found {
        assert_eq!(logits.len(), expected.len());
        assert!(logits.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0)), "{logits:?}, {expected:?}");
    }
    let refused = |net: &Net, size: usize| {
        let why =
            in_process::run(size, |ranks| Towers::new(net, Arc::new(ranks), 3, 1, Precision::F32).err().map(|e| e.to_string()));
        why[0].clone().expect("refused")
    };
    assert!(refused(&net, 3).contains("mpirun -n 2"));
    assert!(refused(&thin("torchvision", 64), 2).contains("no layer has two groups"));
}
