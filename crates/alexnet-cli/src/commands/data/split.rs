//! `alexnet data split`: stratified training, validation and test lists.

use super::check::{look, share};
use super::paths;
use crate::output::Align;
use crate::{data_set, numbers, output};
use alexnet::data::{Dataset, Demand, Split, list};
use alexnet::quality::duplicates::{LIKENESS, duplicates};
use alexnet::quality::split::{SPLITS, Shares, stratified};
use anyhow::{Context, bail};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Images: a folder of class folders, a list, or another layout of separate files that `docs/guide/data.md` names; existing
    /// splits are merged
    data: PathBuf,
    /// Folder for train.csv, val.csv and test.csv; `train --data DIR` uses them
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    lists: data_set::ListArgs,
    /// Fraction of each class for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = numbers::share)]
    val: f64,
    /// Fraction of each class for testing
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = numbers::share)]
    test: f64,
    /// Random seed; the same seed gives the same lists
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::seed)]
    seed: u64,
    /// Minimum correlation of thumbnails of near duplicates, 0 to 1
    #[arg(long, value_name = "X", default_value_t = LIKENESS, value_parser = share)]
    likeness: f32,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    threads: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Names of the lists, in the order of [`SPLITS`].
const NAMES: [&str; 3] = ["train", "val", "test"];

/// The written lists.
#[derive(Serialize)]
struct Report {
    seed: u64,
    lists: Vec<List>,
    classes: Vec<Class>,
    /// Groups of equal or nearly equal images, each in one list.
    groups: usize,
    /// Images in no list.
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct List {
    path: PathBuf,
    images: usize,
}

#[derive(Serialize)]
struct Class {
    class: String,
    train: usize,
    val: usize,
    test: usize,
}

#[derive(Serialize)]
struct Unreadable {
    name: String,
    why: String,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if args.val + args.test >= 1.0 {
        bail!("--val {} and --test {} leave no images for training", args.val, args.test);
    }
    let lists = [true, args.val > 0.0, args.test > 0.0];
    for (name, _) in NAMES.iter().zip(lists).filter(|(_, wanted)| !wanted) {
        let left = args.out.join(format!("{name}.csv"));
        if left.exists() {
            bail!("{}: this list would remain beside the new ones; remove it", output::path(&left));
        }
    }
    for name in NAMES {
        output::not_over_input("--out", &args.out.join(format!("{name}.csv")), [&args.data])?;
    }
    let source = args.lists.source(&args.data);
    let opened = data_set::open_any(&source, quiet)?;
    if opened.source.classes().is_empty() {
        // The reason why there are none.
        source.open(Split::Train, Demand::WithImages)?;
        bail!("{}: not every image has a class", output::path(&args.data));
    }
    paths::check(&opened)?;
    let images = &*opened.source;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().context("cannot start threads")?;
    let scan = look(images, &pool, quiet)?;
    let groups = pool.install(|| duplicates(&[&scan], args.likeness));
    let groups: Vec<Vec<usize>> = groups.into_iter().map(|group| group.places.into_iter().map(|(_, i)| i).collect()).collect();
    let labels: Vec<Option<u32>> =
        scan.images.iter().enumerate().map(|(i, facts)| facts.is_ok().then(|| images.label(i))).collect();
    let splits = stratified(&labels, &groups, Shares { validation: args.val, test: args.test }, args.seed);

    std::fs::create_dir_all(&args.out).with_context(|| output::path(&args.out))?;
    let written = write(&args.out, images, &splits, lists)?;
    let count = |class: usize, split: Split| {
        labels.iter().zip(&splits).filter(|&(&label, &at)| label == Some(class as u32) && at == Some(split)).count()
    };
    let classes = images.classes().iter().enumerate().map(|(class, name)| {
        let [train, val, test] = SPLITS.map(|split| count(class, split));
        Class { class: name.clone(), train, val, test }
    });
    let report = Report {
        seed: args.seed,
        lists: written,
        classes: classes.collect(),
        groups: groups.len(),
        unreadable: scan.broken().map(|(i, why)| Unreadable { name: images.name(i).into(), why: why.into() }).collect(),
    };
    if args.json { output::print_json(&report) } else { output::print(&report.text()) }
}

/// Writes the lists of the wanted splits, all or none.
fn write(folder: &Path, images: &dyn Dataset, splits: &[Option<Split>], wanted: [bool; 3]) -> anyhow::Result<Vec<List>> {
    let (mut files, mut lists) = (Vec::new(), Vec::new());
    for ((name, split), _) in NAMES.iter().zip(SPLITS).zip(wanted).filter(|(_, wanted)| *wanted) {
        let file = folder.join(format!("{name}.csv"));
        let path = paths::for_list(&file)?;
        let of_split = (0..images.len()).filter(|&i| splits[i] == Some(split));
        let rows = of_split.map(|i| Ok((path(images, i)?, images.label(i) as usize))).collect::<anyhow::Result<Vec<_>>>()?;
        let entries = rows.iter().map(|(path, label)| list::Entry { path, label: &images.classes()[*label], split: None });
        files.push(list::prepare(&file, entries)?);
        lists.push(List { path: file, images: rows.len() });
    }
    files.into_iter().try_for_each(alexnet::files::TempFile::take_place)?;
    Ok(lists)
}

impl Report {
    fn text(&self) -> String {
        let row =
            |name: &str, [train, val, test]: [usize; 3]| [name.into(), train.to_string(), val.to_string(), test.to_string()];
        let mut rows = vec![["class", "train", "val", "test"].map(String::from)];
        rows.extend(self.classes.iter().map(|Class { class, train, val, test }| row(class, [*train, *val, *test])));
        let total = |of: fn(&Class) -> usize| self.classes.iter().map(of).sum();
        rows.push(row("total", [total(|c| c.train), total(|c| c.val), total(|c| c.test)]));
        let mut text = output::table([Align::Left, Align::Right, Align::Right, Align::Right], &rows);
        let mut line = |content: String| writeln!(text, "{content}").expect("writing to a string cannot fail");
        line(format!("groups of equal or nearly equal images, each in one list: {}", self.groups));
        if !self.unreadable.is_empty() {
            line(format!("unreadable, in no list: {}", self.unreadable.len()));
        }
        for Unreadable { name, why } in self.unreadable.iter().take(SHOWN) {
            line(format!("    {}: {}", output::name(name), output::name(why)));
        }
        if self.unreadable.len() > SHOWN {
            line(format!("    and {} more", self.unreadable.len() - SHOWN));
        }
        self.lists.iter().for_each(|List { path, images }| line(format!("{}: {images} images", output::path(path))));
        text
    }
}

/// Maximum number of unreadable images named in the text.
const SHOWN: usize = 10;
