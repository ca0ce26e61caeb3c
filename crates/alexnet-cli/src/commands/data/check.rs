//! `alexnet data check`: quality check of a data set.

use super::findings::{Findings, Member, Set};
use super::{clean, paths};
use crate::commands::engine_args::EngineArgs;
use crate::commands::labels::Labels;
use crate::{data_set, model_file, net_option, numbers, output, progress};
use alexnet::data::{Dataset, Demand, Split, list, loader};
use alexnet::draw::Format;
use alexnet::eval;
use alexnet::quality::duplicates::{LIKENESS, duplicates};
use alexnet::quality::label_issues::opinions;
use alexnet::quality::{Scan, scan};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const EXIT_STATUS: &str = "Exit status: 0 check completed, regardless of its findings; 1 the check failed, or with --strict: an image is broken, \
in both sets, or has two labels; 2 bad usage.";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Training images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names
    data: PathBuf,
    /// Validation images, which must not overlap with the training images
    #[arg(long, value_name = "PATH")]
    val: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    /// Model used to find wrong labels, preferably one not trained for long on these images
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true, requires = "model")]
    net: Option<String>,
    #[command(flatten)]
    labels: Labels,
    /// Minimum correlation of thumbnails of near duplicates, 0 to 1
    #[arg(long, value_name = "X", default_value_t = LIKENESS, value_parser = share)]
    likeness: f32,
    /// Minimum short side in pixels; smaller images are reported as small
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::count_or_zero)]
    small: usize,
    /// Draw duplicates and suspicious labels to this file, .png or .svg
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Write a list without what was found to this .csv file, to train on: without unreadable images, duplicates but the first
    /// (all of them if their labels differ), and doubtful labels
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Labels that --write leaves out: those against which the model gives another class at least this probability
    #[arg(long, value_name = "X", default_value_t = 0.9, value_parser = share, requires_all = ["model", "write"])]
    doubtful: f32,
    /// Maximum lines to print per kind of finding (--json prints all)
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = numbers::count_or_zero)]
    show: usize,
    /// Fail if an image is broken, in both sets, or has two labels
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| "expected a number from 0 to 1".into())
}

/// Batch size.
const BATCH: usize = 32;

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if let Some(path) = &args.sheet {
        Format::of(path)?;
    }
    if args.model.is_none() && (args.labels.labels.is_some() || args.labels.label_order.is_some()) {
        bail!("--labels, --label-order: need --model");
    }
    let mut opened = vec![data_set::open(&args.lists.source(&args.data), Split::Train, Demand::All, quiet)?];
    // A validation split next to the training split is checked against it, as training uses both.
    let own = opened[0].splits.as_ref().is_some_and(|splits| splits.validation.is_some()).then_some(&args.data);
    if let Some(path) = args.val.as_ref().or(own) {
        opened.push(data_set::open(&args.lists.source(path), Split::Validation, Demand::All, quiet)?);
    }
    if let Some(path) = &args.write {
        list::check_name(path)?;
        output::not_over_input("--write", path, [&args.data].into_iter().chain(&args.val).chain(&args.model))?;
        let checked = |name: &String| opened.iter().any(|opened| opened.taken.as_ref() == Some(name));
        let others = opened[0].splits.iter().flat_map(|splits| &splits.names).filter(|name| !checked(name));
        others.for_each(|name| output::note(&format!("note: {} is neither checked nor written", output::name(name))));
        opened.iter().try_for_each(paths::check)?;
    }
    let sources: Vec<Arc<dyn Dataset>> = opened.iter().map(|opened| opened.source.clone()).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.machine.threads).build().context("cannot start threads")?;
    let scans = sources.iter().map(|source| look(&**source, &pool, quiet)).collect::<anyhow::Result<Vec<Scan>>>()?;
    let groups = pool.install(|| duplicates(&scans.iter().collect::<Vec<_>>(), args.likeness));

    let mut findings = Findings::default();
    for (opened, scan) in opened.into_iter().zip(&scans) {
        findings.sets.push(Set::new(opened, scan, args.small));
    }
    for group in &groups {
        let member = |&(set, i): &(usize, usize)| Member::new(set, &*sources[set], i);
        findings.add_duplicates(group.exact, group.likeness, group.places.iter().map(member).collect());
    }
    if let Some(path) = &args.model {
        doubt(args, path, &sources, &pool, &mut findings, quiet)?;
    }
    if let Some(path) = &args.sheet {
        findings.sheet(&sources)?.scene().write(path)?;
    }
    if let Some(path) = &args.write {
        let doubtful = findings.doubtful(args.doubtful.into());
        findings.written = Some(clean::write(path, &sources, &scans, &groups, &doubtful)?);
    }
    if args.json {
        output::print_json(&findings)?;
    } else {
        output::print(&findings.report(args.show))?;
    }
    let serious = findings.serious();
    if args.strict && !serious.is_empty() {
        bail!("{}", serious.join(", "));
    }
    Ok(())
}

/// Scans a set, with a progress bar.
pub(super) fn look(source: &dyn Dataset, pool: &rayon::ThreadPool, quiet: bool) -> anyhow::Result<Scan> {
    let bar = progress::images(source.len(), quiet)?;
    let found = pool.install(|| scan(source, &|_| bar.inc(1)));
    bar.finish_and_clear();
    Ok(found)
}

/// Evaluates all labels with the model.
fn doubt(
    args: &Args,
    path: &Path,
    sources: &[Arc<dyn Dataset>],
    pool: &rayon::ThreadPool,
    findings: &mut Findings,
    quiet: bool,
) -> anyhow::Result<()> {
    let path = &model_file::locate(path, quiet)?;
    let mut model = model_file::open(path, args.net.as_deref())?;
    let order = args.labels.apply(&mut model)?;
    let mut engine = args.machine.engine_of(&mut model, BATCH)?;
    for (set, source) in sources.iter().enumerate() {
        let matched = eval::for_model(source.clone(), &model.classes, order).with_context(|| path.display().to_string())?;
        let classes = matched.classes().to_vec();
        let options =
            loader::Options { batch: BATCH, threads: args.machine.threads, memory: Some(0), ..loader::Options::default() };
        let loader = loader::Loader::sequential(matched, model.preprocess.clone(), alexnet::image::crop::Crops::Centre, options)?;
        let bar = progress::images(source.len(), quiet)?;
        let found = opinions(&mut *engine, &loader, &mut |done| {
            bar.set_position(done as u64);
            true
        })?;
        bar.finish_and_clear();
        for doubt in pool.install(|| found.label_issues()) {
            findings.add_doubt(&doubt, Member::new(set, &**source, doubt.image as usize), &classes);
        }
    }
    findings.asked_model = true;
    Ok(())
}
