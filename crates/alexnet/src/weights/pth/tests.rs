//! PyTorch's containers, by small files that PyTorch wrote (tools/make_weight_goldens.py; no version since 2017 writes the tar, so
//! it is written after PyTorch's reader and was read back by it).

use crate::weights::contents::{Contents, Format};
use crate::weights::{golden, open};

const ZIP: &[u8] = include_bytes!("../golden/zip.pth");
const LEGACY: &[u8] = include_bytes!("../golden/legacy.pth");
const TAR: &[u8] = include_bytes!("../golden/tar.pth");
const CHECKPOINT: &[u8] = include_bytes!("../golden/checkpoint.pth");

fn values(contents: &Contents, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = contents.tensors.iter().find(|tensor| tensor.name == name).expect(name);
    (tensor.shape.clone(), tensor.values(&contents.source).unwrap())
}

#[test]
fn all_three_containers_give_the_same_tensors() {
    for (bytes, format) in [(ZIP, Format::TorchZip), (LEGACY, Format::TorchLegacy), (TAR, Format::TorchTar)] {
        golden::with(bytes, |path| {
            let contents = open::contents(path).unwrap();
            assert_eq!(contents.format, format);
            let weight = vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
            assert_eq!(values(&contents, "conv1.weight"), (vec![2, 3], weight.clone()));
            assert_eq!(values(&contents, "conv1.bias"), (vec![2], vec![-1.0, 2.0]));
            assert_eq!(values(&contents, "transposed"), (vec![3, 2], vec![0.0, 1.5, 0.5, 2.0, 1.0, 2.5]));
            assert_eq!(values(&contents, "sliced"), (vec![2, 2], vec![0.5, 1.0, 2.0, 2.5]));
            if format != Format::TorchTar {
                for name in ["half", "bfloat", "double"] {
                    assert_eq!(values(&contents, name), (vec![2, 3], weight.clone()), "{name}");
                }
            }
            let count = contents.tensors.iter().find(|tensor| tensor.name == "count").unwrap();
            assert!(count.values(&contents.source).unwrap_err().contains("i64"));
        });
    }
}

#[test]
fn a_checkpoint_gives_its_state_dict_and_says_so() {
    golden::with(CHECKPOINT, |path| {
        let contents = open::contents(path).unwrap();
        assert_eq!(values(&contents, "module.conv1.bias").1, [-1.0, 2.0]);
        assert!(contents.remarks[0].contains("`state_dict`") && contents.remarks[0].contains("epoch"), "{:?}", contents.remarks);
    });
}

#[test]
fn broken_files_never_panic() {
    for bytes in [ZIP, LEGACY, CHECKPOINT] {
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
    // The first record's method of compression, in its local header and in the directory.
    let mut deflated = ZIP.to_vec();
    let directory = deflated.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    (deflated[8], deflated[directory + 10]) = (8, 8);
    assert!(golden::complaint(&deflated).contains("compressed"));
}

#[test]
fn torchscript_is_told_how_to_give_its_weights() {
    // The program lies beside the weights; here under the name of a record of the same length.
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
