//! Broken and malicious files for every reader. Each must give an error that names the file, never panic, and never
//! allocate more than twice the file size (plus four megabytes for buffers, the presets used for comparison, and a
//! limited number of small objects).

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

/// Allocator that counts the memory allocated by the current thread.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

impl Counting {
    fn took(bytes: usize) {
        // Ignores allocations during thread exit, when the counter no longer exists.
        let _ = NOW.try_with(|now| {
            now.set(now.get().wrapping_add(bytes));
            let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
        });
    }

    fn gave(bytes: usize) {
        let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
    }
}

// SAFETY: every call is passed unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::took(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::took(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::gave(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist at the same time.
        Counting::took(size);
        Counting::gave(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak memory allocated while `work` runs, in bytes, beyond the memory in use before.
fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.with(Cell::get);
    MOST.with(|most| most.set(before));
    let result = work();
    (result, MOST.with(Cell::get).saturating_sub(before))
}

/// Allowance for buffers, for the 15 presets that a file is compared with, and for objects parsed from parts of one
/// or two bytes, whose number every reader limits.
const ASIDE: usize = 4 << 20;

/// Runs every reader on a file of any kind. Returns the result of loading it as a model.
fn read_all(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).expect("a file");
    let check = |result: alexnet::Result<()>| {
        result.map_err(|error| {
            let error = error.to_string();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(error.contains(&name) && error.lines().count() <= 2 && error.len() < 2_000, "{error}");
            error
        })
    };
    let (opened, taken) = most(|| {
        let _ = check(formats::inspect(path, None).map(|_| ()));
        let _ = check(formats::read_mean(path).map(|_| ()));
        let _ = check(Heads::read(path).map(|_| ()));
        check(formats::load(path, None).map(|_| ()))
    });
    assert!(taken <= 2 * bytes.len() + ASIDE, "{taken} bytes for a file of {}: {opened:?}", bytes.len());
    opened
}

/// A net like torchvision's or Caffe's with few channels; its predictions do not matter.
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
        temperature: None,
        net,
    }
}

/// A file of each format: files written by other tools, and complete models of ours.
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

/// Verifies that the intact files can be read, so that the tests below really break something.
#[test]
fn intact_files_are_read_with_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files(folder.path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match read_all(&path, &bytes) {
            Ok(()) => assert!(name.starts_with("m."), "{name}"),
            Err(why) => assert!(!name.starts_with("m."), "{name}: {why}"),
        }
    }
}

#[test]
fn files_truncated_anywhere_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files(folder.path()) {
        for part in 0..64 {
            let cut = &bytes[..bytes.len() * part / 64];
            // A tar ends in zeros, of which the last are not needed.
            if let Ok(()) = read_all(&path, cut) {
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
        // Structure is mostly at both ends; the middle is mostly numbers.
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
            let _ = read_all(&path, &changed);
        }
        for trial in 0..60 {
            let at = place(key.with(1_000 + trial), 1).min(bytes.len().saturating_sub(8));
            let mut changed = bytes.clone();
            let length: u64 = if trial % 2 == 0 { 1 << 63 } else { u64::MAX };
            // In both byte orders, with 4 and 8 bytes.
            let length = if trial % 3 == 0 { length.to_be_bytes() } else { length.to_le_bytes() };
            let used = if trial % 5 == 0 { 4 } else { 8 };
            changed[at..at + used].copy_from_slice(&length[8 - used..]);
            let _ = read_all(&path, &changed);
        }
    }
}

/// Encodes a protobuf varint.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A protobuf field that announces `length` bytes and holds `bytes`.
fn field(number: u64, length: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(length), bytes.to_vec()].concat()
}

/// A zip of stored records; `claim` maps each true length to the compressed and full lengths announced in the
/// directory.
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
fn code_execution_is_rejected_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = folder.path().join("run");
    let command = format!("touch {}", witness.display());
    // As pickle.dumps writes an object whose __reduce__ returns (os.system, (command,)).
    let pickle =
        [b"\x80\x02cposix\nsystem\nX", &(command.len() as u32).to_le_bytes()[..], command.as_bytes(), b"\x85R."].concat();
    let rejects = |name: &str, bytes: &[u8]| {
        let why = read_all(&folder.path().join(name), bytes).expect_err("a pickle that calls something");
        assert!(why.contains("posix.system"), "{name}: {why}");
    };
    rejects("zip.pth", &zip(&[("archive/data.pkl", &pickle), ("archive/byteorder", b"little")], 0, |n| (n, n)));
    rejects("m.pdparams", &pickle);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../alexnet-formats/tests/fixtures");
    let legacy = std::fs::read(golden.join("legacy.pth")).expect("the file");
    rejects("legacy.pth", &[&legacy[..15], b"\x80\x02M\xe9\x03.\x80\x02}.", &pickle].concat());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("storages", b"\x80\x02K\0.\x80\x02].".as_slice()), ("tensors", b"\x80\x02K\0."), ("pickle", &pickle)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).expect("a member");
    }
    rejects("tar.pth", &tar.into_inner().expect("a tar"));
    assert!(!witness.exists());
}

#[test]
fn bombs_and_lengths_past_the_end_are_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let rejects = |name: &str, bytes: &[u8], part: &str| {
        let why = read_all(&folder.path().join(name), bytes).expect_err(name);
        assert!(why.contains(part), "{name}: {why}");
    };
    // A record of forty bytes that announces four gigabytes, and many records that each refer to the same bytes.
    rejects("bomb.pth", &zip(&[("archive/data.pkl", &[0; 40])], 8, |n| (n, u32::MAX)), "compressed");
    rejects("long.pth", &zip(&[("archive/data.pkl", b"\x80\x02}.")], 0, |_| (1 << 31, 1 << 31)), "long.pth");
    let many: Vec<(String, [u8; 1])> = (0..20_000).map(|i| (format!("archive/data/{i}"), [0])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    rejects("many.pth", &zip(&many, 0, |n| (n, n)), "more than 16384 records");

    let json = |length: u64, header: &[u8]| [&length.to_le_bytes()[..], header].concat();
    rejects("m.safetensors", &json(1 << 63, b"{\"__metadata__\":{}}"), "9223372036854775808");
    rejects("n.safetensors", &json(1 << 26, b"{\"__metadata__\":{}}"), "truncated");
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 100_000]].concat();
    rejects("o.safetensors", &json(deep.len() as u64, &deep), "invalid safetensors header");
    let over = br#"{"conv1.weight":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#;
    rejects("p.safetensors", &json(over.len() as u64, over), "p.safetensors");

    // Caffe: a layer within a net and a blob within the layer, each longer than its container.
    let blob = field(5, 1 << 61, &[0; 8]);
    let layer = [field(1, 5, b"conv1"), field(7, 1 << 40, &blob)].concat();
    let net = [field(1, 1, b"n"), field(100, layer.len() as u64, &layer)].concat();
    rejects("m.caffemodel", &net, "1099511627776");
    rejects("n.caffemodel", &[field(100, 0, b""), field(100, u64::MAX, &layer)].concat(), "18446744073709551615");
    // ONNX: a graph, a tensor in it, and its values.
    let version = [8, 7];
    let tensor = [varint(1 << 3), varint(1 << 62), field(9, 1 << 62, &[0; 4])].concat();
    let graph = field(5, tensor.len() as u64, &tensor);
    let model = |graph: &[u8]| [&version[..], &field(7, graph.len() as u64, graph)].concat();
    rejects("m.onnx", &model(&graph), "4611686018427387904");
    rejects("n.onnx", &model(&field(5, 1 << 50, &tensor)), "1125899906842624");
    let nested = (0..10_000).fold(Vec::new(), |inner, _| field(7, inner.len() as u64, &inner));
    rejects("o.onnx", &[&version[..], &nested].concat(), "o.onnx");
    // As many parts of one or two bytes as fit.
    for (k, byte) in [b'N', b'2', b'(', 0x94, b'}'].into_iter().enumerate() {
        rejects(&format!("many{k}.pdparams"), &[&b"\x80\x02N"[..], &vec![byte; 400_000], b"."].concat(), "");
    }
    let layers = |tag: &[u8]| tag.repeat(200_000);
    rejects("many.caffemodel", &[field(1, 1, b"n"), layers(&[0x12, 0])].concat(), "layers");
    let nodes = layers(&[0x0A, 0]);
    rejects("many.onnx", &model(&nodes), "parts");
    rejects("deep.onnx", &model(&field(1, nodes.len() as u64, &nodes)), "deep.onnx");
    // Pickles: a string, bytes and a long longer than the file.
    for (k, head) in [&b"\x80\x04\x8d"[..], b"\x80\x04\x8e", b"\x80\x05\x96"].into_iter().enumerate() {
        rejects(&format!("{k}.pdparams"), &[head, &(1u64 << 63).to_le_bytes()].concat(), "9223372036854775808");
    }
}

#[test]
fn broken_tables_and_images_never_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let (npy, beside) = (folder.path().join("t.npy"), folder.path().join("t.json"));
    // With any sidecar file.
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
