//! The table of `alexnet eval`.

use crate::output;
use alexnet::eval::{Averages, PerClass, Report, Selective};
use unicode_width::UnicodeWidthStr;

/// A share in per cent, or a dash.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.1} %", share * 100.0))
}

/// The accuracies, and a line per class that has images or predictions.
/// With several models, first a line for each.
pub(super) fn of(report: &Report, members: &[(String, Report)], seconds: f64) -> String {
    let mut lines = Vec::new();
    let Report { images, top1, k, top_k, loss, crops, .. } = report;
    let crop = if *crops == 1 { "centre crop" } else { "ten crops" };
    // With K classes or fewer, it is always 100 %.
    let is_telling = *k > 1 && report.per_class.len() > *k;
    let top_k = if is_telling { format!("top-{k} {:.2} %, ", top_k * 100.0) } else { String::new() };
    let [top1, macro_f1] = [*top1, report.macro_average.f1].map(|share| share * 100.0);
    let width = members.iter().map(|(name, _)| output::name(name).width()).max().unwrap_or(0);
    for (name, Report { top1, top_k, loss, .. }) in members {
        let (name, top1) = (output::name(name), top1 * 100.0);
        let top_k = if is_telling { format!("top-{k} {:.2} %, ", top_k * 100.0) } else { String::new() };
        let pad = " ".repeat(width.saturating_sub(name.width()));
        lines.push(format!("{name}{pad}  top-1 {top1:.2} %, {top_k}loss {loss:.4}"));
    }
    let together = if members.is_empty() { String::new() } else { format!("mean of {} models, ", members.len()) };
    lines.push(format!(
        "{together}{images} images, {crop}: top-1 {top1:.2} %, macro-F1 {macro_f1:.2} %, {top_k}loss {loss:.4}, {seconds:.1} s"
    ));
    if let Some(Selective { threshold, answered, coverage, accuracy, wrong }) = report.selective {
        lines.push(format!(
            "threshold {threshold}: {answered} images answered ({:.1} %), accuracy of these {}, {wrong} wrong; {} unknown",
            coverage * 100.0,
            percent(accuracy),
            images - answered
        ));
    }
    if !report.broken.is_empty() {
        lines.push(format!("{} images could not be read and were skipped", report.broken.len()));
    }
    // A small set may cover ten of a thousand classes; a line for each of the others would bury them.
    let shown = || report.per_class.iter().enumerate().filter(|(_, class)| class.images > 0);
    let average = "macro average";
    let width = shown().map(|(_, class)| output::name(&class.class).width()).max().unwrap_or(0).max(average.len());
    // East Asian wide characters take two columns.
    let padded = |text: &str| format!("{text}{}", " ".repeat(width.saturating_sub(text.width())));
    lines.push(format!("{}  images  precision   recall       F1  most often mistaken for", padded("class")));
    for (truth, PerClass { class, images, precision, recall, f1, .. }) in shown() {
        let [precision, recall, f1] = [precision, recall, f1].map(|share| percent(*share));
        let wrong = report.confusion[truth].iter().enumerate().filter(|&(answer, &n)| answer != truth && n > 0);
        // The first of equals, so that equal reports print the same.
        let wrong = wrong.max_by_key(|&(answer, &n)| (n, std::cmp::Reverse(answer)));
        let wrong = wrong.map_or(String::new(), |(answer, n)| format!("{} ({n})", output::name(&report.per_class[answer].class)));
        let line = format!("{}  {images:6}  {precision:>9}  {recall:>7}  {f1:>7}  {wrong}", padded(&output::name(class)));
        lines.push(line.trim_end().to_string());
    }
    let Averages { precision, recall, f1, classes } = report.macro_average;
    let [precision, recall, f1] = [precision, recall, f1].map(|share| percent(Some(share)));
    lines.push(format!("{}  {images:6}  {precision:>9}  {recall:>7}  {f1:>7}  over {classes} classes", padded(average)));
    match report.per_class.len() - shown().count() {
        0 => {}
        1 => lines.push("1 class has no images in this set".into()),
        n => lines.push(format!("{n} classes have no images in this set")),
    }
    lines.join("\n") + "\n"
}
