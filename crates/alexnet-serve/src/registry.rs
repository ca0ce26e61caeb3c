//! Models by name, reloaded while requests continue.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::mpsc;

use crate::api_error::ApiError;
use crate::metrics::Metrics;
use crate::model::{ServedModel, Stamp, load, stamps};
use crate::{ModelFile, Settings, Shared};

/// All models in the order given.
pub(crate) struct Registry {
    settings: Settings,
    entries: Vec<Entry>,
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
}

struct Entry {
    file: ModelFile,
    loaded: RwLock<Arc<ServedModel>>,
    /// A changed file that failed to load; not retried until it changes again.
    given_up: Mutex<Option<Vec<Stamp>>>,
}

impl Registry {
    pub(crate) fn load(settings: &Settings, metrics: Arc<Metrics>) -> alexnet::Result<Registry> {
        let turn = Arc::new(Mutex::new(()));
        let entry = |file: &ModelFile| {
            let mut loaded = load(file, settings, metrics.clone(), turn.clone())?;
            loaded.index = loaded.open_index(file)?;
            Ok(Entry { file: file.clone(), loaded: RwLock::new(Arc::new(loaded)), given_up: Mutex::new(None) })
        };
        let entries = settings.models.iter().map(entry).collect::<alexnet::Result<_>>()?;
        Ok(Registry { settings: settings.clone(), entries, metrics, turn })
    }

    /// The model of a name, or the first one.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<Arc<ServedModel>, ApiError> {
        let entry = match name {
            None => self.entries.first(),
            Some(name) => self.entries.iter().find(|entry| entry.file.name == name),
        };
        entry.map(Entry::now).ok_or_else(|| {
            let names: Vec<&str> = self.entries.iter().map(|entry| entry.file.name.as_str()).collect();
            ApiError::new(StatusCode::NOT_FOUND, format!("no model {:?}; available: {}", name.unwrap_or(""), names.join(", ")))
        })
    }

    /// Snapshot of all models.
    pub(crate) fn all(&self) -> Vec<Arc<ServedModel>> {
        self.entries.iter().map(Entry::now).collect()
    }

    /// Reloads changed models. Blocks while reading.
    fn refresh(&self) {
        for entry in &self.entries {
            let Ok(stamps) = stamps(&entry.file) else { continue };
            let given_up = entry.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if stamps == entry.now().stamps || Some(&stamps) == given_up.as_ref() {
                continue;
            }
            match load(&entry.file, &self.settings, self.metrics.clone(), self.turn.clone()) {
                Ok(mut loaded) => {
                    // An index belongs to the old weights, unless a new one came with the new ones.
                    loaded.index = loaded.open_index(&entry.file).unwrap_or_else(|error| {
                        log::warn!("model {}: index dropped: {error}", entry.file.name);
                        None
                    });
                    *entry.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                    self.metrics.reloads.fetch_add(1, Ordering::Relaxed);
                    log::warn!("model {}: reloaded from {}", entry.file.name, entry.file.path.display());
                }
                Err(error) => {
                    *entry.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(stamps);
                    self.metrics.failed_reloads.fetch_add(1, Ordering::Relaxed);
                    log::error!("model {}: reload failed, keeping the old weights: {error}", entry.file.name);
                }
            }
        }
    }
}

impl Entry {
    fn now(&self) -> Arc<ServedModel> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reloads changed models on request, and periodically once files have not changed for one interval.
pub(crate) async fn keep_fresh(shared: Arc<Shared>, mut asked: mpsc::Receiver<()>, every: Duration) {
    let stamps = |shared: &Shared| shared.registry.entries.iter().map(|entry| stamps(&entry.file).ok()).collect::<Vec<_>>();
    let mut seen = stamps(&shared);
    loop {
        if every.is_zero() {
            if asked.recv().await.is_none() {
                return;
            }
        } else {
            match tokio::time::timeout(every, asked.recv()).await {
                Ok(Some(())) => {}
                Ok(None) => return,
                Err(_) => {
                    let now = stamps(&shared);
                    let still = now == seen;
                    seen = now;
                    // The file may still be being written.
                    if !still {
                        continue;
                    }
                }
            }
        }
        let shared = shared.clone();
        // A panic while reading a file is contained: the old weights stay.
        let _ = tokio::task::spawn_blocking(move || shared.registry.refresh()).await;
    }
}
