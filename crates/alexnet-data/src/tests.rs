//! Listing of folders, tars and lists.

use super::{Dataset, Demand, Opened, Reason, Result, Source, Split, of_files, open, open_loose};
use std::fs;
use std::path::Path;

fn open_split(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    Source::new(path).open(split, demand)
}

fn open_any(path: &Path) -> Result<Opened> {
    Source::new(path).open_any()
}

fn names(source: &dyn Dataset) -> Vec<(String, Option<String>)> {
    let label = |i| source.classes().get(source.label(i) as usize).cloned();
    (0..source.len()).map(|i| (source.name(i).to_string(), label(i))).collect()
}

#[test]
fn images_are_found_with_or_without_classes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["set/b/deep/1.jpg", "set/b/2.png", "set/a/x.webp", "set/a/notes.txt", "set/.hidden/3.jpg"] {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), name).unwrap();
    }
    let pair = |name: &str, class: Option<&str>| (name.to_string(), class.map(String::from));
    let classed = [pair("a/x.webp", Some("a")), pair("b/2.png", Some("b")), pair("b/deep/1.jpg", Some("b"))];
    assert_eq!(names(&*open_loose(&at("set")).unwrap()), classed);
    assert_eq!(names(&*open(&at("set")).unwrap()), classed);
    // A single class, or none: too little for training, but enough for viewing.
    assert_eq!(names(&*open_loose(&at("set/b")).unwrap()), [pair("2.png", None), pair("deep/1.jpg", None)]);
    assert!(open(&at("set/b")).err().unwrap().to_string().contains("is not in a class folder"));

    let mut tar = ::tar::Builder::new(fs::File::create(at("set.tar")).unwrap());
    tar.append_dir_all(".", at("set")).unwrap();
    tar.finish().unwrap();
    assert_eq!(names(&*open_loose(&at("set.tar")).unwrap()), classed);
    let mut tar = ::tar::Builder::new(fs::File::create(at("flat.tar")).unwrap());
    tar.append_path_with_name(at("set/b/2.png"), "2.png").unwrap();
    tar.finish().unwrap();
    let flat = open_loose(&at("flat.tar")).unwrap();
    assert_eq!((names(&*flat), flat.file(0).unwrap().unwrap()), (vec![pair("2.png", None)], b"set/b/2.png".to_vec()));
    assert!(open(&at("flat.tar")).err().unwrap().to_string().contains("2.png is not in a class folder"));

    fs::write(at("list.txt"), "set/b/2.png\n\n set/a/x.webp \n").unwrap();
    let list = open_loose(&at("list.txt")).unwrap();
    assert_eq!(names(&*list), [pair("set/b/2.png", None), pair("set/a/x.webp", None)]);
    assert_eq!(list.file(1).unwrap().unwrap(), b"set/a/x.webp");
    assert_eq!(of_files(&[at("set/a/x.webp")]).file(0).unwrap().unwrap(), b"set/a/x.webp");
    assert_eq!(open_loose(&at("set/b/2.png")).unwrap().len(), 1);
    fs::write(at("empty.txt"), "\n").unwrap();
    fs::create_dir(at("nothing")).unwrap();
    fs::write(at("model.bin"), "").unwrap();
    for (name, part) in
        [("empty.txt", "lists no images"), ("nothing", "no images here"), ("gone", "No such file"), ("model.bin", "neither")]
    {
        let why = open_loose(&at(name)).err().unwrap().to_string();
        assert!(why.contains(name) && why.contains(part), "{why}");
    }
}

/// Writes files with the given content, and their parent folders.
fn write(root: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let at = root.join(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
}

fn packed(root: &Path) -> std::path::PathBuf {
    let path = root.with_extension("tar");
    let mut tar = ::tar::Builder::new(fs::File::create(&path).unwrap());
    tar.append_dir_all(".", root).unwrap();
    tar.finish().unwrap();
    path
}

/// The files below a folder, without the folders themselves, as a zip of deflated members.
fn zipped(root: &Path) -> std::path::PathBuf {
    fn walk(root: &Path, at: &Path, out: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            if path.is_dir() {
                out.push((format!("{name}/"), Vec::new()));
                walk(root, &path, out);
            } else {
                out.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    let mut members = Vec::new();
    walk(root, root, &mut members);
    let path = root.with_extension("zip");
    fs::write(&path, zip(&members)).unwrap();
    path
}

/// A zip of deflated members; those whose names end with `/` are folders.
pub(crate) fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, content) in members {
        if name.ends_with('/') {
            zip.new_dir(name).create().unwrap();
            continue;
        }
        let (mut entry, config) =
            zip.new_file(name).compression_method(rawzip::CompressionMethod::DEFLATE).unix_permissions(0o644).start().unwrap();
        let mut out = config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default()));
        std::io::Write::write_all(&mut out, content).unwrap();
        let (encoder, sizes) = out.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(sizes).unwrap();
    }
    zip.finish().unwrap()
}

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0";

#[test]
fn splits_are_never_classes() {
    let folder = tempfile::tempdir().unwrap();
    let around = folder.path().join("around");
    let root = around.join("nested");
    let names_in = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"];
    for (split, n) in [("train", 3), ("val", 2), ("test", 1)] {
        let files: Vec<String> = names_in.iter().rev().take(n).map(|name| format!("{split}/{name}")).collect();
        write(&root, &files.iter().map(|name| (name.as_str(), JPEG)).collect::<Vec<_>>());
        fs::create_dir_all(root.join(split).join("cat")).unwrap();
    }
    write(&root, &[("README.md", b"about"), ("sample.jpg", JPEG)]);
    for root in [root.clone(), packed(&root), zipped(&root)] {
        let train = open(&root).unwrap();
        assert_eq!((train.classes(), train.len(), train.name(0)), (["cat", "dog"].map(String::from).as_slice(), 3, "cat/1.jpg"));
        let val = open_split(&root, Split::Validation, Demand::All).unwrap();
        assert_eq!((val.source.classes(), val.source.len(), val.taken.as_deref()), (train.classes(), 2, Some("val")));
        let lines = val.lines();
        assert!(lines[0].ends_with("has the splits test, train, val; using val"), "{lines:?}");
        assert!(lines[1].ends_with("val: 2 images in 2 classes: cat 1, dog 1"), "{lines:?}");
        assert!(
            lines[2].ends_with(": skipped: 1 file that is not an image (README.md), 1 image outside the splits (sample.jpg)"),
            "{lines:?}"
        );
        // One class of the test split has no images.
        let test = open_split(&root, Split::Test, Demand::WithImages).unwrap();
        assert_eq!((test.source.classes(), test.source.len()), (["dog".to_string()].as_slice(), 1));
        assert_eq!(test.empty, ["cat"]);
        let all = open_split(&root, Split::Test, Demand::All).unwrap();
        assert_eq!((all.source.classes(), all.source.label(0)), (train.classes(), 1));
        assert!(open_split(&root, Split::Test, Demand::Trainable).err().unwrap().to_string().contains("class cat has no images"));
        fs::remove_file(root.join("sample.jpg")).ok();
    }
    fs::remove_file(root.join("README.md")).unwrap();
    for root in [root.clone(), packed(&root), zipped(&root)] {
        let all = open_any(&root).unwrap();
        assert_eq!((all.source.classes(), all.source.len()), (["cat", "dog"].map(String::from).as_slice(), 6));
        let at = (0..6).find(|&i| all.source.name(i) == "val/dog/1.jpg").unwrap();
        assert_eq!(all.source.label(at), 1);
        assert!(all.lines()[0].ends_with("using all"));
    }
    // A wrapper folder, as `tar -cf set.tar nested` creates.
    for around in [around.clone(), packed(&around), zipped(&around)] {
        let val = open_split(&around, Split::Validation, Demand::Trainable).unwrap();
        assert_eq!((val.source.len(), val.source.name(0)), (2, "cat/2.jpg"), "{}", around.display());
        assert!(val.at.ends_with("nested/val"));
        let all = open_any(&around).unwrap();
        assert_eq!(
            (all.source.classes(), all.source.name(0)),
            (["cat", "dog"].map(String::from).as_slice(), "nested/train/cat/1.jpg")
        );
    }
    // And another one, as in zips of a downloaded folder.
    let wrapped = folder.path().join("wrapped");
    fs::create_dir_all(wrapped.join("set-main")).unwrap();
    fs::rename(&around, wrapped.join("set-main/data")).unwrap();
    for wrapped in [wrapped.clone(), packed(&wrapped), zipped(&wrapped)] {
        let val = open_split(&wrapped, Split::Validation, Demand::Trainable).unwrap();
        assert_eq!((val.source.len(), val.source.name(0)), (2, "cat/2.jpg"), "{}", wrapped.display());
        assert_eq!(open_any(&wrapped).unwrap().source.classes(), ["cat", "dog"]);
    }
    // Splits of unknown names are at least reported as classes.
    let folds = folder.path().join("folds");
    write(&folds, &[("part1/cat/1.jpg", JPEG), ("part1/dog/1.jpg", JPEG), ("part2/cat/1.jpg", JPEG)]);
    for folds in [folds.clone(), packed(&folds), zipped(&folds)] {
        let lines = open_split(&folds, Split::Train, Demand::Trainable).unwrap().lines();
        assert!(lines[1].contains("such as part1/cat; if cat is the class, use ") && lines[1].ends_with("part1"), "{lines:?}");
    }
    write(&folds, &[("part1/1.jpg", JPEG)]);
    assert_eq!(open_split(&folds, Split::Train, Demand::Trainable).unwrap().lines().len(), 1);
    // Classes that happen to have split names.
    let flat = folder.path().join("flat");
    write(&flat, &[("train/1.jpg", JPEG), ("test/1.jpg", JPEG)]);
    for flat in [flat.clone(), packed(&flat), zipped(&flat)] {
        assert_eq!(open(&flat).unwrap().classes(), ["test", "train"]);
    }
    write(&flat, &[("train/cat/1.jpg", JPEG)]);
    assert!(open(&flat).err().unwrap().to_string().contains("test has no class folders"));
}

#[test]
fn files_are_identified_by_content_and_unused_ones_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    write(
        &root,
        &[
            ("cat/1.JPG", JPEG),
            ("cat/2.jfif", JPEG),
            ("cat/photo", JPEG),
            ("cat/3.dat", b"\x89PNG\r\n\x1A\n"),
            ("cat/b.tif", b"II*\0\x08\0\0\0"),
            ("dog/b.ppm", b"P6 1 1 255\nabc"),
            ("dog/4.heic", b"\0\0\0\x18ftypheic"),
            ("dog/1.gif", b"GIF89a"),
            ("dog/notes.txt", b"notes"),
            ("dog/Thumbs.db", b"x"),
            ("__MACOSX/cat/._1.jpg", JPEG),
            ("__MACOSX/cat/._2.jpg", JPEG),
            (".DS_Store", b"x"),
        ],
    );
    for root in [root.clone(), packed(&root), zipped(&root)] {
        let opened = open_split(&root, Split::Train, Demand::Trainable).unwrap();
        let names: Vec<_> = (0..opened.source.len()).map(|i| opened.source.name(i).to_string()).collect();
        assert_eq!(names, ["cat/1.JPG", "cat/2.jfif", "cat/3.dat", "cat/photo", "dog/1.gif"], "{}", root.display());
        assert_eq!(
            opened.lines()[1].split_once(": ").unwrap().1,
            "skipped: 3 images in unsupported formats (cat/b.tif, dog/4.heic, dog/b.ppm; convert to JPEG or PNG), \
             1 file that is not an image (dog/notes.txt), 3 hidden or system files (.DS_Store, __MACOSX, dog/Thumbs.db)"
        );
    }
    // The error for a class with only such files names them.
    fs::remove_file(root.join("dog/1.gif")).unwrap();
    let why = open(&root).err().unwrap().to_string();
    assert!(why.contains("class dog has no images") && why.contains("dog/4.heic"), "{why}");
}

#[test]
fn empty_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["s.tar", "s.tar.gz", "s.tar.zst", "s.tgz", "s.zip", "s.parquet"] {
        let path = folder.path().join(name);
        fs::write(&path, "").unwrap();
        for why in [open(&path).err(), Source::new(&path).open_any().err()] {
            let why = why.unwrap().to_string();
            assert!(why.ends_with(&format!("{name}: empty file; copy or download it again")), "{why}");
        }
    }
}

#[test]
fn links_in_a_tar_resolve_to_their_targets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("links.tar");
    let mut tar = ::tar::Builder::new(fs::File::create(&path).unwrap());
    let mut add = |name: &str, kind: ::tar::EntryType, target: &str, content: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if target.is_empty() {
            tar.append_data(&mut header, name, content).unwrap();
        } else {
            tar.append_link(&mut header, name, target).unwrap();
        }
    };
    use ::tar::EntryType as E;
    let long = format!("cat/{}.jpg", "long".repeat(60));
    add("./cat/1.jpg", E::Regular, "", b"one");
    add("blobs/17", E::Regular, "", JPEG);
    add(&long, E::Regular, "", b"long");
    add("./cat/hard.jpg", E::Link, "./cat/1.jpg", b"");
    add("cat/longer.jpg", E::Link, &long, b"");
    add("dog/soft.jpg", E::Symlink, "../cat/hard.jpg", b"");
    add("dog/soft", E::Symlink, "../blobs/17", b"");
    add("dog/seven.jpg", E::Continuous, "", b"seven");
    add("dog/out.jpg", E::Symlink, "../../out.jpg", b"");
    add("dog/root.jpg", E::Symlink, "/etc/passwd", b"");
    add("dog/a.jpg", E::Symlink, "b.jpg", b"");
    add("dog/b.jpg", E::Symlink, "a.jpg", b"");
    add("dog/pipe.jpg", E::Fifo, "", b"");
    tar.finish().unwrap();
    drop(tar);
    let opened = open_split(&path, Split::Train, Demand::Trainable).unwrap();
    let read = |i: usize| (opened.source.name(i).to_string(), opened.source.file(i).unwrap().unwrap());
    let file = |name: &str, content: &[u8]| (name.to_string(), content.to_vec());
    let found: Vec<_> = (0..opened.source.len()).map(read).collect();
    assert_eq!(
        found,
        [
            file("blobs/17", JPEG),
            file("cat/1.jpg", b"one"),
            file("cat/hard.jpg", b"one"),
            file("cat/longer.jpg", b"long"),
            file(&long, b"long"),
            file("dog/seven.jpg", b"seven"),
            file("dog/soft", JPEG),
            file("dog/soft.jpg", b"one"),
        ]
    );
    let passed = &opened.passed_over;
    assert_eq!((passed.count(Reason::Link), passed.count(Reason::NotRegular)), (4, 1), "{}", passed.words());
}

#[test]
fn a_sparse_file_in_a_tar_is_expanded() {
    // As written by GNU tar: 4 bytes at 0 and 4 at 1020, of 1024.
    let mut header = ::tar::Header::new_gnu();
    header.set_path("cat/1.jpg").unwrap();
    header.set_entry_type(::tar::EntryType::GNUSparse);
    header.set_size(512 + 4);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    let octal =
        |field: &mut [u8], value: u64| field.copy_from_slice(format!("{value:0width$o}\0", width = field.len() - 1).as_bytes());
    octal(&mut gnu.realsize, 1024);
    for (sparse, (offset, bytes)) in gnu.sparse.iter_mut().zip([(0, 512), (1020, 4)]) {
        octal(&mut sparse.offset, offset);
        octal(&mut sparse.numbytes, bytes);
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend([7; 512]);
    bytes.extend(b"last");
    bytes.resize(bytes.len() + 508, 0);
    bytes.resize(bytes.len() + 1024, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.tar");
    fs::write(&path, bytes).unwrap();
    let source = open_loose(&path).unwrap();
    let wanted = [vec![7; 512], vec![0; 508], b"last".to_vec()].concat();
    assert_eq!((source.name(0), source.file(0).unwrap().unwrap()), ("cat/1.jpg", wanted));
}

#[test]
fn unsupported_archives_are_reported_with_the_unpack_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, start, parts) in [
        ("set.tar.bz2", b"BZh9".as_slice(), ["bzip2", "tar -xjf"]),
        ("my set.tar.xz", b"\xFD7zXZ\0", ["xz", "tar -xJf '"]),
        ("set.rar", b"Rar!\x1A\x07", ["RAR", "unrar x"]),
    ] {
        fs::write(at(name), start).unwrap();
        for why in [open(&at(name)).err().unwrap(), open_loose(&at(name)).err().unwrap()] {
            let why = why.to_string();
            assert!(why.contains(name) && parts.iter().all(|part| why.contains(part)), "{why}");
        }
    }
    // A tar is recognised by its content, whatever its name.
    write(&at("set"), &[("a/1.jpg", JPEG), ("b/1.jpg", JPEG)]);
    fs::rename(packed(&at("set")), at("plain")).unwrap();
    assert_eq!(open(&at("plain")).unwrap().len(), 2);
}

#[test]
fn lists_may_have_a_byte_order_mark_and_windows_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.jpg", b"a"), ("ü.jpg", b"b")]);
    let text = "a.jpg\r\nü.jpg\r\n";
    let utf16: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes().to_vec(), format!("\u{FEFF}{text}").into_bytes(), utf16] {
        let list = folder.path().join("list.txt");
        fs::write(&list, bytes).unwrap();
        let source = open_loose(&list).unwrap();
        assert_eq!([0, 1].map(|i| source.file(i).unwrap().unwrap()), [b"a".to_vec(), b"b".to_vec()]);
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    write(&root, &[("a/1.jpg", JPEG), ("b/1.jpg", JPEG)]);
    for name in ["set/a/2.jpg", "set/b/pipe", "set.txt", "set.tar"] {
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap();
        assert!(made.success());
    }
    std::os::unix::fs::symlink("2.jpg", root.join("a/3.jpg")).unwrap();
    let opened = open_split(&root, Split::Train, Demand::Trainable).unwrap();
    assert_eq!((opened.source.len(), opened.passed_over.count(Reason::NotRegular)), (2, 3));
    assert!(opened.lines()[1].contains("3 entries that are not regular files (a/2.jpg, a/3.jpg, b/pipe)"));
    for name in ["set.txt", "set.tar"] {
        for why in [open(&folder.path().join(name)).err().unwrap(), open_loose(&folder.path().join(name)).err().unwrap()] {
            assert!(why.to_string().contains("a named pipe, not a file"), "{why}");
        }
    }
}

#[test]
fn invalid_tar_bytes_are_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.tar");
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    fs::write(&path, noise).unwrap();
    let why = open(&path).err().unwrap().to_string();
    assert!(why.ends_with("not a tar, or damaged: invalid number in a header"), "{why}");
}

#[test]
fn a_tar_cut_between_two_files_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    write(&root, &[("a/1.jpg", JPEG), ("b/1.jpg", JPEG), ("b/2.jpg", JPEG)]);
    let path = packed(&root);
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - 1024;
    // One block of zeros is enough, as for GNU tar.
    for (bytes, ok) in [(end + 512, true), (end, false), (end - 1024, false)] {
        fs::write(&path, &whole[..bytes]).unwrap();
        match open(&path) {
            Ok(source) => assert!(ok && source.len() == 3, "{bytes}"),
            Err(why) => assert!(!ok && why.to_string().contains("truncated"), "{bytes}: {why}"),
        }
    }
}
