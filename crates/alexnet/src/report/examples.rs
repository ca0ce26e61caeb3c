//! The pictures that a model knows best, and those it gets most wrong.

use super::html::{escape, percent};
use crate::data::Source;
use crate::draw::encode::jpeg_uri;
use crate::eval::{Answer, Report};
use crate::image::Resize;
use std::fmt::Write;

/// Pictures of either kind.
const SHOWN: usize = 24;
/// Rows and columns of a picture in the page.
const SIDE: usize = 96;

/// The pictures as HTML: each 96 x 96 pixels of JPEG within the page.
pub(super) fn examples(report: &Report, source: &dyn Source) -> String {
    let mut wrong: Vec<&Answer> = report.answers.iter().filter(|answer| !answer.is_right()).collect();
    wrong.sort_by(|a, b| {
        a.of_label.total_cmp(&b.of_label).then(b.probability.total_cmp(&a.probability)).then(a.picture.cmp(&b.picture))
    });
    let mut right: Vec<&Answer> = report.answers.iter().filter(|answer| answer.is_right()).collect();
    right.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.picture.cmp(&b.picture)));
    let count = wrong.len();
    let worst = if count == 0 {
        "<p>It gets none of them wrong.</p>".into()
    } else {
        format!("<p class=\"soft\">The least probability for what they are, of {count} wrong ones.</p>")
            + &sheet(&wrong, report, source)
    };
    let best = if right.is_empty() { "<p>It gets none of them right.</p>".into() } else { sheet(&right, report, source) };
    format!(
        "<section class=\"card\"><h3>Worst mistakes</h3>{worst}</section>\n<section class=\"card\"><h3>Surest right answers</h3>{best}</section>\n"
    )
}

fn sheet(answers: &[&Answer], report: &Report, source: &dyn Source) -> String {
    let mut html = String::from("<div class=\"sheet\">\n");
    let class = |class: u32| report.per_class.get(class as usize).map_or("?", |class| class.class.as_str());
    for answer in answers.iter().take(SHOWN) {
        let i = answer.picture as usize;
        let (is, said) = (class(answer.label), class(answer.class));
        let picture = match source.picture(i) {
            Ok(picture) => {
                let small = Resize::Square(SIDE).apply(&picture);
                format!("<img alt=\"{}\" width=\"{SIDE}\" height=\"{SIDE}\" src=\"{}\">", escape(is), jpeg_uri(&small))
            }
            // It could be read when the model saw it.
            Err(why) => format!("<p class=\"gone\">{}</p>", escape(&why)),
        };
        let tip = format!(
            "{}: is {is} ({}), said {said} ({})",
            source.name(i),
            percent(f64::from(answer.of_label)),
            percent(f64::from(answer.probability))
        );
        let caption = if answer.is_right() {
            format!("<b>{}</b>", escape(is))
        } else {
            format!("<b>{}</b><span class=\"not\">{}</span>", escape(is), escape(said))
        };
        let _ = writeln!(
            html,
            "<figure data-tip=\"{}\">{picture}<figcaption>{caption}<span class=\"soft\">{}</span></figcaption></figure>",
            escape(&tip),
            percent(f64::from(answer.probability))
        );
    }
    html + "</div>"
}
