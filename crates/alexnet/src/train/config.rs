//! What a run was told, every setting as resolved: `RUN/config.toml`.

use super::recipe::Recipe;
use crate::class_match::LabelOrder;
use crate::net::Net;
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The settings of a run. Together with the images they determine every bit of its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the network.
    #[serde(deserialize_with = "crate::net::presets::deserialize_name")]
    pub net: String,
    /// Rows and columns of its input.
    pub image_size: usize,
    /// Training images; none for the built-in set.
    pub data: Option<PathBuf>,
    /// Validation images; none for a share of the training images, or the built-in set's own.
    pub val: Option<PathBuf>,
    /// The share of the training images that is held out where `val` is none.
    pub val_share: f64,
    /// Model that the parameters begin with.
    pub from: Option<PathBuf>,
    /// Class names that `from` was given, as its outputs have them; none for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// How the outputs of `from` were matched with class folders, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_order: Option<LabelOrder>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Arithmetic.
    pub precision: String,
    /// What runs it.
    pub device: String,
    /// Blocks that each batch is cut into for sums in a fixed order; none: as many as there are processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// How it is trained.
    pub recipe: Recipe,
}

impl Config {
    /// Writes it as TOML.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::file(path, format!("these settings cannot be written: {e}")))?;
        files::write_atomic(path, |out| out.write_all(text.as_bytes()))
    }

    /// Reads it back.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(path: &Path) -> Result<Config> {
        let text = files::read_text(path).map_err(|e| Error::io(path, e))?;
        let config: Config = toml::from_str(&text).map_err(|e| {
            let line = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            Error::file(path, format!("cannot be understood: {line}"))
        })?;
        config.recipe.check().map_err(|e| Error::file(path, e.to_string()))?;
        Ok(config)
    }

    /// The network, before the number of classes is known.
    ///
    /// # Errors
    /// An unknown name, or images too small for it.
    pub fn net(&self) -> Result<Net> {
        let net = crate::net::presets::by_name(&self.net)?.with_image_size(self.image_size);
        net.check_image_size()?;
        Ok(net)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe;

    #[test]
    fn every_recipe_comes_back_from_toml() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for name in recipe::NAMES {
            let config = Config {
                net: "torchvision".into(),
                image_size: 128,
                data: Some("a folder/ä".into()),
                val: None,
                val_share: 0.1,
                from: None,
                labels: (name == "finetune").then(|| "imagenet".into()),
                label_order: (name == "finetune").then_some(LabelOrder::Text),
                seed: 7,
                precision: "f32".into(),
                device: "cpu".into(),
                blocks: (name == "paper").then_some(8),
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
