//! A loaded model with its engine.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use alexnet::class_match::match_models;
use alexnet::image::{Image, Preprocess};
use alexnet::net::Net;
use alexnet::{Error, formats, predict};

use crate::api_error::ApiError;
use crate::batcher::Batcher;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::{ModelFile, Settings};

/// A loaded model. Its holder gets answers from these weights even after a reload.
pub(crate) struct ServedModel {
    pub(crate) name: String,
    pub(crate) net: Net,
    pub(crate) preprocess: Arc<Preprocess>,
    pub(crate) classes: Vec<String>,
    /// Identity of the files when they were read.
    pub(crate) stamps: Vec<Stamp>,
    /// Maximum number of inputs per batch.
    pub(crate) batch: usize,
    pub(crate) lane: Batcher,
    /// Feature index, if any.
    pub(crate) index: Option<Arc<Index>>,
    /// This model's output of each class of the ensemble that it belongs to; empty if they are the same.
    pub(crate) outputs: Vec<usize>,
    /// Further models of an ensemble, of which this is the first.
    pub(crate) others: Vec<Arc<ServedModel>>,
}

impl ServedModel {
    /// Rows and columns of an input.
    pub(crate) fn size(&self) -> usize {
        self.net.image_size
    }

    /// The models of an ensemble, or this one alone.
    pub(crate) fn members(&self) -> impl Iterator<Item = &ServedModel> {
        std::iter::once(self).chain(self.others.iter().map(|other| &**other))
    }

    /// Number of models.
    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether all models take the same network input.
    pub(crate) fn shares_input(&self) -> bool {
        self.others.iter().all(|other| other.size() == self.size() && other.preprocess == self.preprocess)
    }

    /// Number of inputs waiting for the engines.
    pub(crate) fn waiting(&self) -> usize {
        self.members().map(|member| member.lane.waiting()).sum()
    }

    /// Rejects an ensemble for a route that looks into one network.
    pub(crate) fn single(&self, route: &str) -> Result<(), ApiError> {
        if self.others.is_empty() {
            return Ok(());
        }
        let (name, n) = (&self.name, self.count());
        Err(ApiError::bad(format!(
            "{name} is an ensemble of {n} models; {route} needs a single model, served under its own name"
        )))
    }

    /// Opens the index that belongs to the file of this model.
    pub(crate) fn open_index(&self, file: &ModelFile) -> alexnet::Result<Option<Arc<Index>>> {
        let open = |index| Index::open(index, &file.path, &self.net, &self.preprocess).map(Arc::new);
        file.index.as_ref().map(open).transpose()
    }

    /// Length of the longest class name in bytes.
    pub(crate) fn longest_class(&self) -> usize {
        self.classes.iter().map(String::len).max().unwrap_or(0)
    }

    /// Number of values in an input.
    pub(crate) fn input_len(&self) -> usize {
        3 * self.size() * self.size()
    }
}

/// Properties that reveal a changed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Inode: a file renamed over another one has a different number.
    number: u64,
}

impl Stamp {
    /// Reads the file's current version.
    pub(crate) fn of(path: &Path) -> alexnet::Result<Stamp> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Stamp { modified: about.modified().ok(), length: about.len(), number })
    }
}

/// The files' current versions.
pub(crate) fn stamps(file: &ModelFile) -> alexnet::Result<Vec<Stamp>> {
    std::iter::once(&file.path).chain(&file.others).map(|path| Stamp::of(path)).collect()
}

/// Reads a model into memory, or all of an ensemble, and starts their engines, warmed up. The index is not opened yet.
pub(crate) fn load(
    file: &ModelFile,
    settings: &Settings,
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
) -> alexnet::Result<ServedModel> {
    let mut model = load_one(file, &file.path, settings, metrics.clone(), turn.clone())?;
    let first = file.path.display().to_string();
    for path in &file.others {
        let mut other = load_one(file, path, settings, metrics.clone(), turn.clone())?;
        other.outputs = match_models((&first, &model.classes), (&path.display().to_string(), &other.classes))?;
        model.stamps.append(&mut other.stamps);
        model.others.push(Arc::new(other));
    }
    Ok(model)
}

fn load_one(
    file: &ModelFile,
    path: &Path,
    settings: &Settings,
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
) -> alexnet::Result<ServedModel> {
    let stamp = Stamp::of(path)?;
    let mut model = formats::load_copied(path, file.net.as_deref())?;
    if Stamp::of(path)? != stamp {
        return Err(Error::file(path, "changed while being read; write a new file and rename it"));
    }
    if let Some((name, _)) = model.tensors.iter().find(|(_, values)| !values.iter().all(|value| value.is_finite())) {
        return Err(Error::file(
            path,
            format!("{name} has values that are not finite (NaN or infinity); use an earlier checkpoint"),
        ));
    }
    let capacity = settings.batching.max;
    let mut engine = (settings.engines)(&mut model, capacity)?;
    // Transforms weights and allocates memory ahead of the first request, and fails where a request would. The first input is
    // that of a grey image.
    let len = 3 * model.net.image_size * model.net.image_size;
    let mut inputs = Vec::with_capacity(capacity * len);
    let grey = Image { width: 1, height: 1, rgb: vec![128; 3] };
    predict::crop_tensors(&grey, &model.preprocess, alexnet::image::crop::Crops::Centre, &mut inputs);
    let fed = inputs.iter().all(|value| value.is_finite());
    inputs.resize(capacity * len, 0.0);
    let mut logits = Vec::new();
    engine.infer(&inputs, &mut logits)?;
    if !fed || !logits.iter().all(|value| value.is_finite()) {
        return Err(Error::file(path, "its output for a grey image is not finite (NaN or infinity); use an earlier checkpoint"));
    }
    let lane = Batcher::start(engine, settings.batching, metrics, turn)
        .map_err(|e| Error::Invalid(format!("cannot start a thread for the model {}: {e}", file.name)))?;
    let (net, preprocess, classes) = (model.net, Arc::new(model.preprocess), model.classes);
    Ok(ServedModel {
        name: file.name.clone(),
        net,
        preprocess,
        classes,
        stamps: vec![stamp],
        batch: capacity,
        lane,
        index: None,
        outputs: Vec::new(),
        others: Vec::new(),
    })
}
