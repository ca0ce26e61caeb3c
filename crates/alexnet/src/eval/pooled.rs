//! Evaluation of several models together, one after another: only one needs to be in memory, beside a number per image and class.

use super::answer::Seen;
use super::{Answer, Observer, Options, Report, of_all_ranks, of_batches, report};
use crate::class_match::reorder;
use crate::data::loader::Loader;
use crate::distributed::{Communicator, SingleProcess};
use crate::engine::Inference;
use crate::predict::log_probabilities;
use crate::{Error, Result, memory};

/// Probabilities of the images of a data set, summed over models.
pub struct Pooled {
    classes: Vec<String>,
    options: Options,
    models: usize,
    /// Source index and label of each of this rank's images.
    images: Vec<(u32, u32)>,
    /// `[images, classes]`.
    sums: Vec<f64>,
    /// Unreadable images, with reasons.
    broken: Vec<(u32, String)>,
    /// Whether the images are shared among ranks.
    shared: bool,
}

impl Pooled {
    /// Sums without a model yet. `classes` are the ensemble's.
    pub fn new(classes: &[String], options: Options) -> Pooled {
        let (images, sums, broken) = (Vec::new(), Vec::new(), Vec::new());
        Pooled { classes: classes.to_vec(), options, models: 0, images, sums, broken, shared: false }
    }

    /// Adds a model and returns its own report. `loader` must have the same images as the others'; `outputs` are the model's
    /// outputs of the ensemble's classes, from [`match_models`](crate::class_match::match_models). After an error the sums are
    /// invalid.
    ///
    /// # Errors
    /// As [`evaluate_on`](super::evaluate_on), too many images for the memory, or an image that one model's loader can read and
    /// another's cannot.
    pub fn add(
        &mut self,
        ranks: &dyn Communicator,
        engine: &mut dyn Inference,
        loader: &Loader,
        outputs: &[usize],
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Report> {
        let (n, rows) = (self.classes.len(), self.options.crops * self.classes.len());
        let (first, images) = (self.models == 0, loader.images());
        if first {
            let needed = 8 * images.div_ceil(loader.cut().size.max(1)) as u128 * n as u128;
            memory::check(needed, || format!("the probabilities of {images} images of {n} classes"))?;
        }
        let mut run = super::logits_of(engine, loader);
        let mut at = 0;
        let mut next = |logits: &mut Vec<f32>| {
            let Some(batch) = run(logits)? else { return Ok(None) };
            reorder(logits, outputs);
            for (logits, (&image, &label)) in logits.chunks_exact(rows).zip(batch.indices.iter().zip(&batch.labels)) {
                let scores = log_probabilities(logits, n);
                if first {
                    self.images.push((image, label));
                    self.sums.extend(scores.iter().map(|score| score.exp()));
                } else {
                    if self.images.get(at) != Some(&(image, label)) {
                        return Err(Error::Invalid(format!("image {image} could not be read for every model")));
                    }
                    self.sums[at * n..][..n].iter_mut().zip(&scores).for_each(|(sum, score)| *sum += score.exp());
                }
                at += 1;
            }
            Ok(Some(batch))
        };
        self.shared = loader.cut().size > 1;
        let alone = SingleProcess::default();
        let ranks: &dyn Communicator = if self.shared { ranks } else { &alone };
        let report = of_batches(ranks, &mut next, &self.classes, self.options, &mut Progress(progress))?;
        if at != self.images.len() {
            return Err(Error::Invalid(format!("{at} of {} images could be read for this model", self.images.len())));
        }
        self.broken.clone_from(&report.broken);
        self.models += 1;
        Ok(report)
    }

    /// The report on the models added so far together; the observer gets the answers of this rank's images.
    ///
    /// # Errors
    /// No model, an error of the observer, or another rank has failed.
    pub fn report(&self, ranks: &dyn Communicator, observer: &mut dyn Observer) -> Result<Report> {
        if self.models == 0 {
            return Err(Error::Invalid("an ensemble needs at least one model".into()));
        }
        let mut unreadable = self.broken.iter().peekable();
        let (n, wants_answers) = (self.classes.len(), observer.wants_answers());
        let mut seen = Vec::with_capacity(self.images.len());
        for (sums, &(image, label)) in self.sums.chunks_exact(n).zip(&self.images) {
            let mean = |&sum: &f64| (sum / self.models as f64).max(f64::MIN_POSITIVE).ln();
            let scores: Vec<f64> = sums.iter().map(mean).collect();
            seen.push(Seen::new(&scores, image, label, self.options.threshold));
            if wants_answers {
                while let Some((i, reason)) = unreadable.next_if(|(i, _)| *i < image) {
                    observer.answer(&Answer::unreadable(*i, reason))?;
                }
                observer.answer(&Answer::new(&scores, image, label, self.options))?;
            }
        }
        if wants_answers {
            unreadable.try_for_each(|(i, reason)| observer.answer(&Answer::unreadable(*i, reason)))?;
        }
        // The reports of the models have the broken images of all ranks.
        let seen = if self.shared { of_all_ranks(ranks, &seen, &Vec::new())?.0 } else { seen };
        Ok(report::summarise(&seen, &self.classes, self.options, self.broken.clone()))
    }
}

/// Observer of a model's own evaluation.
struct Progress<'a>(&'a mut dyn FnMut(usize) -> bool);

impl Observer for Progress<'_> {
    fn progress(&mut self, done: usize) -> bool {
        self.0(done)
    }
}
