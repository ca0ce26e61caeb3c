//! Findings of a data check, as JSON, text and a contact sheet.

use super::clean::Written;
use crate::output::name;
use alexnet::data::{Dataset, Opened, PassedOver};
use alexnet::draw::contact_sheet::{Bar, Cell, ContactSheet, Group};
use alexnet::draw::{GREEN, GREY, INK, RED};
use alexnet::quality::label_issues::{LabelIssue, NEIGHBOURS};
use alexnet::quality::{Scan, Sizes};
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;

/// All findings of a check.
#[derive(Default, Serialize)]
pub(super) struct Findings {
    pub(super) sets: Vec<Set>,
    duplicates: Vec<Duplicates>,
    doubts: Vec<Doubted>,
    /// Whether a model checked the labels.
    pub(super) asked_model: bool,
    /// The list without these findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<Written>,
}

/// Findings about one set.
#[derive(Serialize)]
pub(super) struct Set {
    path: String,
    #[serde(rename = "pictures")]
    images: usize,
    broken: Vec<Broken>,
    classes: Vec<Class>,
    sizes: Option<Sizes>,
    /// Unused files.
    passed_over: PassedOver,
    /// Short side below which an image counts as small.
    small_side: usize,
}

#[derive(Serialize)]
struct Broken {
    name: String,
    why: String,
}

#[derive(Serialize)]
struct Class {
    class: String,
    #[serde(rename = "pictures")]
    images: usize,
}

/// An image of one of the sets.
#[derive(Serialize, Clone)]
pub(super) struct Member {
    set: usize,
    name: String,
    class: String,
    #[serde(skip)]
    number: usize,
}

#[derive(Serialize)]
struct Duplicates {
    exact: bool,
    likeness: f32,
    /// Whether the group has members in both sets.
    between_sets: bool,
    /// Whether members have different labels.
    conflicting: bool,
    #[serde(rename = "pictures")]
    images: Vec<Member>,
}

#[derive(Serialize)]
struct Doubted {
    #[serde(flatten)]
    image: Member,
    probability: f64,
    suggested: String,
    suggested_probability: f64,
    neighbours: usize,
    agreeing: usize,
    suggesting: usize,
}

/// A class with fewer images is hard to learn.
const FEW: usize = 10;
/// Ratio of class sizes above which the set counts as imbalanced.
const IMBALANCE: f64 = 10.0;
/// Maximum number of groups, and of label issues, on a sheet.
const DRAWN: usize = 60;

impl Set {
    pub(super) fn new(opened: Opened, scan: &Scan, small_side: usize) -> Set {
        let (path, source) = (opened.title(), &*opened.source);
        let mut counts = vec![0; source.classes().len()];
        scan.readable().for_each(|(i, _)| counts[source.label(i) as usize] += 1);
        let classes = source.classes().iter().zip(counts);
        Set {
            path,
            images: source.len(),
            broken: scan.broken().map(|(i, why)| Broken { name: source.name(i).into(), why: why.into() }).collect(),
            classes: classes.map(|(class, images)| Class { class: class.clone(), images }).collect(),
            sizes: scan.sizes(small_side),
            passed_over: opened.passed_over,
            small_side,
        }
    }

    fn report(&self, show: usize, text: &mut String) {
        let Set { path, images, broken, classes, sizes, .. } = self;
        line(
            text,
            &format!(
                "{}: {images} images of {} {}",
                name(path),
                classes.len(),
                if classes.len() == 1 { "class" } else { "classes" }
            ),
        );
        line(text, &format!("  unreadable: {}", broken.len()));
        list(text, broken.iter().map(|b| format!("{}: {}", name(&b.name), name(&b.why))), show);
        if let Some(Sizes { width, height, small, long, grey }) = sizes {
            let [narrow, wide_median, wide] = width;
            let [low, high_median, high] = height;
            let sizes = format!("{narrow} to {wide} wide (median {wide_median}), {low} to {high} high (median {high_median})");
            line(text, &format!("  sizes: {sizes}"));
            let side = self.small_side;
            line(
                text,
                &format!(
                    "  unusual: {small} smaller than {side} pixels, {long} with an aspect ratio above 3:1, {grey} grayscale"
                ),
            );
        }
        let most = classes.iter().max_by_key(|c| c.images);
        let least = classes.iter().rev().min_by_key(|c| c.images);
        if let (Some(most), Some(least)) = (most, least) {
            let ratio = most.images as f64 / least.images.max(1) as f64;
            let warning = if least.images < FEW {
                "; too few to train on"
            } else if ratio > IMBALANCE {
                "; imbalanced"
            } else {
                ""
            };
            let span = match (least.images, most.images) {
                (few, many) if few == many => format!("{few} images each"),
                (few, many) => {
                    let [least, most] = [least, most].map(|class| name(&class.class));
                    format!("from {few} ({least}) to {many} ({most}), ratio {ratio:.1}")
                }
            };
            line(text, &format!("  classes: {span}{warning}"));
        }
    }
}

impl Member {
    pub(super) fn new(set: usize, source: &dyn Dataset, number: usize) -> Member {
        let class = source.classes()[source.label(number) as usize].clone();
        Member { set, name: source.name(number).into(), class, number }
    }

    /// The name, marked if not in the first set.
    fn label(&self) -> String {
        let name = name(&self.name);
        if self.set == 0 { name.into_owned() } else { format!("{name} (validation)") }
    }

    fn cell(&self, sources: &[Arc<dyn Dataset>]) -> anyhow::Result<Cell> {
        let image = sources[self.set].image(self.number).map_err(|error| anyhow::anyhow!("{}: {error}", self.name))?;
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        Ok(Cell::photograph(alexnet::draw::contact_sheet::thumbnail(image)).line(&self.class, INK).line(file, GREY))
    }
}

impl Findings {
    pub(super) fn add_duplicates(&mut self, exact: bool, likeness: f32, images: Vec<Member>) {
        let between_sets = images.iter().any(|p| p.set != images[0].set);
        let conflicting = images.iter().any(|p| p.class != images[0].class);
        self.duplicates.push(Duplicates { exact, likeness, between_sets, conflicting, images });
    }

    pub(super) fn add_doubt(&mut self, doubt: &LabelIssue, image: Member, classes: &[String]) {
        let LabelIssue { probability, suggested, suggested_probability, agreeing, suggesting, .. } = *doubt;
        let (suggested, neighbours) = (classes[suggested].clone(), NEIGHBOURS);
        self.doubts.push(Doubted { image, probability, suggested, suggested_probability, neighbours, agreeing, suggesting });
    }

    /// Set and number of each image for which the model gives another class at least this probability.
    pub(super) fn doubtful(&self, least: f64) -> Vec<(usize, usize)> {
        let clear = self.doubts.iter().filter(|doubt| doubt.suggested_probability >= least);
        clear.map(|doubt| (doubt.image.set, doubt.image.number)).collect()
    }

    /// Summaries of serious problems, for `--strict`.
    pub(super) fn serious(&self) -> Vec<String> {
        let broken = self.sets.iter().map(|set| set.broken.len()).sum();
        let count = |test: fn(&Duplicates) -> bool| self.duplicates.iter().filter(|group| test(group)).count();
        let kinds = [
            (broken, "images cannot be read"),
            (count(|group| group.between_sets), "images are in both sets"),
            (count(|group| group.conflicting), "images have two labels"),
        ];
        kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect()
    }

    /// Text report with at most `show` lines per kind.
    pub(super) fn report(&self, show: usize) -> String {
        let mut text = String::new();
        self.sets.iter().for_each(|set| set.report(show, &mut text));
        let exact = self.duplicates.iter().filter(|group| group.exact).count();
        let (near, between) = (self.duplicates.len() - exact, self.duplicates.iter().filter(|g| g.between_sets).count());
        let conflicting = self.duplicates.iter().filter(|g| g.conflicting).count();
        let more = if self.sets.len() > 1 { format!(", {between} in both sets") } else { String::new() };
        line(
            &mut text,
            &format!(
                "duplicates: {exact} groups of equal and {near} of nearly equal images{more}, {conflicting} with two labels"
            ),
        );
        // The most harmful first.
        let mut groups: Vec<&Duplicates> = self.duplicates.iter().collect();
        groups.sort_by_key(|group| (!group.conflicting, !group.between_sets, !group.exact));
        let format_group = |group: &&Duplicates| {
            let how = if group.exact { "equal".into() } else { format!("{:.3}", group.likeness) };
            format!("{how}: {}", group.images.iter().map(Member::label).collect::<Vec<_>>().join(", "))
        };
        list(&mut text, groups.iter().map(format_group), show);
        if self.asked_model {
            line(&mut text, &format!("likely wrong labels: {}", self.doubts.len()));
            let format_issue = |doubt: &Doubted| {
                let Doubted { image, probability, suggested, suggested_probability, agreeing, suggesting, neighbours } = doubt;
                let (class, suggested) = (name(&image.class), name(suggested));
                let (low, high) = (probability * 100.0, suggested_probability * 100.0);
                format!(
                    "{}: {low:.1} %, suggested {suggested} {high:.1} %; of {neighbours} neighbours {agreeing} are {class}, {suggesting} are {suggested}",
                    image.label()
                )
            };
            list(&mut text, self.doubts.iter().map(format_issue), show);
        } else {
            line(&mut text, "likely wrong labels: not checked, needs --model");
        }
        if let Some(written) = &self.written {
            text.push_str(&written.report());
        }
        text
    }

    /// Contact sheet of duplicates and suspicious labels, for review by eye.
    pub(super) fn sheet(&self, sources: &[Arc<dyn Dataset>]) -> anyhow::Result<ContactSheet> {
        let mut groups = Vec::new();
        for group in self.duplicates.iter().take(DRAWN) {
            let how = if group.exact { "equal".into() } else { format!("similarity {:.3}", group.likeness) };
            let what = [(group.between_sets, ", in both sets"), (group.conflicting, ", two labels")];
            let what: String = what.iter().filter(|(on, _)| *on).map(|(_, what)| *what).collect();
            let cells = group.images.iter().take(8).map(|image| image.cell(sources));
            groups.push(Group { heading: how + &what, cells: cells.collect::<anyhow::Result<_>>()? });
        }
        let doubted = |doubt: &Doubted| -> anyhow::Result<Cell> {
            let bar = |label: &str, share, colour| Bar { label: label.into(), share, colour };
            let bars =
                vec![bar(&doubt.suggested, doubt.suggested_probability, GREEN), bar(&doubt.image.class, doubt.probability, RED)];
            Ok(Cell { bars, ..doubt.image.cell(sources)? })
        };
        let cells = self.doubts.iter().take(DRAWN).map(doubted).collect::<anyhow::Result<Vec<_>>>()?;
        if !cells.is_empty() {
            groups.push(Group { heading: "likely wrong labels: suggested in green, current in red".into(), cells });
        }
        Ok(ContactSheet { groups, ..ContactSheet::of("Duplicates and suspicious labels", 8, 128, Vec::new()) })
    }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("writing to a string cannot fail");
}

/// Appends the first `show` entries of a list, and the number of the rest.
fn list(text: &mut String, entries: impl ExactSizeIterator<Item = String>, show: usize) {
    let more = entries.len().saturating_sub(show);
    entries.take(show).for_each(|entry| line(text, &format!("    {entry}")));
    if more > 0 && show > 0 {
        line(text, &format!("    and {more} more"));
    }
}
