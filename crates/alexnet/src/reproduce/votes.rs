//! Studies that average predictions: over ten crops, and over nets.

use super::comparison::{epochs, net, notes, sized};
use super::statistics::{difference, percent_over_seeds};
use super::{Arm, Finding, Scale, Setup, Study, Table, Trained, Verdict};
use crate::class_match::match_models;
use crate::data::loader::{Loader, Options};
use crate::data::{Dataset, Demand, Source, Split, synthetic};
use crate::distributed::SingleProcess;
use crate::engine::cpu::Cpu;
use crate::engine::load_model;
use crate::eval::{self, Pooled, Report};
use crate::image::crop::Crops;
use crate::train::config::Config;
use crate::train::data_sets;
use crate::{Error, Result, formats};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) static TEN_CROP: Study = Study {
    name: "ten-crop",
    title: "Ten crops at test time",
    claim: "Averaging the predictions on ten crops of an image reduces the error rates, compared with the centre crop alone.",
    place: "sections 4.1 and 6",
    paper: "1.5 points of top-1 (39.0 to 37.5 %), 1.3 of top-5 (18.3 to 17.0 %)",
    full: Scale { epochs: 30, seeds: 3 },
    quick: Scale { epochs: 6, seeds: 1 },
    takes_models: true,
    arms: one_arm,
    conclude: ten_crop,
};

pub(super) static ENSEMBLE: Study = Study {
    name: "ensemble",
    title: "Several nets together",
    claim: "Averaging the predictions of five similar nets reduces the top-5 error rate from 18.2 to 16.4 %, of seven to 15.4 %.",
    place: "section 6",
    paper: "1.8 points of top-5 with five nets, 2.8 with seven (two of them trained on more images)",
    full: Scale { epochs: 30, seeds: 7 },
    quick: Scale { epochs: 6, seeds: 3 },
    takes_models: true,
    arms: one_arm,
    conclude: ensemble,
};

/// The net as it is, or nothing to train if there are models.
pub(super) fn one_arm(study: &Study, setup: &Setup) -> Result<Vec<Arm>> {
    if !setup.models.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Arm::new("net", net(setup), sized(setup, setup.plain(study, net(setup))))])
}

/// The models of a study: given ones, or those of its runs.
pub(super) fn models(trained: &Trained<'_>) -> Vec<PathBuf> {
    match trained.runs {
        [] => trained.setup.models.clone(),
        runs => runs.iter().flatten().map(|run| run.folder.join("last.safetensors")).collect(),
    }
}

/// Training and validation images of a study: those of its runs, or those chosen beside models.
pub(super) fn images(trained: &Trained<'_>) -> Result<(Arc<dyn Dataset>, Arc<dyn Dataset>)> {
    if let Some(run) = trained.runs.iter().flatten().next() {
        let mut config = Config::read(&run.folder.join("config.toml"))?;
        return data_sets(&mut config, false, &mut ());
    }
    let Some(model) = trained.setup.models.first() else { return Err(Error::Invalid("no model and no run".into())) };
    let classes = formats::load(model, None)?.classes;
    let open = |path: &PathBuf, split| -> Result<Arc<dyn Dataset>> {
        let found = Source::new(path).open(split, Demand::WithImages)?.source;
        eval::by_name(found, &classes).map_err(|error| error.context(path.display()))
    };
    let Setup { data, val, .. } = trained.setup;
    Ok(match (data, val) {
        (Some(data), Some(val)) => (open(data, Split::Train)?, open(val, Split::Validation)?),
        (Some(data), None) => {
            let images = open(data, Split::Validation)?;
            (images.clone(), images)
        }
        (None, _) => {
            let [train, val] = [Split::Train, Split::Test].map(|split| eval::by_name(synthetic(split, 0), &classes));
            (train?, val?)
        }
    })
}

/// A model file's engine, its images as it sees them, and its outputs of their classes.
fn open(model: &Path, images: &Arc<dyn Dataset>, crops: Crops, threads: usize) -> Result<(Cpu, Loader, Vec<usize>)> {
    let name = model.display().to_string();
    let model = formats::load(model, None).map_err(|error| error.context(&name))?;
    let outputs = match_models(("the images", images.classes()), (&name, &model.classes))?;
    let options = Options { batch: 64usize.div_ceil(crops.count()), threads, memory: Some(0), ..Options::default() };
    let mut engine = Cpu::new(&model.net, options.batch * crops.count(), threads)?;
    load_model(&model, &mut engine)?;
    Ok((engine, Loader::sequential(images.clone(), model.preprocess.clone(), crops, options)?, outputs))
}

/// Evaluation of models together, or of one.
fn pooled(images: &Arc<dyn Dataset>, crops: Crops) -> Pooled {
    Pooled::new(images.classes(), eval::Options { crops: crops.count(), ..eval::Options::default() })
}

/// Adds a model file, and returns its own report.
fn add(pooled: &mut Pooled, model: &Path, images: &Arc<dyn Dataset>, crops: Crops, threads: usize) -> Result<Report> {
    let (mut engine, loader, outputs) = open(model, images, crops, threads)?;
    pooled.add(&SingleProcess::default(), &mut engine, &loader, &outputs, &mut |_| true)
}

/// Report on a model file, its probabilities averaged over the crops of each image.
pub(super) fn report(model: &Path, images: &Arc<dyn Dataset>, crops: Crops, threads: usize) -> Result<Report> {
    add(&mut pooled(images, crops), model, images, crops, threads)
}

/// Training minus validation accuracy of each of an arm's last models, by centre crops without dropout.
pub(super) fn gaps(trained: &Trained<'_>, arm: usize) -> Result<Vec<f64>> {
    let (train, val) = images(trained)?;
    let threads = trained.setup.threads;
    let gap = |seed| -> Result<f64> {
        let model = trained.model(arm, seed);
        let of = |images| Ok::<_, Error>(report(&model, images, Crops::Centre, threads)?.top1);
        Ok(of(&train)? - of(&val)?)
    };
    (0..trained.seeds.len()).map(gap).collect()
}

fn ten_crop(trained: &Trained<'_>) -> Result<Finding> {
    let (_, val) = images(trained)?;
    let models = models(trained);
    let mut rates = [Vec::new(), Vec::new()];
    for model in &models {
        for (rates, crops) in rates.iter_mut().zip([Crops::Centre, Crops::Ten]) {
            rates.push(report(model, &val, crops, trained.setup.threads)?.top1);
        }
    }
    let gain = difference(&rates[1], &rates[0]);
    let mut table = Table {
        title: format!("Top-1 accuracy of the last model on {} validation images", val.len()),
        head: ["", "centre crop", "ten crops"].map(String::from).to_vec(),
        rows: Vec::new(),
    };
    for (i, model) in models.iter().enumerate() {
        table.rows.push(vec![name(model), format!("{:.2} %", 100.0 * rates[0][i]), format!("{:.2} %", 100.0 * rates[1][i])]);
    }
    table.rows.push(vec!["mean".into(), percent_over_seeds(&rates[0]), percent_over_seeds(&rates[1])]);
    let mut finding = Finding { ours: gain.points(), verdict: Verdict::of(&gain), tables: vec![table], ..Finding::default() };
    describe(trained, &mut finding);
    Ok(finding)
}

fn ensemble(trained: &Trained<'_>) -> Result<Finding> {
    let (_, val) = images(trained)?;
    let models = models(trained);
    if models.len() < 2 {
        return Err(Error::Invalid("an ensemble needs at least two nets: --seeds 2 or more, or several --model".into()));
    }
    let mut together = pooled(&val, Crops::Centre);
    let (mut singles, mut sums) = (Vec::new(), Vec::new());
    for (i, model) in models.iter().enumerate() {
        singles.push(add(&mut together, model, &val, Crops::Centre, trained.setup.threads)?.top1);
        let n = i + 1;
        if n > 1 && (matches!(n, 3 | 5 | 7) || n == models.len()) {
            sums.push((n, together.report(&SingleProcess::default(), &mut |_: usize| true)?.top1));
        }
    }
    let mut table = Table {
        title: format!("Accuracy of the last models on {} validation images", val.len()),
        head: ["", "top-1", "gain over the mean of single nets"].map(String::from).to_vec(),
        rows: models
            .iter()
            .zip(&singles)
            .map(|(model, top1)| vec![name(model), format!("{:.2} %", 100.0 * top1), String::new()])
            .collect(),
    };
    table.rows.push(vec!["mean of single nets".into(), percent_over_seeds(&singles), String::new()]);
    let mut last = None;
    for (n, together) in sums {
        // Each of its members, against all of them together.
        let gain = difference(&vec![together; n], &singles[..n]);
        table.rows.push(vec![format!("{n} nets together"), format!("{:.2} %", 100.0 * together), gain.points()]);
        last = Some((n, gain));
    }
    let Some((n, gain)) = last else { return Err(Error::Invalid("no ensemble".into())) };
    let mut finding = Finding {
        ours: format!("{} with {n} nets", gain.points()),
        verdict: Verdict::of(&gain),
        tables: vec![table],
        ..Finding::default()
    };
    describe(trained, &mut finding);
    finding.notes.push("The interval is that of the single nets' differences from the ensemble of all.".into());
    Ok(finding)
}

/// Notes and curves, if there are runs.
fn describe(trained: &Trained<'_>, finding: &mut Finding) {
    if trained.runs.is_empty() {
        finding.notes.push("Models as they were given.".into());
    } else {
        finding.notes = notes(trained);
        finding.notes.push(format!("The last model of each run, not the mean of the last {}.", epochs(trained.last_epochs())));
        finding.curves = super::comparison::curves(trained);
    }
}

/// Name of a model: that of its run folder and file.
pub(super) fn name(model: &Path) -> String {
    let parts: Vec<_> = model.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}
