//! Pickles that describe data, and pickles that would run code.

use super::*;
use crate::reader::Reader;
use proptest::prelude::*;

const ALLOWED: Allowed = Allowed { names: &["collections.OrderedDict", "torch.FloatStorage"], advice: "save it anew" };

fn read_bytes(bytes: &[u8]) -> Result<Pickle, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    std::fs::write(&path, bytes).unwrap();
    let reader = Reader::open(&path).unwrap();
    read(&mut reader.cursor(0, reader.length()), ALLOWED)
}

/// The list or tuple under this key of the root dictionary.
fn items<'a>(pickle: &'a Pickle, name: &str) -> &'a [Id] {
    let Value::Dict(entries) = pickle.get(pickle.root) else { panic!("not a dictionary") };
    let (_, value) = entries.iter().find(|(key, _)| pickle.text(*key) == Some(name)).unwrap();
    pickle.items(*value).unwrap()
}

#[test]
fn code_is_reported_and_not_run() {
    // Python 2 and 3: pickle.dumps of an object whose __reduce__ gives (os.system, ("touch x",)).
    for (bytes, name) in [
        (&b"cposix\nsystem\n(S'touch x'\ntR."[..], "posix.system"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x07touch x\x85R.", "posix.system"),
        (b"\x80\x02c__builtin__\neval\nX\x03\0\0\x001+1\x85R.", "__builtin__.eval"),
        (b"(S'touch x'\nios\nsystem\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"(cos\nsystem\nS'x'\no.", "os.system"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
    ] {
        let why = read_bytes(bytes).unwrap_err();
        assert!(why.contains(name) && (!name.contains('.') || why.contains("save it anew")), "{why}");
    }
    assert!(!std::path::Path::new("x").exists());
    assert!(read_bytes(b"\x80\x09N.").unwrap_err().contains("protocol 9"));
    assert!(read_bytes(b"\xFF").unwrap_err().contains("0xff"));
}

#[test]
fn containers_numbers_and_memo_round_trip() {
    // {'a': (1, -2, 70000, 2.5, True), 'b': [None, 'x', 'x']}, as CPython writes it at protocol 2.
    let bytes = b"\x80\x02}(X\x01\0\0\0aq\x01(K\x01J\xFE\xFF\xFF\xFFJ\x70\x11\x01\0G\x40\x04\0\0\0\0\0\0\x88t\
        X\x01\0\0\0b](NX\x01\0\0\0xq\x02h\x02eu.";
    let pickle = read_bytes(bytes).unwrap();
    let a = items(&pickle, "a");
    let values: Vec<_> = a.iter().map(|&id| pickle.get(id).clone()).collect();
    assert_eq!(values, [Value::Int(1), Value::Int(-2), Value::Int(70_000), Value::Float(2.5), Value::Bool(true)]);
    let b = items(&pickle, "b");
    assert_eq!((pickle.get(b[0]), pickle.text(b[1]), b[1]), (&Value::None, Some("x"), b[2]));
}

#[test]
fn lengths_beyond_the_file_allocate_nothing() {
    for bytes in [
        [&b"\x80\x04\x8e"[..], &(1u64 << 60).to_le_bytes()].concat(),
        [&b"\x80\x04\x8d"[..], &u64::MAX.to_le_bytes()].concat(),
        [&b"X"[..], &u32::MAX.to_le_bytes()].concat(),
        [&b"\x8b"[..], &u32::MAX.to_le_bytes()].concat(),
    ] {
        assert!(read_bytes(&bytes).unwrap_err().contains("are left"), "{bytes:?}");
    }
}

#[test]
fn excessive_nesting_and_repetition_is_refused() {
    // Nested thirty thousand deep: read and dropped without recursion.
    let deep = [vec![b')'], vec![0x85; 30_000], vec![b'.']].concat();
    read_bytes(&deep).unwrap();
    let many = [vec![b'N'; 1 << 20], vec![b'.']].concat();
    assert!(read_bytes(&many).unwrap_err().contains("more than"));
    for (byte, what) in [(b'(', "lists at once"), (0x94, "memoises more than")] {
        let many = [vec![b'N'], vec![byte; 1 << 16], vec![b'.']].concat();
        assert!(read_bytes(&many).unwrap_err().contains(what), "{byte:#x}");
    }
    // A long file may hold more: 40,000 numbers before 12 MB of weights.
    let losses = [&b"\x80\x04]("[..], &b"G\x3f\xf0\0\0\0\0\0\0".repeat(40_000), b"e"].concat();
    assert!(read_bytes(&[&losses[..], b"."].concat()).unwrap_err().contains("more than"));
    let weights = [&b"\x8e"[..], &(12u64 << 20).to_le_bytes(), &vec![0; 12 << 20]].concat();
    let pickle = read_bytes(&[&losses[..], &weights, b"\x86."].concat()).unwrap();
    let items = pickle.items(pickle.root).unwrap();
    assert_eq!(pickle.items(items[0]).map(<[Id]>::len), Some(40_000));
    // A dictionary of many entries that is copied repeatedly.
    let mut bomb = b"\x80\x02ccollections\nOrderedDict\nq\x01}(".to_vec();
    bomb.extend(b"NN".repeat(10_000));
    bomb.extend(b"uq\x02");
    bomb.extend(b"h\x01h\x02\x85R0".repeat(10_000));
    bomb.push(b'.');
    assert!(read_bytes(&bomb).unwrap_err().contains("copies more than"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_opcodes_never_panic(bytes in proptest::collection::vec(prop::sample::select(
        b"(.012FIJKLMNQRSTUVXabcdeghjlpqrstu}])\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x8f\x90\x91\x93\x94\x95\n\x01\0".to_vec()), 0..200)) {
        let _ = read_bytes(&bytes);
    }
}
