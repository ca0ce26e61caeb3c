//! PyTorch files in all three containers, and a writer for the newest.
//!
//! `torch.save` writes a pickle of the names with the data outside it: in the records of a zip (since 1.6), after it in the same
//! stream (0.1.10 to 1.5), or in a tar member (before). All three store `(storage, offset, shape, strides)` for each tensor.
//! Follows `torch/serialization.py` and `torch/_utils.py`.

mod legacy;
mod state_dict;
mod tar;
#[cfg(test)]
mod tests;
mod write;
mod zip;

use super::pickle::Allowed;
use super::tensor::Dtype;
pub(crate) use legacy::TorchLegacy;
pub(crate) use tar::TorchTar;
pub(crate) use zip::TorchZip;

/// Globals allowed in a pickle of weights, of a checkpoint with an optimizer, or of its scheduler: those that
/// `torch.load(weights_only=True)` accepts (`torch/_weights_only_unpickler.py`), and common types of settings and metrics.
const ALLOWED: Allowed = Allowed {
    names: &[
        "collections.OrderedDict",
        "collections.Counter",
        "collections.defaultdict",
        "builtins.set",
        "__builtin__.set",
        "builtins.dict",
        "builtins.bytearray",
        "__builtin__.bytearray",
        "builtins.complex",
        "__builtin__.complex",
        "_codecs.encode",
        "argparse.Namespace",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_sparse_csr_tensor",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.Size",
        "torch.device",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
        "torch.Tensor",
        "torch._tensor._rebuild_from_type_v2",
        "torch.storage.UntypedStorage",
        "torch.UntypedStorage",
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
        "torch.ComplexFloatStorage",
        "torch.ComplexDoubleStorage",
        "torch.QInt8Storage",
        "torch.QUInt8Storage",
        "torch.QInt32Storage",
        "torch.QUInt4x2Storage",
        "torch.QUInt2x4Storage",
        "torch.cuda.FloatStorage",
        "torch.cuda.DoubleStorage",
        "torch.cuda.HalfStorage",
        "torch.cuda.BFloat16Storage",
        "torch.cuda.LongStorage",
        "torch.cuda.IntStorage",
        "torch.cuda.ShortStorage",
        "torch.cuda.CharStorage",
        "torch.cuda.ByteStorage",
        "torch.cuda.BoolStorage",
        "torch.cuda.ComplexFloatStorage",
        "torch.cuda.ComplexDoubleStorage",
        "torch.FloatTensor",
        "torch.DoubleTensor",
        "torch.HalfTensor",
        "torch.BFloat16Tensor",
        "torch.LongTensor",
        "torch.IntTensor",
        "torch.ShortTensor",
        "torch.CharTensor",
        "torch.ByteTensor",
        "torch.BoolTensor",
        "torch.cuda.FloatTensor",
        "torch.cuda.DoubleTensor",
        "torch.cuda.HalfTensor",
        "torch.cuda.BFloat16Tensor",
        "torch.cuda.LongTensor",
        "torch.cuda.IntTensor",
        "torch.cuda.ShortTensor",
        "torch.cuda.CharTensor",
        "torch.cuda.ByteTensor",
        "torch.cuda.BoolTensor",
        "torch.float16",
        "torch.float32",
        "torch.float64",
        "torch.bfloat16",
        "torch.float8_e4m3fn",
        "torch.float8_e4m3fnuz",
        "torch.float8_e5m2",
        "torch.float8_e5m2fnuz",
        "torch.int8",
        "torch.int16",
        "torch.int32",
        "torch.int64",
        "torch.uint8",
        "torch.uint16",
        "torch.uint32",
        "torch.uint64",
        "torch.bool",
        "torch.complex32",
        "torch.complex64",
        "torch.complex128",
        "torch.qint8",
        "torch.quint8",
        "torch.qint32",
    ],
    advice: "save only the weights: torch.save(torch.load(F, weights_only=False)[\"state_dict\"], \"w.pth\"), or of a whole model its \
             .state_dict()",
};

/// Element type and size of a storage class, such as `torch.FloatStorage`.
fn storage_dtype(class: &str) -> Option<(Dtype, u64)> {
    let kind = class.strip_prefix("torch.")?;
    let kind = kind.strip_prefix("cuda.").or_else(|| kind.strip_prefix("storage.")).unwrap_or(kind).strip_suffix("Storage")?;
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
        "ComplexFloat" => (Dtype::Other("complex64"), 8),
        "ComplexDouble" => (Dtype::Other("complex128"), 16),
        "QInt8" | "QUInt8" => (Dtype::Other("quantised"), 1),
        "QInt32" => (Dtype::Other("quantised"), 4),
        // Newer element types are recorded in the tensor, and the storage counts bytes.
        "Untyped" => (Dtype::Other("other"), 1),
        _ => return None,
    })
}
