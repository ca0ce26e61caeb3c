//! Zip files: names, intact and damaged members.

use crate::tests::zip;
use crate::{Demand, Reason, Source, Split};
use std::fs;
use std::path::PathBuf;

struct Zip {
    folder: tempfile::TempDir,
}

impl Zip {
    fn new() -> Zip {
        Zip { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("set.zip");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> crate::Result<crate::Opened> {
        Source::new(self.write(bytes)).open(Split::Train, Demand::Trainable)
    }

    fn why(&self, bytes: &[u8]) -> String {
        self.open(bytes).err().unwrap().to_string()
    }
}

fn content(i: u32) -> Vec<u8> {
    (0..3000u32).map(|j| (j.wrapping_mul(i + 7) >> 4) as u8).collect()
}

fn members() -> Vec<(String, Vec<u8>)> {
    let names = ["cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg", "dog/ü.jpg"];
    names.iter().zip(0..).map(|(name, i)| ((*name).to_string(), content(i))).collect()
}

/// Places of a byte string.
fn places(bytes: &[u8], part: &[u8]) -> Vec<usize> {
    bytes.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

/// A member that is stored, by hand: local header, and directory entry.
fn stored(name: &[u8], content: &[u8], flags: u16, method: u16, at: usize) -> (Vec<u8>, Vec<u8>) {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let size = content.len() as u32;
    let mut shared = Vec::new();
    for half in [20, flags, method, 0, 0] {
        shared.extend(half.to_le_bytes());
    }
    for word in [crc.sum(), size, size] {
        shared.extend(word.to_le_bytes());
    }
    shared.extend((name.len() as u16).to_le_bytes());
    shared.extend([0, 0]);
    let local = [b"PK\x03\x04".as_slice(), &shared, name, content].concat();
    let central = [b"PK\x01\x02\x14\0".as_slice(), &shared, &[0; 10], &(at as u32).to_le_bytes(), name].concat();
    (local, central)
}

/// A zip of stored members with raw names.
fn by_hand(members: &[(&[u8], &[u8], u16, u16)]) -> Vec<u8> {
    let (mut all, mut directory) = (Vec::new(), Vec::new());
    for (name, content, flags, method) in members {
        let (local, central) = stored(name, content, *flags, *method, all.len());
        all.extend(local);
        directory.extend(central);
    }
    let (start, size, n) = (all.len() as u32, directory.len() as u32, members.len() as u16);
    all.extend(directory);
    all.extend(b"PK\x05\x06\0\0\0\0");
    all.extend([n.to_le_bytes(), n.to_le_bytes()].concat());
    all.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    all.extend([0, 0]);
    all
}

#[test]
fn deflated_and_stored_members_are_read() {
    let folder = Zip::new();
    let members = members();
    let opened = folder.open(&zip(&members)).unwrap();
    assert_eq!(opened.source.classes(), ["cat", "dog"]);
    for (i, (name, content)) in members.iter().enumerate() {
        assert_eq!((opened.source.name(i), opened.source.file_size(i)), (name.as_str(), Some(3000)));
        assert_eq!(opened.source.file(i).unwrap().as_ref(), Some(content));
    }
    let plain: Vec<_> = members.iter().map(|(name, content)| (name.as_bytes(), content.as_slice(), 1 << 11, 0)).collect();
    let opened = folder.open(&by_hand(&plain)).unwrap();
    assert_eq!(opened.source.file(3).unwrap(), Some(content(3)));
}

#[test]
fn names_have_an_encoding() {
    let folder = Zip::new();
    let jpeg = b"\xFF\xD8\xFF\xE0".as_slice();
    let mut members = vec![
        (b"cat\\\x81.jpg".as_slice(), jpeg, 0, 0),
        ("dog/ü.jpg".as_bytes(), jpeg, 0, 0),
        (b"dog/a.jpg", jpeg, 1 << 11, 0),
        (b"__MACOSX/dog/._a.jpg", jpeg, 0, 0),
        (b"dog/../../b.jpg", jpeg, 0, 0),
    ];
    let opened = folder.open(&by_hand(&members)).unwrap();
    let names: Vec<_> = (0..opened.source.len()).map(|i| opened.source.name(i)).collect();
    assert_eq!(names, ["cat/ü.jpg", "dog/a.jpg", "dog/ü.jpg"]);
    assert_eq!(opened.passed_over.count(Reason::Hidden), 2);
    members[0].2 = 1 << 11;
    assert!(
        folder.why(&by_hand(&members)).ends_with("a name in it is marked as UTF-8 and is not; pack it again with UTF-8 names")
    );
    let twice = by_hand(&[(b"cat/a.jpg", jpeg, 0, 0), (b"dog/a.jpg", jpeg, 0, 0), (b"./dog/a.jpg", jpeg, 0, 0)]);
    assert!(folder.why(&twice).ends_with("contains dog/a.jpg twice"));
}

#[test]
fn links_lead_to_members() {
    let folder = Zip::new();
    let mut members = members();
    members.push(("dog/link.jpg".into(), b"../cat/1.jpg".to_vec()));
    members.push(("dog/out.jpg".into(), b"/etc/passwd".to_vec()));
    let mut bytes = zip(&members);
    for name in [b"dog/link.jpg", b"dog/out.jpg\0"] {
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        // Mode in the directory entry, the second place of the name: a symbolic link.
        let at = *places(&bytes, name).last().unwrap() - 46;
        bytes[at + 38..at + 42].copy_from_slice(&(0o120_777u32 << 16).to_le_bytes());
    }
    let opened = folder.open(&bytes).unwrap();
    let at = (0..opened.source.len()).find(|&i| opened.source.name(i) == "dog/link.jpg").unwrap();
    assert_eq!(opened.source.file(at).unwrap(), Some(content(0)));
    assert_eq!((opened.source.len(), opened.passed_over.count(Reason::Link)), (5, 1));
}

#[test]
fn encrypted_and_oddly_compressed_members_are_refused_by_name() {
    let folder = Zip::new();
    let member = |flags, method| by_hand(&[(b"a/1.jpg", b"1", 0, 0), (b"b/2.jpg", b"2", flags, method)]);
    assert!(folder.why(&member(1, 0)).contains("b/2.jpg is encrypted; unpack it"));
    let why = folder.why(&member(0, 12));
    assert!(why.contains("b/2.jpg is compressed with") && why.contains("not deflate"), "{why}");
    // Other files do not matter.
    let notes = by_hand(&[(b"a/1.jpg", b"1", 0, 0), (b"b/2.jpg", b"2", 0, 0), (b"notes.txt", b"2", 1, 0)]);
    assert_eq!(folder.open(&notes).unwrap().passed_over.count(Reason::Unreadable), 1);
}

#[test]
fn damaged_members_give_errors() {
    let folder = Zip::new();
    let intact = zip(&members());
    let read = |bytes: &[u8]| folder.open(bytes).and_then(|opened| opened.source.file(0));
    assert_eq!(read(&intact).unwrap(), Some(content(0)));
    // In the directory entry of the first member.
    let entry = *places(&intact, b"cat/1.jpg").last().unwrap() - 46;
    let with = |at: usize, new: &[u8]| {
        let mut bytes = intact.clone();
        bytes[entry + at..entry + at + new.len()].copy_from_slice(new);
        read(&bytes).err().unwrap().to_string()
    };
    assert!(with(16, &[1, 2, 3, 4]).contains("checksum differs"));
    assert!(with(24, &2999u32.to_le_bytes()).contains("damaged"));
    assert!(with(24, &3001u32.to_le_bytes()).contains("3000 bytes instead of 3001"));
    assert!(with(24, &0x3FFF_FFFFu32.to_le_bytes()).contains("cannot hold"));
    assert!(with(24, &0xFFFF_0000u32.to_le_bytes()).contains("more than 1 GiB"));
    assert!(with(20, &0x7FFF_FFFFu32.to_le_bytes()).contains("truncated within cat/1.jpg"));
    assert!(with(42, &7u32.to_le_bytes()).contains("not at the place"));
    let mut bytes = intact.clone();
    bytes[60] ^= 0xFF;
    assert!(read(&bytes).is_err());
    // Cut anywhere, it is an error: the directory is at the end.
    for length in (0..intact.len()).step_by(97) {
        let why = folder.why(&intact[..length]);
        assert!(why.starts_with(folder.folder.path().to_str().unwrap()) && !why.contains('\n'), "{why}");
    }
    assert!(folder.why(&intact[..intact.len() - 30]).contains("truncated zip"));
    // A directory with fewer members than it claims.
    let end = intact.len() - 22;
    let mut bytes = intact.clone();
    bytes[end + 8..end + 12].copy_from_slice(&[9, 0, 9, 0]);
    assert!(folder.why(&bytes).contains("it lists 4 of 9 members"));
}
