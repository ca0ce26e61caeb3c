//! Studies and their list.

use super::{Arm, Finding, Scale, Setup, ablation, comparison, error_rates, figure_1, figures, votes};
use crate::report::Run;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A claim, and how it is put to the test.
pub struct Study {
    /// Name, as in `alexnet reproduce NAME`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// The claim.
    pub claim: &'static str,
    /// Its place in Krizhevsky, Sutskever and Hinton 2012.
    pub place: &'static str,
    /// The paper's number.
    pub paper: &'static str,
    /// Usual length.
    pub full: Scale,
    /// Length of some minutes.
    pub quick: Scale,
    /// Whether it may look at existing models instead of training some.
    pub takes_models: bool,
    pub(super) arms: fn(&Study, &Setup) -> Result<Vec<Arm>>,
    pub(super) conclude: fn(&Trained<'_>) -> Result<Finding>,
}

/// All studies.
pub static STUDIES: [&Study; 13] = [
    &figure_1::STUDY,
    &comparison::LRN,
    &comparison::OVERLAP,
    &comparison::TWO_TOWERS,
    &comparison::DROPOUT,
    &comparison::AUGMENTATION,
    &comparison::PCA_NOISE,
    &votes::TEN_CROP,
    &votes::ENSEMBLE,
    &figures::FIGURE_3,
    &figures::FIGURE_4,
    &error_rates::STUDY,
    &ablation::STUDY,
];

/// A study by name.
///
/// # Errors
/// An unknown name.
pub fn by_name(name: &str) -> Result<&'static Study> {
    STUDIES.iter().find(|study| study.name == name).copied().ok_or_else(|| {
        let near = alexnet_hub::nearest_of(name, STUDIES.iter().map(|study| study.name));
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        Error::Invalid(format!("unknown study `{name}`{near} `alexnet reproduce list` has all"))
    })
}

/// The finished runs of a study.
pub struct Trained<'a> {
    /// The study.
    pub study: &'a Study,
    /// What was chosen for it.
    pub setup: &'a Setup,
    /// Its arms.
    pub arms: &'a [Arm],
    /// Its seeds.
    pub seeds: &'a [u64],
    /// Its runs: for each arm, one for each seed.
    pub runs: &'a [Vec<Run>],
    /// Its folder.
    pub out: &'a Path,
}

impl Trained<'_> {
    /// Number of last epochs whose mean is an arm's accuracy: a sixth of all, up to five.
    pub fn last_epochs(&self) -> usize {
        (self.setup.scale(self.study).epochs / 6).clamp(1, 5)
    }

    /// Mean of the last epochs of a run.
    pub(super) fn last(&self, run: &Run, of: impl Fn(&crate::report::Epoch) -> Option<f64>) -> f64 {
        let rows = &run.epochs[run.epochs.len().saturating_sub(self.last_epochs())..];
        rows.iter().map(|row| of(row).unwrap_or(f64::NAN)).sum::<f64>() / rows.len() as f64
    }

    /// Validation accuracy of each run of an arm.
    pub fn accuracies(&self, arm: usize) -> Vec<f64> {
        self.runs[arm].iter().map(|run| self.last(run, |row| row.val_top1)).collect()
    }

    /// Model of a run's last epoch.
    pub fn model(&self, arm: usize, seed: usize) -> PathBuf {
        self.runs[arm][seed].folder.join("last.safetensors")
    }

    /// What the runs had in common, for a note: images, size, epochs, seeds.
    pub(super) fn scale_note(&self) -> String {
        let scale = self.setup.scale(self.study);
        let data = self.setup.data.as_ref().map_or_else(|| "the built-in drawn images".into(), |data| data.display().to_string());
        let setting = |name: &str| self.runs.first().and_then(|runs| runs.first()?.setting(name).map(String::from));
        let size = setting("image_size").unwrap_or_default();
        let seeds = if scale.seeds == 1 { "1 seed".into() } else { format!("{} seeds", scale.seeds) };
        format!(
            "Trained on {data} at {size} pixels for up to {} epochs, {seeds}; the paper trained on 1.2 million images of ImageNet for 90 epochs.",
            scale.epochs
        )
    }
}
