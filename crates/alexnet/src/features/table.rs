//! A table of features and what it is of.

use super::{Pool, npy};
use crate::formats::{TensorData, TensorFile};
use crate::image::Preprocess;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the tensor, of the column, and of what is said about it.
pub(super) const FEATURES: &str = "features";
/// Keys of the lists that go with it.
pub(super) const NAMES: &str = "names";
pub(super) const LABELS: &str = "labels";

/// What features were taken with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// sha256 of the model file, as `alexnet inspect` tells it.
    pub model: String,
    /// The net's name.
    pub net: String,
    /// The layer, as asked for.
    pub layer: String,
    /// Whether before the activation that follows the layer.
    pub before_relu: bool,
    /// What became of its maps.
    pub pool: Pool,
    /// Shape of an image's features.
    pub shape: Vec<usize>,
    /// f32 or bf16.
    pub precision: String,
    /// How images were prepared (the mean image, if there is one, is the model's).
    pub preprocess: Preprocess,
}

impl Provenance {
    /// Why features of `self` and of `other` cannot be compared, if so.
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
        // A mean image's values are the model's, which is known by its sum; a sidecar does not hold them.
        let preparing = |about: &Provenance| serde_json::to_value(&about.preprocess).ok();
        (preparing(self) != preparing(other)).then(|| "made with another preprocessing of the images".into())
    }

    /// Numbers of an image.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Features of images, a row an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What they are.
    pub about: Provenance,
    /// The images' names in their set.
    pub names: Vec<String>,
    /// Their classes, where they lay in classes.
    pub labels: Vec<Option<String>>,
    /// `[pictures, about.width()]`, left in the mapped file.
    pub rows: TensorData,
}

/// What a sidecar holds beside the numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) features: Provenance,
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<Option<String>>,
}

/// The file beside `features.npy` that tells what is in it: `features.json`.
pub(super) fn sidecar(path: &Path) -> PathBuf {
    path.with_extension("json")
}

impl Table {
    /// Reads a table of [`Writer`](super::Writer): `.npy` with its `.json`, or `.safetensors`.
    ///
    /// # Errors
    /// Another kind of file, or one whose parts do not fit each other.
    pub fn read(path: &Path) -> Result<Table> {
        let fail = |message: &str| Error::file(path, message);
        let table = match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "npy" => {
                let beside = sidecar(path);
                let text = crate::files::read_text(&beside).map_err(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        Error::file(
                            &beside,
                            format!(
                                "missing: `alexnet features` wrote it beside {name}, and both go together; copy it there, too"
                            ),
                        )
                    }
                    _ => Error::io(&beside, e),
                })?;
                let Sidecar { features, names, labels } = serde_json::from_str(&text)
                    .map_err(|e| Error::file(&beside, format!("not what `alexnet features` writes beside an .npy: {e}")))?;
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
                return Err(fail("an index is read from .npy or .safetensors; write the features once more as one of them"));
            }
            _ => return Err(fail("an index is an .npy or .safetensors that `alexnet features` wrote")),
        };
        let width = table.about.shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).unwrap_or_default();
        let all = width.checked_mul(table.names.len());
        if width == 0 || table.labels.len() != table.names.len() || all != Some(table.rows.len()) {
            return Err(fail("its names, labels and rows are not equally many"));
        }
        Ok(table)
    }

    /// The same table in memory, so that its file may change.
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
    let text = file.text(key).ok_or_else(|| Error::file(file.path(), "a safetensors file, but not one of `alexnet features`"))?;
    serde_json::from_str(text).map_err(|e| Error::file(file.path(), format!("its metadata's {key} cannot be understood: {e}")))
}
