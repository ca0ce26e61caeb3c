//! CIFAR in its four forms, intact and damaged.

use super::PIXELS;
use crate::{Demand, Opened, Result, Source, Split};
use std::fs;
use std::path::Path;

const NAMES: [&str; 3] = ["airplane", "automobile", "bird"];

/// Pixels of image `i` of a file, in planes.
fn planes(file: usize, i: usize) -> Vec<u8> {
    (0..PIXELS as usize).map(|at| (at * 7 + i * 31 + file * 101) as u8).collect()
}

fn label(file: usize, i: usize) -> u8 {
    ((file + i) % 3) as u8
}

/// A string of Python 2.
fn string(text: &str) -> Vec<u8> {
    [b"U", [text.len() as u8].as_slice(), text.as_bytes()].concat()
}

/// A batch as Python 2 pickled it in protocol 2.
fn batch(file: usize, count: usize, key: &str) -> Vec<u8> {
    let labels: Vec<u8> = (0..count).flat_map(|i| [b'K', label(file, i)]).collect();
    let pixels: Vec<u8> = (0..count).flat_map(|i| planes(file, i)).collect();
    let names: Vec<u8> = (0..count).flat_map(|i| [string(&format!("{i}.png")), b"q\x09".to_vec()].concat()).collect();
    [
        b"\x80\x02}q\x01(".as_slice(),
        &string("batch_label"),
        b"q\x02",
        &string("testing"),
        &string(key),
        b"]q\x03(",
        &labels,
        b"e",
        &string("data"),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\0\x85",
        &string("b"),
        b"\x87Rq\x06(K\x01K",
        &[count as u8],
        b"M\0\x0C\x86cnumpy\ndtype\nq\x07",
        &string("u1"),
        b"K\0K\x01\x87Rq\x08(K\x03",
        &string("|"),
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T",
        &(pixels.len() as u32).to_le_bytes(),
        &pixels,
        b"tb",
        &string("filenames"),
        b"](",
        &names,
        b"eu.",
    ]
    .concat()
}

fn meta(key: &str) -> Vec<u8> {
    let names: Vec<u8> = NAMES.iter().flat_map(|name| string(name)).collect();
    [b"\x80\x02}(".as_slice(), &string(key), b"](", &names, b"e", &string("num_vis"), b"M\0\x0Cu."].concat()
}

fn records(file: usize, count: usize, before: &[u8]) -> Vec<u8> {
    (0..count).flat_map(|i| [before, &[label(file, i)], &planes(file, i)].concat()).collect()
}

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// The files of each download.
fn downloads() -> [(&'static str, Files); 4] {
    let numbered = |end: &str| -> Vec<String> {
        (1..=5).map(|i| format!("data_batch_{i}{end}")).chain([format!("test_batch{end}")]).collect()
    };
    let text = format!("{}\n\n", NAMES.join("\n")).into_bytes();
    let of = |names: Vec<String>, make: &dyn Fn(usize, usize) -> Vec<u8>| -> Files {
        names.into_iter().enumerate().map(|(file, name)| (name, make(file, 3 + file))).collect()
    };
    let one = |end: &str| ["train", "test"].map(|name| format!("{name}{end}")).to_vec();
    let with = |mut files: Files, name: &str, names: Vec<u8>| {
        files.push((name.into(), names));
        files
    };
    [
        ("cifar-10-batches-py", with(of(numbered(""), &|f, n| batch(f, n, "labels")), "batches.meta", meta("label_names"))),
        ("cifar-10-batches-bin", with(of(numbered(".bin"), &|f, n| records(f, n, &[])), "batches.meta.txt", text.clone())),
        ("cifar-100-python", with(of(one(""), &|f, n| batch(f, n, "fine_labels")), "meta", meta("fine_label_names"))),
        ("cifar-100-binary", with(of(one(".bin"), &|f, n| records(f, n, &[9])), "fine_label_names.txt", text)),
    ]
}

fn write(root: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(root).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(root.join(name), bytes).unwrap());
}

fn open(path: &Path, split: Split) -> Result<Opened> {
    Source::new(path).open(split, Demand::Trainable)
}

#[test]
fn all_downloads_are_read_from_folders_and_archives() {
    for (name, files) in downloads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        write(&root, &files);
        let mut tar = ::tar::Builder::new(Vec::new());
        // Python begins with a header of its own for the folder.
        tar.append_pax_extensions([("mtime", b"1.5".as_slice())]).unwrap();
        tar.append_dir_all(format!("./{name}"), &root).unwrap();
        let tar = tar.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &tar).unwrap();
        fs::write(folder.path().join("plain.tar"), &tar).unwrap();
        fs::write(folder.path().join("packed.tar.gz"), gzip.finish().unwrap()).unwrap();
        let test_file = if name.contains("100") { 1 } else { 5 };
        for path in [root.clone(), folder.path().into(), folder.path().join("plain.tar"), folder.path().join("packed.tar.gz")] {
            let (train, test) = (open(&path, Split::Train).unwrap(), open(&path, Split::Validation).unwrap());
            assert_eq!((train.source.classes(), test.taken.as_deref()), (NAMES.map(String::from).as_slice(), Some("test")));
            let expected: Vec<(usize, usize)> = (0..test_file).flat_map(|file| (0..3 + file).map(move |i| (file, i))).collect();
            assert_eq!(train.source.len(), expected.len());
            let of_test = (0..3 + test_file).map(|i| (test_file, i));
            let both = [(train, expected), (test, of_test.collect())];
            for (opened, expected) in both {
                for (at, (file, i)) in expected.into_iter().enumerate() {
                    let (image, planes) = (opened.source.image(at).unwrap(), planes(file, i));
                    let rgb: Vec<u8> = (0..1024).flat_map(|p| [planes[p], planes[1024 + p], planes[2048 + p]]).collect();
                    assert_eq!((image.width, image.height, image.rgb), (32, 32, rgb), "{name}");
                    assert_eq!(opened.source.label(at), u32::from(label(file, i)));
                    assert_eq!((opened.source.file(at).unwrap(), opened.source.file_size(at)), (None, Some(PIXELS)));
                }
            }
            let all = Source::new(&path).open_any().unwrap();
            assert!(all.lines()[0].ends_with("has the splits test, train; using all"), "{:?}", all.lines());
        }
    }
}

#[test]
fn damaged_files_give_errors() {
    for (name, files) in downloads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        write(&root, &files);
        let (names_file, _) = files.last().unwrap();
        let (first, bytes) = &files[0];
        let why = |file: &str, bytes: &[u8]| {
            let before = fs::read(root.join(file)).unwrap();
            fs::write(root.join(file), bytes).unwrap();
            let why = open(&root, Split::Train).err().map(|error| error.to_string());
            fs::write(root.join(file), before).unwrap();
            why.unwrap_or_default()
        };
        for length in [0, 1, 20, bytes.len() / 2, bytes.len() - 1] {
            let why = why(first, &bytes[..length]);
            assert!(
                why.contains(first.as_str()) && (why.contains("truncated") || why.contains("array")),
                "{name} {length}: {why}"
            );
        }
        // Labels beyond the names.
        if name.contains("bin") {
            assert!(why(names_file, b"airplane\nbird\n").contains("a label is 2, but"));
            assert!(why(names_file, b"").contains("has 0 class names"));
        }
        fs::remove_file(root.join(names_file)).unwrap();
        assert!(open(&root, Split::Train).err().unwrap().to_string().contains(names_file.as_str()));
    }
    // Labels that do not match the images, and code.
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cifar-100-python");
    let [_, _, (_, files), _] = downloads();
    write(&root, &files);
    let whole = batch(0, 3, "fine_labels");
    let why = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|window| window == from).unwrap();
        fs::write(root.join("train"), [&whole[..at], to, &whole[at + from.len()..]].concat()).unwrap();
        open(&root, Split::Train).err().unwrap().to_string()
    };
    assert!(why(b"(K\0", b"(K\0K\0").contains("4 labels for an array of the shape [3, 3072]"));
    assert!(why(b"K\x01K\x03M", b"K\x01K\x04M").contains("3 labels for an array of the shape [4, 3072]"));
    assert!(why(b"cnumpy\nndarray", b"cos\nsystem").contains("refers to os.system, which such data do not need and is not run"));
    assert!(why(b"q\x04", b"i\x04").contains("uses the opcode 0x69"));
    assert!(why(b"u1", b"f4").contains("no array of bytes"));
    assert!(why(b"fine_labels", b"fine_babels").contains("no entry fine_labels"));
}

#[test]
fn a_folder_of_several_sets_is_ambiguous() {
    let folder = tempfile::tempdir().unwrap();
    for (name, files) in &downloads()[..2] {
        write(&folder.path().join(name), files);
    }
    let why = open(folder.path(), Split::Train).err().unwrap().to_string();
    assert!(why.ends_with("holds several data sets: cifar-10-batches-bin, cifar-10-batches-py; use the folder of one"), "{why}");
}

#[test]
fn missing_files_are_named() {
    for (name, files) in downloads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        write(&root, &files);
        let why = |missing: &str, split: Split| {
            let away = folder.path().join("away");
            fs::rename(root.join(missing), &away).unwrap();
            let opened = open(&root, split);
            fs::rename(&away, root.join(missing)).unwrap();
            opened.map_err(|error| error.to_string())
        };
        // All but the last are batches, the test batch at their end.
        let [batches @ .., (test, _), (names, _)] = files.as_slice() else { panic!("no files") };
        for missing in batches.iter().map(|(batch, _)| batch).chain([names]) {
            let text = why(missing, Split::Train).err().unwrap();
            assert!(text.ends_with(&format!("{name}: {missing} is missing from the set; download or unpack it again")), "{text}");
        }
        let text = why(test, Split::Validation).err().unwrap();
        assert!(text.contains(&format!("{test} is missing from the set; download")), "{text}");
        let train = why(test, Split::Train).unwrap();
        let images = (0..batches.len()).map(|file| 3 + file).sum();
        assert_eq!((train.splits.is_none(), train.source.len()), (true, images));
        assert!(train.notes.iter().any(|note| note.contains(&format!("{test} is missing from the set"))), "{:?}", train.notes);
    }
}
