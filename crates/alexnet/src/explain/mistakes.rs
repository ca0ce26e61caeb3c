//! The worst mistakes on a data set, as a contact sheet like the paper's Figure 4.

use crate::data::Dataset;
use crate::data::loader::Loader;
use crate::draw::contact_sheet::{Bar, Cell, ContactSheet, thumbnail};
use crate::draw::{BLUE, GREEN, GREY, INK};
use crate::engine::Inference;
use crate::predict::{ClassScore, log_probabilities, top_k};
use crate::{Error, Result};

/// Number of predictions kept per mistake.
const TOP: usize = 5;

/// A misclassified image.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Source index of the image.
    pub image: u32,
    /// True class.
    pub label: usize,
    /// Loss of the true class, -ln p, in nats.
    pub loss: f64,
    /// The five most probable classes, the first of which is wrong.
    pub scores: Vec<ClassScore>,
}

/// Mistakes on a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistakes {
    /// The worst mistakes, the highest loss first.
    pub worst: Vec<Mistake>,
    /// Number of images evaluated.
    pub images: usize,
    /// Number of misclassified images.
    pub wrong: usize,
    /// Source indices of unreadable images, with reasons.
    pub broken: Vec<(u32, String)>,
}

/// Finds the `count` worst mistakes among the images of a sequential loader with one crop per image; equal losses in the source's
/// order. `progress` receives the number of images done after each batch, and stops by returning `false`.
///
/// # Errors
/// An engine error, or a stop by `progress`.
pub fn worst(
    engine: &mut dyn Inference,
    loader: &Loader,
    count: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Mistakes> {
    let classes = engine.net().classes();
    let mut found = Mistakes { worst: Vec::new(), images: 0, wrong: 0, broken: Vec::new() };
    let mut logits = Vec::new();
    for mut batch in loader.epoch(0, 0) {
        found.broken.append(&mut batch.broken);
        if !batch.labels.is_empty() {
            engine.infer(&batch.images, &mut logits)?;
        }
        for ((logits, &label), &image) in logits.chunks_exact(classes).zip(&batch.labels).zip(&batch.indices) {
            let (label, scores) = (label as usize, top_k(logits, logits.len(), TOP));
            found.images += 1;
            if scores[0].index != label {
                let loss = -log_probabilities(logits, classes)[label];
                found.wrong += 1;
                found.worst.push(Mistake { image, label, loss, scores });
            }
        }
        found.worst.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.image.cmp(&b.image)));
        found.worst.truncate(count);
        if !progress(found.images + found.broken.len()) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    Ok(found)
}

/// A cell per mistake: the image, its class, and bars for the predictions; the green one is the true class.
///
/// # Errors
/// An image can no longer be read.
pub fn cells(mistakes: &[Mistake], source: &dyn Dataset, classes: &[String]) -> Result<Vec<Cell>> {
    mistakes.iter().map(|mistake| cell(mistake, source, classes)).collect()
}

fn cell(mistake: &Mistake, source: &dyn Dataset, classes: &[String]) -> Result<Cell> {
    let name = source.name(mistake.image as usize);
    let image = source.image(mistake.image as usize).map_err(|why| Error::Invalid(format!("{name}: {why}")))?;
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut cell = Cell::photograph(thumbnail(image)).line(&classes[mistake.label], INK).line(file, GREY);
    cell.bars = bars(&mistake.scores, mistake.label, classes);
    Ok(cell)
}

/// Bars for predictions; that of `label` is green.
pub fn bars(scores: &[ClassScore], label: usize, classes: &[String]) -> Vec<Bar> {
    let bar = |score: &ClassScore| Bar {
        label: classes[score.index].clone(),
        share: score.probability,
        colour: if score.index == label { GREEN } else { BLUE },
    };
    scores.iter().map(bar).collect()
}

impl Mistakes {
    /// The contact sheet of the mistakes.
    ///
    /// # Errors
    /// As [`cells`].
    pub fn sheet(&self, source: &dyn Dataset, classes: &[String]) -> Result<ContactSheet> {
        let Mistakes { images, wrong, worst, .. } = self;
        let cells = cells(worst, source, classes)?;
        let title = format!("The worst {} of {wrong} mistakes in {images} images", worst.len());
        let note = "Below each image: true class and file; the green bar is the true class".into();
        Ok(ContactSheet { note, ..ContactSheet::of(title, 6, 160, cells) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::Options;
    use crate::explain::tests::{Striped, preprocess, stripes};
    use std::sync::Arc;

    #[test]
    fn mistakes_are_sorted_by_decreasing_loss() {
        let source: Arc<dyn Dataset> = Arc::new(Striped::new());
        let options = Options { batch: 4, memory: Some(0), threads: 1, ..Options::default() };
        let loader = Loader::sequential(source.clone(), preprocess(), crate::image::crop::Crops::Centre, options).unwrap();
        let mut engine = stripes();
        let found = worst(&mut engine, &loader, 10, &mut |_| true).unwrap();
        assert_eq!((found.images, found.wrong, found.broken.len()), (8, 2, 1));
        assert_eq!(found.worst.iter().map(|m| (m.image, m.label)).collect::<Vec<_>>(), [(2, 0), (6, 1)]);
        assert!(found.worst[0].loss > found.worst[1].loss && found.worst[1].loss > 2f64.ln());
        let sheet = found.sheet(&*source, source.classes()).unwrap();
        let bars = &sheet.groups[0].cells[0].bars;
        assert_eq!((bars[0].label.as_str(), bars[1].colour), ("lying", GREEN));
        let one = worst(&mut engine, &loader, 1, &mut |_| true).unwrap();
        assert_eq!((one.worst.len(), one.wrong), (1, 2));
        assert!(worst(&mut engine, &loader, 1, &mut |_| false).is_err());
    }
}
