//! Shared code of the fuzz targets: writes bytes to a file and runs the readers on it.

use std::path::PathBuf;

/// Writes the bytes to a file of this process. TMPDIR=/dev/shm keeps it off the disk.
pub fn file(bytes: &[u8], name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("alexnet-fuzz-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("write the file");
    path
}

/// Writes files to a folder of this process.
pub fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("alexnet-fuzz-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("make the folder");
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).expect("write the file"));
    folder
}

/// Opens a data set in every way and reads its first images. Errors are expected; panics and excessive memory are not.
pub fn data_set(path: &std::path::Path) {
    use alexnet_data::{Demand, Source, Split};
    let source = Source::new(path);
    let ways = [(Split::Train, Demand::Trainable), (Split::Validation, Demand::WithImages), (Split::Test, Demand::All)];
    for opened in [source.open_any()].into_iter().chain(ways.map(|(split, demand)| source.open(split, demand))) {
        let Ok(opened) = opened else { continue };
        opened.lines();
        for i in 0..opened.source.len().min(16) {
            let _ = opened.source.file(i);
            let _ = opened.source.image(i);
        }
    }
}

/// Reads bytes as a model file in every way. Errors are expected; panics and excessive memory are not.
pub fn model(bytes: &[u8], name: &str) {
    let path = file(bytes, name);
    let _ = alexnet::formats::inspect(&path, None);
    let _ = alexnet::formats::load(&path, None);
}

/// Like [`model`], after a magic number, so that the format's parser is always reached.
pub fn model_after(head: &[u8], bytes: &[u8], name: &str) {
    model(&[head, bytes].concat(), name);
}

/// Reads bytes as a PyTorch tar: two 16-bit lengths, then `storages`, `tensors`, and the rest as `pickle`.
pub fn tar(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_at_checked(4) else { return };
    let length = |i: usize| usize::from(u16::from_le_bytes([lengths[i], lengths[i + 1]])).min(rest.len());
    let (storages, rest) = rest.split_at(length(0));
    let (tensors, pickle) = rest.split_at(length(2).min(rest.len()));
    let all = tar_of(&[(&b"storages"[..], storages), (&b"tensors"[..], tensors), (&b"pickle"[..], pickle)]);
    model(&all, "tar.pth");
}

/// A tar of these members with valid headers.
pub fn tar_of(members: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, member) in members {
        let mut header = [0u8; 512];
        let length = name.len().min(100);
        header[..length].copy_from_slice(&name[..length]);
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", member.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend(header);
        all.extend(*member);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

/// Reads bytes as members of a tar: the lengths of a name and a content, then both.
pub fn members(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut members = Vec::new();
    while let [name, content, rest @ ..] = bytes {
        let (name, rest) = rest.split_at(usize::from(*name).min(rest.len()));
        let (content, rest) = rest.split_at(usize::from(*content).min(rest.len()));
        members.push((name, content));
        bytes = rest;
    }
    members
}

/// An empty folder of this process.
pub fn empty_folder(name: &str) -> PathBuf {
    let _ = std::fs::remove_dir_all(folder(name, &[]));
    folder(name, &[])
}

/// Opens bytes as a list of images: the first byte selects the name, and whether there are class names; the rest is the list.
pub fn list(bytes: &[u8]) {
    use alexnet::data::{Demand, Source, Split};
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let name = ["list.txt", "list.csv", "list.tsv", "list.TXT"][usize::from(kind % 4)];
    let mut source = Source::new(file(rest, name));
    // A list of files that are all missing is rejected.
    let root = std::env::temp_dir().join(format!("alexnet-fuzz-{}-images", std::process::id()));
    let image = root.join("a.jpg");
    if !image.exists() {
        std::fs::create_dir_all(&root).expect("create the folder");
        std::fs::write(image, b"").expect("write the file");
    }
    source.root = Some(root);
    if kind & 4 != 0 {
        source.classes = Some(file(b"cat\ndog\n0\n", "names.txt"));
    }
    for split in [Split::Train, Split::Validation, Split::Test] {
        for demand in [Demand::Trainable, Demand::WithImages, Demand::All] {
            if let Ok(opened) = source.open(split, demand) {
                let images = &opened.source;
                (0..images.len()).for_each(|i| assert!((images.label(i) as usize) < images.classes().len(), "{name}"));
                opened.lines();
            }
        }
    }
    let _ = source.open_any().map(|opened| opened.lines());
}
