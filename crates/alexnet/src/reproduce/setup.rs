//! What a person chooses for a study.

use super::Study;
use crate::train::Settings;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Choices for a study. `None` means the study's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Training images; `None`: the built-in set.
    pub data: Option<PathBuf>,
    /// Validation images; `None`: a part of the training images, or the split next to them.
    pub val: Option<PathBuf>,
    /// Network.
    pub net: Option<String>,
    /// Image size in pixels.
    pub image_size: Option<usize>,
    /// Number of epochs of each run.
    pub epochs: Option<usize>,
    /// Number of seeds.
    pub seeds: Option<usize>,
    /// The first seed; the others follow it.
    pub seed: u64,
    /// Whether a few minutes must suffice: fewer epochs and seeds.
    pub quick: bool,
    /// Precision of training: `f32` or `bf16`.
    pub precision: Option<String>,
    /// Changes of the recipe's keys, in all arms.
    pub set: Vec<String>,
    /// Parts to remove, for the ablation.
    pub what: Vec<String>,
    /// Models to look at, instead of training some.
    pub models: Vec<PathBuf>,
    /// Number of threads, which does not affect results; 0: one per core.
    #[serde(skip)]
    pub threads: usize,
}

/// Length of a study: epochs of each run, and seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Number of epochs of each run.
    pub epochs: usize,
    /// Number of seeds.
    pub seeds: usize,
}

impl Setup {
    /// The length of a study.
    pub fn scale(&self, study: &Study) -> Scale {
        let own = if self.quick { study.quick } else { study.full };
        Scale { epochs: self.epochs.unwrap_or(own.epochs), seeds: self.seeds.unwrap_or(own.seeds) }
    }

    /// The seeds of a study.
    pub fn seeds(&self, study: &Study) -> Vec<u64> {
        (0..self.scale(study).seeds as u64).map(|i| self.seed.wrapping_add(i)).collect()
    }

    /// Settings of a run on these images, with the default recipe but without batch normalisation: the nets of the paper have
    /// none, and it would hide what local response normalisation and activations do.
    pub(super) fn plain(&self, study: &Study, net: &str) -> Settings {
        let settings = self.settings(study, net, "quick");
        settings.set("batch_norm=false")
    }

    /// Settings of a run on these images.
    pub(super) fn settings(&self, study: &Study, net: &str, recipe: &str) -> Settings {
        Settings {
            data: self.data.clone(),
            val: self.val.clone(),
            net: Some(net.to_string()),
            recipe: Some(recipe.to_string()),
            epochs: Some(self.scale(study).epochs),
            image_size: self.image_size,
            precision: self.precision.clone(),
            threads: self.threads,
            ..Settings::default()
        }
    }

    /// Rejects what this study does not take.
    pub(super) fn check(&self, study: &Study) -> Result<()> {
        let invalid = |text: String| Err(Error::Invalid(text));
        if !self.what.is_empty() && study.name != "ablation" {
            return invalid(format!("--what is for `reproduce ablation`; `reproduce {}` removes what it is about", study.name));
        }
        if !self.models.is_empty() && !study.takes_models {
            return invalid(format!("`reproduce {}` trains its own models; omit --model", study.name));
        }
        if self.scale(study).seeds == 0 {
            return invalid("--seeds 0: at least one run of each kind is needed".into());
        }
        if let Some(model) = self.models.iter().find(|model| !model.is_file()) {
            return Err(Error::file(model, "no such model file"));
        }
        if self.val.is_some() && self.data.is_none() {
            return invalid("--val needs --data".into());
        }
        Ok(())
    }
}
