//! Reliability diagram: accuracy over confidence, like figure 1 of Guo et al. 2017.

use super::html::{escape, percent};
use crate::eval::Calibration;
use std::fmt::Write;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 330.0;
/// Plot area of accuracies: left, top, right, bottom.
const PLOT: [f64; 4] = [44.0, 8.0, WIDTH - 8.0, 240.0];
/// Plot area of the counts below: top, bottom.
const COUNTS: [f64; 2] = [256.0, 296.0];

/// The diagram, with the expected calibration error.
pub(super) fn reliability(calibration: &Calibration) -> String {
    let [left, top, right, bottom] = PLOT;
    let n = calibration.bins.len().max(1) as f64;
    let across = |share: f64| left + share * (right - left);
    let down = |share: f64| bottom - share * (bottom - top);
    let mut svg = format!(
        "<svg class=\"reliability\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"accuracy over confidence\">\n"
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (x, y, text) = (across(tick), down(tick), tick * 100.0);
        let _ = write!(svg, "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
        let _ = write!(svg, "<text class=\"end\" x=\"{}\" y=\"{:.1}\">{text} %</text>", left - 5.0, y + 3.5);
        // The last label would extend beyond the edge.
        let anchor = if tick < 1.0 { "middle" } else { "end" };
        let _ = writeln!(svg, "<text class=\"{anchor}\" x=\"{x:.1}\" y=\"{}\">{text} %</text>", COUNTS[1] + 15.0);
    }
    let most = calibration.bins.iter().map(|bin| bin.images).max().unwrap_or(0).max(1) as f64;
    for (i, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.images > 0) {
        let (x, width) = (across(i as f64 / n) + 1.0, (right - left) / n - 2.0);
        let (low, high) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
        let mut bar = |class: &str, from: f64, to: f64| {
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{to:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                (from - to).max(0.0)
            );
        };
        bar("bar", bottom, down(bin.accuracy));
        bar(if bin.confidence > bin.accuracy { "gap over" } else { "gap under" }, down(low), down(high));
        bar("count", COUNTS[1], COUNTS[1] - (COUNTS[1] - COUNTS[0]) * bin.images as f64 / most);
        let tip = format!(
            "confidence {:.0} to {:.0} %: {} images, mean confidence {}, accuracy {}",
            i as f64 / n * 100.0,
            (i + 1) as f64 / n * 100.0,
            bin.images,
            percent(bin.confidence),
            percent(bin.accuracy)
        );
        let _ = writeln!(
            svg,
            "<rect class=\"touch\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{:.1}\" data-tip=\"{}\"/>",
            COUNTS[1] - top,
            escape(&tip)
        );
    }
    let _ = write!(svg, "<line class=\"perfect\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{top}\"/>");
    let _ = write!(svg, "<text class=\"end\" x=\"{}\" y=\"{}\">{most}</text>", left - 5.0, COUNTS[0] + 5.0);
    let _ = write!(svg, "<text class=\"end soft\" x=\"{right}\" y=\"{}\">confidence</text></svg>", HEIGHT - 3.0);
    format!(
        "<section class=\"card\"><h3>Calibration</h3><p>Expected calibration error <b>{}</b> (15 bins).</p>\
         <p class=\"legend\"><span class=\"key c1\">accuracy</span> <span class=\"key c2\">overconfident</span> \
         <span class=\"key c3\">underconfident</span></p>{svg}</section>\n",
        percent(calibration.ece)
    )
}
