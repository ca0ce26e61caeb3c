//! The tar container: members `storages`, `tensors` and `pickle`.

use super::super::format::{Content, Format, Mark};
use super::super::pickle::{self, Id, Pickle};
use super::super::reader::{Cursor, ParseResult, Reader};
use super::super::tensor::Tensor;
use super::ALLOWED;
use super::legacy::key_text;
use super::state_dict::{Kept, RawStorage, class, tensors, view};
use std::collections::HashMap;

/// Maximum number of members examined, and of tensor axes.
const MOST_MEMBERS: usize = 64;
const MOST_AXES: usize = 32;

/// PyTorch's first format, a tar of `storages`, `tensors` and `pickle`.
#[derive(Debug)]
pub(crate) struct TorchTar;

impl Format for TorchTar {
    fn name(&self) -> &'static str {
        "PyTorch, tar container (before 0.1.10)"
    }

    fn framework(&self) -> &'static str {
        "PyTorch"
    }

    fn mark(&self) -> Mark {
        Mark::Own
    }

    fn sniff(&self, _reader: &Reader, head: &[u8]) -> bool {
        head.get(257..262) == Some(b"ustar")
    }

    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let (tensors, remarks) = parse(reader)?;
        Ok(Content { tensors, remarks, ..Content::default() })
    }
}

fn parse(reader: &Reader) -> ParseResult<(Vec<Tensor>, Vec<String>)> {
    let members = members(reader)?;
    let member = |name: &str| -> ParseResult<Cursor<'_>> {
        let &(start, length) = members.get(name).ok_or_else(|| format!("a tar without {name}, not a torch.save file"))?;
        Ok(reader.cursor(start, start.saturating_add(length)))
    };
    let storages = storages(&mut member("storages")?)?;
    let kept = kept(&mut member("tensors")?, &storages)?;
    let names = pickle::read(&mut member("pickle")?, ALLOWED)?;
    tensors(&names, &|pickle: &Pickle, what: Id| {
        let key = key_text(pickle, what)?;
        kept.get(&key).cloned().map(Kept::Tensor).ok_or_else(|| format!("damaged: no tensor {key}"))
    })
}

/// Location of each member.
fn members(reader: &Reader) -> ParseResult<HashMap<String, (u64, u64)>> {
    let broken = |e: std::io::Error| format!("a damaged tar ({e}); copy it again");
    let mut file = reader.file();
    std::io::Seek::rewind(&mut file).map_err(broken)?;
    let mut archive = ::tar::Archive::new(file);
    let mut members = HashMap::new();
    for entry in archive.entries_with_seek().map_err(broken)?.take(MOST_MEMBERS) {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_string();
        members.insert(name, (entry.raw_file_position(), entry.size()));
    }
    Ok(members)
}

/// Storages by key. The member holds their number, then for each a pickle of (key, location, class), its element count and data;
/// then a pickle of the views (key, key of the base storage, offset, elements).
fn storages(cursor: &mut Cursor<'_>) -> ParseResult<HashMap<String, RawStorage>> {
    let mut storages = HashMap::new();
    let count = pickle::read(cursor, ALLOWED)?;
    for _ in 0..count.count(count.root)? {
        let about = pickle::read(cursor, ALLOWED)?;
        let &[key, _, kind] = about.items(about.root).unwrap_or_default() else {
            return Err("damaged: an incomplete storage".into());
        };
        let (dtype, size) = class(&about, kind)?;
        let elements = u64::from_le_bytes(cursor.array()?);
        let length = elements.checked_mul(size).ok_or("damaged: the size of a storage overflows")?;
        storages.insert(key_text(&about, key)?, RawStorage { dtype, size, start: cursor.skip(length)?, length });
    }
    let views = pickle::read(cursor, ALLOWED)?;
    for &item in views.items(views.root).unwrap_or_default() {
        let &[key, root, offset, elements] = views.items(item).unwrap_or_default() else {
            return Err("damaged: an incomplete view of a storage".into());
        };
        let (root, offset, elements) = (key_text(&views, root)?, views.count(offset)?, views.count(elements)?);
        let base = *storages.get(&root).ok_or_else(|| format!("damaged: no storage {root}"))?;
        let end = offset.checked_add(elements).and_then(|end| end.checked_mul(base.size));
        if end.is_none_or(|end| end > base.length) {
            return Err(format!("damaged: a view exceeds the storage {root}"));
        }
        let part = RawStorage { start: base.start + offset * base.size, length: elements * base.size, ..base };
        storages.insert(key_text(&views, key)?, part);
    }
    Ok(storages)
}

/// Tensors by key. The member holds their number, then for each a pickle of (key, key of its storage, class), its axis count in 4
/// of 8 bytes, sizes, strides and offset.
fn kept(cursor: &mut Cursor<'_>, storages: &HashMap<String, RawStorage>) -> ParseResult<HashMap<String, Tensor>> {
    let mut kept = HashMap::new();
    let count = pickle::read(cursor, ALLOWED)?;
    for _ in 0..count.count(count.root)? {
        let about = pickle::read(cursor, ALLOWED)?;
        let &[key, storage, _] = about.items(about.root).unwrap_or_default() else {
            return Err("damaged: an incomplete tensor".into());
        };
        let key = key_text(&about, key)?;
        let storage = key_text(&about, storage)?;
        let storage = *storages.get(&storage).ok_or_else(|| format!("damaged: no storage {storage}"))?;
        let axes = u32::from_le_bytes(cursor.array()?) as usize;
        cursor.array::<4>()?;
        if axes > MOST_AXES {
            return Err(format!("damaged: a tensor with {axes} axes"));
        }
        let mut numbers = Vec::new();
        for _ in 0..2 * axes {
            numbers.push(u64::from_le_bytes(cursor.array()?) as usize);
        }
        let offset = u64::from_le_bytes(cursor.array()?);
        let strides = numbers.split_off(axes);
        kept.insert(key, view(storage, offset, numbers, strides)?);
    }
    Ok(kept)
}
