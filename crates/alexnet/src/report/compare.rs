//! Comparison of runs side by side.

use super::chart::{Chart, Series, Unit};
use super::html::{self, duration, escape, loss, percent};
use super::run::{Epoch, Run};
use super::run_page::stepped;
use std::collections::BTreeSet;

/// Number of colours on the page.
const COLOURS: usize = 8;

/// Short distinguishing names of runs: the last component of their folders, or the whole path if that is ambiguous.
pub fn names(runs: &[Run]) -> Vec<String> {
    let twice = |run: &Run| runs.iter().filter(|other| other.name == run.name).count() > 1;
    runs.iter().map(|run| if twice(run) { run.folder.display().to_string() } else { run.name.clone() }).collect()
}

/// Settings in which runs differ, with each run's value; `None` if a run lacks the setting.
pub fn differing(runs: &[Run]) -> Vec<(String, Vec<Option<String>>)> {
    let names: BTreeSet<&str> = runs.iter().flat_map(|run| run.settings.iter().map(|(name, _)| name.as_str())).collect();
    let row = |name: &str| (name.to_string(), runs.iter().map(|run| run.setting(name).map(String::from)).collect::<Vec<_>>());
    names.into_iter().map(row).filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1])).collect()
}

/// Table of results and differing settings, one column per run.
pub fn table(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let none = || "–".to_string();
    let row = |name: &str, of: &dyn Fn(&Run) -> Option<String>| {
        (name.to_string(), runs.iter().map(|run| of(run).unwrap_or_else(none)).collect())
    };
    let mut rows = vec![
        row("best top-1", &|run| {
            let best = run.best()?;
            // Without validation, only training accuracy is available.
            Some(percent(best.top1()) + if best.val_top1.is_none() { " (training)" } else { "" })
        }),
        row("in epoch", &|run| run.best().map(|best| best.epoch.to_string())),
        row("its macro-F1", &|run| run.best()?.val_macro_f1.map(percent)),
        row("its top-5", &|run| run.best()?.val_top5.map(percent)),
        row("its loss", &|run| run.best().map(|best| loss(best.loss()))),
        row("its training loss", &|run| run.best()?.train_loss.map(loss)),
        row("epochs", &|run| {
            let done = run.done();
            Some(run.planned().map_or_else(|| done.to_string(), |all| format!("{done} of {all}")))
        }),
        row("time", &|run| run.seconds().map(duration)),
        row("images/s", &|run| run.speed().map(|speed| format!("{speed:.0}"))),
    ];
    // With five classes, top-5 is always 1.
    if runs.iter().all(|run| run.best().and_then(|best| best.val_top5).is_none_or(|share| share >= 1.0)) {
        rows.retain(|(name, _)| name != "its top-5");
    }
    // Runs of earlier versions did not record it.
    if runs.iter().all(|run| run.best().and_then(|best| best.val_macro_f1).is_none()) {
        rows.retain(|(name, _)| name != "its macro-F1");
    }
    let settings = differing(runs);
    rows.extend(settings.into_iter().map(|(name, values)| (name, values.into_iter().map(|v| v.unwrap_or_else(none)).collect())));
    rows
}

/// HTML page with the table and overlaid curves.
pub fn page(runs: &[Run]) -> String {
    let names = names(runs);
    let mut body = format!("<main>\n<header><h1>{} runs side by side</h1></header>\n", runs.len());
    body += "<div class=\"card scroll\"><table>\n<tr><th></th>";
    for (i, name) in names.iter().enumerate() {
        body += &format!("<th><span class=\"key c{}\">{}</span></th>", i % COLOURS + 1, escape(name));
    }
    body += "</tr>\n";
    for (name, values) in table(runs) {
        let cells: String = values.iter().map(|value| format!("<td>{}</td>", escape(value))).collect();
        body += &format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(&name));
    }
    body += "</table></div>\n<h2>Curves</h2>\n<div class=\"grid\">\n";
    for chart in charts(runs, &names) {
        body += &chart.html();
    }
    body += "</div>\n</main>\n";
    html::page(&format!("{} · alexnet", names.join(", ")), &body, false)
}

fn charts(runs: &[Run], names: &[String]) -> Vec<Chart<'static>> {
    let chart = |title, x, unit, log, of: &dyn Fn(&Run) -> Vec<(f64, f64)>| {
        let series = runs.iter().zip(names).enumerate().map(|(i, (run, name))| Series {
            name: name.clone(),
            colour: i % COLOURS + 1,
            faint: false,
            points: of(run),
        });
        let series = series.filter(|series| !series.points.is_empty()).collect();
        Chart { title, x, unit, log, series, empty: "Not available for any run." }
    };
    let by_epoch = |of: fn(&Epoch) -> Option<f64>| {
        move |run: &Run| run.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?))).collect::<Vec<_>>()
    };
    let rates = by_epoch(|epoch| epoch.lr);
    let all_rates: Vec<_> = runs.iter().flat_map(&rates).collect();
    // Accuracy over minutes, since the duration of an epoch differs between nets.
    let by_minute = |run: &Run| {
        let at = |epoch: &Epoch| {
            let done = run.history.epochs.iter().find(|done| done.epoch as u64 == epoch.epoch)?;
            Some((done.after / 60.0, epoch.top1()))
        };
        run.epochs.iter().filter_map(at).collect::<Vec<_>>()
    };
    let speed = |run: &Run| {
        let done = run.history.epochs.iter().filter(|done| done.seconds > 0.0);
        done.map(|done| (done.epoch as f64, done.images as f64 / done.seconds)).collect::<Vec<_>>()
    };
    vec![
        chart("Validation accuracy", "epoch", Unit::Percent, false, &by_epoch(|epoch| epoch.val_top1)),
        chart("Validation loss", "epoch", Unit::Number, false, &by_epoch(|epoch| epoch.val_loss)),
        chart("Training accuracy", "epoch", Unit::Percent, false, &by_epoch(|epoch| epoch.train_top1)),
        chart("Training loss", "epoch", Unit::Number, false, &by_epoch(|epoch| epoch.train_loss)),
        chart("Accuracy over time", "minute", Unit::Percent, false, &by_minute),
        chart("Learning rate", "epoch", Unit::Number, stepped(&all_rates), &rates),
        chart("Images per second", "epoch", Unit::Count, false, &speed),
    ]
}
