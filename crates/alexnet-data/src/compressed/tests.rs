//! Compressed tars, intact and damaged.

use crate::{Demand, Source, Split};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;

fn tar() -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, content) in
        [("train/cat/1.jpg", "one"), ("train/dog/1.jpg", "two"), ("val/cat/1.jpg", "three"), ("val/dog/1.jpg", "four")]
    {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn compressed_tars_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let skippable = [b"\x52\x2A\x4D\x18\x03\0\0\0abc".as_slice(), &zstd(&tar()[2000..])].concat();
    let files = [
        ("set.tar.gz", gzip(&tar())),
        ("set.tgz", [gzip(&tar()[..2000]), gzip(&tar()[2000..])].concat()),
        ("set.tar.zst", zstd(&tar())),
        ("several", [zstd(&tar()[..2000]), skippable].concat()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let train = Source::new(&path).open(Split::Train, Demand::Trainable).unwrap();
        let val = Source::new(&path).open(Split::Validation, Demand::Trainable).unwrap();
        assert_eq!(train.source.file(1).unwrap().unwrap(), b"two");
        assert_eq!((val.source.name(0), val.source.file(0).unwrap().unwrap()), ("cat/1.jpg", b"three".to_vec()));
        let note = train.lines().pop().unwrap();
        assert!(note.contains("decompressed into 1 MiB of") && note.contains("data pack"), "{note}");
        assert_eq!(Source::new(&path).open_any().unwrap().source.len(), 4);
    }
}

#[test]
fn damaged_ones_give_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    let why = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Source::new(&path).open(Split::Train, Demand::Trainable).err().unwrap().to_string()
    };
    for whole in [gzip(&tar()), zstd(&tar())] {
        for length in (6..whole.len()).step_by(23).chain([whole.len() - 1]) {
            assert!(why(&whole[..length]).ends_with("truncated; copy it again"), "{length}: {}", why(&whole[..length]));
        }
        let mut flipped = whole.clone();
        let middle = whole.len() / 2;
        flipped[middle] ^= 0x55;
        assert!(why(&flipped).contains("copy it again"), "{}", why(&flipped));
    }
    assert!(why(&gzip(b"\xFF\xD8\xFF\xE0")).contains("contains an image, not a tar"));
    assert!(why(&gzip(&gzip(&tar()))).contains("contains another compressed file"));
    assert!(why(&gzip(&tar()[..1537])).contains("truncated"));
    assert!(why(&gzip(b"notes")).contains("tar"));
    let bomb = gzip(&vec![0; super::super::unpacked::ALWAYS as usize + 1]);
    assert!(why(&bomb).contains("expands to more than 200 times its size"));
}
