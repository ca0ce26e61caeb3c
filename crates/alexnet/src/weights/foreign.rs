//! Files that people have in the place of a model file, or that hold one in another way: what they are, and what to do.

use std::path::Path;

/// What a file is that is read by nobody here, by its first bytes or its name, and what to do with it.
pub(super) fn advice(path: &Path, head: &[u8]) -> Option<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
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
    let numpy = "numpy's file, not a model; turn its convolutions to [out, in, rows, columns] and its linear weights to [out, in], and \
                 save them by name with torch.save or safetensors";
    let advice = if head.starts_with(b"\x93NUMPY") || is_npz(head) {
        numpy
    } else if head.starts_with(b"version https://git-lfs") {
        "a git-lfs pointer, which stands for the file; fetch it with `git lfs pull`"
    } else if begins("<!doctype html") || begins("<html") {
        "an HTML page, not a model: the download gave an error or asked for something; fetch the file itself"
    } else if head.starts_with(b"\x89HDF\r\n") {
        "HDF5 is not read here; save it as .caffemodel or .pth"
    } else if name.ends_with(".pdiparams") {
        "Paddle's weights for inference, which do not tell their names; give the .pdparams that paddle.save wrote"
    } else if name.ends_with(".onnx.data") || name.ends_with(".onnx_data") {
        "the weights of an ONNX model, which do not tell what they are for; give the .onnx beside it"
    } else if name.ends_with(".index.json") && text.starts_with(b"{") {
        "a list of a model's parts, which holds no weights; give the file that it names, or save the model as one"
    } else if is_old_pickle(head) {
        "a pickle of protocol 0 or 1; load it in Python and save it again with protocol=2 or torch.save"
    } else {
        return None;
    };
    Some(advice.into())
}

/// A zip whose first record is a numpy array. The name's length is at byte 26, the name itself at 30.
fn is_npz(head: &[u8]) -> bool {
    let length = head.get(26..28).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    head.starts_with(b"PK\x03\x04") && head.get(30..30 + length).is_some_and(|name| name.ends_with(b".npy"))
}

/// Pickles before protocol 2 have no mark: a dictionary, a list, or a class comes first.
fn is_old_pickle(head: &[u8]) -> bool {
    [b"(dp".as_slice(), b"(lp", b"}q", b"]q", b"ccollections\n", b"ccopy_reg\n", b"c__builtin__\n"]
        .iter()
        .any(|begin| head.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use crate::weights::open;

    fn complaint(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        open(&path, None).unwrap_err().to_string()
    }

    #[test]
    fn what_stands_in_a_models_place_is_told_with_what_to_do() {
        let npz = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0conv1.npy";
        let npy = b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (), }";
        for (name, bytes, parts) in [
            ("bvlc_alexnet.npy", npy.as_slice(), ["numpy", "torch.save"]),
            ("alexnet.npz", npz, ["numpy", "torch.save"]),
            ("model.pth.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x02", ["gzip", "gunzip"]),
            ("alexnet.pth", b"\n<!DOCTYPE html><html lang=en>", ["HTML page", "download"]),
            ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", ["pointer", "git lfs pull"]),
            ("inference.pdiparams", b"\0\0\0\0\0\0\0\0\0\0\0\0", ["inference", ".pdparams"]),
            ("model.onnx.data", b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", ["ONNX", "give the .onnx"]),
            ("model.safetensors.index.json", b"{\"metadata\": {}}", ["list of a model's parts", "give the file"]),
            ("alexnet.h5", b"\x89HDF\r\n\x1a\n\0\0", ["HDF5", ".pth"]),
            ("weights.pkl", b"(dp0\nVconv1\np1\n", ["protocol 0 or 1", "protocol=2"]),
            ("weights.pkl", b"}q\x00(X\x05\0\0\0conv1", ["protocol 0 or 1", "protocol=2"]),
        ] {
            let why = complaint(name, bytes);
            assert!(why.contains(name) && parts.iter().all(|part| why.contains(part)), "{why}");
        }
    }
}
