//! Warnings about runs that are unlikely to learn, or do not learn.

use crate::output::plural;
use alexnet::train::recipe::{FEW_TO_VALIDATE, Recipe, Sampling};

/// With fewer training images than this, fine-tuning a trained model matters more than any other option.
const FEW_TO_TRAIN: usize = 1000;
/// Consecutive epochs at chance-level loss before a warning.
const PATIENCE: usize = 3;

/// Problem with the training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symptom {
    /// The loss stays at chance level.
    NotLearning,
    /// The loss is far above chance level.
    Exploding,
}

/// Watches the loss of every epoch and warns once about each symptom.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    losses: Vec<f64>,
    seen: Vec<Symptom>,
}

/// Properties of the run known before the first step.
pub(super) struct Setting<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) train: usize,
    pub(super) validation: usize,
    pub(super) from: bool,
    /// Whether the images are the user's, not the built-in set.
    pub(super) own: bool,
}

/// Warnings about settings that work against each other, and about a data set that is too small.
pub(super) fn before(setting: &Setting<'_>) -> Vec<String> {
    let Setting { recipe, train, validation, from, own } = *setting;
    let mut lines = Vec::new();
    if recipe.loss.class_weights.is_some() && recipe.sampling == Sampling::Balanced {
        lines.push(
            "warning: balanced sampling already makes all classes equal, and class weights favour some of them again; use one of the two"
                .into(),
        );
    }
    if !own {
        return lines;
    }
    if (1..FEW_TO_VALIDATE).contains(&validation) {
        let share = 100.0 / validation as f64;
        lines.push(format!(
            "warning: only {validation} validation {}, so each one is {share:.1} % of the accuracy; --val PATH, more images, or a \
             larger --val-share make it more reliable",
            plural(validation as u64, "image")
        ));
    }
    if train < FEW_TO_TRAIN && !from {
        lines.push(format!(
            "warning: {train} images are few to train from scratch; fine-tuning with --from torchvision (ImageNet's weights) or \
             --from FILE gives better accuracy"
        ));
    }
    let left = if recipe.drop_last && train > recipe.batch { train % recipe.batch } else { 0 };
    if 4 * left > train {
        lines.push(format!(
            "warning: batches of {} skip {left} of {train} images in each epoch; a smaller --batch uses more of them",
            recipe.batch
        ));
    }
    lines
}

impl Warnings {
    /// Records an epoch's training loss. Returns a warning if a new symptom appears.
    pub(super) fn epoch(&mut self, loss: f64, classes: usize, epochs: usize) -> Option<String> {
        self.losses.push(loss);
        let symptom = symptom(&self.losses, classes, epochs).filter(|symptom| !self.seen.contains(symptom))?;
        self.seen.push(symptom);
        let chance = (classes as f64).ln();
        Some(match symptom {
            Symptom::NotLearning => format!(
                "warning: not learning: the training loss {loss:.2} is at chance level, ln({classes}) = {chance:.2}; try another --lr, a \
                 smaller --batch, more --epochs, or start from a trained model with --from"
            ),
            Symptom::Exploding => format!(
                "warning: the training loss has exploded: {loss:.2}, where chance level is ln({classes}) = {chance:.2}; try a lower --lr (a \
                 third or a tenth)"
            ),
        })
    }
}

/// Diagnoses the losses so far.
fn symptom(losses: &[f64], classes: usize, epochs: usize) -> Option<Symptom> {
    let chance = (classes as f64).ln();
    let (&first, &last) = (losses.first()?, losses.last()?);
    if !last.is_finite() || last > 4.0 * chance || (last > 2.0 * chance && last > 2.0 * first) {
        return Some(Symptom::Exploding);
    }
    // The first epochs of a long run may well be flat.
    let patience = PATIENCE.max(epochs / 5);
    let flat =
        losses.len() >= patience && losses[losses.len() - PATIENCE..].iter().all(|loss| (0.97..1.3).contains(&(loss / chance)));
    flat.then_some(Symptom::NotLearning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet::train::recipe::by_name;

    #[test]
    fn exploding_and_chance_level_losses_are_reported_once() {
        // Losses of 60 images in 3 classes with batches of 32.
        let mut warnings = Warnings::default();
        let warned: Vec<_> = [2.9, 16.0, 21.0, 9.0, 1.5, 1.12, 1.11, 1.10, 1.11, 1.12, 1.10]
            .iter()
            .filter_map(|loss| warnings.epoch(*loss, 3, 30))
            .collect();
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(warned[0].contains("exploded: 16.00") && warned[0].contains("--lr"), "{}", warned[0]);
        assert!(warned[1].contains("not learning") && warned[1].contains("ln(3) = 1.10"), "{}", warned[1]);
        let mut warnings = Warnings::default();
        assert!([2.6, 1.76, 1.1, 0.9].iter().all(|loss| warnings.epoch(*loss, 10, 4).is_none()));
        // A loss far above chance level is not reported as chance level.
        let mut warnings = Warnings::default();
        assert!([1.0, 1.19, 1.1, 1.2, 1.15].iter().all(|loss| warnings.epoch(*loss, 2, 4).is_none()));
    }

    #[test]
    fn class_weights_with_balanced_sampling_cause_a_warning() {
        let quick = by_name("quick").expect("a recipe");
        let warns = |changes: &[&str]| {
            let recipe = changes.iter().try_fold(quick.clone(), |recipe, change| recipe.set(change)).expect("a recipe");
            let setting = Setting { recipe: &recipe, train: 4000, validation: 500, from: false, own: false };
            before(&setting).join("\n").contains("use one of the two")
        };
        let (weights, balanced) = ("loss.class_weights=auto", "sampling=balanced");
        assert_eq!([&[weights][..], &[balanced], &[weights, balanced]].map(warns), [false, false, true]);
    }

    #[test]
    fn small_sets_cause_warnings_before_the_first_step() {
        let quick = by_name("quick").expect("a recipe");
        let lines =
            |recipe: &Recipe, train, validation, from| before(&Setting { recipe, train, validation, from, own: true }).join("\n");
        let small = lines(&Recipe { batch: 32, ..quick.clone() }, 54, 6, false);
        assert!(small.contains("only 6 validation images") && small.contains("16.7 %"), "{small}");
        assert!(small.contains("54 images are few") && small.contains("--from"), "{small}");
        assert!(small.contains("skip 22 of 54 images"), "{small}");
        assert!(!lines(&quick.clone().for_small_set(54, 6), 54, 6, true).contains("images in each"));
        assert_eq!(lines(&quick, 4000, 500, false), "");
    }
}
