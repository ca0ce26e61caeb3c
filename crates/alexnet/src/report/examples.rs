//! The most confident correct predictions and the worst mistakes.

use super::html::{escape, percent};
use crate::data::Dataset;
use crate::draw::encode::jpeg_uri;
use crate::eval::{Report, Scored};
use crate::image::Resize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Number of images of either kind.
const SHOWN: usize = 24;
/// Rows and columns of an image on the page.
const SIDE: usize = 96;

/// The images as HTML, each embedded as a JPEG of 96 x 96 pixels.
pub(super) fn examples(report: &Report, source: &dyn Dataset) -> String {
    let mut wrong: Vec<&Scored> = report.answers.iter().filter(|answer| !answer.is_right()).collect();
    wrong.sort_by(|a, b| {
        a.of_label.total_cmp(&b.of_label).then(b.probability.total_cmp(&a.probability)).then(a.image.cmp(&b.image))
    });
    let mut right: Vec<&Scored> = report.answers.iter().filter(|answer| answer.is_right()).collect();
    right.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.image.cmp(&b.image)));
    let count = wrong.len();
    // Otherwise a single hard or easy class could fill them all.
    let (wrong, right) = (in_turn(&wrong), in_turn(&right));
    let worst = if count == 0 {
        "<p>There are no mistakes.</p>".into()
    } else {
        format!("<p class=\"soft\">Lowest probability of the true class, alternating between classes, of {count} mistakes.</p>")
            + &sheet(&wrong, report, source)
    };
    let best = if right.is_empty() {
        "<p>There are no correct predictions.</p>".into()
    } else {
        "<p class=\"soft\">Highest probability of the true class, alternating between classes.</p>".to_string()
            + &sheet(&right, report, source)
    };
    format!(
        "<section class=\"card\"><h3>Worst mistakes</h3>{worst}</section>\n<section class=\"card\"><h3>Most confident correct predictions</h3>{best}</section>\n"
    )
}

/// The first of each class, then the second of each, and so on, each round in the original order, up to the number shown.
fn in_turn<'a>(answers: &[&'a Scored]) -> Vec<&'a Scored> {
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut rounds: Vec<(usize, &Scored)> = Vec::with_capacity(answers.len());
    for answer in answers {
        let round = seen.entry(answer.label).or_default();
        rounds.push((*round, answer));
        *round += 1;
    }
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, answer)| answer).take(SHOWN).collect()
}

fn sheet(answers: &[&Scored], report: &Report, source: &dyn Dataset) -> String {
    let mut html = String::from("<div class=\"sheet\">\n");
    let class = |class: u32| report.per_class.get(class as usize).map_or("?", |class| class.class.as_str());
    for answer in answers {
        let i = answer.image as usize;
        let (truth, predicted) = (class(answer.label), class(answer.class));
        let image = match source.image(i) {
            Ok(image) => {
                let small = image.resized_as(Resize::Square(SIDE));
                format!("<img alt=\"{}\" width=\"{SIDE}\" height=\"{SIDE}\" src=\"{}\">", escape(truth), jpeg_uri(&small))
            }
            // It was readable during the evaluation.
            Err(error) => format!("<p class=\"gone\">{}</p>", escape(&error.to_string())),
        };
        let tip = format!(
            "{}: true {truth} ({}), predicted {predicted} ({})",
            source.name(i),
            percent(f64::from(answer.of_label)),
            percent(f64::from(answer.probability))
        );
        let caption = if answer.is_right() {
            format!("<b>{}</b>", escape(truth))
        } else {
            format!("<b>{}</b><span class=\"not\">{}</span>", escape(truth), escape(predicted))
        };
        let _ = writeln!(
            html,
            "<figure data-tip=\"{}\">{image}<figcaption>{caption}<span class=\"soft\">{}</span></figcaption></figure>",
            escape(&tip),
            percent(f64::from(answer.probability))
        );
    }
    html + "</div>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_alternate_in_order() {
        let answer = |image: u32, label: u32| Scored { image, label, class: 0, probability: 0.5, of_label: 0.5 };
        // Class 0 has the first 30, then class 2 two and class 1 one.
        let all: Vec<Scored> = (0..30).map(|i| answer(i, 0)).chain([answer(30, 2), answer(31, 2), answer(32, 1)]).collect();
        let shown: Vec<u32> = in_turn(&all.iter().collect::<Vec<_>>()).iter().map(|answer| answer.image).collect();
        assert_eq!(shown[..6], [0, 30, 32, 1, 31, 2]);
        assert_eq!(shown.len(), SHOWN);
    }
}
