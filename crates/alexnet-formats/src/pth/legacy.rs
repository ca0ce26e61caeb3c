//! The legacy container: pickles of a magic number, the protocol version and system information, then the pickle of the names,
//! the list of storages, and each storage as its element count and its data.

use super::super::format::{Content, Format, Mark};
use super::super::pickle::{self, Id, Pickle, Value};
use super::super::reader::{ParseResult, Reader};
use super::super::tensor::Tensor;
use super::ALLOWED;
use super::state_dict::{Kept, RawStorage, class, tensors};
use std::cell::RefCell;
use std::collections::HashMap;

/// `0x1950a86a20f9469cfc6c` as a pickle of protocol 2: LONG1 of ten bytes.
const MAGIC: [u8; 15] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, b'.'];

/// PyTorch's legacy stream of pickles with a magic number, 0.1.10 to 1.5.
#[derive(Debug)]
pub(crate) struct TorchLegacy;

impl Format for TorchLegacy {
    fn name(&self) -> &'static str {
        "PyTorch, legacy container (before 1.6)"
    }

    fn framework(&self) -> &'static str {
        "PyTorch"
    }

    fn mark(&self) -> Mark {
        Mark::Own
    }

    fn sniff(&self, _reader: &Reader, head: &[u8]) -> bool {
        head.starts_with(&MAGIC)
    }

    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let (tensors, remarks) = parse(reader)?;
        Ok(Content { tensors, remarks, ..Content::default() })
    }
}

/// Class and element count of the storages that the names refer to, by key.
type Referenced = RefCell<HashMap<String, ((super::Dtype, u64), u64)>>;

fn parse(reader: &Reader) -> ParseResult<(Vec<Tensor>, Vec<String>)> {
    let mut cursor = reader.cursor(0, reader.length());
    for what in ["magic number", "version", "system"] {
        pickle::read(&mut cursor, ALLOWED).map_err(|e| format!("its {what}: {e}"))?;
    }
    let names = pickle::read(&mut cursor, ALLOWED)?;
    let keys = pickle::read(&mut cursor, ALLOWED)?;

    // Data offsets depend on the sizes of all storages: a first pass over the names collects them.
    let referenced = Referenced::default();
    let note = |pickle: &Pickle, what: Id| -> ParseResult<Kept> {
        let (key, kind, count, _) = reference(pickle, what)?;
        referenced.borrow_mut().insert(key, (kind, count));
        let ((dtype, size), length) = (kind, count.checked_mul(kind.1).ok_or("damaged: the size of a storage overflows")?);
        Ok(Kept::Storage(RawStorage { dtype, size, start: 0, length }))
    };
    collect(&names, &note)?;

    let mut places = HashMap::new();
    for &key in keys.items(keys.root).ok_or("damaged: its list of storages is not a list")? {
        let key = key_text(&keys, key)?;
        let (kind, count) =
            referenced.borrow().get(&key).copied().ok_or_else(|| format!("damaged: unreferenced storage {key}"))?;
        let stored = u64::from_le_bytes(cursor.array()?);
        let length = count.checked_mul(kind.1).filter(|_| stored == count);
        let length = length.ok_or_else(|| format!("damaged: the storage {key} has {stored} elements, expected {count}"))?;
        places.insert(key, RawStorage { dtype: kind.0, size: kind.1, start: cursor.skip(length)?, length });
    }
    let resolve = |pickle: &Pickle, what: Id| -> ParseResult<Kept> {
        let (key, _, _, part) = reference(pickle, what)?;
        let storage = *places.get(&key).ok_or_else(|| format!("damaged: the storage {key} is missing"))?;
        let Some((offset, count)) = part else { return Ok(Kept::Storage(storage)) };
        let (skip, length) = (offset.checked_mul(storage.size), count.checked_mul(storage.size));
        match (skip, length) {
            (Some(skip), Some(length)) if skip.checked_add(length).is_some_and(|end| end <= storage.length) => {
                Ok(Kept::Storage(RawStorage { start: storage.start + skip, length, ..storage }))
            }
            _ => Err(format!("damaged: a view exceeds the storage {key}")),
        }
    };
    tensors(&names, &resolve)
}

/// Visits every reference in a pickle, including optimizer state: all storages are in the one stream.
fn collect(names: &Pickle, note: &dyn Fn(&Pickle, Id) -> ParseResult<Kept>) -> ParseResult<()> {
    names.persistent().try_for_each(|what| note(names, what).map(|_| ()))
}

/// Key, class, element count, and the part (offset, elements) of a reference `('storage', class, key, location, elements, view)`.
#[allow(clippy::type_complexity)]
fn reference(pickle: &Pickle, what: Id) -> ParseResult<(String, (super::Dtype, u64), u64, Option<(u64, u64)>)> {
    let items = pickle.items(what).unwrap_or_default();
    let &[_, kind, key, _, count, ..] = items else { return Err("damaged: a reference to a storage lacks parts".into()) };
    let part = match items.get(5).and_then(|&view| pickle.items(view)) {
        Some(&[_, offset, count]) => Some((pickle.count(offset)?, pickle.count(count)?)),
        _ => None,
    };
    Ok((key_text(pickle, key)?, class(pickle, kind)?, pickle.count(count)?, part))
}

/// A storage key, which the oldest files store as a number.
pub(super) fn key_text(pickle: &Pickle, key: Id) -> ParseResult<String> {
    match pickle.get(key) {
        Value::Text { text, .. } => Ok(text.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(format!("damaged: expected a key, got {}", other.kind())),
    }
}
