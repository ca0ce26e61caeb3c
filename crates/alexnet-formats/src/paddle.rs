//! Paddle's `.pdparams`: a pickled dictionary from names to numpy arrays; linear weights are [in, out]. Follows
//! `paddle/framework/io.py` and numpy's `_reconstruct`, `_frombuffer`.

use super::export_plan::{Export, ExportOptions, Written, export_under};
use super::format::{Content, Format, Mark};
use super::model::{MEAN_TENSOR, Model};
use super::pickle::{self, Allowed, Id, Pickle, Value, Writer, checkpoint};
use super::reader::{ParseResult, Reader};
use super::tensor::{Dtype, Storage, Tensor};
use super::tensor_data::LateValues;
use crate::Result;
use alexnet_files as files;
use alexnet_net::ParamNaming;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Globals allowed in such a pickle: numpy before and after version 2, and bytes as encoded by protocol 2.
const ALLOWED: Allowed = Allowed {
    names: &[
        "collections.OrderedDict",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer",
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
        "builtins.tuple",
        "__builtin__.tuple",
    ],
    advice: "save only the weights: paddle.save(layer.state_dict(), \"w.pdparams\")",
};

/// Key of Paddle's internal name table, which is ignored.
const TABLE: &str = "StructuredToParameterName@@";
/// Key under which protocols 2 and 3 split arrays with more than 2^30 values; AlexNet has none.
const PARTS: &str = "UnpackBigParamInfor@@";

/// Key of our own model metadata, a string. `paddle.load` returns it unchanged, and `set_state_dict` lists it, and the mean
/// image, among unexpected keys.
const ABOUT: &str = "alexnet.json";

/// Paddle's pickle of numpy arrays.
#[derive(Debug)]
pub(crate) struct Paddle;

impl Format for Paddle {
    fn name(&self) -> &'static str {
        "Paddle"
    }

    fn mark(&self) -> Mark {
        Mark::Own
    }

    /// A pickle of protocol 2 to 5.
    fn sniff(&self, _reader: &Reader, head: &[u8]) -> bool {
        matches!(head, [0x80, 2..=5, ..])
    }

    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let (tensors, metadata, remarks) = parse(reader)?;
        Ok(Content { tensors, metadata, graph: None, remarks })
    }

    fn linear_in_out(&self) -> bool {
        true
    }

    fn endings(&self) -> &'static [&'static str] {
        &["pdparams"]
    }

    fn refuses(&self, naming: &ParamNaming) -> Option<&'static str> {
        let known = naming.is_own() || naming.framework == "paddle";
        (!known).then_some(".pdparams files use Paddle names: --names paddle or own")
    }

    fn write(&self, path: &Path, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
        let mut usual = ParamNaming::all().into_iter().filter(|naming| naming.framework == "paddle");
        let usual = usual.find(|naming| export_under(model, naming).is_ok());
        let (mut export, remarks) = export_under(model, options.names.or(usual).unwrap_or(&ParamNaming::OWN))?;
        // Paddle's linear weights are [in, out] under any names.
        export.parameters.iter_mut().for_each(Written::exchange);
        write(path, &export)?;
        Ok(remarks)
    }
}

type Parsed = (Vec<Tensor>, BTreeMap<String, String>, Vec<String>);

fn parse(reader: &Reader) -> ParseResult<Parsed> {
    let pickle = pickle::read(&mut reader.cursor(0, reader.length()), ALLOWED)?;
    let (dict, mut remarks) = checkpoint::weights(&pickle, &|value| is_array(&pickle, value))?;
    let Value::Dict(entries) = pickle.get(dict) else { return Err("damaged: its weights are not a dictionary".into()) };
    let (mut tensors, mut metadata) = (Vec::new(), BTreeMap::new());
    for &(key, value) in entries {
        match pickle.text(key) {
            Some(TABLE) | None => {}
            Some(PARTS) => return Err("stores its arrays in parts; save it again with protocol=4".into()),
            Some(ABOUT) => metadata = about(reader, &pickle, value)?,
            Some(name) => match array(&pickle, value).map_err(|why| format!("{name}: {why}"))? {
                Some(found) => tensors.push(Tensor { name: name.into(), ..found }),
                None if remarks.len() < 20 => remarks.push(format!("{name} is {}, not an array", pickle.get(value).kind())),
                None => return Err("too many entries are not arrays; save layer.state_dict()".into()),
            },
        }
    }
    if tensors.is_empty() {
        return Err("holds no named arrays; save layer.state_dict()".into());
    }
    Ok((tensors, metadata, remarks))
}

/// Our own metadata of the model.
fn about(reader: &Reader, pickle: &Pickle, value: Id) -> ParseResult<BTreeMap<String, String>> {
    let broken = |why: String| format!("invalid entry {ABOUT}: {why}");
    let words = match pickle.get(value) {
        Value::Text { text, .. } => serde_json::from_str(text),
        Value::LongText { start, length } => serde_json::from_str(&reader.cursor(*start, start + length).text(*length)?),
        other => return Err(broken(other.kind())),
    };
    words.map_err(|e| broken(e.to_string()))
}

/// Whether a value is an array that [`array`] can read.
fn is_array(pickle: &Pickle, value: Id) -> bool {
    let value = match pickle.items(value) {
        Some(&[name, array]) if pickle.text(name).is_some() => array,
        _ => value,
    };
    let Value::Call { name, .. } = pickle.get(value) else { return false };
    matches!(name.rsplit('.').next(), Some("_reconstruct" | "_frombuffer"))
}

/// An unnamed array; `None` if the value is something else. Paddle also writes (name, array).
fn array(pickle: &Pickle, value: Id) -> ParseResult<Option<Tensor>> {
    let value = match pickle.items(value) {
        Some(&[name, array]) if pickle.text(name).is_some() => array,
        _ => value,
    };
    let Value::Call { name, arguments, state } = pickle.get(value) else { return Ok(None) };
    // (version, shape, dtype, Fortran order?, bytes), or _frombuffer(bytes, dtype, shape, order)
    let (shape, kind, fortran, bytes) = match (name.rsplit('.').next(), arguments.as_slice(), state) {
        (Some("_reconstruct"), _, Some(state)) => {
            let &[_, shape, kind, fortran, bytes] = pickle.items(*state).unwrap_or_default() else {
                return Err("damaged: an array lacks parts".into());
            };
            (shape, kind, *pickle.get(fortran) == Value::Bool(true), bytes)
        }
        (Some("_frombuffer"), &[bytes, kind, shape, order], _) => (shape, kind, pickle.text(order) == Some("F"), bytes),
        _ => return Ok(None),
    };
    let shape = pickle.counts(shape)?;
    let dtype = dtype(pickle, kind)?;
    let storage = match pickle.get(bytes) {
        &Value::Bytes { start, length } if fortran => {
            // Fortran order: the first axis is contiguous.
            let mut step = Some(1usize);
            let mut stride = |n: &usize| {
                let stride = step;
                step = step.and_then(|step| step.checked_mul(*n));
                stride
            };
            let strides = shape.iter().map(&mut stride).collect::<Option<_>>();
            let strides = strides.ok_or_else(|| format!("damaged: the shape {shape:?} overflows"))?;
            Storage::Strided { file: None, start, length, strides }
        }
        &Value::Bytes { start, length } => Storage::Runs(vec![(start, length)]),
        &Value::Latin1 { start, length } if !fortran => Storage::Latin1 { start, length },
        // Protocol 2 in Python 2 writes short byte strings as text.
        Value::Text { text, start } if !fortran => Storage::Runs(vec![(*start, text.len() as u64)]),
        other => return Err(format!("expected array bytes, got {}", other.kind())),
    };
    Ok(Some(Tensor { name: String::new(), shape, dtype, storage }))
}

/// Element type of `numpy.dtype('f4')` with its state (3, '<', ...).
fn dtype(pickle: &Pickle, value: Id) -> ParseResult<Dtype> {
    let Value::Call { name, arguments, state } = pickle.get(value) else {
        return Err(format!("damaged: expected a dtype, got {}", pickle.get(value).kind()));
    };
    let code = arguments.first().and_then(|&code| pickle.text(code)).unwrap_or_default();
    let order = state.and_then(|state| pickle.items(state)).and_then(|items| items.get(1)).and_then(|&order| pickle.text(order));
    if name.as_ref() != "numpy.dtype" || order == Some(">") {
        return Err("written on a big-endian machine, or damaged; save it again".into());
    }
    Ok(match code {
        "f4" => Dtype::F32,
        "f2" => Dtype::F16,
        "f8" => Dtype::F64,
        "i8" => Dtype::Other("i64"),
        "i4" => Dtype::Other("i32"),
        _ => Dtype::Other("other"),
    })
}

/// Writes a dictionary of f32 arrays like `paddle.save` (protocol 4), with the model metadata as a string.
///
/// # Errors
/// When the file cannot be written; an existing file is kept.
fn write(path: &Path, export: &Export<'_>) -> Result<()> {
    let about = serde_json::to_string(&export.metadata).map_err(|e| crate::Error::Invalid(e.to_string()))?;
    files::write_atomic(path, |out| {
        let mut pickle = Writer::begin(out, 4)?;
        pickle.raw(b"}(")?;
        for parameter in &export.parameters {
            pickle.text(&parameter.name)?;
            write_array(&mut pickle, &parameter.shape, &parameter.values())?;
        }
        if let Some((mean, size)) = export.mean() {
            pickle.text(MEAN_TENSOR)?;
            write_array(&mut pickle, &[3, size, size], mean)?;
        }
        pickle.text(ABOUT)?;
        pickle.text(&about)?;
        pickle.raw(b"u")?;
        pickle.end()
    })
}

/// `numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b'b')` with the state (1, shape, dtype, False, bytes). numpy 2 still
/// accepts numpy.core.
fn write_array(pickle: &mut Writer<'_>, shape: &[usize], values: &[f32]) -> io::Result<()> {
    pickle.global("numpy.core.multiarray", "_reconstruct")?;
    pickle.global("numpy", "ndarray")?;
    pickle.counts(&[0])?;
    pickle.short_bytes(b"b")?;
    pickle.raw(b"\x87R(")?; // three arguments, call, mark
    pickle.int(1)?;
    pickle.counts(shape)?;
    float32(pickle)?;
    pickle.bool(false)?;
    pickle.values(values)?;
    pickle.raw(b"tb")
}

/// `numpy.dtype('f4', False, True)` with the state (3, '<', None, None, None, -1, -1, 0).
fn float32(pickle: &mut Writer<'_>) -> io::Result<()> {
    pickle.global("numpy", "dtype")?;
    pickle.text("f4")?;
    pickle.bool(false)?;
    pickle.bool(true)?;
    pickle.raw(b"\x87R(K\x03")?;
    pickle.text("<")?;
    pickle.raw(b"NNNJ\xFF\xFF\xFF\xFFJ\xFF\xFF\xFF\xFFK\0tb")
}

#[cfg(test)]
mod tests;
