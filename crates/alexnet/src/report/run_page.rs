//! HTML report of a run.

use super::chart::{Chart, Series, Unit};
use super::event_log::{Ended, Record};
use super::filters::Filters;
use super::html::{self, data_uri, duration, escape, loss, percent, time};
use super::run::Run;
use super::{confusion, event_log, examples, reliability};
use crate::data::Dataset;
use crate::eval::{Report, TOP5};
use crate::net::{Net, diagram, with_commas};
use crate::train::recipe::Monitor;
use std::fmt::Write;

/// HTML sections of an evaluation.
pub struct Evaluated {
    title: String,
    html: String,
}

impl Evaluated {
    /// Formats classes, calibration, and the best and worst images of `source`, which was evaluated. `of` is the title: which
    /// model on which images.
    pub fn new(of: &str, report: &Report, source: &dyn Dataset) -> Evaluated {
        let Report { images, top1, top5, loss: nats, broken, macro_average, .. } = report;
        let left_out = match broken.len() {
            0 => String::new(),
            n => format!("; {n} could not be read"),
        };
        let top5 = if report.tells_top5() { format!(", top-5 {}", percent(*top5)) } else { String::new() };
        let title = format!(
            "{of}: {} images, top-1 {}, macro-F1 {}{top5}, loss {}{left_out}",
            with_commas(*images as u64),
            percent(*top1),
            percent(macro_average.f1),
            loss(*nats)
        );
        let html = format!(
            "<div class=\"grid\">\n{}<div class=\"stack\">\n{}{}</div>\n</div>\n{}",
            confusion::confusion(report),
            confusion::per_class(report),
            reliability::reliability(&report.calibration),
            examples::examples(report, source)
        );
        Evaluated { title, html }
    }
}

/// Data of a report; unknown parts are omitted.
pub struct Page<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its network.
    pub net: Option<&'a Net>,
    /// Its evaluation.
    pub evaluated: Option<&'a Evaluated>,
    /// The initial first-layer kernels.
    pub before: Option<&'a Filters>,
    /// The current first-layer kernels.
    pub after: Option<&'a Filters>,
    /// Whether the run is in progress, in which case the page reloads itself regularly.
    pub live: bool,
}

impl Page<'_> {
    /// Formats the page, a self-contained file that makes no requests.
    pub fn html(&self) -> String {
        let mut body = self.header();
        body += &self.tiles();
        body += "<h2>Curves</h2>\n<div class=\"grid\">\n";
        for chart in self.charts() {
            body += &chart.html();
        }
        body += "</div>\n";
        body += &self.table();
        match self.evaluated {
            Some(Evaluated { title, html }) => {
                let _ = write!(body, "<h2>Validation</h2>\n<p>{}</p>\n{html}", escape(title));
            }
            None => {
                let none = matches!(self.run.history.begin, Some(Record::Begin { val: 0, .. }));
                let why = if none { "There are no validation images." } else { "Nothing has been validated yet." };
                let _ = write!(body, "<h2>Validation</h2>\n<p class=\"empty\">{why}</p>\n");
            }
        }
        body += &self.filters();
        if let Some(svg) = self.net.and_then(|net| diagram::compact_svg(net).ok()) {
            let uri = data_uri("image/svg+xml", svg.as_bytes());
            let _ = write!(
                body,
                "<h2>Network</h2>\n<div class=\"card scroll\"><img class=\"drawing\" alt=\"drawing of the network\" src=\"{uri}\"></div>\n"
            );
        }
        body += &self.details();
        let _ = write!(
            body,
            "<footer class=\"soft\">Written {} by alexnet {}.</footer>\n</main>\n",
            time(event_log::now()),
            env!("CARGO_PKG_VERSION")
        );
        html::page(&format!("{} · alexnet", self.run.name), &body, self.live)
    }

    fn header(&self) -> String {
        let run = self.run;
        let of = |name| run.setting(name).unwrap_or("?");
        let (kind, status) = match (self.live, run.ended()) {
            (true, _) => ("live", "training".to_string()),
            (_, Some(Ended::Done)) => ("done", "done".into()),
            (_, Some(Ended::EarlyStop)) => ("done", "done: no better epoch for as long as the patience".into()),
            (_, Some(Ended::MaxSteps)) => ("stopped", "stopped after the requested number of steps".into()),
            (_, Some(Ended::Interrupted)) => ("stopped", "interrupted; can be resumed".into()),
            (_, Some(Ended::Failed(error))) => ("failed", format!("failed: {error}")),
            (_, None) if run.planned().is_some_and(|planned| run.done() >= planned) => ("done", "done".into()),
            (_, None) => ("stopped", "no end was recorded: still running or killed".into()),
        };
        let reload = if self.live {
            "<label class=\"reload\"><input type=\"checkbox\" id=\"reload\" checked> reload every 20 s</label> "
        } else {
            ""
        };
        format!(
            "<main>\n<header><h1>{}</h1>\n<p class=\"soft\">{} at {} pixels, recipe {}, batch {}, seed {}</p>\n\
             <p><span class=\"status {kind}\">{}</span> {reload}</p></header>\n",
            escape(&run.name),
            escape(of("net")),
            escape(of("image_size")),
            escape(of("recipe.name")),
            escape(of("recipe.batch")),
            escape(of("seed")),
            escape(&status)
        )
    }

    fn tiles(&self) -> String {
        let run = self.run;
        let mut tiles = Vec::new();
        if let Some(best) = run.best() {
            let what = if best.val_top1.is_some() { "best validation top-1" } else { "training top-1" };
            let at = if best.epoch == 0 { "before the first epoch".into() } else { format!("epoch {}", best.epoch) };
            let what =
                if run.monitor() == Monitor::Top1 { what.to_string() } else { "validation top-1 of the best epoch".into() };
            tiles.push((percent(best.top1()), format!("{what}, {at}")));
            tiles.extend(best.val_macro_f1.map(|f1| (percent(f1), "macro-F1 of that epoch".to_string())));
            tiles.push((loss(best.loss()), "loss of that epoch".to_string()));
        }
        let (done, planned) = (run.done(), run.planned());
        tiles.push((planned.map_or_else(|| done.to_string(), |all| format!("{done} of {all}")), "epochs".into()));
        if let Some(seconds) = run.seconds() {
            let left = match (planned, run.history.epochs.last()) {
                // Estimated from the mean of the epochs so far, including validation and file writes.
                (Some(all), Some(last)) if self.live && all > done => {
                    format!(", about {} left", duration(last.after / done.max(1) as f64 * (all - done) as f64))
                }
                _ => String::new(),
            };
            tiles.push((duration(seconds), format!("in {}{left}", times(run.history.processes, "process", "processes"))));
        }
        if let Some(speed) = run.speed() {
            tiles.push((format!("{speed:.0}"), "training images per second".into()));
        }
        if let Some(broken) = run.epochs.last().map(|epoch| epoch.broken).filter(|&n| n > 0) {
            tiles.push((broken.to_string(), "images could not be read; see broken.txt".into()));
        }
        let tile = |(value, text): &(String, String)| {
            format!("<div class=\"card tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(text))
        };
        format!("<div class=\"tiles\">\n{}</div>\n", tiles.iter().map(tile).collect::<String>())
    }

    fn charts(&self) -> [Chart<'_>; 4] {
        let run = self.run;
        let empty = if self.live { "The first epoch is in progress." } else { "No epoch is complete." };
        let by_step = |of: fn(&event_log::Steps) -> Option<f64>| -> Vec<(f64, f64)> {
            let Some(all) = run.history.steps_per_epoch() else { return Vec::new() };
            run.history.steps.iter().map(|steps| (steps.step as f64 / all, of(steps).unwrap_or(f64::NAN))).collect()
        };
        let by_epoch = |of: fn(&super::Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
            run.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?))).collect()
        };
        let curve = |name: &str, colour, faint, points| Series { name: name.into(), colour, faint, points };
        let chart = |title, unit, log, mut series: Vec<Series>| {
            series.retain(|series| !series.points.is_empty());
            // The run may predate the log.
            let empty = if run.epochs.is_empty() { empty } else { "Not recorded." };
            Chart { title, x: "epoch", unit, log, series, empty }
        };
        let rates = match by_step(|steps| Some(steps.lr)) {
            points if points.is_empty() => by_epoch(|epoch| epoch.lr),
            points => points,
        };
        let speeds = run.history.epochs.iter().filter(|epoch| epoch.seconds > 0.0);
        let speeds = speeds.map(|epoch| (epoch.epoch as f64, epoch.images as f64 / epoch.seconds)).collect();
        [
            chart(
                "Loss",
                Unit::Number,
                false,
                vec![
                    curve("training, by step", 1, true, by_step(|steps| steps.loss)),
                    curve("training", 1, false, by_epoch(|epoch| epoch.train_loss)),
                    curve("validation", 2, false, by_epoch(|epoch| epoch.val_loss)),
                ],
            ),
            chart(
                "Accuracy",
                Unit::Percent,
                false,
                vec![
                    curve("training, by step", 1, true, by_step(|steps| steps.top1)),
                    curve("training", 1, false, by_epoch(|epoch| epoch.train_top1)),
                    curve("validation", 2, false, by_epoch(|epoch| epoch.val_top1)),
                    curve("validation, macro-F1", 6, false, by_epoch(|epoch| epoch.val_macro_f1)),
                    curve(
                        "validation, top-5",
                        3,
                        false,
                        if self.tells_top5() { by_epoch(|epoch| epoch.val_top5) } else { Vec::new() },
                    ),
                ],
            ),
            chart("Learning rate", Unit::Number, stepped(&rates), vec![curve("learning rate", 4, false, rates)]),
            chart(
                "Images per second",
                Unit::Count,
                false,
                vec![
                    curve(
                        "by step",
                        5,
                        true,
                        by_step(|steps| (steps.seconds > 0.0).then(|| steps.images as f64 / steps.seconds)),
                    ),
                    curve("epoch", 5, false, speeds),
                ],
            ),
        ]
    }

    /// Whether top-5 is meaningful: with five classes it is always 1.
    fn tells_top5(&self) -> bool {
        self.net.is_none_or(|net| net.classes() > TOP5)
    }

    fn table(&self) -> String {
        if self.run.epochs.is_empty() {
            return String::new();
        }
        let best = self.run.best().map(|best| best.epoch);
        let maybe = |value: Option<f64>, show: fn(f64) -> String| value.map_or("–".into(), show);
        let columns: [(&str, bool); 3] = [
            ("top-1", true),
            ("macro-F1", self.run.epochs.iter().any(|epoch| epoch.val_macro_f1.is_some())),
            ("top-5", self.tells_top5()),
        ];
        let validation = |values: [String; 3], tag: &str| -> String {
            let shown = values.iter().zip(columns).filter(|(_, (_, is_shown))| *is_shown);
            shown.map(|(value, _)| format!("<{tag}>{value}</{tag}>")).collect()
        };
        let row = |epoch: &super::Epoch| {
            let mark = if Some(epoch.epoch) == best { " class=\"best\"" } else { "" };
            format!(
                "<tr{mark}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}</tr>\n",
                epoch.epoch,
                epoch.step,
                maybe(epoch.lr, html::rate),
                maybe(epoch.train_loss, loss),
                maybe(epoch.train_top1, percent),
                maybe(epoch.val_loss, loss),
                validation([epoch.val_top1, epoch.val_macro_f1, epoch.val_top5].map(|value| maybe(value, percent)), "td")
            )
        };
        format!(
            "<details class=\"card\"><summary>Every epoch</summary><div class=\"scroll\"><table class=\"numbers\">\n<tr><th>epoch</th>\
             <th>steps</th><th>learning rate</th><th>training loss</th><th>top-1</th><th>validation loss</th>{}</tr>\n{}</table>\
             </div></details>\n",
            validation(columns.map(|(name, _)| name.to_string()), "th"),
            self.run.epochs.iter().map(row).collect::<String>()
        )
    }

    fn filters(&self) -> String {
        if self.before.is_none() && self.after.is_none() {
            return String::new();
        }
        let show = |filters: Option<&Filters>, caption| filters.map_or(String::new(), |filters| filters.html(caption));
        format!(
            "<h2>Filters of the first layer</h2>\n<div class=\"card filters\">{}{}</div>\n",
            show(self.before, "before training"),
            show(self.after, "now")
        )
    }

    fn details(&self) -> String {
        let run = self.run;
        let mut html = String::from("<h2>Settings</h2>\n<div class=\"grid\">\n<section class=\"card\"><h3>As resolved</h3>");
        html += &html::pairs(run.settings.iter().map(|(name, value)| (name.as_str(), escape(value))));
        html += "</section>\n<section class=\"card\"><h3>Hardware and duration</h3>";
        let mut rows = vec![("folder", escape(&run.folder.display().to_string()))];
        if let Some(net) = self.net
            && let Ok(totals) = net.totals()
        {
            rows.push(("parameters", with_commas(totals.parameters as u64)));
            rows.push(("multiply-accumulates", format!("{} per image", with_commas(totals.macs))));
            rows.push(("classes", net.classes().to_string()));
        }
        if let Some(Record::Begin { machine, train, val, .. }) = &run.history.begin {
            rows.push((
                "pictures",
                format!("{} for training, {} for validation", with_commas(*train as u64), with_commas(*val as u64)),
            ));
            rows.push(("processor", escape(&machine.processor)));
            rows.push(("cores", machine.cores.to_string()));
            rows.push(("threads", machine.threads.to_string()));
            rows.push(("instruction set", escape(&machine.isa)));
            rows.push(("device", escape(&machine.device)));
            rows.push(("arithmetic", escape(&machine.precision)));
            rows.push(("system", escape(&machine.system)));
            rows.push(("alexnet", escape(&machine.version)));
        }
        if let Some(seconds) = run.seconds() {
            rows.push(("began", time(run.history.from_to.0)));
            rows.push(("last update", time(run.history.from_to.1)));
            rows.push(("duration", format!("{} in {}", duration(seconds), times(run.history.processes, "process", "processes"))));
        } else {
            rows.push(("duration", "not recorded".into()));
        }
        html += &html::pairs(rows);
        html + "</section>\n</div>\n"
    }
}

/// Formats a count with its noun.
fn times(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("one {one}") } else { format!("{n} {many}") }
}

/// Whether rates are constant and then drop in large steps, which only a logarithmic scale can show.
pub(super) fn stepped(rates: &[(f64, f64)]) -> bool {
    let mut values: Vec<f64> = rates.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
    low > 0.0 && high >= 20.0 * low && values.len() * 2 <= rates.len()
}
