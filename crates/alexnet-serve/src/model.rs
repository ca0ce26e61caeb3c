//! A model in memory, with its engine.

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

/// A loaded model. Whoever holds it gets answers of these very weights, even when newer ones have come.
pub(crate) struct ServedModel {
    pub(crate) name: String,
    pub(crate) net: Net,
    pub(crate) preprocess: Arc<Preprocess>,
    pub(crate) classes: Vec<String>,
    /// What the file was like when it was read.
    pub(crate) stamp: Stamp,
    /// Most inputs that go through the network together.
    pub(crate) batch: usize,
    pub(crate) lane: Batcher,
    /// The images that it knows.
    pub(crate) index: Option<Arc<Index>>,
}

impl ServedModel {
    /// Rows and columns of an input.
    pub(crate) fn size(&self) -> usize {
        self.net.image_size
    }

    /// The index that goes with the file that this was loaded from.
    pub(crate) fn open_index(&self, file: &ModelFile) -> alexnet::Result<Option<Arc<Index>>> {
        let open = |index| Index::open(index, &file.path, &self.net, &self.preprocess).map(Arc::new);
        file.index.as_ref().map(open).transpose()
    }

    /// Bytes of the longest class name.
    pub(crate) fn longest_class(&self) -> usize {
        self.classes.iter().map(String::len).max().unwrap_or(0)
    }

    /// Values of an input.
    pub(crate) fn input_len(&self) -> usize {
        3 * self.size() * self.size()
    }
}

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// A file renamed over another one has another number.
    number: u64,
}

impl Stamp {
    /// The file's now.
    pub(crate) fn of(path: &Path) -> alexnet::Result<Stamp> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Stamp { modified: about.modified().ok(), length: about.len(), number })
    }
}

/// Reads a model into memory and starts its engine, warmed up. Its index is not opened yet.
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
        return Err(Error::file(path, "changed while it was read; write a new file beside it and rename it"));
    }
    if let Some((name, _)) = model.tensors.iter().find(|(_, values)| !values.iter().all(|value| value.is_finite())) {
        return Err(Error::file(
            path,
            format!("{name} has values that are not finite (NaN or infinity); take an earlier checkpoint"),
        ));
    }
    let capacity = settings.batching.max;
    let mut engine = (settings.engines)(&mut model, capacity)?;
    // Transforms weights and takes memory, so that the first request need not; and fails where a request would. The first input is
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
        return Err(Error::file(path, "its answer to a grey image is not finite (NaN or infinity); take an earlier checkpoint"));
    }
    let lane = Batcher::start(engine, settings.batching, metrics, turn)
        .map_err(|e| Error::Invalid(format!("cannot start a thread for the model {}: {e}", file.name)))?;
    let (net, preprocess, classes) = (model.net, Arc::new(model.preprocess), model.classes);
    Ok(ServedModel { name: file.name.clone(), net, preprocess, classes, stamp, batch: capacity, lane, index: None })
}
