//! Iterator over one epoch's batches, filled ahead of the consumer by a thread.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;

use super::mix::{self, Blend};
use super::{Batch, Shared};
use crate::engine::MixedLabel;

/// Maximum number of finished batches in the queue.
const AHEAD: usize = 1;

/// Batches of an epoch, in order. Dropping the iterator stops its threads once they finish their current images.
pub struct BatchIter {
    /// `None` once dropped, so that the thread cannot wait for a consumer.
    batches: Option<Receiver<Batch>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    left: usize,
    shared: Arc<Shared>,
}

/// What an iterator returns.
pub(super) struct Place {
    /// Epoch, which decides the order.
    pub(super) epoch: u64,
    /// View of its images.
    pub(super) view: u64,
    /// Epoch of the recipe, which decides whether batches are still mixed.
    pub(super) mixed_as: u64,
    /// First batch.
    pub(super) from_batch: usize,
}

impl BatchIter {
    pub(super) fn start(shared: Arc<Shared>, place: Place) -> Self {
        let (sender, receiver) = sync_channel(AHEAD);
        let stop = Arc::new(AtomicBool::new(false));
        let left = shared.batches().saturating_sub(place.from_batch);
        let run = {
            let (shared, stop) = (shared.clone(), stop.clone());
            move || produce(&shared, &place, &stop, &sender)
        };
        // If the system starts no more threads, the sender is dropped with `run`, and the consumer sees too few batches.
        let thread = std::thread::Builder::new().name("loader".into()).spawn(run).ok();
        BatchIter { batches: Some(receiver), stop, thread, left, shared }
    }
}

impl Iterator for BatchIter {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.as_ref()?.recv().ok()?;
        self.left -= 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for BatchIter {}

impl Drop for BatchIter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Its panics, which should not occur, have already been printed.
            let _ = thread.join();
        }
        // Between epochs others may need the memory more.
        if let Ok(mut home) = self.shared.home.lock() {
            home.clear();
        }
    }
}

fn produce(shared: &Shared, place: &Place, stop: &AtomicBool, sender: &SyncSender<Batch>) {
    let order = shared.order(place.epoch);
    let views = shared.views_of(&order, place.view);
    let batches = order.chunks(shared.options.batch).zip(views.chunks(shared.options.batch)).enumerate();
    for (number, (indices, views)) in batches.take(shared.batches()).skip(place.from_batch) {
        let own: Vec<_> = shared.cut.own(indices.len()).collect();
        let blocks: Vec<usize> = own.iter().map(ExactSizeIterator::len).collect();
        let first = own.first().map_or(0, |block| block.start);
        let own = first..first + blocks.iter().sum::<usize>();
        let blend = shared.blend(place, number);
        let batch = fill(shared, &Wanted { views, indices, own, blocks: &blocks, blend }, stop);
        if stop.load(Ordering::Relaxed) || sender.send(batch).is_err() {
            return;
        }
    }
}

/// A batch to fill.
pub(super) struct Wanted<'a> {
    /// View of each image.
    pub(super) views: &'a [u64],
    /// Images of the whole batch.
    pub(super) indices: &'a [u32],
    /// Positions in it of the images to return.
    pub(super) own: Range<usize>,
    /// Numbers of images to return in each block.
    pub(super) blocks: &'a [usize],
    /// Mixing of the images. Partners that are not returned are loaded too, so that ranks mix as one process does.
    pub(super) blend: Option<Blend>,
}

/// Fills one batch with a view of each image. Any idle thread of the pool fills an image, at a position fixed by its index.
pub(super) fn fill(shared: &Shared, wanted: &Wanted<'_>, stop: &AtomicBool) -> Batch {
    let Wanted { views, indices, own, blocks, blend } = wanted;
    let (crop, n) = (shared.preprocess.crop, indices.len());
    let len = shared.crops_per_image() * 3 * crop * crop;
    let foreign = if blend.is_some() { mix::foreign_partners(own, n) } else { Vec::new() };
    let positions = own.clone().chain(foreign.iter().copied());
    let loaded: Vec<(u64, u32)> = positions.map(|position| (views[position], indices[position])).collect();
    let mut images = shared.home.lock().ok().and_then(|mut home| home.pop()).unwrap_or_default();
    images.resize(loaded.len() * len, 0.0);
    let one = |(&(view, i), out): (&(u64, u32), &mut [f32])| {
        if stop.load(Ordering::Relaxed) { Err(String::new()) } else { shared.fill(view, i, out) }
    };
    let results: Vec<Result<(), String>> =
        shared.pool.install(|| loaded.par_iter().zip(images.par_chunks_exact_mut(len)).with_max_len(1).map(one).collect());
    let mixed = blend.as_ref().map(|blend| {
        let is_whole: Vec<bool> = results.iter().map(Result::is_ok).collect();
        let is_mixed = shared.pool.install(|| mix::blend(blend, &mut images, (len, crop), (own, &foreign, n), &is_whole));
        (blend.share, is_mixed)
    });

    let home = Some(shared.home.clone());
    let mut batch =
        Batch { images, labels: vec![], mixed: vec![], indices: vec![], parts: vec![0; blocks.len()], broken: vec![], home };
    let mut block_of = blocks.iter().enumerate().flat_map(|(block, &len)| std::iter::repeat_n(block, len));
    let label = |i: u32| shared.source.label(i as usize);
    for (position, (&(_, i), result)) in loaded.iter().zip(results).take(own.len()).enumerate() {
        let block = block_of.next().unwrap_or(0);
        match result {
            Ok(()) => {
                // Images behind a broken one move up.
                let target = batch.indices.len();
                if target != position {
                    batch.images.copy_within(position * len..(position + 1) * len, target * len);
                }
                batch.parts[block] += 1;
                batch.indices.push(i);
                batch.labels.push(label(i));
                if let Some((share, is_mixed)) = &mixed {
                    batch.mixed.push(match is_mixed[position] {
                        true => MixedLabel { label: label(indices[mix::partner(own.start + position, n)]), share: *share },
                        false => MixedLabel { label: label(i), share: 0.0 },
                    });
                }
            }
            Err(text) => batch.broken.push((i, text)),
        }
    }
    batch.images.truncate(batch.indices.len() * len);
    batch
}
