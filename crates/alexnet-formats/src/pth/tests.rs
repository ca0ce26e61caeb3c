//! PyTorch's containers, tested with small files written by PyTorch (tools/make_weight_goldens.py). No version since 2017 writes
//! the tar, so that file follows PyTorch's reader and was verified with it.

use super::{TorchLegacy, TorchTar, TorchZip};
use crate::ParsedFile;
use crate::format::Format;
use crate::reader::Reader;
use crate::tensor::Dtype;
use crate::{detect, golden};
use std::path::Path;

const ZIP: &[u8] = include_bytes!("../../tests/fixtures/zip.pth");
const LEGACY: &[u8] = include_bytes!("../../tests/fixtures/legacy.pth");
const TAR: &[u8] = include_bytes!("../../tests/fixtures/tar.pth");
const CHECKPOINT: &[u8] = include_bytes!("../../tests/fixtures/checkpoint.pth");
/// An expanded bias, and other values that torch.load accepts with `weights_only`: scalar types, complex and sparse tensors.
const BESIDE: [&[u8]; 2] =
    [include_bytes!("../../tests/fixtures/beside.pth"), include_bytes!("../../tests/fixtures/beside_legacy.pth")];
/// A type that it refuses: numpy arrays.
const NUMPY: &[u8] = include_bytes!("../../tests/fixtures/numpy_beside.pth");

fn values(parsed: &ParsedFile, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = parsed.tensors.iter().find(|tensor| tensor.name == name).expect(name);
    (tensor.shape.clone(), tensor.values(&parsed.reader).unwrap())
}

#[test]
fn all_three_containers_give_the_same_tensors() {
    for (bytes, format) in [(ZIP, TorchZip.name()), (LEGACY, TorchLegacy.name()), (TAR, TorchTar.name())] {
        golden::with(bytes, |path| {
            let parsed = detect::parse(path).unwrap();
            assert_eq!(parsed.format(), format);
            let weight = vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
            assert_eq!(values(&parsed, "conv1.weight"), (vec![2, 3], weight.clone()));
            assert_eq!(values(&parsed, "conv1.bias"), (vec![2], vec![-1.0, 2.0]));
            assert_eq!(values(&parsed, "transposed"), (vec![3, 2], vec![0.0, 1.5, 0.5, 2.0, 1.0, 2.5]));
            assert_eq!(values(&parsed, "sliced"), (vec![2, 2], vec![0.5, 1.0, 2.0, 2.5]));
            if format != TorchTar.name() {
                for name in ["half", "bfloat", "double"] {
                    assert_eq!(values(&parsed, name), (vec![2, 3], weight.clone()), "{name}");
                }
            }
            let count = parsed.tensors.iter().find(|tensor| tensor.name == "count").unwrap();
            assert!(count.values(&parsed.reader).unwrap_err().contains("i64"));
        });
    }
}

#[test]
fn a_checkpoint_yields_its_state_dict_with_a_remark() {
    golden::with(CHECKPOINT, |path| {
        let parsed = detect::parse(path).unwrap();
        assert_eq!(values(&parsed, "module.conv1.bias").1, [-1.0, 2.0]);
        assert!(parsed.remarks[0].contains("`state_dict`") && parsed.remarks[0].contains("epoch"), "{:?}", parsed.remarks);
    });
}

#[test]
fn other_checkpoint_entries_do_not_matter() {
    for bytes in BESIDE {
        golden::with(bytes, |path| {
            let parsed = detect::parse(path).unwrap();
            assert_eq!(values(&parsed, "conv1.weight").1, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
            assert_eq!(values(&parsed, "conv1.bias"), (vec![2], vec![2.0, 2.0]));
            assert!(parsed.remarks[0].contains("`model_state`") && parsed.remarks[0].contains("sparse"), "{:?}", parsed.remarks);
        });
    }
    let why = golden::complaint(NUMPY);
    assert!(why.contains("`numpy.") && why.contains("torch.save(torch.load(F, weights_only=False)[\"state_dict\"]"), "{why}");
}

/// A stride of 0 may repeat a value as often as the file's size allows, and no more.
#[test]
fn an_expanded_tensor_is_bounded() {
    let reader = Reader::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zip.pth").as_path()).unwrap();
    let storage = super::state_dict::RawStorage { dtype: Dtype::F32, size: 4, start: 0, length: 4 };
    let read = |shape: Vec<usize>| {
        let strides = vec![0; shape.len()];
        super::state_dict::view(storage, 0, shape, strides).and_then(|tensor| tensor.values(&reader))
    };
    let room = reader.length() as usize / 4;
    assert_eq!(read(vec![room]).unwrap().len(), room);
    assert!(read(vec![room + 1]).is_err() && read(vec![1 << 40, 1 << 40]).is_err());
}

#[test]
fn broken_files_never_panic() {
    for bytes in [ZIP, LEGACY, CHECKPOINT, BESIDE[0], BESIDE[1], NUMPY] {
        golden::broken(bytes);
    }
    golden::broken(&TAR[..6_000]);
}

#[test]
fn a_pickle_that_calls_something_and_a_compressed_record_are_refused() {
    let system = b"\x80\x02cposix\nsystem\nX\x07\0\0\0touch x\x85R.";
    let mut legacy = LEGACY[..15].to_vec();
    legacy.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    legacy.extend(system);
    assert!(golden::complaint(&legacy).contains("posix.system"));
    // The first record's compression method, in its local header and in the directory.
    let mut deflated = ZIP.to_vec();
    let directory = deflated.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    (deflated[8], deflated[directory + 10]) = (8, 8);
    assert!(golden::complaint(&deflated).contains("compressed"));
}

#[test]
fn torchscript_is_refused_with_advice() {
    // TorchScript code in the archive; here under the name of a record of the same length.
    let (from, to) = (b".data/serialization_id", b"code/__torch__/net0.py");
    let mut script = ZIP.to_vec();
    let places: Vec<usize> = (0..script.len()).filter(|at| script[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 2, "one in its local header and one in the directory");
    for at in places {
        script[at..at + to.len()].copy_from_slice(to);
    }
    let why = golden::complaint(&script);
    assert!(why.contains("TorchScript") && why.contains("torch.jit.load(FILE).state_dict()"), "{why}");
}
