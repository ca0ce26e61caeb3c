//! Packing of a data set: images are prepared in parallel and appended in order by a thread of its own.

use super::format::{Form, Header, Origin, SplitClasses};
use super::layout::Whole;
use super::partial::{Member, Partial, Totals};
use super::prepare::{Prepared, prepare};
use crate::escape::printable;
use crate::{Demand, Error, Opened, Result, Source, Split, escape};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// Images that a thread prepares before the results are written.
const IMAGES_PER_THREAD: usize = 16;
/// Bytes of image files that a thread may hold.
const BYTES_PER_THREAD: u64 = 32 << 20;

/// What to do with images that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    /// Leave them out, and name them in the pack's index.
    Skip,
    /// Stop with an error.
    Stop,
}

/// Settings of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is done to the images.
    pub form: Form,
    /// What to do with images that cannot be decoded.
    pub on_bad: OnBad,
}

/// Result of packing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Contents of the pack.
    pub totals: Totals,
    /// Images that an earlier run had packed; all of them if the pack was there already.
    pub resumed: usize,
    /// Why an unfinished pack of the same name was not continued.
    pub restarted: Option<String>,
    /// Size of the image files of the source.
    pub bytes_before: u64,
    /// Size of the pack.
    pub bytes: u64,
}

/// Opens all splits of a data set for packing: training, validation and test; the whole set if it has no splits.
///
/// # Errors
/// As [`Source::open`].
pub fn open_all(source: &Source) -> Result<Vec<Opened>> {
    let first = source.open(Split::Train, Demand::All)?;
    let mut all = vec![first];
    if let Some(splits) = all[0].splits.clone() {
        for (there, split) in [(splits.validation, Split::Validation), (splits.test, Split::Test)] {
            if there.is_some() {
                all.push(source.open(split, Demand::All)?);
            }
        }
    }
    Ok(all)
}

/// Packs the splits that [`open_all`] has opened into the file `out`, in the current thread pool. `progress` is called with the number
/// of images done, from any thread, and returns whether to continue.
///
/// If an earlier call with the same images and settings was interrupted, this one continues it. `out` appears when it is whole.
///
/// # Errors
/// `out` is another file, another process is writing it, no image can be decoded, or one cannot and [`OnBad::Stop`] is set; the
/// system's errors in writing.
pub fn write(splits: &[Opened], out: &Path, options: Options, progress: &(dyn Fn(usize) -> bool + Sync)) -> Result<Summary> {
    let set = Set::of(splits);
    let header = set.header(options.form);
    let head = header.to_bytes().map_err(|why| Error::file(out, why))?;
    if out.symlink_metadata().is_ok() {
        return finished(out, &header);
    }
    let (mut partial, restarted) = Partial::open(out, &head, &|i| set.member(i))?;
    let resumed = partial.totals.entries();
    progress(resumed);
    let done = AtomicUsize::new(resumed);
    let appended = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let writer = scope.spawn(|| append(&set, &mut partial, receiver));
        let mut prepared = Ok(());
        let mut next = resumed;
        while next < set.len && prepared.is_ok() {
            let end = set.chunk(next);
            let one = |i| set.prepare(i, options.form, &|| progress(done.fetch_add(1, Ordering::Relaxed) + 1));
            let mut images: Vec<Result<Image, Stopped>> = (next..end).into_par_iter().with_max_len(1).map(one).collect();
            let bad = |image: &Result<Image, Stopped>| match image {
                Ok((_, Ok(_))) => false,
                Ok((_, Err(_))) => options.on_bad == OnBad::Stop,
                Err(Stopped) => true,
            };
            if let Some(at) = images.iter().position(bad) {
                prepared = Err(match images.drain(at..).next() {
                    Some(Ok((i, Err(why)))) => Error::Invalid(format!(
                        "{}: {}; to leave out such images, run the same command with --on-bad skip",
                        set.title(i),
                        escape::printable(&why)
                    )),
                    _ => Error::file(out, "stopped; the same command continues from here"),
                });
            }
            // The writer has failed, and says why below.
            if sender.send(images.into_iter().flatten().collect()).is_err() {
                break;
            }
            next = end;
        }
        drop(sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(prepared)
    });
    appended?;
    if partial.totals.images == 0 {
        return Err(Error::file(out, format!("none of the {} images could be decoded", set.len)));
    }
    let bytes_before = header.source.bytes;
    let (totals, bytes) = partial.finish()?;
    Ok(Summary { totals, resumed, restarted, bytes_before, bytes })
}

/// Number of an image, and the image or why it cannot be packed.
type Image = (usize, Result<Prepared, String>);

/// The caller has asked to stop.
struct Stopped;

/// Appends chunks of images until there are no more.
fn append(set: &Set<'_>, partial: &mut Partial, chunks: Receiver<Vec<Image>>) -> Result<()> {
    for chunk in chunks {
        for (i, image) in chunk {
            let member = set.member(i).ok_or_else(|| Error::Invalid(format!("there is no image {i}")))?;
            partial.append(member, &image)?;
        }
    }
    partial.sync()
}

/// The summary of a pack that is there already.
fn finished(out: &Path, header: &Header) -> Result<Summary> {
    let there = || Error::file(out, "already exists; remove it first, or choose another name");
    let pack = Whole::open(out).map_err(|_| there())?;
    if pack.header != *header {
        return Err(there().context("made from other images or with other settings"));
    }
    let totals = Totals::of(out, &pack)?;
    let bytes = pack.file.metadata().map_err(|error| Error::io(out, error))?.len();
    Ok(Summary { resumed: totals.entries(), totals, restarted: None, bytes_before: header.source.bytes, bytes })
}

/// All images of all splits, with numbers across them.
struct Set<'a> {
    splits: &'a [Opened],
    len: usize,
}

impl<'a> Set<'a> {
    fn of(splits: &'a [Opened]) -> Set<'a> {
        Set { splits, len: splits.iter().map(|split| split.source.len()).sum() }
    }

    /// Number of the split of an image, and of the image within it.
    fn find(&self, mut i: usize) -> Option<(usize, usize)> {
        for (number, split) in self.splits.iter().enumerate() {
            match i.checked_sub(split.source.len()) {
                Some(rest) => i = rest,
                None => return Some((number, i)),
            }
        }
        None
    }

    fn member(&self, i: usize) -> Option<Member<'a>> {
        let (split, i) = self.find(i)?;
        let source = &self.splits[split].source;
        Some(Member { split: split as u8, label: source.label(i), name: source.name(i) })
    }

    /// Name of an image for messages.
    fn title(&self, i: usize) -> String {
        let Some((split, i)) = self.find(i) else { return String::new() };
        let split = &self.splits[split];
        format!("{}: {}", split.title(), printable(split.source.name(i)))
    }

    fn file_size(&self, i: usize) -> u64 {
        self.find(i).and_then(|(split, i)| self.splits[split].source.file_size(i)).unwrap_or(0)
    }

    /// End of the images from `start` that are prepared together.
    fn chunk(&self, start: usize) -> usize {
        let threads = rayon::current_num_threads();
        let (mut end, mut room) = (start, BYTES_PER_THREAD * threads as u64);
        while end < self.len && end - start < IMAGES_PER_THREAD * threads {
            let bytes = self.file_size(end);
            if end > start && bytes > room {
                break;
            }
            room = room.saturating_sub(bytes);
            end += 1;
        }
        end
    }

    /// Prepares an image. `count` counts it and returns whether to continue.
    fn prepare(&self, i: usize, form: Form, count: &dyn Fn() -> bool) -> Result<Image, Stopped> {
        let image = match self.find(i) {
            Some((split, i)) => prepare(&*self.splits[split].source, i, form).map_err(Error::without_path),
            None => Err("there is no such image".into()),
        };
        if count() { Ok((i, image)) } else { Err(Stopped) }
    }

    fn header(&self, form: Form) -> Header {
        let mut sum = crc32fast::Hasher::new();
        let mut bytes = 0;
        for split in self.splits {
            for i in 0..split.source.len() {
                let size = split.source.file_size(i).unwrap_or(0);
                bytes += size;
                sum.update(split.source.name(i).as_bytes());
                sum.update(&split.source.label(i).to_le_bytes());
                sum.update(&size.to_le_bytes());
            }
        }
        let name =
            self.splits.first().and_then(|split| split.root.file_name()).unwrap_or_default().to_string_lossy().into_owned();
        let source = Origin { name, images: self.len as u64, bytes, fingerprint: sum.finalize() };
        let split = |split: &Opened| SplitClasses {
            name: split.taken.clone().unwrap_or_default(),
            classes: split.source.classes().to_vec(),
        };
        Header { form, source, splits: self.splits.iter().map(split).collect() }
    }
}
