//! Python's files: pickled dictionaries of a `numpy` array and lists.

use super::files::Part;
use super::pickle::{self, Id, Pickle, Value};
use super::{Batch, PIXELS};
use crate::unpacked::Plain;
use crate::{Error, Result};
use std::io::Write;

/// Labels and pixels of a file.
pub(super) fn batch(part: &Part, key: &str) -> Result<Batch> {
    let pickle = parse(part)?;
    let labels = pickle.items(entry(part, &pickle, key)?).and_then(|items| {
        let label = |&item: &Id| if let Value::Int(label) = pickle.get(item) { u32::try_from(*label).ok() } else { None };
        items.iter().map(label).collect::<Option<Vec<u32>>>()
    });
    let labels = labels.ok_or_else(|| part.error(format!("damaged: {key} is no list of labels")))?;
    let (shape, bytes) = array(part, &pickle, entry(part, &pickle, "data")?).map_err(|why| part.error(why))?;
    let count = labels.len() as u64;
    if shape.iter().copied().reduce(u64::saturating_mul) != Some(count.saturating_mul(PIXELS)) || shape.first() != Some(&count) {
        return Err(part.error(format!("{count} labels for an array of the shape {shape:?}")));
    }
    let expected = count * PIXELS;
    match *pickle.get(bytes) {
        Value::Bytes { start, length } | Value::Text { start, length } if length == expected => {
            Ok(Batch { labels, start, step: PIXELS, pixels: None })
        }
        Value::Latin1 { start, length } => {
            let pixels = of_latin1(part, start, length, expected)?;
            Ok(Batch { labels, start: 0, step: PIXELS, pixels: Some(pixels) })
        }
        _ => Err(part.error(format!("damaged: its pixels are not {expected} bytes"))),
    }
}

/// Class names.
pub(super) fn names(part: &Part, key: &str) -> Result<Vec<String>> {
    let pickle = parse(part)?;
    let names = pickle.items(entry(part, &pickle, key)?).and_then(|items| {
        let name = |&item: &Id| pickle.text(part.file(), item);
        items.iter().map(name).collect::<Option<Vec<String>>>()
    });
    names.ok_or_else(|| part.error(format!("damaged: {key} is no list of names")))
}

fn parse(part: &Part) -> Result<Pickle> {
    pickle::read(part.file(), part.start, part.size).map_err(|why| part.error(why))
}

fn entry(part: &Part, pickle: &Pickle, key: &str) -> Result<Id> {
    let Value::Dict(entries) = pickle.get(pickle.root) else { return Err(part.error("damaged: no dictionary")) };
    let found = entries.iter().rev().find(|(name, _)| pickle.text(part.file(), *name).as_deref() == Some(key));
    found.map(|(_, value)| *value).ok_or_else(|| part.error(format!("damaged: no entry {key}")))
}

/// Shape and bytes of an array of bytes in C order, as `_reconstruct` or, since numpy 2 and protocol 5, `_frombuffer` makes it.
fn array(part: &Part, pickle: &Pickle, value: Id) -> Result<(Vec<u64>, Id), String> {
    let damaged = || "damaged: data is no array of bytes in rows".to_string();
    let Value::Call { function, arguments, state } = pickle.get(value) else { return Err(damaged()) };
    let (shape, kind, plain, bytes) = match (*function, arguments.as_slice(), state.and_then(|state| pickle.items(state))) {
        ("_reconstruct", _, Some(&[_, shape, kind, fortran, bytes])) => {
            (shape, kind, *pickle.get(fortran) == Value::Int(0), bytes)
        }
        ("_frombuffer", &[bytes, kind, shape, _], _) => (shape, kind, true, bytes),
        _ => return Err(damaged()),
    };
    let Value::Call { function: "dtype", arguments, .. } = pickle.get(kind) else { return Err(damaged()) };
    let code = arguments.first().and_then(|&code| pickle.text(part.file(), code));
    if !plain || !matches!(code.as_deref(), Some("u1" | "uint8" | "|u1")) {
        return Err(damaged());
    }
    let axis = |&axis: &Id| if let Value::Int(n) = pickle.get(axis) { u64::try_from(*n).ok() } else { None };
    let shape = pickle.items(shape).and_then(|axes| axes.iter().map(axis).collect::<Option<Vec<u64>>>());
    Ok((shape.ok_or_else(damaged)?, bytes))
}

/// Bytes that Python 3 wrote as text in protocol 2, in a file of their own.
fn of_latin1(part: &Part, start: u64, length: u64, expected: u64) -> Result<Plain> {
    if length > expected.saturating_mul(2) {
        return Err(part.error(format!("damaged: its pixels are not {expected} bytes")));
    }
    let mut text = vec![0; length as usize];
    part.read(&mut text, start)?;
    let text = String::from_utf8(text).map_err(|_| part.error("damaged: its pixels are no text of bytes"))?;
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>();
    let bytes = bytes.ok().filter(|bytes| bytes.len() as u64 == expected);
    let bytes = bytes.ok_or_else(|| part.error(format!("damaged: its pixels are not {expected} bytes")))?;
    let mut file = tempfile::tempfile().map_err(|error| Error::io(std::env::temp_dir(), error))?;
    file.write_all(&bytes).map_err(|error| Error::io(std::env::temp_dir(), error))?;
    Ok(Plain::File(file, expected))
}
