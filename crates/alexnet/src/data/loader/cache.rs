//! Cache of decoded images within a memory budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::image::Image;

/// A slot for each image of a source.
///
/// When the budget is used up, cached images stay and the others are decoded at each use: a cached part saves a part of the work,
/// while replacing old by new would save nothing, since each epoch visits every image once.
pub(super) struct ImageCache {
    images: Vec<OnceLock<Result<Arc<Image>, String>>>,
    free: AtomicU64,
}

/// Overhead per image in bytes.
const OVERHEAD: u64 = 64;

impl ImageCache {
    /// Creates slots for `count` images and a budget of `memory` bytes.
    pub(super) fn new(count: usize, memory: u64) -> Self {
        ImageCache { images: (0..count).map(|_| OnceLock::new()).collect(), free: AtomicU64::new(memory) }
    }

    /// Reduces the remaining budget to an equal part for each of `many`.
    pub(super) fn share(&mut self, many: u64) {
        *self.free.get_mut() /= many.max(1);
    }

    /// Image `i`, if it is in the cache.
    pub(super) fn kept(&self, i: usize) -> Option<Arc<Image>> {
        self.images[i].get()?.as_ref().ok().cloned()
    }

    /// Returns image `i` from the cache, or creates it by `make`.
    pub(super) fn get(&self, i: usize, make: impl FnOnce() -> Result<Image, String>) -> Result<Arc<Image>, String> {
        if let Some(image) = self.images[i].get() {
            return image.clone();
        }
        let made = make().map(Arc::new);
        let bytes = OVERHEAD
            + match &made {
                Ok(image) => image.rgb.len() as u64,
                Err(text) => text.len() as u64,
            };
        if self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes)).is_ok() {
            // Another thread may have been first; both created the same image.
            let _ = self.images[i].set(made.clone());
        }
        made
    }
}

/// Available memory of the system in bytes, if it reports it.
pub(super) fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    // A container's limit may be lower than the machine's memory.
    let number = |file: &str| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let group =
        number("/sys/fs/cgroup/memory.max").map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    Some(group.map_or(available, |group| group.min(available)))
}
