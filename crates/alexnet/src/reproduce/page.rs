//! Reports of a study: a page, and the same for programs.

use super::{Curves, Finding, Table, Trained, Verdict};
use crate::draw::encode::png_uri;
use crate::report::chart::{Chart, Series, Unit};
use crate::report::html::{self, duration, escape};
use crate::{Error, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// The page.
pub(super) fn html(trained: &Trained<'_>, finding: &Finding, seconds: &BTreeMap<String, f64>) -> String {
    let study = trained.study;
    let mut body = format!(
        "<main>\n<header><h1>{}</h1>\n<p class=\"soft\">Krizhevsky, Sutskever and Hinton 2012, {}</p>\n<p>{}</p></header>\n",
        escape(study.title),
        escape(study.place),
        escape(study.claim)
    );
    let status = match finding.verdict {
        Verdict::Held | Verdict::Agrees => "done",
        Verdict::Contradicted => "failed",
        Verdict::NotSeen | Verdict::Disagrees => "wait",
        Verdict::Shown => "live",
    };
    body += "<div class=\"card scroll\"><table class=\"pairs\">\n";
    for (name, value) in [("the paper", study.paper), ("here", &finding.ours)] {
        body += &format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escape(value));
    }
    let verdict = escape(finding.verdict.text());
    body += &format!(
        "<tr><th scope=\"row\">verdict</th><td><span class=\"status {status}\">{verdict}</span></td></tr>\n</table></div>\n"
    );
    for picture in &finding.pictures {
        let caption = escape(&picture.caption);
        let image = png_uri(&picture.image);
        let width = picture.image.width;
        body += &format!(
            "<h2>{caption}</h2>\n<figure class=\"card\"><img alt=\"{caption}\" style=\"max-width:100%;width:{width}px\" src=\"{image}\"></figure>\n"
        );
    }
    if !finding.bars.is_empty() {
        body += &bars(finding);
    }
    finding.tables.iter().for_each(|one| body += &table(one));
    if !finding.curves.is_empty() {
        // A single chart would fill the page.
        let width = if finding.curves.len() == 1 { " style=\"max-width:36rem\"" } else { "" };
        body += &format!("<h2>Curves</h2>\n<div class=\"grid\"{width}>\n");
        finding.curves.iter().for_each(|curves| body += &chart(curves).html());
        body += "</div>\n";
    }
    body += "<h2>How it was done</h2>\n<div class=\"card\">\n";
    finding.notes.iter().for_each(|note| body += &format!("<p>{}</p>\n", escape(note)));
    let spent: f64 = seconds.values().sum();
    if !seconds.is_empty() {
        body += &format!("<p>{} runs in {}; each has a report in its folder.</p>\n", seconds.len(), duration(spent));
    }
    body += &format!("<p>Command: <code>{}</code></p>\n</div>\n", escape(&command(trained)));
    body += &format!("<p class=\"soft\">alexnet {}</p>\n</main>\n", env!("CARGO_PKG_VERSION"));
    html::page(&format!("{} · alexnet reproduce", study.title), &body, false)
}

/// The report for programs.
pub(super) fn json(trained: &Trained<'_>, finding: &Finding, seconds: &BTreeMap<String, f64>) -> Result<String> {
    let study = trained.study;
    let scale = trained.setup.scale(study);
    let runs = trained.arms.iter().enumerate().map(|(i, arm)| {
        json!({
            "arm": arm.name, "title": arm.title,
            "runs": trained.runs[i].iter().map(|run| run.folder.display().to_string()).collect::<Vec<_>>(),
        })
    });
    let value = json!({
        "study": study.name, "title": study.title, "claim": study.claim, "place": study.place, "paper": study.paper,
        "ours": finding.ours, "verdict": finding.verdict, "epochs": scale.epochs, "seeds": trained.seeds,
        "setup": trained.setup, "command": command(trained), "arms": runs.collect::<Vec<_>>(), "tables": finding.tables,
        "bars": finding.bars, "curves": finding.curves, "notes": finding.notes, "seconds": seconds.values().sum::<f64>(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| Error::Invalid(error.to_string()))
}

/// The command that gives this report again.
fn command(trained: &Trained<'_>) -> String {
    let setup = trained.setup;
    let mut words = vec!["alexnet reproduce".to_string(), trained.study.name.into()];
    let mut add = |name: &str, value: Option<String>| {
        words
            .extend(value.map(|value| if value.contains(' ') { format!("{name} '{value}'") } else { format!("{name} {value}") }));
    };
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    add("--data", path(&setup.data));
    add("--val", path(&setup.val));
    add("--net", setup.net.clone());
    add("--image-size", setup.image_size.map(|size| size.to_string()));
    add("--epochs", setup.epochs.map(|epochs| epochs.to_string()));
    add("--seeds", setup.seeds.map(|seeds| seeds.to_string()));
    add("--seed", Some(setup.seed).filter(|seed| *seed != 0).map(|seed| seed.to_string()));
    add("--precision", setup.precision.clone());
    add("--what", Some(setup.what.join(",")).filter(|what| !what.is_empty()));
    setup.set.iter().for_each(|change| add("--set", Some(change.clone())));
    setup.models.iter().for_each(|model| add("--model", Some(model.display().to_string())));
    if setup.quick {
        words.push("--quick".into());
    }
    words.join(" ")
}

fn table(table: &Table) -> String {
    let cells =
        |kind: &str, row: &[String]| -> String { row.iter().map(|cell| format!("<{kind}>{}</{kind}>", escape(cell))).collect() };
    let mut text =
        format!("<h2>{}</h2>\n<div class=\"card scroll\"><table>\n<tr>{}</tr>\n", escape(&table.title), cells("th", &table.head));
    for row in &table.rows {
        let (first, rest) = row.split_first().map_or(("", &row[..]), |(first, rest)| (first.as_str(), rest));
        text += &format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", escape(first), cells("td", rest));
    }
    text + "</table></div>\n"
}

fn chart(curves: &Curves) -> Chart<'_> {
    let series = curves.curves.iter().map(|curve| Series {
        name: curve.name.clone(),
        colour: curve.colour,
        faint: curve.faint,
        points: curve.points.clone(),
    });
    Chart {
        title: &curves.title,
        x: "epoch",
        unit: Unit::Percent,
        log: false,
        series: series.collect(),
        empty: "Nothing was trained.",
    }
}

/// Horizontal bars, a line each.
fn bars(finding: &Finding) -> String {
    const ROW: usize = 26;
    let most = finding.bars.iter().map(|bar| bar.share).fold(0.0, f64::max).max(1e-9);
    let mut text = format!(
        "<h2>Top-5 error rates</h2>\n<figure class=\"card\"><svg viewBox=\"0 0 760 {}\" role=\"img\" aria-label=\"Top-5 error rates\">\n",
        finding.bars.len() * ROW
    );
    for (i, bar) in finding.bars.iter().enumerate() {
        let (y, width) = (i * ROW, bar.share / most * 340.0);
        let colour = if bar.ours { "var(--c2)" } else { "var(--c1)" };
        text += &format!(
            "<text x=\"352\" y=\"{}\" class=\"end\">{}</text><rect x=\"360\" y=\"{}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{:.1} %</text>\n",
            y + 16,
            escape(&bar.name),
            y + 4,
            366.0 + width,
            y + 16,
            100.0 * bar.share
        );
    }
    text + "</svg></figure>\n"
}
