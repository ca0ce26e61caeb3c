//! Detection of unsupported files that users pass as models, with advice.
//!
//! The content decides; the name matters only where the content is ambiguous, since anything may be called `model.bin`.

use std::path::Path;

const WEIGHTS_BY_NAME: &str = "save its weights by name with torch.save or safetensors, convolutions [out, in, rows, columns] and linear \
                               weights [out, in]";
const TO_ONNX: &str = "export the model as ONNX, and use the .onnx";

/// Identifies an unsupported file by its first bytes, with advice.
pub(super) fn by_content(head: &[u8]) -> Option<String> {
    let text = head.trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()));
    let packed = [
        (b"\x1f\x8b".as_slice(), "gzip", "gunzip"),
        (b"BZh", "bzip2", "bunzip2"),
        (b"\xfd7zXZ\0", "xz", "unxz"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    ];
    if let Some((_, by, command)) = packed.iter().find(|(mark, ..)| head.starts_with(mark)) {
        return Some(format!("it is compressed by {by}; unpack it first (`{command}`)"));
    }
    if let Some(weights) = solver_state(head) {
        return Some(format!("a Caffe .solverstate holds the state of training, not a model; use its weights file, {weights}"));
    }
    Some(if head.starts_with(b"\x93NUMPY") || is_npz(head) {
        "a numpy file, not a model; transpose its convolutions to [out, in, rows, columns] and its linear weights to [out, in], and \
         save them by name with torch.save or safetensors"
            .into()
    } else if head.starts_with(b"version https://git-lfs") {
        "a git-lfs pointer instead of the file; fetch it with `git lfs pull`".into()
    } else if begins("<!doctype html") || begins("<html") {
        "an HTML page, not a model: the download returned an error or a form; fetch the file itself".into()
    } else if head.starts_with(b"\x89HDF\r\n") {
        "HDF5 is not supported (Keras or Caffe .h5); save it as .caffemodel or .pth, or export it as ONNX".into()
    } else if head.starts_with(b"MATLAB ") {
        format!("a MATLAB .mat file, which is not supported; {WEIGHTS_BY_NAME}")
    } else if head.get(4..8) == Some(b"TFL3") {
        "a TensorFlow Lite model, which is not supported; convert its source model to ONNX (tf2onnx), and use the .onnx".into()
    } else if head.starts_with(b"GGUF") {
        "a GGUF file, a format for language models, which is not supported; use its source model".into()
    } else if head.starts_with(b"7767517\n") {
        format!("an ncnn text model, which is not supported; {TO_ONNX} of its source model")
    } else if head.starts_with(&[0x12, 1, 0, 0, 0, 0, 0, 0]) {
        format!("an MXNet .params file, which is not supported; {TO_ONNX} (mxnet.onnx.export_model)")
    } else if head.starts_with(&[4, 0, 0, 0]) && head.get(8..15) == Some(b"\x03\0\0\0V 1") {
        format!(
            "a Lua Torch .t7, which is not supported; load it in PyTorch 0.4 with torch.utils.serialization.load_lua, and {WEIGHTS_BY_NAME}"
        )
    } else if is_tensorflow(head) {
        format!("a TensorFlow graph or SavedModel, which is not supported; {TO_ONNX} (tf2onnx)")
    } else if begins("<?xml") && contains(head, b"<net") {
        format!("an OpenVINO model description, which is not supported; {TO_ONNX} of its source model")
    } else if is_prototxt(head) {
        "a Caffe net as text (.prototxt), which holds no weights; use the matching .caffemodel".into()
    } else if is_old_pickle(head) {
        "a pickle of protocol 0 or 1; load it in Python and save it again with protocol=2 or torch.save".into()
    } else {
        return None;
    })
}

/// Extensions of files without readable weights, refused before any reader looks at their bytes.
const NOT_READ: [(&[&str], &str); 3] = [
    (&[".pdiparams"], "Paddle inference weights, which have no names; use the .pdparams written by paddle.save"),
    (&[".onnx.data", ".onnx_data"], "the external weights of an ONNX model; use the .onnx in the same folder"),
    (
        &[".safetensors.index.json", ".bin.index.json"],
        "a list of a model's parts, which holds no weights; use the file that it lists, or save the model as one file",
    ),
];

/// Extensions of other programs' files, for files that no reader recognised.
const FOREIGN: [(&[&str], &str); 16] = [
    (&[".solverstate"], "a Caffe state of training, not a model; use the .caffemodel of the same name"),
    (&[".prototxt"], "a Caffe net as text, which holds no weights; use the matching .caffemodel"),
    (&[".keras", ".h5", ".hdf5"], "a Keras model, which is not supported; export it as ONNX (tf2onnx), and use the .onnx"),
    (&[".pb", ".pbtxt"], "a TensorFlow graph or Caffe2 net, which is not supported; export the model as ONNX, and use the .onnx"),
    (&[".tflite", ".lite"], "a TensorFlow Lite model, which is not supported; export its source model as ONNX"),
    (
        &[".index", ".meta", ".data-00000-of-00001"],
        "part of a TensorFlow checkpoint, which is not supported; export the model as ONNX (tf2onnx --checkpoint), and use the .onnx",
    ),
    (&[".mlmodel"], "a Core ML model, which is not supported; use its source model, or export that as ONNX"),
    (&[".mat"], "a MATLAB .mat file, which is not supported; save its weights by name with torch.save or safetensors"),
    (&[".t7"], "a Lua Torch model, which is not supported; save its weights by name with torch.save or safetensors"),
    (
        &[".msgpack", ".flax"],
        "Flax parameters as msgpack, which are not supported; save them by name with safetensors, kernels as [out, in, ...]",
    ),
    (&[".pdmodel"], "a Paddle program without weights; use the .pdparams written by paddle.save"),
    (
        &[".params"],
        "MXNet parameters, which are not supported; export the model as ONNX (mxnet.onnx.export_model), and use the .onnx",
    ),
    (&[".param", ".param.bin"], "an ncnn model, which is not supported; export its source model as ONNX"),
    (&[".gguf", ".ggml"], "a format for language models, which is not supported; use the source model"),
    (&[".weights"], "Darknet weights, which have no names and are not supported; export the model as ONNX"),
    (
        &[".engine", ".plan", ".trt"],
        "a TensorRT engine, which runs on only one kind of GPU; use the ONNX model that it was built from",
    ),
];

/// Identifies a file by its name alone.
pub(super) fn by_name(path: &Path) -> Option<String> {
    ending(path, &NOT_READ)
}

/// Identifies an unrecognised file by its name.
pub(super) fn of_no_reader(path: &Path, head: &[u8]) -> Option<String> {
    if let Some(advice) = ending(path, &FOREIGN) {
        return Some(advice);
    }
    let has_sibling = |ending: &str| path.with_extension(ending).is_file();
    if path.extension().is_some_and(|ending| ending == "bin") && (has_sibling("param") || has_sibling("xml")) {
        let whose = if has_sibling("param") { "ncnn" } else { "OpenVINO" };
        return Some(format!("{whose} weights, which are not supported; {TO_ONNX} of their source model"));
    }
    // A small map whose first key is a short string.
    let msgpack = matches!(head, [0x81..=0x8f, 0xa1..=0xbf, first, ..] if first.is_ascii_alphabetic());
    msgpack.then(|| ending(Path::new("x.msgpack"), &FOREIGN)).flatten()
}

fn ending(path: &Path, table: &[(&[&str], &str)]) -> Option<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    table.iter().find(|(endings, _)| endings.iter().any(|ending| name.ends_with(ending))).map(|(_, advice)| advice.to_string())
}

/// Identifies a folder passed as a model.
pub(super) fn folder(path: &Path) -> Option<String> {
    if path.join("saved_model.pb").is_file() {
        return Some(format!("a TensorFlow SavedModel, which is not supported; {TO_ONNX} (tf2onnx --saved-model)"));
    }
    if path.join("Manifest.json").is_file() && path.join("Data").is_dir() {
        return Some(format!("a Core ML package, which is not supported; {TO_ONNX} of its source model"));
    }
    let model = ["best.safetensors", "last.safetensors", "model.safetensors", "pytorch_model.bin", "model.onnx"];
    let model = model.into_iter().find(|name| path.join(name).is_file())?;
    Some(format!("a folder; use the model in it, {}", path.join(model).display()))
}

/// Identifies another program's zip by the name of one of its records.
pub(super) fn by_record(name: &str) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or_default();
    let exported =
        ["archive_format", "serialized_exported_program.json", "serialized_state_dict.json", "serialized_state_dict.pt"];
    if name.contains("/code/") || name.ends_with("/constants.pkl") {
        let advice = "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')";
        Some(format!("TorchScript, a program rather than weights; in Python: {advice}"))
    } else if exported.contains(&file) {
        let advice = "torch.save(torch.export.load(FILE).state_dict, 'weights.pth')";
        Some(format!("a torch.export .pt2, a program rather than weights; in Python: {advice}"))
    } else if file == "model.weights.h5" {
        ending(Path::new("x.keras"), &FOREIGN)
    } else {
        None
    }
}

/// The name of the weights file in Caffe's SolverState: an iteration count (field 1), and the file (field 2).
fn solver_state(head: &[u8]) -> Option<String> {
    let rest = head.strip_prefix(b"\x08")?;
    let rest = rest.get(rest.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1..)?;
    let &[0x12, length @ 1..0x80, ref rest @ ..] = rest else { return None };
    let name = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?;
    let name = name.rsplit(['/', '\\']).next().filter(|name| !name.contains(char::is_control))?;
    (name.contains(".caffemodel")).then(|| name.to_string())
}

/// Whether this is a GraphDef, which starts with a node: its name (field 1) and operator (field 2); or a SavedModel, which starts
/// with its version and a graph that records tags or the TensorFlow version.
fn is_tensorflow(head: &[u8]) -> bool {
    if head.starts_with(b"\x08\x01\x12") {
        return contains(head, b"serve") || contains(head, b"tensorflow");
    }
    let Some(rest) = head.strip_prefix(b"\x0a") else { return false };
    let Some(end) = rest.iter().take(10).position(|byte| byte & 0x80 == 0) else { return false };
    let [0x0a, length, rest @ ..] = &rest[end + 1..] else { return false };
    let Some([0x12, length, rest @ ..]) = rest.get(usize::from(*length)..) else { return false };
    rest.get(..usize::from(*length)).is_some_and(|op| [&b"Placeholder"[..], b"Const", b"VariableV2", b"NoOp"].contains(&op))
}

/// Whether this is text with a Caffe layer, or starts like a prototxt.
fn is_prototxt(head: &[u8]) -> bool {
    let text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\n' | b'\r' | b'\t');
    head.iter().all(text)
        && [&b"layer {"[..], b"layer{", b"layers {", b"layers{", b"input_dim:", b"input_shape", b"net: \"", b"base_lr:"]
            .iter()
            .any(|part| contains(head, part))
}

fn contains(head: &[u8], part: &[u8]) -> bool {
    head.windows(part.len()).any(|window| window == part)
}

/// Whether this is a zip whose first record is a numpy array. The name's length is at byte 26, the name itself at 30.
fn is_npz(head: &[u8]) -> bool {
    let length = head.get(26..28).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    head.starts_with(b"PK\x03\x04") && head.get(30..30 + length).is_some_and(|name| name.ends_with(b".npy"))
}

/// Whether this is a pickle before protocol 2, which has no signature: a dictionary, a list, or a class comes first.
fn is_old_pickle(head: &[u8]) -> bool {
    [b"(dp".as_slice(), b"(lp", b"}q", b"]q", b"ccollections\n", b"ccopy_reg\n", b"c__builtin__\n"]
        .iter()
        .any(|begin| head.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use crate::load;

    fn complaint(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        load(&path, None).unwrap_err().to_string()
    }

    #[test]
    fn unsupported_files_are_identified_with_advice() {
        let npz = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0conv1.npy";
        let npy = b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (), }";
        for (name, bytes, parts) in [
            ("bvlc_alexnet.npy", npy.as_slice(), ["numpy", "torch.save"]),
            ("alexnet.npz", npz, ["numpy", "torch.save"]),
            ("model.pth.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x02", ["gzip", "gunzip"]),
            ("alexnet.pth", b"\n<!DOCTYPE html><html lang=en>", ["HTML page", "download"]),
            ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", ["pointer", "git lfs pull"]),
            ("inference.pdiparams", b"\0\0\0\0\0\0\0\0\0\0\0\0", ["inference", ".pdparams"]),
            ("model.onnx.data", b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", ["ONNX", "use the .onnx"]),
            ("model.safetensors.index.json", b"{\"metadata\": {}}", ["list of a model's parts", "use the file"]),
            ("alexnet.h5", b"\x89HDF\r\n\x1a\n\0\0", ["HDF5", ".pth"]),
            (
                "x.solverstate",
                b"\x08\xa0\x1f\x12\x21/tmp/run/net_iter_4000.caffemodel\x1a\x02\x08\x01",
                ["state", "weights file, net_iter_4000.caffemodel"],
            ),
            ("x.solverstate", b"\x0a\x02ab", ["state of training", ".caffemodel of the same name"]),
            ("deploy.prototxt", b"name: \"AlexNet\"\nlayer {\n  name: \"data\"\n", ["as text", ".caffemodel"]),
            ("deploy.txt", b"name: \"AlexNet\"\ninput_dim: 10\nlayers {\n", ["as text", ".caffemodel"]),
            ("imagenet-caffe-alex.mat", b"MATLAB 5.0 MAT-file, Platform: GLNX86", ["MATLAB", "torch.save"]),
            ("alexnetowt.t7", b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x0d\0\0\0nn.Sequential", ["Lua Torch", "torch.save"]),
            ("m.bin", b"\x1c\0\0\0TFL3\0\0\0\0", ["TensorFlow Lite", "ONNX"]),
            ("frozen.pb", b"\x0a\x1c\x0a\x05input\x12\x0bPlaceholder\x2a\x06\x0a\x04", ["TensorFlow graph", "tf2onnx"]),
            ("saved_model.pb", b"\x08\x01\x12\x20\x0a\x05serve\x12", ["SavedModel", "tf2onnx"]),
            ("predict_net.pb", b"\x0a\x07AlexNet\x12\x03\x0a\x01x", ["Caffe2", "ONNX"]),
            ("m.mlmodel", b"\x08\x01\x12\x02\x0a\0\xa2\x1f\x02\x08\x01", ["Core ML", "ONNX"]),
            ("m.gguf", b"GGUF\x03\0\0\0", ["GGUF", "source model"]),
            ("m.params", b"\x12\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ["MXNet", "export_model"]),
            ("m.param", b"7767517\n24 24\nInput data 0 1 data\n", ["ncnn", "ONNX"]),
            ("flax_model.msgpack", b"\x81\xa6params\x82\xa5conv1\x81", ["Flax", "safetensors"]),
            ("flax", b"\x81\xa6params\x82\xa5conv1\x81", ["Flax", "safetensors"]),
            ("inference.pdmodel", b"\x0a\x04\x08\0\x10\0", ["without weights", ".pdparams"]),
            ("m.xml", b"<?xml version=\"1.0\"?>\n<net name=\"AlexNet\"", ["OpenVINO", "ONNX"]),
            ("m.ckpt.data-00000-of-00001", b"\0\0\0\0\0\0\0\0\0\0", ["TensorFlow checkpoint", "tf2onnx"]),
            ("alexnet.weights", b"\0\0\0\0\x02\0\0\0\0\0", ["Darknet", "ONNX"]),
            ("weights.pkl", b"(dp0\nVconv1\np1\n", ["protocol 0 or 1", "protocol=2"]),
            ("weights.pkl", b"}q\x00(X\x05\0\0\0conv1", ["protocol 0 or 1", "protocol=2"]),
        ] {
            let why = complaint(name, bytes);
            assert!(why.contains(name) && parts.iter().all(|part| why.contains(part)), "{why}");
        }
    }

    #[test]
    fn other_folders_and_zips_are_identified() {
        let folder = tempfile::tempdir().unwrap();
        let complaint = || load(folder.path(), None).unwrap_err().to_string();
        std::fs::write(folder.path().join("last.safetensors"), b"x").unwrap();
        assert!(complaint().contains("use the model in it") && complaint().contains("last.safetensors"), "{}", complaint());
        std::fs::write(folder.path().join("saved_model.pb"), b"x").unwrap();
        assert!(complaint().contains("SavedModel"), "{}", complaint());
        for (record, part) in [
            ("x/archive_format", "torch.export.load"),
            ("x/code/a.py", "torch.jit.load"),
            ("model.weights.h5", "Keras"),
            ("serialized_state_dict.pt", "torch.export.load"),
        ] {
            assert!(super::by_record(record).unwrap().contains(part), "{record}");
        }
        assert_eq!(super::by_record("archive/data.pkl"), None);
    }
}
