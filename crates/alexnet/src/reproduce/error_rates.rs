//! The error rates of ILSVRC 2010 to 2012 as published, and a person's own model beside them.

use super::votes::{images, models, name, one_arm, report};
use super::{Bar, Finding, Scale, Study, Table, Trained};
use crate::Result;
use crate::image::crop::Crops;

pub(super) static STUDY: Study = Study {
    name: "error-rates",
    title: "Error rates of ILSVRC 2010 to 2012",
    claim: "The network won ILSVRC-2012 with a top-5 test error rate of 15.3 %, against 26.2 % of the second-best entry.",
    place: "sections 6 and 1, tables 1 and 2",
    paper: "15.3 % against 26.2 %",
    full: Scale { epochs: 30, seeds: 1 },
    quick: Scale { epochs: 6, seeds: 1 },
    takes_models: true,
    arms: one_arm,
    conclude,
};

/// An entry and its published error rates in percent: the paper's tables 1 and 2, and the winner of ILSVRC-2011 (XRCE) from the challenge's
/// results. The challenge of 2012 published top-5 rates only; the paper's top-1 rates are of its validation images.
struct Entry {
    name: &'static str,
    on: &'static str,
    top1: Option<f64>,
    top5: f64,
}

#[rustfmt::skip]
const ENTRIES: [Entry; 9] = [
    Entry { name: "Sparse coding (winner of 2010)", on: "ILSVRC-2010 test", top1: Some(47.1), top5: 28.2 },
    Entry { name: "SIFT + Fisher vectors", on: "ILSVRC-2010 test", top1: Some(45.7), top5: 25.7 },
    Entry { name: "CNN", on: "ILSVRC-2010 test", top1: Some(37.5), top5: 17.0 },
    Entry { name: "Fisher vectors (winner of 2011)", on: "ILSVRC-2011 test", top1: None, top5: 25.8 },
    Entry { name: "SIFT + Fisher vectors (second of 2012)", on: "ILSVRC-2012 test", top1: None, top5: 26.2 },
    Entry { name: "1 CNN", on: "ILSVRC-2012 validation", top1: Some(40.7), top5: 18.2 },
    Entry { name: "1 CNN, pre-trained on ImageNet 2011", on: "ILSVRC-2012 validation", top1: Some(39.0), top5: 16.6 },
    Entry { name: "5 CNNs", on: "ILSVRC-2012 test; top-1: validation", top1: Some(38.1), top5: 16.4 },
    Entry { name: "7 CNNs, two pre-trained (winner of 2012)", on: "ILSVRC-2012 test; top-1: validation", top1: Some(36.7), top5: 15.3 },
];

fn conclude(trained: &Trained<'_>) -> Result<Finding> {
    let mut finding =
        Finding { ours: "the challenge's test images are not public; your own model:".into(), ..Finding::default() };
    let mut table = Table {
        title: "Error rates".into(),
        head: ["", "images", "top-1", "top-5"].map(String::from).to_vec(),
        rows: Vec::new(),
    };
    for entry in &ENTRIES {
        let rate = |rate: f64| format!("{rate:.1} %");
        table.rows.push(vec![entry.name.into(), entry.on.into(), entry.top1.map_or("–".into(), rate), rate(entry.top5)]);
        finding.bars.push(Bar { name: entry.name.into(), share: entry.top5 / 100.0, ours: false });
    }
    let (_, val) = images(trained)?;
    for model in models(trained) {
        let found = report(&model, &val, Crops::Ten, trained.setup.threads)?;
        let (top1, top5) = (1.0 - found.top1, 1.0 - found.top5);
        let on = trained.setup.val.as_ref().or(trained.setup.data.as_ref());
        let on = on.map_or_else(|| "the built-in images".into(), |path| path.display().to_string());
        table.rows.push(vec![name(&model), on, format!("{:.1} %", 100.0 * top1), format!("{:.1} %", 100.0 * top5)]);
        finding.ours = format!("{:.1} % top-1, {:.1} % top-5 of {} on your images", 100.0 * top1, 100.0 * top5, name(&model));
        finding.bars.push(Bar { name: format!("{} (yours)", name(&model)), share: top5, ours: true });
    }
    finding.tables.push(table);
    finding.notes.push(format!(
        "Published rates as in the paper. Yours: ten crops, {} images of {} classes, so not comparable unless they are ImageNet's.",
        val.len(),
        val.classes().len()
    ));
    Ok(finding)
}
