//! A feature table with its provenance.

use super::{Pool, npy};
use crate::formats::{TensorData, TensorFile};
use crate::image::Preprocess;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the tensor, column and metadata key.
pub(super) const FEATURES: &str = "features";
/// Metadata keys of the lists.
pub(super) const NAMES: &str = "names";
pub(super) const LABELS: &str = "labels";

/// Origin of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// sha256 of the model file, as printed by `alexnet inspect`.
    pub model: String,
    /// Name of the net.
    pub net: String,
    /// Name of the layer as requested.
    pub layer: String,
    /// Whether taken before the activation that follows the layer.
    pub before_relu: bool,
    /// Pooling of the maps.
    pub pool: Pool,
    /// Shape of an image's features.
    pub shape: Vec<usize>,
    /// f32 or bf16.
    pub precision: String,
    /// Preprocessing of the images (a mean image is the model's).
    pub preprocess: Preprocess,
}

impl Provenance {
    /// Reason why features of `self` and `other` cannot be compared, if any.
    pub fn difference(&self, other: &Provenance) -> Option<String> {
        let short = |sum: &str| sum.chars().take(12).collect::<String>();
        if self.model != other.model {
            return Some(format!(
                "made with another model: {} of sha256 {}..., not {} of {}...",
                self.net,
                short(&self.model),
                other.net,
                short(&other.model)
            ));
        }
        let of = |about: &Provenance| {
            let relu = if about.before_relu { " before its activation" } else { "" };
            format!("{}{relu}, pool {}, {:?}", about.layer, about.pool.name(), about.shape)
        };
        if of(self) != of(other) {
            return Some(format!("features of {}, not of {}", of(self), of(other)));
        }
        if self.precision != other.precision {
            return Some(format!("made in {}, not in {}; give --precision {}", self.precision, other.precision, self.precision));
        }
        // A mean image's values belong to the model, which is identified by its hash; a sidecar does not contain them.
        let preparing = |about: &Provenance| serde_json::to_value(&about.preprocess).ok();
        (preparing(self) != preparing(other)).then(|| "made with different image preprocessing".into())
    }

    /// Number of features per image.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Feature table with one row per image.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Origin of the features.
    pub about: Provenance,
    /// Names of the images within their set.
    pub names: Vec<String>,
    /// Classes of the images, if they have any.
    pub labels: Vec<Option<String>>,
    /// `[images, about.width()]`, memory-mapped.
    pub rows: TensorData,
}

/// Content of the sidecar file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) features: Provenance,
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<Option<String>>,
}

/// Path of the sidecar of `features.npy`: `features.json`.
pub(super) fn sidecar(path: &Path) -> PathBuf {
    path.with_extension("json")
}

impl Table {
    /// Reads a table written by [`Writer`](super::Writer): `.npy` with its `.json`, or `.safetensors`.
    ///
    /// # Errors
    /// Another kind of file, or one with inconsistent parts.
    pub fn read(path: &Path) -> Result<Table> {
        let fail = |message: &str| Error::file(path, message);
        let table = match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "npy" => {
                let beside = sidecar(path);
                let text = crate::files::read_text(&beside).map_err(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        Error::file(&beside, format!("missing; `alexnet features` writes it next to {name}, so copy both"))
                    }
                    _ => Error::io(&beside, e),
                })?;
                let Sidecar { features, names, labels } = serde_json::from_str(&text)
                    .map_err(|e| Error::file(&beside, format!("not a sidecar written by `alexnet features`: {e}")))?;
                let rows = npy::map(path, names.len(), &features.shape)?;
                Table { about: features, names, labels, rows }
            }
            "safetensors" => {
                let file = TensorFile::open(path)?;
                let about: Provenance = part(&file, FEATURES)?;
                let (names, labels): (Vec<String>, Vec<Option<String>>) = (part(&file, NAMES)?, part(&file, LABELS)?);
                let shape: Vec<usize> = std::iter::once(names.len()).chain(about.shape.iter().copied()).collect();
                let rows = file.map(FEATURES, &shape)?;
                Table { about, names, labels, rows }
            }
            "parquet" => {
                return Err(fail("parquet cannot be used as an index; write the features as .npy or .safetensors"));
            }
            _ => return Err(fail("expected an index, an .npy or .safetensors written by `alexnet features`")),
        };
        let width = table.about.shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).unwrap_or_default();
        let all = width.checked_mul(table.names.len());
        if width == 0 || table.labels.len() != table.names.len() || all != Some(table.rows.len()) {
            return Err(fail("names, labels and rows differ in number"));
        }
        Ok(table)
    }

    /// Copies the table into memory, so that its file may change.
    #[must_use]
    pub fn copied(mut self) -> Table {
        self.rows = TensorData::from(self.rows.to_vec());
        self
    }

    /// The features of image `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        let width = self.about.width();
        &self.rows[i * width..(i + 1) * width]
    }
}

fn part<T: serde::de::DeserializeOwned>(file: &TensorFile, key: &str) -> Result<T> {
    let text =
        file.text(key).ok_or_else(|| Error::file(file.path(), "a safetensors file, but not written by `alexnet features`"))?;
    serde_json::from_str(text).map_err(|e| Error::file(file.path(), format!("invalid metadata {key}: {e}")))
}
