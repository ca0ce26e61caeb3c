//! Broken and malicious files for every reader: always an error that names the file, never a panic, and never more memory than twice
//! the file (and four megabytes for buffers, the presets that it is compared with, and as many small parts as are believed).

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{ParameterStore, init};
use alexnet::features::Table;
use alexnet::formats::{self, ExportOptions, Model};
use alexnet::image::{Preprocess, decode};
use alexnet::lpips::Heads;
use alexnet::net::{Net, Op, presets};
use alexnet_kernels::random::Key;
use alexnet_testkit::images::{self, ColorType};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Counts what the thread that asks has taken.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

impl Counting {
    fn took(bytes: usize) {
        // Not while a thread ends.
        let _ = NOW.try_with(|now| {
            now.set(now.get().wrapping_add(bytes));
            let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
        });
    }

    fn gave(bytes: usize) {
        let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::took(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::took(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::gave(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        Counting::took(size);
        Counting::gave(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes taken at most at once while `work` runs, beyond those that were taken before.
fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.with(Cell::get);
    MOST.with(|most| most.set(before));
    let result = work();
    (result, MOST.with(Cell::get).saturating_sub(before))
}

/// For buffers, for the 15 presets that a file is compared with, and for parts of a byte or two that are objects here, of which
/// every reader believes a certain number only.
const ASIDE: usize = 4 << 20;

/// Everything that may be done with a file of any kind. Returns what opening it as a model said.
fn look(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).expect("a file");
    let told = |result: alexnet::Result<()>| {
        result.map_err(|error| {
            let error = error.to_string();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(error.contains(&name) && error.lines().count() <= 2 && error.len() < 2_000, "{error}");
            error
        })
    };
    let (opened, taken) = most(|| {
        let _ = told(formats::inspect(path, None).map(|_| ()));
        let _ = told(formats::read_mean(path).map(|_| ()));
        let _ = told(Heads::read(path).map(|_| ()));
        told(formats::load(path, None).map(|_| ()))
    });
    assert!(taken <= 2 * bytes.len() + ASIDE, "{taken} bytes for a file of {}: {opened:?}", bytes.len());
    opened
}

/// A net of torchvision's or Caffe's kind with few channels, whose answers do not matter.
fn small(preset: &str, size: usize) -> Model {
    let mut net = presets::by_name(preset).expect("a preset").with_image_size(size);
    for layer in &mut net.layers {
        match &mut layer.op {
            Op::Conv { out, .. } => *out = (*out / 16).max(4),
            Op::Linear { out, .. } => *out = (*out / 256).max(3),
            _ => {}
        }
    }
    let net = Net { name: "small".into(), ..net };
    let mut engine = Cpu::new(&net, 1, 1).expect("an engine");
    init::initialise(&mut engine, 1).expect("weights");
    let names = formats::parameters(&net).expect("parameters").into_iter();
    Model {
        tensors: names.map(|(name, _)| (name.clone(), engine.parameter(&name).expect("values").into())).collect(),
        preprocess: Preprocess::for_net(&net),
        classes: (0..net.classes()).map(|i| format!("class {i}")).collect(),
        recipe: serde_json::Value::Null,
        ranges: Default::default(),
        net,
    }
}

/// A file of each format: those that other tools wrote, and whole models of ours.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../alexnet-formats/tests/fixtures");
    let mut files = Vec::new();
    for name in [
        "zip.pth",
        "legacy.pth",
        "tar.pth",
        "checkpoint.pth",
        "beside.pth",
        "beside_legacy.pth",
        "numpy_beside.pth",
        "protocol2.pdparams",
        "protocol4.pdparams",
        "fortran.pdparams",
        "../../../alexnet/src/lpips/alex.pth",
    ] {
        let bytes = std::fs::read(golden.join(name)).expect(name);
        files.push((folder.join(Path::new(name).file_name().expect("a name")), bytes));
    }
    let model = small("caffenet", 67);
    for name in ["m.safetensors", "m.pth", "m.onnx", "m.caffemodel", "m.pdparams"] {
        let path = folder.join(name);
        formats::export(&path, &model, ExportOptions::default()).expect(name);
        files.push((path.clone(), std::fs::read(&path).expect(name)));
    }
    files
}

/// The whole files are read; so what follows breaks something.
#[test]
fn whole_files_are_read_with_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files(folder.path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match look(&path, &bytes) {
            Ok(()) => assert!(name.starts_with("m."), "{name}"),
            Err(why) => assert!(!name.starts_with("m."), "{name}: {why}"),
        }
    }
}

#[test]
fn files_cut_off_anywhere_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files(folder.path()) {
        for part in 0..64 {
            let cut = &bytes[..bytes.len() * part / 64];
            // The tar ends in zeros, of which nobody needs the last.
            if let Ok(()) = look(&path, cut) {
                panic!("{}: opens with {} of {} bytes", path.display(), cut.len(), bytes.len());
            }
        }
    }
}

#[test]
fn flipped_bytes_and_enormous_lengths_never_panic_or_take_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    for (k, (path, bytes)) in files(folder.path()).into_iter().enumerate() {
        let key = Key(7).with(k as u64);
        // What surrounds the numbers is at both ends; in the middle it is mostly numbers.
        let ends = bytes.len().min(3_000) as u64;
        let place = |key: Key, i: u64| match key.below(i, 3) {
            0 => key.below(i + 1, ends) as usize,
            1 => bytes.len() - 1 - key.below(i + 1, ends) as usize,
            _ => key.below(i + 1, bytes.len() as u64) as usize,
        };
        for trial in 0..150 {
            let key = key.with(trial);
            let mut changed = bytes.clone();
            for flip in 0..1 + key.below(0, 8) {
                changed[place(key.with(flip), 1)] = key.bits(100 + flip) as u8;
            }
            let _ = look(&path, &changed);
        }
        for trial in 0..60 {
            let at = place(key.with(1_000 + trial), 1).min(bytes.len().saturating_sub(8));
            let mut changed = bytes.clone();
            let length: u64 = if trial % 2 == 0 { 1 << 63 } else { u64::MAX };
            // In both orders of bytes, and in 4 bytes as well as 8.
            let length = if trial % 3 == 0 { length.to_be_bytes() } else { length.to_le_bytes() };
            let used = if trial % 5 == 0 { 4 } else { 8 };
            changed[at..at + used].copy_from_slice(&length[8 - used..]);
            let _ = look(&path, &changed);
        }
    }
}

/// A varint of protobuf.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field of protobuf that announces `length` bytes and holds `bytes`.
fn field(number: u64, length: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(length), bytes.to_vec()].concat()
}

/// A zip of stored records, whose directory says of each what `claim` makes of its true compressed and whole length.
fn zip(records: &[(&str, &[u8])], method: u16, claim: impl Fn(u32) -> (u32, u32)) -> Vec<u8> {
    let (mut all, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in records {
        let start = all.len() as u32;
        let (packed, whole) = claim(bytes.len() as u32);
        let mut common = [20u16, 0, method, 0, 0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        common.extend([0, packed, whole].iter().flat_map(|v| v.to_le_bytes()));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        all.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, count) = (all.len() as u32, (records.len() as u16).to_le_bytes());
    all.extend(&directory);
    all.extend(b"PK\x05\x06\0\0\0\0");
    all.extend([&count[..], &count, &(directory.len() as u32).to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat());
    all
}

#[test]
fn what_would_run_code_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = folder.path().join("run");
    let command = format!("touch {}", witness.display());
    // As pickle.dumps writes an object whose __reduce__ gives (os.system, (command,)).
    let pickle =
        [b"\x80\x02cposix\nsystem\nX", &(command.len() as u32).to_le_bytes()[..], command.as_bytes(), b"\x85R."].concat();
    let says = |name: &str, bytes: &[u8]| {
        let why = look(&folder.path().join(name), bytes).expect_err("a pickle that calls something");
        assert!(why.contains("posix.system"), "{name}: {why}");
    };
    says("zip.pth", &zip(&[("archive/data.pkl", &pickle), ("archive/byteorder", b"little")], 0, |n| (n, n)));
    says("m.pdparams", &pickle);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../alexnet-formats/tests/fixtures");
    let legacy = std::fs::read(golden.join("legacy.pth")).expect("the file");
    says("legacy.pth", &[&legacy[..15], b"\x80\x02M\xe9\x03.\x80\x02}.", &pickle].concat());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("storages", b"\x80\x02K\0.\x80\x02].".as_slice()), ("tensors", b"\x80\x02K\0."), ("pickle", &pickle)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).expect("a member");
    }
    says("tar.pth", &tar.into_inner().expect("a tar"));
    assert!(!witness.exists());
}

#[test]
fn bombs_and_lengths_beyond_the_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let says = |name: &str, bytes: &[u8], part: &str| {
        let why = look(&folder.path().join(name), bytes).expect_err(name);
        assert!(why.contains(part), "{name}: {why}");
    };
    // Four gigabytes in a record of forty bytes; and the same bytes under many names, each the whole file.
    says("bomb.pth", &zip(&[("archive/data.pkl", &[0; 40])], 8, |n| (n, u32::MAX)), "compressed");
    says("long.pth", &zip(&[("archive/data.pkl", b"\x80\x02}.")], 0, |_| (1 << 31, 1 << 31)), "long.pth");
    let many: Vec<(String, [u8; 1])> = (0..20_000).map(|i| (format!("archive/data/{i}"), [0])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    says("many.pth", &zip(&many, 0, |n| (n, n)), "more than 16384 records");

    let json = |length: u64, header: &[u8]| [&length.to_le_bytes()[..], header].concat();
    says("m.safetensors", &json(1 << 63, b"{\"__metadata__\":{}}"), "9223372036854775808");
    says("n.safetensors", &json(1 << 26, b"{\"__metadata__\":{}}"), "truncated");
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 100_000]].concat();
    says("o.safetensors", &json(deep.len() as u64, &deep), "invalid safetensors header");
    let over = br#"{"conv1.weight":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#;
    says("p.safetensors", &json(over.len() as u64, over), "p.safetensors");

    // Caffe: a layer within a net, a blob within the layer, each longer than what holds it.
    let blob = field(5, 1 << 61, &[0; 8]);
    let layer = [field(1, 5, b"conv1"), field(7, 1 << 40, &blob)].concat();
    let net = [field(1, 1, b"n"), field(100, layer.len() as u64, &layer)].concat();
    says("m.caffemodel", &net, "1099511627776");
    says("n.caffemodel", &[field(100, 0, b""), field(100, u64::MAX, &layer)].concat(), "18446744073709551615");
    // ONNX: a graph, a tensor in it, its numbers.
    let version = [8, 7];
    let tensor = [varint(1 << 3), varint(1 << 62), field(9, 1 << 62, &[0; 4])].concat();
    let graph = field(5, tensor.len() as u64, &tensor);
    let model = |graph: &[u8]| [&version[..], &field(7, graph.len() as u64, graph)].concat();
    says("m.onnx", &model(&graph), "4611686018427387904");
    says("n.onnx", &model(&field(5, 1 << 50, &tensor)), "1125899906842624");
    let nested = (0..10_000).fold(Vec::new(), |inner, _| field(7, inner.len() as u64, &inner));
    says("o.onnx", &[&version[..], &nested].concat(), "o.onnx");
    // Parts of a byte or two, as many as there is room for.
    for (k, byte) in [b'N', b'2', b'(', 0x94, b'}'].into_iter().enumerate() {
        says(&format!("many{k}.pdparams"), &[&b"\x80\x02N"[..], &vec![byte; 400_000], b"."].concat(), "");
    }
    let layers = |tag: &[u8]| tag.repeat(200_000);
    says("many.caffemodel", &[field(1, 1, b"n"), layers(&[0x12, 0])].concat(), "layers");
    let nodes = layers(&[0x0A, 0]);
    says("many.onnx", &model(&nodes), "parts");
    says("deep.onnx", &model(&field(1, nodes.len() as u64, &nodes)), "deep.onnx");
    // Pickles: a text, bytes and a long of more than there is.
    for (k, head) in [&b"\x80\x04\x8d"[..], b"\x80\x04\x8e", b"\x80\x05\x96"].into_iter().enumerate() {
        says(&format!("{k}.pdparams"), &[head, &(1u64 << 63).to_le_bytes()].concat(), "9223372036854775808");
    }
}

#[test]
fn broken_tables_and_pictures_never_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let (npy, beside) = (folder.path().join("t.npy"), folder.path().join("t.json"));
    // Whatever is beside it.
    for (k, bytes) in
        [&b"\x93NUMPY\x01\x00\xff\xff"[..], b"", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr"].into_iter().enumerate()
    {
        std::fs::write(&npy, bytes).expect("a file");
        std::fs::write(&beside, ["{}", "[[[[", ""][k]).expect("a file");
        assert!(Table::read(&npy).is_err());
    }
    let plain: Vec<u8> =
        (0..33 * 21).flat_map(|i| [i % 33 * 7, i / 33 * 9, i % 33 * (i / 33)]).map(|value| value as u8).collect();
    let files = [
        ("PNG", images::png(33, 21, ColorType::Rgb, &plain)),
        ("BMP", images::bmp(33, 21, &plain)),
        ("GIF", images::gif(33, 21, &plain)),
        ("WebP", images::webp(33, 21, &plain)),
    ];
    for (format, bytes) in files {
        assert!(decode::decode(&bytes).is_ok(), "{format}");
        for part in 0..64 {
            let _ = decode::decode(&bytes[..bytes.len() * part / 64]);
        }
        for trial in 0..200 {
            let key = Key(9).with(trial);
            let mut changed = bytes.clone();
            for flip in 0..1 + key.below(0, 6) {
                changed[key.below(1 + flip, bytes.len() as u64) as usize] = key.bits(100 + flip) as u8;
            }
            let _ = decode::decode(&changed);
        }
    }
}
