//! PyTorch's files, in the three containers that it has had, and a writer of the newest.
//!
//! What `torch.save` writes is a pickle of the names, and the numbers beside it: in the records of a zip (since 1.6), behind it
//! in the same stream (0.1.10 to 1.5), or in a member of a tar (before). All three give `(storage, offset, shape, strides)`
//! for each tensor. After `torch/serialization.py` and `torch/_utils.py`.

mod legacy;
mod state;
mod tar;
#[cfg(test)]
mod tests;
mod write;
mod zip;

use super::contents::Dtype;
pub(crate) use legacy::{is_legacy, read as read_legacy};
pub(crate) use tar::{is_tar, read as read_tar};
pub(crate) use write::write;
pub(crate) use zip::read as read_zip;

/// The names that a pickle of weights, of a checkpoint with an optimiser, or of its scheduler may hold.
const ALLOWED: &[&str] = &[
    "collections.OrderedDict",
    "collections.Counter",
    "collections.defaultdict",
    "builtins.set",
    "__builtin__.set",
    "builtins.dict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.nn.parameter.Parameter",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.cuda.FloatStorage",
    "torch.cuda.DoubleStorage",
    "torch.cuda.HalfStorage",
    "torch.cuda.LongStorage",
    "torch.cuda.ByteStorage",
    "torch.FloatTensor",
    "torch.DoubleTensor",
    "torch.HalfTensor",
    "torch.LongTensor",
    "torch.ByteTensor",
    "torch.cuda.FloatTensor",
    "torch.cuda.DoubleTensor",
    "torch.cuda.HalfTensor",
    "torch.cuda.LongTensor",
    "torch.Size",
    "torch.device",
    "torch.float32",
    "torch.float64",
    "torch.float16",
    "torch.bfloat16",
    "torch.int64",
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
];

/// Kind and size in bytes of the numbers of a storage's class, `torch.FloatStorage` and such.
fn storage_dtype(class: &str) -> Option<(Dtype, u64)> {
    let kind = class.strip_prefix("torch.").map(|c| c.strip_prefix("cuda.").unwrap_or(c))?.strip_suffix("Storage")?;
    Some(match kind {
        "Float" => (Dtype::F32, 4),
        "Double" => (Dtype::F64, 8),
        "Half" => (Dtype::F16, 2),
        "BFloat16" => (Dtype::Bf16, 2),
        "Long" => (Dtype::Other("i64"), 8),
        "Int" => (Dtype::Other("i32"), 4),
        "Short" => (Dtype::Other("i16"), 2),
        "Char" => (Dtype::Other("i8"), 1),
        "Byte" => (Dtype::Other("u8"), 1),
        "Bool" => (Dtype::Other("bool"), 1),
        _ => return None,
    })
}
