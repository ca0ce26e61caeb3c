//! Resolved settings of a run: `RUN/config.toml`.

use super::lr_change::LrChange;
use super::recipe::Recipe;
use super::snapshots::Snapshots;
use crate::class_match::LabelOrder;
use crate::data::Source;
use crate::net::{Activation, Net};
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Resolved settings of a run. Together with the images they determine every bit of its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the network.
    #[serde(deserialize_with = "crate::net::presets::deserialize_name")]
    pub net: String,
    /// Image size in pixels (rows and columns).
    pub image_size: usize,
    /// Activation function after every hidden layer; `None` for the net's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Training images; `None` for the built-in set.
    pub data: Option<PathBuf>,
    /// Validation images; `None` for a fraction of the training images, or the built-in set's own.
    pub val: Option<PathBuf>,
    /// Folder to which the paths in lists of images are relative, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_root: Option<PathBuf>,
    /// File with the class names in label order, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_classes: Option<PathBuf>,
    /// Fraction of the training images held out if `val` is `None`.
    pub val_share: f64,
    /// Model that the run starts from.
    pub from: Option<PathBuf>,
    /// Class names given for `from`, in output order; `None` for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Order of the class folders behind the outputs of `from`, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_order: Option<LabelOrder>,
    /// Random seed.
    pub seed: u64,
    /// Precision.
    pub precision: String,
    /// Device.
    pub device: String,
    /// Number of blocks per batch for sums in a fixed order; `None`: as many as processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// Snapshots.
    #[serde(default, skip_serializing_if = "Snapshots::is_none")]
    pub snapshots: Snapshots,
    /// Seconds in which the run ends; `None`: after the recipe's epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// Learning rates given by hand when the run was resumed, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lr_changes: Vec<LrChange>,
    /// Training recipe.
    pub recipe: Recipe,
}

impl Config {
    /// Writes the settings as TOML.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::file(path, format!("these settings cannot be written: {e}")))?;
        files::write_atomic(path, |out| out.write_all(text.as_bytes()))
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// The file cannot be read or parsed.
    pub fn read(path: &Path) -> Result<Config> {
        let text = files::read_text(path).map_err(|e| Error::io(path, e))?;
        let config: Config = toml::from_str(&text).map_err(|e| {
            let line = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            Error::file(path, format!("invalid configuration: {line}"))
        })?;
        config.recipe.check().map_err(|e| Error::file(path, e.to_string()))?;
        Ok(config)
    }

    /// The images at `path`, which is `data` or `val`.
    pub fn source(&self, path: &Path) -> Source {
        let lenient = self.val.is_some();
        Source { path: path.to_path_buf(), root: self.data_root.clone(), classes: self.data_classes.clone(), lenient }
    }

    /// The network, before the number of classes is known.
    ///
    /// # Errors
    /// An unknown name, or images too small for it.
    pub fn net(&self) -> Result<Net> {
        let net = crate::net::presets::by_name(&self.net)?.with_image_size(self.image_size);
        net.check_image_size()?;
        Ok(match self.activation {
            Some(activation) => net.with_activation(activation),
            None => net,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe;
    use crate::train::snapshots::Keep;

    #[test]
    fn every_recipe_round_trips_through_toml() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for name in recipe::NAMES {
            let config = Config {
                net: "torchvision".into(),
                image_size: 128,
                activation: (name == "paper").then_some(Activation::Tanh),
                data: Some("a folder/ä".into()),
                val: None,
                data_root: None,
                data_classes: (name == "simple").then(|| "names.txt".into()),
                val_share: 0.1,
                from: None,
                labels: (name == "finetune").then(|| "imagenet".into()),
                label_order: (name == "finetune").then_some(LabelOrder::Text),
                seed: 7,
                precision: "f32".into(),
                device: "cpu".into(),
                blocks: (name == "paper").then_some(8),
                snapshots: if name == "caffe" { Snapshots { every: 5, keep: Keep::Last(2) } } else { Snapshots::default() },
                time: (name == "quick").then_some(90.5),
                lr_changes: if name == "caffe" { vec![LrChange { step: 7, lr: 0.001, times: 0.1 }] } else { Vec::new() },
                recipe: recipe::by_name(name).unwrap(),
            };
            config.write(&path).unwrap();
            assert_eq!(Config::read(&path).unwrap(), config);
        }
        std::fs::write(&path, "net = 3").unwrap();
        let message = Config::read(&path).unwrap_err().to_string();
        assert!(message.contains("config.toml") && !message.contains('\n'), "{message}");
    }

    /// What the version before optimizers wrote.
    const EARLIER: &str = r#"
net = "torchvision"
image_size = 128
val_share = 0.1
seed = 7
precision = "f32"
device = "cpu"

[recipe]
name = "large-batch"
epochs = 100
batch = 32768
drop_last = true
lr = 32.0
momentum = 0.9
decay = 0.0005
bias_decay = 0.0
form = "rate_inside"
trust = 0.001
init = "net"
pictures = "image_net"

[recipe.bias_lr]
times = 0.001

[recipe.schedule]
kind = "warmup_poly"
epochs = 10.0
power = 2.0

[recipe.augment]
kind = "crop_mirror"
"#;

    #[test]
    fn a_run_of_an_earlier_version_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, EARLIER).unwrap();
        assert_eq!(Config::read(&path).unwrap().recipe, recipe::by_name("large-batch").unwrap());
    }
}
