//! Samples of shards: consecutive files with the same name up to the first dot.

use crate::containers::Place;
use crate::escape::printable;
use crate::image::decode::endings;
use crate::listing::Found;
use crate::passed_over::Reason;
use crate::read_at::{Buffered, Window};
use crate::tar::no_end_mark;
use crate::{Error, PassedOver, Result, files};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

/// Maximum size of a file that holds a label.
const MAX_LABEL: u64 = 1 << 20;
/// Maximum number of different labels.
const MAX_TEXTS: usize = 1 << 20;
/// Text number of an image without a label.
const NONE: u32 = u32::MAX;

/// File of a sample that holds its label, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Cls,
    Json,
    Txt,
}

impl Field {
    pub(super) fn of(suffix: &str) -> Option<Field> {
        match suffix {
            "cls" => Some(Field::Cls),
            "json" => Some(Field::Json),
            "txt" => Some(Field::Txt),
            _ => None,
        }
    }
}

/// Samples of all shards, in order.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) images: Found<Place>,
    /// For each image, the number of its label among `texts`; anything beyond for none.
    pub(super) labels: Vec<u32>,
    /// The different labels as they are written.
    pub(super) texts: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The file that holds the labels, the best of the first sample that has any.
    field: Option<Field>,
    pub(super) unlabelled: usize,
    pub(super) passed: PassedOver,
}

/// Files with one key.
#[derive(Default)]
struct Sample {
    key: String,
    suffixes: Vec<String>,
    /// Name, suffix and place of each image.
    images: Vec<(String, String, Place)>,
    label: Option<(Field, String)>,
}

impl Samples {
    /// Adds the samples of a shard, whose images are named `prefix/key.jpg`.
    pub(super) fn scan(&mut self, path: &Path, container: u32, prefix: &str) -> Result<()> {
        let (file, size) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
        let problem = |why: String| Error::file(path, why);
        if size == 0 {
            return Err(problem("empty file; copy or download it again".into()));
        }
        let broken = |error: std::io::Error| match error.to_string() {
            why if why.starts_with("numeric field") => problem("not a tar, or damaged: invalid number in a header".into()),
            why => problem(format!("broken tar: {why}")),
        };
        let mut archive = ::tar::Archive::new(Buffered::new(Window { file: &file, start: 0, size, at: 0 }));
        let (mut sample, mut keys, mut end) = (Sample::default(), HashSet::new(), 0);
        for entry in archive.entries_with_seek().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let kind = entry.header().entry_type();
            let start = entry.raw_file_position();
            end = start.checked_add(entry.size()).filter(|&end| end <= size).ok_or_else(|| {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                problem(format!("truncated within {}; copy or download it again", printable(&name)))
            })?;
            let Ok(name) = std::str::from_utf8(&entry.path_bytes()).map(String::from) else {
                return Err(problem("a name in it is not UTF-8; pack it again with UTF-8 names".into()));
            };
            if kind.is_dir() || kind.is_pax_global_extensions() || is_metadata(&name) {
                continue;
            }
            if !(kind.is_file() || kind.is_contiguous()) {
                let why = if kind.is_gnu_sparse() { Reason::Sparse } else { Reason::NotRegular };
                self.passed.add(why, format!("{prefix}/{name}"));
                continue;
            }
            let Some((key, suffix)) = key_and_suffix(&name) else {
                self.passed.add(Reason::NotImage, format!("{prefix}/{name}"));
                continue;
            };
            let suffix = suffix.to_lowercase();
            if sample.suffixes.is_empty() || sample.key != key {
                self.add(path, prefix, std::mem::take(&mut sample))?;
                if !keys.insert(key.to_string()) {
                    let key = printable(key);
                    return Err(problem(format!("files of {key} are not next to each other; pack it again in sorted order")));
                }
                sample.key = key.to_string();
            }
            if sample.suffixes.contains(&suffix) {
                return Err(problem(format!("contains {} twice", printable(&name))));
            }
            if is_image(&suffix) {
                sample.images.push((name.clone(), suffix.clone(), Place::in_tar(container, start, entry.size())));
            } else if let Some(field) = Field::of(&suffix)
                && self.field.is_none_or(|known| known == field)
                && sample.label.as_ref().is_none_or(|(known, _)| field < *known)
            {
                if entry.size() > MAX_LABEL {
                    return Err(problem(format!("{} is too large for a label", printable(&name))));
                }
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(broken)?;
                let label = label(field, bytes).map_err(|why| problem(format!("{}: {why}", printable(&name))))?;
                sample.label = label.map(|label| (field, label)).or(sample.label);
            }
            sample.suffixes.push(suffix);
        }
        self.add(path, prefix, sample)?;
        no_end_mark(size, end).map_or(Ok(()), |why| Err(problem(why.into())))
    }

    /// Adds a sample.
    fn add(&mut self, path: &Path, prefix: &str, sample: Sample) -> Result<()> {
        let Sample { key, suffixes, mut images, label } = sample;
        if suffixes.is_empty() {
            return Ok(());
        }
        // key.jpg before key.depth.jpg.
        if images.len() > 1 && images.iter().any(|(_, suffix, _)| !suffix.contains('.')) {
            images.retain(|(_, suffix, _)| !suffix.contains('.'));
        }
        let (name, place) = match images.as_slice() {
            [] => {
                self.passed.add(Reason::NotImage, format!("{prefix}/{key}.{}", suffixes[0]));
                return Ok(());
            }
            [(name, _, place)] => (name, *place),
            [(first, ..), (second, ..), ..] => {
                let [first, second] = [first, second].map(|name| printable(name));
                return Err(Error::file(path, format!("has two images for one key, {first} and {second}; keep one")));
            }
        };
        self.images.push(&format!("{prefix}/{}", name.trim_start_matches("./")), place);
        let number = match label.filter(|(field, _)| *self.field.get_or_insert(*field) == *field) {
            None => {
                self.unlabelled += 1;
                NONE
            }
            Some((_, text)) => match self.numbers.get(&text) {
                Some(&number) => number,
                None if self.texts.len() == MAX_TEXTS => {
                    return Err(Error::file(path, "more than a million different labels; are these captions?"));
                }
                None => {
                    let number = self.texts.len() as u32;
                    self.texts.push(text.clone());
                    self.numbers.insert(text, number);
                    number
                }
            },
        };
        self.labels.push(number);
        Ok(())
    }
}

/// Whether WebDataset's reader takes this for metadata.
fn is_metadata(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    first.len() >= 4 && first.starts_with("__") && first.ends_with("__")
}

/// Splits a name at the first dot of its last part, which is not the first character.
pub(super) fn key_and_suffix(name: &str) -> Option<(&str, &str)> {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[file..].find('.').filter(|&dot| dot > 0)? + file;
    Some((&name[..dot], &name[dot + 1..]))
}

/// Whether files of this suffix are images.
pub(super) fn is_image(suffix: &str) -> bool {
    let ending = suffix.rsplit('.').next().unwrap_or(suffix);
    endings().any(|known| known == ending)
}

/// The label in a file; `None` if it has none.
fn label(field: Field, bytes: Vec<u8>) -> Result<Option<String>, String> {
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let text = text.trim_start_matches('\u{FEFF}').trim();
    let label = if field == Field::Json { super::labels::in_json(text)? } else { Some(text.to_string()) };
    match label {
        Some(label) if label.contains('\n') => Err("several lines, but a label is one".into()),
        label => Ok(label.filter(|label| !label.is_empty())),
    }
}
