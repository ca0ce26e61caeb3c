//! MNIST's files, intact and damaged.

use crate::{Demand, Opened, Result, Source, Split};
use std::fs;
use std::io::Write;
use std::path::Path;

const HEIGHT: usize = 3;
const WIDTH: usize = 2;

fn images(count: usize, from: usize) -> Vec<u8> {
    let axes: Vec<u8> = [count, HEIGHT, WIDTH].iter().flat_map(|&n| (n as u32).to_be_bytes()).collect();
    let pixels: Vec<u8> = (0..count * HEIGHT * WIDTH).map(|i| (i * 5 + from) as u8).collect();
    [vec![0, 0, 8, 3], axes, pixels].concat()
}

fn labels(count: usize) -> Vec<u8> {
    [vec![0, 0, 8, 1], (count as u32).to_be_bytes().to_vec(), (0..count).map(|i| (i % 10) as u8).collect()].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn write(root: &Path, form: impl Fn(&str, Vec<u8>) -> (String, Vec<u8>)) {
    fs::create_dir_all(root).unwrap();
    for (split, count) in [("train", 20), ("t10k", 10)] {
        for (kind, bytes) in [("images-idx3-ubyte", images(count, split.len())), ("labels-idx1-ubyte", labels(count))] {
            let (name, bytes) = form(&format!("{split}-{kind}"), bytes);
            fs::write(root.join(name), bytes).unwrap();
        }
    }
}

fn open(path: &Path, split: Split) -> Result<Opened> {
    Source::new(path).open(split, Demand::Trainable)
}

#[test]
fn files_are_read_under_all_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("plain"), |name, bytes| (name.into(), bytes));
    write(&at("dotted"), |name, bytes| (name.replace("-idx", ".idx"), bytes));
    write(&at("a/FashionMNIST/raw"), |name, bytes| (format!("{name}.gz"), gzip(&bytes)));
    for (path, class, notes) in [
        (at("plain"), "2", 1),
        (at("dotted"), "2", 1),
        (at("a/FashionMNIST/raw"), "Pullover", 2),
        (at("a/FashionMNIST"), "Pullover", 2),
        (at("a"), "Pullover", 2),
    ] {
        let train = open(&path, Split::Train).unwrap();
        assert_eq!((train.source.len(), train.source.classes()[2].as_str()), (20, class));
        assert_eq!((train.source.label(13), train.source.name(13), train.notes.len()), (3, "train/00013", notes));
        let test = open(&path, Split::Validation).unwrap();
        assert_eq!((test.source.len(), test.taken.as_deref()), (10, Some("test")));
        let image = test.source.image(2).unwrap();
        let grey: Vec<u8> = (12..18).map(|i| i * 5 + 4).collect();
        assert_eq!((image.width, image.height), (WIDTH, HEIGHT));
        assert_eq!(image.rgb, grey.iter().flat_map(|&v| [v; 3]).collect::<Vec<u8>>());
        assert_eq!((test.source.file(2).unwrap(), test.source.file_size(2)), (None, Some(6)));
        assert_eq!(Source::new(&path).open_any().unwrap().source.len(), 30);
    }
    // Other names.
    let names: Vec<String> = (0..10).map(|i| format!("name {i}")).collect();
    fs::write(at("names.txt"), names.join("\n")).unwrap();
    let source = Source { classes: Some(at("names.txt")), ..Source::new(at("plain")) };
    assert_eq!(source.open(Split::Train, Demand::Trainable).unwrap().source.classes(), names);
    fs::write(at("names.txt"), names[..9].join("\n")).unwrap();
    let why = source.open(Split::Train, Demand::Trainable).err().unwrap().to_string();
    assert!(why.ends_with("train/00009 has label 9, but there are 9 class names"), "{why}");
}

#[test]
fn damaged_files_give_errors() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let why = |name: &str, bytes: &[u8]| {
        write(&root, |name, bytes| (name.into(), bytes));
        fs::write(root.join(name), bytes).unwrap();
        open(&root, Split::Train).err().unwrap().to_string()
    };
    let whole = images(20, 0);
    for length in [0, 7, 15, 16, 50, whole.len() - 1] {
        assert!(why("train-images-idx3-ubyte", &whole[..length]).contains("truncated"));
    }
    assert!(why("train-images-idx3-ubyte", &[whole.as_slice(), b"x"].concat()).contains("137 bytes, but its header says 136"));
    assert!(why("train-images-idx3-ubyte", &gzip(&whole[..100])).contains("truncated"));
    assert!(why("train-images-idx3-ubyte", &labels(20)).contains("not in the idx format: begins with [00, 00, 08, 01]"));
    assert!(why("train-labels-idx1-ubyte", &labels(19)).contains("19 labels for the 20 images of train-images-idx3-ubyte"));
    assert!(why("train-labels-idx1-ubyte", &labels(20)[..27]).contains("truncated"));
    let mut huge = whole.clone();
    huge[4..16].fill(0xFF);
    assert!(why("train-images-idx3-ubyte", &huge).contains("images of 4294967295 x 4294967295 pixels"));
    fs::remove_file(root.join("train-labels-idx1-ubyte")).unwrap();
    fs::write(root.join("train-images-idx3-ubyte"), whole).unwrap();
    assert!(open(&root, Split::Train).err().unwrap().to_string().contains("train-labels-idx1-ubyte is missing"));
    let why = open(&root.join("t10k-images-idx3-ubyte"), Split::Train).err().unwrap().to_string();
    assert!(why.contains("use the folder that holds it"), "{why}");
}
