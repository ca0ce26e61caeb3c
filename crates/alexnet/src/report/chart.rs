//! SVG line charts, complete in themselves; the page's script only adds the values under the pointer.

use super::html::escape;
use serde_json::json;
use std::fmt::Write;

/// Drawing size in CSS pixels of a phone; wider pages scale it.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 236.0;
/// Plot area: left, top, right, bottom.
const PLOT: [f64; 4] = [44.0, 10.0, WIDTH - 8.0, HEIGHT - 30.0];
/// Maximum number of distinguishable points; neighbours are averaged beyond it.
const MOST_POINTS: usize = 400;

/// Unit of a chart's values.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// Nats or rates, with a few digits.
    Number,
    /// Fractions, shown as percentages.
    Percent,
    /// Images per second as integers.
    Count,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Number => "number",
            Unit::Percent => "percent",
            Unit::Count => "count",
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Unit::Percent => format!("{} %", short(value * 100.0)),
            _ => short(value),
        }
    }
}

/// Formats a number without needless digits.
fn short(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A curve of a chart.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Index of the page's colour, from 1.
    pub(crate) colour: usize,
    /// Whether to draw a faint line without points, for the noise behind a mean.
    pub(crate) faint: bool,
    /// Points; non-finite values interrupt the curve.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of curves over a common x axis.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// Unit of the x axis, such as `epoch`.
    pub(crate) x: &'a str,
    pub(crate) unit: Unit,
    /// Whether the y axis is logarithmic; values must be positive.
    pub(crate) log: bool,
    pub(crate) series: Vec<Series>,
    /// Text shown if there is nothing to draw.
    pub(crate) empty: &'a str,
}

/// Axis: scale and tick values.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(low: f64, high: f64, log: bool, ticks: usize, whole: bool) -> Axis {
        if log {
            let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
            let ticks = (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect();
            return Axis { low, high, log, ticks };
        }
        let span = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let step = nice_step(span / ticks as f64, whole);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        Axis { low, high: low + span, log, ticks: (first..=last.max(first)).map(|i| i as f64 * step).collect() }
    }

    /// Position of a value, 0 at the low end, 1 at the high end.
    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64, whole: bool) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= least * (1.0 - 1e-9));
    let step = step.unwrap_or(10.0 * power);
    if whole { step.max(1.0) } else { step }
}

impl Chart<'_> {
    /// Formats the chart as an HTML figure.
    pub(crate) fn html(&self) -> String {
        let visible = |y: f64| y.is_finite() && (!self.log || y > 0.0);
        let series: Vec<(&Series, Vec<(f64, f64)>)> = self.series.iter().map(|s| (s, thinned(&s.points))).collect();
        let all =
            || series.iter().flat_map(|(s, points)| points.iter().map(move |p| (s.faint, *p))).filter(|(_, p)| visible(p.1));
        let mut html =
            format!("<figure class=\"card chart\"><figcaption><h3>{}</h3>{}</figcaption>\n", escape(self.title), self.legend());
        if all().next().is_none() {
            let _ = writeln!(html, "<p class=\"empty\">{}</p></figure>", escape(self.empty));
            return html;
        }
        let bounds = |of: fn(&(f64, f64)) -> f64, clear: bool| {
            let values = all().filter(|(faint, _)| !(clear && *faint)).map(|(_, p)| of(&p));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let x = bounds(|p| p.0, false);
        let mut y = bounds(|p| p.1, false);
        // A spike in the noise must not flatten the main curves.
        let clear = bounds(|p| p.1, true);
        if clear.0 <= clear.1 && self.unit == Unit::Number {
            y.1 = y.1.min(clear.1 * 1.6).max(clear.1);
        }
        if !self.log && y.0 > 0.0 && (y.0 < 0.6 * y.1 || self.unit != Unit::Number) {
            y.0 = 0.0;
        }
        if self.unit == Unit::Percent && y.1 > 0.5 {
            y.1 = 1.0;
        }
        if !self.log {
            // Some padding above the highest point.
            y.1 += (y.1 - y.0) * if self.unit == Unit::Percent && y.1 >= 1.0 { 0.0 } else { 0.04 };
        }
        let x = Axis::new(x.0.min(0.0), x.1, false, 6, self.x == "epoch");
        let y = Axis::new(y.0, y.1, self.log, 5, false);
        self.draw(&mut html, &x, &y, &series);
        html.push_str("</figure>\n");
        html
    }

    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let mark = |s: &Series| {
            format!("<span class=\"key c{}{}\">{}</span>", s.colour, if s.faint { " faint" } else { "" }, escape(&s.name))
        };
        format!("<p class=\"legend\">{}</p>", self.series.iter().map(mark).collect::<Vec<_>>().join(" "))
    }

    fn draw(&self, html: &mut String, x: &Axis, y: &Axis, series: &[(&Series, Vec<(f64, f64)>)]) {
        let [left, top, right, bottom] = PLOT;
        let across = |value: f64| left + x.place(value) * (right - left);
        let down = |value: f64| bottom - y.place(value) * (bottom - top);
        let data = json!({
            "x": self.x, "unit": self.unit.name(), "plot": PLOT, "xs": [x.low, x.high], "ys": [y.low, y.high], "log": self.log,
            "series": series.iter().map(|(s, points)| json!({
                "name": s.name, "colour": s.colour,
                "points": points.iter().map(|(x, y)| (x, y.is_finite().then_some(y))).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        let _ = writeln!(
            html,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\" tabindex=\"0\" data-chart=\"{}\">",
            escape(self.title),
            escape(&data.to_string())
        );
        for &tick in &y.ticks {
            let at = down(tick);
            let _ = write!(html, "<line class=\"grid\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>");
            let _ =
                writeln!(html, "<text x=\"{}\" y=\"{:.1}\" class=\"end\">{}</text>", left - 5.0, at + 3.5, self.unit.tick(tick));
        }
        for &tick in &x.ticks {
            let at = across(tick);
            let _ = write!(html, "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{bottom}\" x2=\"{at:.1}\" y2=\"{}\"/>", bottom + 4.0);
            let _ = writeln!(html, "<text x=\"{at:.1}\" y=\"{}\" class=\"middle\">{}</text>", bottom + 15.0, short(tick));
        }
        let _ = writeln!(html, "<text x=\"{right}\" y=\"{}\" class=\"end soft\">{}</text>", HEIGHT - 3.0, escape(self.x));
        for (series, points) in series {
            let mut path = String::new();
            let mut broken = true;
            for &(x, y) in points {
                if !y.is_finite() || (self.log && y <= 0.0) {
                    broken = true;
                    continue;
                }
                let _ = write!(path, "{}{:.1} {:.1}", if broken { "M" } else { "L" }, across(x), down(y));
                broken = false;
            }
            let faint = if series.faint { " faint" } else { "" };
            let _ = writeln!(html, "<path class=\"line c{}{faint}\" d=\"{path}\"/>", series.colour);
            // A few points are marked; a single one would not be a visible line.
            if !series.faint && points.len() <= 40 || points.len() == 1 {
                for &(x, y) in points.iter().filter(|(_, y)| y.is_finite() && (!self.log || *y > 0.0)) {
                    let _ = write!(
                        html,
                        "<circle class=\"dot c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.4\"/>",
                        series.colour,
                        across(x),
                        down(y)
                    );
                }
            }
        }
        html.push_str("</svg>");
    }
}

/// Averages neighbours until there are few enough points; non-finite values stay as gaps.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let size = points.len().div_ceil(MOST_POINTS);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        (chunk.iter().map(|p| p.0).sum::<f64>() / n, chunk.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, log: bool) -> String {
        let series = vec![Series { name: "a <b>".into(), colour: 1, faint: false, points }];
        Chart { title: "loss", x: "epoch", unit: Unit::Number, log, series, empty: "nothing yet" }.html()
    }

    #[test]
    fn a_curve_is_drawn_to_scale_and_interrupted_by_non_finite_values() {
        let html = chart(vec![(1.0, 4.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)], false);
        // x from 0 to 4 over 44..392, y from 0 to 4.16 over 206..10: 4.0 lies at 206 - 196 * 4 / 4.16.
        assert!(html.contains("d=\"M131.0 17.5M305.0 111.8L392.0 158.9\""), "{html}");
        assert!(html.contains("[2.0,null]") && html.contains("a &lt;b&gt;") && !html.contains("a <b>"), "{html}");
        assert_eq!(html.matches("<circle").count(), 3);
    }

    #[test]
    fn unusual_values_are_handled() {
        assert!(chart(vec![], false).contains("nothing yet"));
        assert!(chart(vec![(1.0, f64::INFINITY)], false).contains("nothing yet"));
        assert!(chart(vec![(1.0, 0.0), (2.0, -1.0)], true).contains("nothing yet"));
        for points in [vec![(1.0, 0.0)], vec![(5.0, 1e300), (6.0, -1e300)], vec![(1.0, 1e-300); 3]] {
            for log in [false, true] {
                let html = chart(points.clone(), log);
                assert!(!html.contains("NaN") && !html.contains("inf"), "{points:?}: {html}");
            }
        }
        assert!(chart(vec![(1.0, 1e-3), (2.0, 1e-5)], true).contains(">1e-5</text>"));
    }

    #[test]
    fn a_long_curve_is_averaged() {
        let points: Vec<_> = (0..4_000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let thin = thinned(&points);
        assert!(thin.len() == 400 && thin.iter().all(|p| p.1 == 0.5) && thin[0].0 == 4.5);
    }
}
