//! Evaluation of a model: accuracy, loss, precision and recall of each class, confusion matrix, calibration.

mod answer;
mod calibration;
mod class_remap;
mod pooled;
mod report;
mod rows;
pub mod temperature;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Ranked, Scored};
pub use calibration::{BINS, Bin, Calibration};
pub use class_remap::{by_name, for_model};
pub use pooled::Pooled;
pub use report::{Averages, PerClass, Report, Selective, TOP5};
pub use rows::AnswerRows;

use crate::data::loader::{Batch, Loader};
use crate::distributed::{self, Communicator, SingleProcess};
use crate::engine::Inference;
use crate::predict::log_probabilities;
use crate::{Error, Result};
use answer::Seen;

/// Options of an evaluation; the default is one crop and top-5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Crops per image, as the loader makes them: 1 or 10, whose softmax outputs are averaged.
    pub crops: usize,
    /// K of the top-K accuracy and of the classes in each [`Answer`].
    pub top: usize,
    /// Probability below which a prediction counts as "unknown".
    pub threshold: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Options { crops: 1, top: TOP5, threshold: None }
    }
}

/// Observer of an evaluation.
pub trait Observer {
    /// Receives the number of images done after each batch; returning `false` stops the evaluation.
    fn progress(&mut self, done: usize) -> bool;

    /// Receives the answer for each of this rank's images, in the source's order.
    ///
    /// # Errors
    /// Any error ends the evaluation.
    fn answer(&mut self, _: &Answer) -> Result<()> {
        Ok(())
    }

    /// Whether [`answer`](Self::answer) is to be called.
    fn wants_answers(&self) -> bool {
        false
    }
}

impl<F: FnMut(usize) -> bool> Observer for F {
    fn progress(&mut self, done: usize) -> bool {
        self(done)
    }
}

/// Evaluates the images of a sequential loader. `crops` must be the loader's crops per image, 1 or 10, whose softmax outputs are
/// averaged. `progress` receives the number of images done after each batch, and stops the evaluation by returning `false`.
///
/// # Errors
/// An engine error, no readable image, or a stop by `progress`.
pub fn evaluate(
    engine: &mut dyn Inference,
    loader: &Loader,
    classes: &[String],
    crops: usize,
    mut progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Report> {
    evaluate_on(&SingleProcess::default(), engine, loader, classes, Options { crops, ..Default::default() }, &mut progress)
}

/// [`evaluate`] by several ranks, each with a loader [cut](Loader::with_cut) for it, or the whole. All ranks get the report on
/// all images; the observer receives this rank's count, and stops all ranks if it stops one.
///
/// # Errors
/// As [`evaluate`], an error of the observer, or another rank has failed.
pub fn evaluate_on(
    ranks: &dyn Communicator,
    engine: &mut dyn Inference,
    loader: &Loader,
    classes: &[String],
    options: Options,
    observer: &mut dyn Observer,
) -> Result<Report> {
    let mut next = logits_of(engine, loader);
    // Ranks that have seen all images need not exchange results.
    let alone = SingleProcess::default();
    let ranks: &dyn Communicator = if loader.cut().size > 1 { ranks } else { &alone };
    of_batches(ranks, &mut next, classes, options, observer)
}

/// The batches of a sequential loader, with the logits of their images.
fn logits_of(engine: &mut dyn Inference, loader: &Loader) -> impl FnMut(&mut Vec<f32>) -> Result<Option<Batch>> {
    let mut batches = loader.epoch(0, 0);
    let together = engine.infers_together();
    let mut part = Vec::new();
    move |logits: &mut Vec<f32>| {
        let Some(batch) = batches.next() else { return Ok(None) };
        logits.clear();
        let image = batch.images.len() / batch.labels.len().max(1);
        let mut done = 0;
        // Block by block, so that results are bit-identical for any distribution. No rank waits needlessly.
        for &n in batch.parts.iter().filter(|&&n| n > 0 || together) {
            engine.infer(&batch.images[done * image..(done + n) * image], &mut part)?;
            logits.extend_from_slice(&part);
            done += n;
        }
        Ok(Some(batch))
    }
}

/// [`evaluate_on`] for batches from any source: `next` returns one with the logits of its images.
pub(crate) fn of_batches(
    ranks: &dyn Communicator,
    next: &mut dyn FnMut(&mut Vec<f32>) -> Result<Option<Batch>>,
    classes: &[String],
    options: Options,
    observer: &mut dyn Observer,
) -> Result<Report> {
    let (mut seen, mut logits, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    let (n, wants_answers) = (classes.len(), observer.wants_answers());
    while let Some(mut batch) = next(&mut logits)? {
        let images = batch.indices.iter().zip(&batch.labels);
        // Answers in the source's order: broken images lie between the others.
        let mut unreadable = batch.broken.iter().peekable();
        for (logits, (&image, &label)) in logits.chunks_exact(options.crops * n).zip(images) {
            let scores = log_probabilities(logits, n);
            seen.push(Seen::new(&scores, image, label, options.threshold));
            if wants_answers {
                while let Some((i, reason)) = unreadable.next_if(|(i, _)| *i < image) {
                    observer.answer(&Answer::unreadable(*i, reason))?;
                }
                observer.answer(&Answer::new(&scores, image, label, options))?;
            }
        }
        if wants_answers {
            unreadable.try_for_each(|(i, reason)| observer.answer(&Answer::unreadable(*i, reason)))?;
        }
        broken.append(&mut batch.broken);
        if !observer.progress(seen.len() + broken.len()) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    let (seen, broken) = if ranks.size() == 1 { (seen, broken) } else { of_all_ranks(ranks, &seen, &broken)? };
    if seen.is_empty() {
        let reason = broken.first().map_or(String::new(), |(_, reason)| format!(": {reason}"));
        return Err(Error::Invalid(format!("none of the {} images could be read{reason}", broken.len())));
    }
    Ok(report::summarise(&seen, classes, options, broken))
}

/// Indices of unreadable images, with reasons.
type Broken = Vec<(u32, String)>;

/// Gathers the results of all ranks, in the source's order.
fn of_all_ranks(ranks: &dyn Communicator, seen: &[Seen], broken: &Broken) -> Result<(Vec<Seen>, Broken)> {
    let numbers = distributed::all_gather_f64(ranks, seen.iter().flat_map(|seen| seen.to_numbers()))?;
    let mut seen: Vec<Seen> = numbers.as_chunks().0.iter().map(Seen::of_numbers).collect();
    seen.sort_by_key(|seen| seen.answer.image);
    let mut broken: Broken = distributed::all_gather_values(ranks, broken)?.into_iter().flatten().collect();
    broken.sort();
    Ok((seen, broken))
}
