//! Confusion matrix and per-class accuracy.

use super::html::{data_uri, escape, percent};
use crate::draw::encode::png_with_alpha;
use crate::eval::Report;
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Number of classes above which the matrix is an image with one pixel per cell: a thousand classes are a million cells.
const MOST_CELLS: usize = 40;
/// Number of classes up to which cells show their counts.
const MOST_NUMBERS: usize = 15;
/// Number of classes listed at either end if there are too many to list all.
const ENDS: usize = 20;
/// Number of confusions listed.
const CONFUSIONS: usize = 12;
/// Side of a cell.
const CELL: f64 = 26.0;
/// Approximate width of a label's character; East Asian ones take two.
const LETTER: f64 = 5.6;
/// Maximum label length in Latin characters.
const LABEL: usize = 24;

/// Confusion matrix with the most frequent confusions.
pub(super) fn confusion(report: &Report) -> String {
    let matrix = if report.per_class.len() <= MOST_CELLS { cells(report) } else { pixels(report) };
    format!(
        "<section class=\"card\"><h3>Confusion</h3><p class=\"soft\">Rows are true classes, columns predicted ones; \
         colour shows the fraction of the row.</p><div class=\"scroll\">{matrix}</div>{}</section>\n",
        confusions(report)
    )
}

/// Truncates a label.
fn label(name: &str) -> String {
    let mut wide = 0;
    let fits = |letter: &char| {
        wide += letter.width().unwrap_or(0);
        wide <= LABEL
    };
    let mut short: String = name.chars().take_while(fits).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    escape(&short)
}

fn cells(report: &Report) -> String {
    let n = report.per_class.len();
    let longest = report.per_class.iter().map(|c| c.class.width().min(LABEL + 1)).max().unwrap_or(0);
    let (left, top) = (longest as f64 * LETTER + 10.0, longest as f64 * LETTER * 0.71 + 16.0);
    // Slanted labels extend beyond the last column.
    let (width, height) = (left + n as f64 * CELL + longest as f64 * LETTER * 0.71, top + n as f64 * CELL + 4.0);
    let mut svg = format!(
        "<svg class=\"matrix\" viewBox=\"0 0 {width:.0} {height:.0}\" style=\"min-width:{:.0}px;max-width:{:.0}px\" role=\"img\" \
         aria-label=\"confusion matrix\">\n",
        width * 0.8,
        width * 1.6
    );
    for (i, class) in report.per_class.iter().enumerate() {
        let (middle, name) = ((i as f64 + 0.5) * CELL, label(&class.class));
        let _ = write!(svg, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>", left - 6.0, top + middle + 4.0);
        let (x, y) = (left + middle + 3.0, top - 6.0);
        let _ = writeln!(svg, "<text transform=\"translate({x:.1} {y:.1}) rotate(-45)\">{name}</text>");
    }
    for (truth, row) in report.confusion.iter().enumerate() {
        let all = row.iter().sum::<u64>().max(1) as f64;
        for (answer, &count) in row.iter().enumerate() {
            let share = count as f64 / all;
            let (x, y) = (left + answer as f64 * CELL, top + truth as f64 * CELL);
            let (truth_name, predicted) = (&report.per_class[truth].class, &report.per_class[answer].class);
            let tip = format!("true {truth_name}, predicted {predicted}: {count} of {} ({})", all as u64, percent(share));
            let kind = if truth == answer { "cell own" } else { "cell" };
            let _ = write!(
                svg,
                "<rect class=\"{kind}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{0}\" height=\"{0}\" fill-opacity=\"{1:.3}\" data-tip=\"{2}\"/>",
                CELL - 1.0,
                // A single one among many stays visible.
                if count == 0 { 0.0 } else { 0.08 + 0.92 * share },
                escape(&tip)
            );
            if n <= MOST_NUMBERS && count > 0 {
                let ink = if share > 0.45 { "number strong" } else { "number" };
                let (x, y) = (x + (CELL - 1.0) / 2.0, y + CELL / 2.0 + 3.0);
                let _ = write!(svg, "<text class=\"{ink}\" x=\"{x:.1}\" y=\"{y:.1}\">{count}</text>");
            }
        }
        svg.push('\n');
    }
    svg + "</svg>"
}

fn pixels(report: &Report) -> String {
    let n = report.per_class.len();
    let mut rgba = Vec::with_capacity(n * n * 4);
    for row in &report.confusion {
        let all = row.iter().sum::<u64>().max(1) as f64;
        // The square root, so that a fraction of a hundredth stays visible.
        rgba.extend(row.iter().flat_map(|&count| [79, 140, 255, ((count as f64 / all).sqrt() * 255.0).round() as u8]));
    }
    let uri = data_uri("image/png", &png_with_alpha(n, n, &rgba));
    format!(
        "<img class=\"pixels\" alt=\"confusion matrix of {n} classes, one pixel per cell\" width=\"{n}\" height=\"{n}\" src=\"{uri}\">"
    )
}

/// The most frequent confusions; equal counts in class order.
fn confusions(report: &Report) -> String {
    let mut wrong: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in report.confusion.iter().enumerate() {
        wrong.extend(
            row.iter().enumerate().filter(|&(answer, &n)| answer != truth && n > 0).map(|(answer, &n)| (n, truth, answer)),
        );
    }
    if wrong.is_empty() {
        return "<p>No image was misclassified.</p>".into();
    }
    wrong.sort_by_key(|&(n, truth, answer)| (std::cmp::Reverse(n), truth, answer));
    let name = |class: usize| escape(&report.per_class[class].class);
    let rows = wrong.iter().take(CONFUSIONS).map(|&(n, truth, answer)| {
        let of = report.per_class[truth].images;
        format!("<tr><td>{}</td><td>{}</td><td class=\"right\">{n} of {of}</td></tr>", name(truth), name(answer))
    });
    format!(
        "<details open><summary>Most frequent confusions</summary><table><tr><th>true</th><th>predicted</th><th class=\"right\">images</th></tr>\n\
         {}</table></details>",
        rows.collect::<Vec<_>>().join("\n")
    )
}

/// Accuracy of each class, the worst first.
pub(super) fn per_class(report: &Report) -> String {
    let mut order: Vec<usize> = (0..report.per_class.len()).filter(|&c| report.per_class[c].top1.is_some()).collect();
    let accuracy = |class: usize| report.per_class[class].top1.unwrap_or(0.0);
    order.sort_by(|&a, &b| accuracy(a).total_cmp(&accuracy(b)).then(a.cmp(&b)));
    let without = report.per_class.len() - order.len();
    let row = |&class: &usize| {
        let (one, share) = (&report.per_class[class], accuracy(class));
        format!(
            "<li><span class=\"name\">{}</span><span class=\"bar\"><i style=\"width:{:.2}%\"></i></span><span class=\"value\">{}</span>\
             <span class=\"soft\">of {}</span></li>\n",
            escape(&one.class),
            share * 100.0,
            percent(share),
            one.images
        )
    };
    let list: String = if order.len() <= MOST_CELLS {
        order.iter().map(row).collect()
    } else {
        let (first, last) = (&order[..ENDS], &order[order.len() - ENDS..]);
        let between = format!("<li class=\"soft\">… {} classes between …</li>\n", order.len() - 2 * ENDS);
        first.iter().map(row).collect::<String>() + &between + &last.iter().map(row).collect::<String>()
    };
    let note = match without {
        0 => String::new(),
        1 => "<p class=\"soft\">One class has no images.</p>".into(),
        n => format!("<p class=\"soft\">{n} classes have no images.</p>"),
    };
    format!("<section class=\"card\"><h3>Accuracy per class</h3><ol class=\"bars\">\n{list}</ol>{note}</section>\n")
}
