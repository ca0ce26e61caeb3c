//! Extraction of named tensors from a pickle's values.

use super::super::pickle::{Id, Pickle, Value, checkpoint};
use super::super::reader::ParseResult;
use super::super::tensor::{Dtype, Storage, Tensor};
use super::storage_dtype;

/// A run of numbers of one type.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawStorage {
    pub(super) dtype: Dtype,
    /// Bytes per element.
    pub(super) size: u64,
    /// Its start in the file.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

/// Target of a persistent reference.
pub(super) enum Kept {
    Storage(RawStorage),
    /// The tar container stores whole tensors externally; the name is set later.
    Tensor(Tensor),
}

/// Resolves a persistent reference from its payload.
pub(super) type Resolve<'a> = dyn Fn(&Pickle, Id) -> ParseResult<Kept> + 'a;

/// The tensors of the state dict in a pickle, with remarks on other contents.
pub(super) fn tensors(pickle: &Pickle, resolve: &Resolve<'_>) -> ParseResult<(Vec<Tensor>, Vec<String>)> {
    let (dict, mut remarks) = checkpoint::weights(pickle, &|value| is_tensor(pickle, value))?;
    let Value::Dict(entries) = pickle.get(dict) else { return Err("damaged: its weights are not a dictionary".into()) };
    let mut tensors = Vec::new();
    for &(key, value) in entries {
        let Some(name) = pickle.text(key) else { continue };
        if is_quantised(pickle, name, value) {
            return Err(format!("its weights are quantised ({name}); save the state_dict of the model before quantisation"));
        }
        match tensor(pickle, value, resolve).map_err(|e| format!("{name}: {e}"))? {
            Some(found) => tensors.push(Tensor { name: name.into(), ..found }),
            None => remarks.push(format!("{name} is {}, not a tensor", pickle.get(value).kind())),
        }
        if remarks.len() > 20 {
            return Err("too many entries are not tensors; save model.state_dict()".into());
        }
    }
    if tensors.is_empty() {
        return Err("holds no named tensors; save model.state_dict()".into());
    }
    Ok((tensors, remarks))
}

/// Whether a value is a tensor, or a parameter around one.
fn is_tensor(pickle: &Pickle, value: Id) -> bool {
    match pickle.get(value) {
        // Entries of the tar container are only references to tensors; no other container has references as entries.
        Value::Persistent(_) => true,
        Value::Call { name, .. } => name.starts_with("torch._utils._rebuild_") || &**name == "torch.nn.parameter.Parameter",
        _ => false,
    }
}

/// Whether an entry is a quantised weight of PyTorch's quantised layers.
fn is_quantised(pickle: &Pickle, name: &str, value: Id) -> bool {
    let rebuilt = matches!(pickle.get(value), Value::Call { name, .. } if &**name == "torch._utils._rebuild_qtensor");
    rebuilt || name.split('.').any(|part| part == "_packed_params")
}

/// An unnamed tensor; `None` if the value is something else.
fn tensor(pickle: &Pickle, value: Id, resolve: &Resolve<'_>) -> ParseResult<Option<Tensor>> {
    let mut value = value;
    // Parameters wrap their tensor.
    for _ in 0..2 {
        match pickle.get(value) {
            Value::Persistent(what) => {
                return match resolve(pickle, *what)? {
                    Kept::Tensor(tensor) => Ok(Some(tensor)),
                    Kept::Storage(_) => Ok(None),
                };
            }
            Value::Call { name, arguments, .. } => match &**name {
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                    let &[storage, offset, shape, strides, ..] = arguments.as_slice() else {
                        return Err(format!("damaged: a tensor with {} arguments", arguments.len()));
                    };
                    let Value::Persistent(what) = pickle.get(storage) else {
                        return Err(format!("damaged: expected a storage, got {}", pickle.get(storage).kind()));
                    };
                    let Kept::Storage(storage) = resolve(pickle, *what)? else {
                        return Err("damaged: expected a storage".into());
                    };
                    let (offset, shape) = (pickle.count(offset)?, pickle.counts(shape)?);
                    return view(storage, offset, shape, pickle.counts(strides)?).map(Some);
                }
                "torch._utils._rebuild_parameter"
                | "torch._utils._rebuild_parameter_with_state"
                | "torch.nn.parameter.Parameter"
                    if !arguments.is_empty() =>
                {
                    value = arguments[0];
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// An unnamed tensor, checked to lie within its storage.
pub(super) fn view(raw: RawStorage, offset: u64, shape: Vec<usize>, strides: Vec<usize>) -> ParseResult<Tensor> {
    let outside = || format!("damaged: offset {offset}, shape {shape:?} and strides {strides:?} exceed the storage");
    let skipped = offset.checked_mul(raw.size).filter(|&bytes| bytes <= raw.length).ok_or_else(outside)?;
    let (start, rest) = (raw.start + skipped, raw.length - skipped);
    if shape.len() != strides.len() {
        return Err(outside());
    }
    // End of the last element; an expanded tensor has a stride of 0 and more elements than its storage.
    let reach = shape
        .iter()
        .zip(&strides)
        .try_fold(1u64, |sum, (&n, &stride)| sum.checked_add((n as u64).saturating_sub(1).checked_mul(stride as u64)?));
    let reach = if shape.contains(&0) { Some(0) } else { reach };
    let length = reach.and_then(|numbers| numbers.checked_mul(raw.size)).filter(|&bytes| bytes <= rest).ok_or_else(outside)?;
    let storage = if row_major(&shape, &strides) {
        Storage::Runs(vec![(start, length)])
    } else {
        Storage::Strided { file: None, start, length, strides }
    };
    Ok(Tensor { name: String::new(), shape, dtype: raw.dtype, storage })
}

fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    for (&n, &stride) in shape.iter().zip(strides).rev() {
        if n != 1 && stride != expected {
            return false;
        }
        expected = expected.saturating_mul(n);
    }
    true
}

/// Element type and size of a storage class.
pub(super) fn class(pickle: &Pickle, value: Id) -> ParseResult<(Dtype, u64)> {
    match pickle.get(value) {
        Value::Global(name) => storage_dtype(name).ok_or_else(|| format!("unsupported storage class `{name}`")),
        other => Err(format!("damaged: expected a storage class, got {}", other.kind())),
    }
}
