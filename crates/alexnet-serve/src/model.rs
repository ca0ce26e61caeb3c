//! A loaded model with its engine.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use alexnet::image::{Image, Preprocess};
use alexnet::net::Net;
use alexnet::{Error, formats, predict};

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
    /// Identity of the file when it was read.
    pub(crate) stamp: Stamp,
    /// Maximum number of inputs per batch.
    pub(crate) batch: usize,
    pub(crate) lane: Batcher,
    /// Feature index, if any.
    pub(crate) index: Option<Arc<Index>>,
}

impl ServedModel {
    /// Rows and columns of an input.
    pub(crate) fn size(&self) -> usize {
        self.net.image_size
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

/// Reads a model into memory and starts its engine, warmed up. The index is not opened yet.
pub(crate) fn load(
    file: &ModelFile,
    settings: &Settings,
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
) -> alexnet::Result<ServedModel> {
    let path = &file.path;
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
    Ok(ServedModel { name: file.name.clone(), net, preprocess, classes, stamp, batch: capacity, lane, index: None })
}
