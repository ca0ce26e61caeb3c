//! Runs side by side.

use super::chart::{Chart, Series, Unit};
use super::html::{self, duration, escape, loss, percent};
use super::run::{Epoch, Run};
use super::run_page::stepped;
use std::collections::BTreeSet;

/// Colours that the page has.
const COLOURS: usize = 8;

/// Short names of runs that tell them apart: the last part of their folders, or the whole path where that is not enough.
pub fn names(runs: &[Run]) -> Vec<String> {
    let twice = |run: &Run| runs.iter().filter(|other| other.name == run.name).count() > 1;
    runs.iter().map(|run| if twice(run) { run.folder.display().to_string() } else { run.name.clone() }).collect()
}

/// The settings in which runs differ, and what each run has; none where it does not have the setting at all.
pub fn differing(runs: &[Run]) -> Vec<(String, Vec<Option<String>>)> {
    let names: BTreeSet<&str> = runs.iter().flat_map(|run| run.settings.iter().map(|(name, _)| name.as_str())).collect();
    let row = |name: &str| (name.to_string(), runs.iter().map(|run| run.setting(name).map(String::from)).collect::<Vec<_>>());
    names.into_iter().map(row).filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1])).collect()
}

/// Names and values of what runs came to and how they differ, a column a run.
pub fn table(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let none = || "–".to_string();
    let row = |name: &str, of: &dyn Fn(&Run) -> Option<String>| {
        (name.to_string(), runs.iter().map(|run| of(run).unwrap_or_else(none)).collect())
    };
    let mut rows = vec![
        row("best top-1", &|run| {
            let best = run.best()?;
            // Without validation there is only what training saw.
            Some(percent(best.top1()) + if best.val_top1.is_none() { " (training)" } else { "" })
        }),
        row("in epoch", &|run| run.best().map(|best| best.epoch.to_string())),
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
    // Of five classes each is among the first five: the share is 1, whatever the run.
    if runs.iter().all(|run| run.best().and_then(|best| best.val_top5).is_none_or(|share| share >= 1.0)) {
        rows.retain(|(name, _)| name != "its top-5");
    }
    let settings = differing(runs);
    rows.extend(settings.into_iter().map(|(name, values)| (name, values.into_iter().map(|v| v.unwrap_or_else(none)).collect())));
    rows
}

/// The runs' table and their curves over each other, as one page.
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
        Chart { title, x, unit, log, series, empty: "None of the runs has this." }
    };
    let by_epoch = |of: fn(&Epoch) -> Option<f64>| {
        move |run: &Run| run.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?))).collect::<Vec<_>>()
    };
    let rates = by_epoch(|epoch| epoch.lr);
    let all_rates: Vec<_> = runs.iter().flat_map(&rates).collect();
    // Accuracy over minutes: what an epoch costs differs from net to net.
    let by_minute = |run: &Run| {
        let at = |epoch: &Epoch| {
            let done = run.history.epochs.iter().find(|done| done.epoch as u64 == epoch.epoch)?;
            Some((done.after / 60.0, epoch.top1()))
        };
        run.epochs.iter().filter_map(at).collect::<Vec<_>>()
    };
    let speed = |run: &Run| {
        let done = run.history.epochs.iter().filter(|done| done.seconds > 0.0);
        done.map(|done| (done.epoch as f64, done.pictures as f64 / done.seconds)).collect::<Vec<_>>()
    };
    vec![
        chart("Accuracy of validation", "epoch", Unit::Percent, false, &by_epoch(|epoch| epoch.val_top1)),
        chart("Loss of validation", "epoch", Unit::Number, false, &by_epoch(|epoch| epoch.val_loss)),
        chart("Accuracy of training", "epoch", Unit::Percent, false, &by_epoch(|epoch| epoch.train_top1)),
        chart("Loss of training", "epoch", Unit::Number, false, &by_epoch(|epoch| epoch.train_loss)),
        chart("Accuracy over time", "minute", Unit::Percent, false, &by_minute),
        chart("Learning rate", "epoch", Unit::Number, stepped(&all_rates), &rates),
        chart("Images a second", "epoch", Unit::Count, false, &speed),
    ]
}
