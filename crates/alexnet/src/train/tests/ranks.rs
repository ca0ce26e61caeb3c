//! Multi-rank runs, as threads: the same training on any number of ranks.

use super::*;
use crate::distributed::data_parallel::DataParallel;
use crate::distributed::hybrid::Hybrid;
use crate::distributed::towers::Towers;
use crate::distributed::{Communicator, Partition, SingleProcess, in_process};
use crate::engine::Precision;
use crate::engine::cpu::Cpu;
use crate::engine::{Training, init};
use crate::net::{Net, Op, presets};

/// 72 images in batches of 10 with a remainder of 2, of which some ranks have none.
fn recipe() -> Recipe {
    Recipe { batch: 10, drop_last: false, epochs: 3, ..super::recipe() }
}

/// Runs one rank in `at`. Returns its stop reason and the images reported as broken.
fn rank(
    ranks: Arc<dyn Communicator>,
    blocks: Option<usize>,
    at: &Path,
    source: Arc<dyn Dataset>,
    options: TrainerOptions,
) -> Result<(StopReason, Vec<String>)> {
    let cut = Partition::new(ranks.rank(), ranks.size(), blocks)?;
    let mut engine = DataParallel::new(Linear::new(SIZE, 3), ranks.clone(), cut);
    rank_with(&mut engine, ranks, cut, at, source, options)
}

fn rank_with(
    engine: &mut dyn Training,
    ranks: Arc<dyn Communicator>,
    cut: Partition,
    at: &Path,
    source: Arc<dyn Dataset>,
    options: TrainerOptions,
) -> Result<(StopReason, Vec<String>)> {
    rank_by(recipe(), engine, ranks, cut, at, source, options)
}

/// Runs one rank of an engine by a recipe.
pub(super) fn rank_by(
    recipe: Recipe,
    engine: &mut dyn Training,
    ranks: Arc<dyn Communicator>,
    cut: Partition,
    at: &Path,
    source: Arc<dyn Dataset>,
    options: TrainerOptions,
) -> Result<(StopReason, Vec<String>)> {
    let folder = if ranks.rank() > 0 {
        ranks.barrier()?;
        RunDir::of_other(at)
    } else {
        let folder = if at.join("config.toml").exists() { RunDir::open(at)? } else { RunDir::create(at)? };
        std::fs::write(folder.config(), "").unwrap();
        ranks.barrier()?;
        folder
    };
    let (train, val) = hold_out(source, 0.2);
    let net = engine.net().clone();
    let loaders = loaders(&recipe, &net, None, &train, &val, 3, 1)?.with_cut(cut);
    let mut trainer = Trainer::new(engine, &recipe, 3, &loaders, train, val, &folder, options)?.with_ranks(ranks.clone());
    let mut broken = Vec::new();
    let ending = trainer.run(&AtomicBool::new(false), &mut |event| {
        if let Event::Broken { name, .. } = event {
            broken.push(name.to_string());
        }
    })?;
    ranks.barrier()?;
    Ok((ending, broken))
}

fn many(
    size: usize,
    blocks: Option<usize>,
    at: &Path,
    broken: &[usize],
    options: &TrainerOptions,
) -> Vec<Result<(StopReason, Vec<String>)>> {
    in_process::run(size, |ranks| rank(Arc::new(ranks), blocks, at, squares(90, broken), options.clone()))
}

/// All values of metrics.csv.
fn numbers(at: &Path) -> Vec<f64> {
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    csv.lines().skip(1).flat_map(|line| line.split(',')).map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn any_number_of_ranks_trains_as_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let broken = [0, 7, 44, 45, 46];
    let one = folder.path().join("one");
    let ask = Ask { recipe: recipe(), source: squares(90, &broken), options: options(), breaks_at: None, watch: &mut |_, _| {} };
    train(&one, ask).unwrap();
    for size in 2..=4 {
        let at = folder.path().join(format!("{size}"));
        let results: Vec<_> = many(size, None, &at, &broken, &options()).into_iter().map(Result::unwrap).collect();
        assert!(results.iter().all(|rank| *rank == results[0] && rank.0 == StopReason::Done), "{results:?}");
        let apart = numbers(&one).iter().zip(numbers(&at)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 3e-5, "{size} ranks: {apart}");
        let text = |at: &Path| std::fs::read_to_string(at.join("broken.txt")).unwrap();
        assert_eq!(text(&one), text(&at));
        let [a, b] = [&one, &at].map(|at| formats::read(at.join("last.safetensors")).unwrap().tensors);
        for (name, values) in a {
            let apart = values.iter().zip(b[&name].iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart > 0.0 && apart < 1e-5, "{size} ranks: {name} {apart}");
        }
    }
}

#[test]
fn fixed_blocks_give_the_same_bytes_through_stops_and_rank_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let broken = [0, 7, 44, 45, 46];
    rank(Arc::new(SingleProcess::default()), Some(8), &at("1"), squares(90, &broken), options()).unwrap();
    for size in [2, 3, 4, 8] {
        many(size, Some(8), &at(&size.to_string()), &broken, &options()).into_iter().for_each(|rank| drop(rank.unwrap()));
        assert_same_run(&at("1"), &at(&size.to_string()));
    }
    // Stopped in the middle of the first and of the second epoch, and resumed with different numbers of ranks.
    for (size, steps) in [(4, Some(5)), (1, Some(11)), (3, None)] {
        let options = TrainerOptions { max_steps: steps, ..options() };
        many(size, Some(8), &at("changed"), &broken, &options).into_iter().for_each(|rank| drop(rank.unwrap()));
    }
    assert_same_run(&at("1"), &at("changed"));
}

#[test]
fn when_one_rank_fails_none_waits() {
    let folder = tempfile::tempdir().unwrap();
    let stop = TrainerOptions { on_bad: OnDecodeError::Stop, ..options() };
    let ends = many(3, None, &folder.path().join("bad"), &[44], &stop);
    assert!(
        ends.iter().all(|end| end.as_ref().unwrap_err().to_string().contains("red/44.png: the file is truncated")),
        "{ends:?}"
    );
    // One rank dies in the middle of the run.
    let at = folder.path().join("dies");
    let ends = in_process::run(3, |ranks| {
        if ranks.rank() == 1 {
            ranks.barrier().unwrap();
            return Ok(());
        }
        rank(Arc::new(ranks), None, &at, squares(90, &[]), options()).map(|_| ())
    });
    assert!(ends[0].as_ref().unwrap_err().to_string().contains("rank 1 has stopped"), "{ends:?}");
    assert!(ends[2].is_err());
}

/// A two-tower net with few kernels.
fn two_towers() -> Net {
    let mut net = presets::by_name("paper").unwrap().with_image_size(67).with_classes(3);
    for layer in &mut net.layers {
        match &mut layer.op {
            Op::Conv { out, .. } => *out = 8,
            Op::Linear { out, .. } if layer.name != "fc8" => *out = 16,
            _ => {}
        }
    }
    net
}

#[test]
fn a_run_resumes_with_another_parallel_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, changing) = (folder.path().join("straight"), folder.path().join("changing"));
    let net = two_towers();
    let broken = [7, 44];
    let part = |ranks: Arc<dyn Communicator>, how: &str, at: &Path, steps: Option<u64>| {
        let (rank, size) = (ranks.rank(), ranks.size());
        let f32 = Precision::F32;
        let (mut engine, cut): (Box<dyn Training>, Partition) = match how {
            "hybrid" => (Box::new(Hybrid::new(&net, ranks.clone(), 10, 1, f32)?), Partition::new(rank, size, None)?),
            "towers" => (Box::new(Towers::new(&net, ranks.clone(), 10, 1, f32)?), Partition::WHOLE),
            _ => (Box::new(Cpu::new(&net, 10, 1)?), Partition::WHOLE),
        };
        init::initialise(&mut *engine, 2)?;
        let options = TrainerOptions { max_steps: steps, ..options() };
        rank_with(&mut *engine, ranks, cut, at, squares(90, &broken), options)
    };
    part(Arc::new(SingleProcess::default()), "alone", &straight, None).unwrap();
    // Three epochs of eight steps, with validation after each.
    for (size, how, steps) in [(2, "towers", Some(9)), (3, "hybrid", Some(18)), (1, "alone", Some(20)), (2, "towers", None)] {
        let ends = in_process::run(size, |ranks| part(Arc::new(ranks), how, &changing, steps));
        ends.into_iter().for_each(|end| drop(end.unwrap()));
    }
    let apart = numbers(&straight).iter().zip(numbers(&changing)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-3, "{apart}");
    for file in ["last.safetensors", "best.safetensors"] {
        let [a, b] = [&straight, &changing].map(|at| formats::read(at.join(file)).unwrap().tensors);
        for (name, values) in a {
            let size = values.iter().fold(1e-3f32, |size, v| size.max(v.abs()));
            let apart = values.iter().zip(b[&name].iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-3 * size, "{file}: {name} {apart} of {size}");
        }
    }
}
