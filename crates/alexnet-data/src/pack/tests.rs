//! Packs of small sets: equal to their sources, continued after any interruption, and safe to read whatever their bytes.

use super::{Form, OnBad, Options, Summary, open_all, write};
use crate::image::{Image, Resize, encode};
use crate::{Dataset, Demand, Result, Source, Split};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

const RAW: Form = Form::Raw { short_side: 20 };
const JPEG: Form = Form::Jpeg { short_side: 20, quality: 90 };

fn image(width: usize, height: usize, seed: usize) -> Image {
    let pixel = |i: usize| [(i % width * 5 + seed * 40) as u8, (i / width * 3) as u8, (seed * 17) as u8];
    Image { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
}

/// Writes a set with two splits: images smaller than, as large as, and larger than 20 pixels.
fn set(root: &Path) {
    for (k, name) in ["train/cat/1", "train/cat/2", "train/dog/1", "train/dog/2", "val/cat/3", "val/dog/3"].iter().enumerate() {
        let path = root.join(name).with_extension("jpg");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (width, height) = [(30, 41), (20, 33), (12, 9)][k % 3];
        fs::write(path, encode::jpeg(&image(width, height, k), 90).unwrap()).unwrap();
    }
}

fn pack(root: &Path, out: &Path, form: Form) -> Result<Summary> {
    write(&open_all(&Source::new(root)).unwrap(), out, Options { form, on_bad: OnBad::Stop }, &|_| true)
}

/// Packs until `most` images are done.
fn interrupted(root: &Path, out: &Path, form: Form, most: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let splits = open_all(&Source::new(root)).unwrap();
    let options = Options { form, on_bad: OnBad::Skip };
    let why = pool.install(|| write(&splits, out, options, &|done| done < most)).unwrap_err().to_string();
    assert!(why.contains("the same command continues") && !out.exists(), "{why}");
}

fn open(path: &Path, split: Split) -> crate::Opened {
    Source::new(path).open(split, Demand::Trainable).unwrap()
}

fn listed(source: &dyn Dataset) -> Vec<(String, String)> {
    (0..source.len()).map(|i| (source.name(i).into(), source.classes()[source.label(i) as usize].clone())).collect()
}

fn partial(out: &Path) -> [PathBuf; 2] {
    [".partial", ".partial-index"].map(|ending| PathBuf::from(format!("{}{ending}", out.display())))
}

#[test]
fn a_pack_has_the_images_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    set(&root);
    fs::create_dir(root.join("train/emu")).unwrap();
    for (form, name, kept, made) in [(Form::Original, "o", 6, 0), (JPEG, "j", 4, 2), (RAW, "r", 0, 6)] {
        let out = folder.path().join(name);
        let summary = pack(&root, &out, form).unwrap();
        let totals = &summary.totals;
        assert_eq!((totals.images, totals.kept, totals.encoded + totals.pixels, totals.skipped), (6, kept, made, 0));
        assert_eq!((summary.bytes, summary.resumed), (fs::metadata(&out).unwrap().len(), 0));
        assert!(partial(&out).iter().all(|path| !path.exists()));
        for split in [Split::Train, Split::Validation, Split::Test] {
            let [from, packed] = [&root, &out].map(|path| Source::new(path).open(split, Demand::All).unwrap());
            assert_eq!((from.taken, from.empty), (packed.taken.clone(), packed.empty.clone()));
            assert_eq!(packed.source.classes(), from.source.classes());
            assert_eq!(listed(&*packed.source), listed(&*from.source));
            for i in 0..from.source.len() {
                let (want, got) = (from.source.image(i).unwrap(), packed.source.image(i).unwrap());
                match form {
                    Form::Original => assert_eq!(from.source.file(i).unwrap(), packed.source.file(i).unwrap()),
                    // A net of this short side sees the same pixels.
                    Form::Raw { .. } => {
                        assert_eq!(got.resized_as(Resize::ShortSide(20)), want.resized_as(Resize::ShortSide(20)));
                        assert_eq!(got.resized_as(Resize::Square(20)), want.resized_as(Resize::Square(20)));
                        assert_eq!(packed.source.file(i).unwrap(), None);
                    }
                    Form::Jpeg { .. } => {
                        let small = want.width.min(want.height) <= 20;
                        let size = want.resized_as(Resize::ShortSide(20));
                        let size = if small { (want.width, want.height) } else { (size.width, size.height) };
                        assert_eq!((got.width, got.height), size);
                        assert_eq!(from.source.file(i).unwrap() == packed.source.file(i).unwrap(), small);
                    }
                }
            }
        }
        // All splits together, with classes that have images.
        let [from, packed] = [&root, &out].map(|path| Source::new(path).open_any().unwrap().source);
        assert_eq!((listed(&*packed), packed.classes()), (listed(&*from), from.classes()));
        assert_eq!(open(&out, Split::Train).source.classes(), ["cat", "dog"]);
        // The same command again has nothing to do; another one must not replace the file.
        assert_eq!(pack(&root, &out, form).unwrap().resumed, 6);
        let other = pack(&root, &out, Form::Raw { short_side: 21 }).unwrap_err().to_string();
        assert!(other.contains("already exists; remove it first"), "{other}");
    }
    // A pack can be packed again.
    let again = folder.path().join("again");
    pack(&folder.path().join("r"), &again, RAW).unwrap();
    let [once, twice] = [folder.path().join("r"), again].map(|path| open(&path, Split::Validation).source);
    assert!((0..2).all(|i| once.name(i) == twice.name(i) && once.image(i).unwrap() == twice.image(i).unwrap()));
}

#[test]
fn an_interrupted_pack_continues_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (root, whole) = (folder.path().join("set"), folder.path().join("whole"));
    set(&root);
    pack(&root, &whole, RAW).unwrap();
    let wanted = fs::read(&whole).unwrap();
    let out = folder.path().join("out");
    let [data, journal] = partial(&out);
    interrupted(&root, &out, RAW, 4);
    let (images, entries) = (fs::read(&data).unwrap(), fs::read(&journal).unwrap());
    assert!(wanted.starts_with(&images) && entries.len() > 100);
    // Whatever remains of the two files, and whichever byte is wrong, the result is the same.
    let cases =
        [(images.len(), entries.len(), 3), (images.len() - 1, entries.len(), 2), (0, 9, 0), (10, 0, 0), (images.len(), 80, 2)];
    for (images_left, entries_left, resumed) in cases {
        for flip in [None, Some((true, images.len() - 5)), Some((false, entries.len() - 5)), Some((false, 50)), Some((true, 3))] {
            let (mut images, mut entries) = (images.clone(), entries.clone());
            match flip {
                Some((true, at)) => images[at] ^= 1,
                Some((false, at)) => entries[at] ^= 1,
                None => {}
            }
            images.truncate(images_left);
            entries.truncate(entries_left);
            // A tail that is not in the journal.
            images.extend(if images_left > 200 { [7; 9].as_slice() } else { &[] });
            fs::write(&data, &images).unwrap();
            fs::write(&journal, &entries).unwrap();
            let summary = pack(&root, &out, RAW).unwrap();
            assert!(summary.resumed == resumed || (flip.is_some() && summary.resumed < resumed));
            assert!(fs::read(&out).unwrap() == wanted, "{images_left} {entries_left} {flip:?}");
            fs::remove_file(&out).unwrap();
        }
    }
    // Other settings or other images: from the start.
    interrupted(&root, &out, JPEG, 4);
    let summary = pack(&root, &out, RAW).unwrap();
    assert!(summary.resumed == 0 && summary.restarted.is_some() && fs::read(&out).unwrap() == wanted);
    fs::remove_file(&out).unwrap();
    interrupted(&root, &out, RAW, 4);
    fs::remove_file(root.join("val/dog/3.jpg")).unwrap();
    let summary = pack(&root, &out, RAW).unwrap();
    assert_eq!((summary.resumed, summary.totals.images, summary.restarted.is_some()), (0, 5, true));
}

#[test]
fn broken_images_are_left_out_and_named_or_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("set"), folder.path().join("out"));
    set(&root);
    fs::write(root.join("train/cat/2.jpg"), b"\xFF\xD8\xFFnone").unwrap();
    let why = pack(&root, &out, JPEG).unwrap_err().to_string();
    assert!(why.contains("cat/2.jpg: ") && why.contains("--on-bad skip") && !out.exists(), "{why}");
    let splits = open_all(&Source::new(&root)).unwrap();
    let seen = AtomicUsize::new(0);
    let count = |done: usize| seen.fetch_max(done, Ordering::Relaxed) < 100;
    let totals = write(&splits, &out, Options { form: JPEG, on_bad: OnBad::Skip }, &count).unwrap().totals;
    assert_eq!((totals.images, totals.skipped, totals.skipped_images[0].name.as_str()), (5, 1, "cat/2.jpg"));
    assert_eq!(seen.into_inner(), 6);
    let train = open(&out, Split::Train);
    assert_eq!(train.source.len(), 3);
    assert_eq!(train.notes, ["packed: short side 20, JPEG of quality 90", "1 unreadable image was left out when it was packed"]);
    for name in ["train/cat/1.jpg", "train/dog/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg", "val/dog/3.jpg"] {
        fs::write(root.join(name), b"").unwrap();
    }
    fs::remove_file(&out).unwrap();
    let splits = open_all(&Source::new(&root)).unwrap();
    let none = write(&splits, &out, Options { form: JPEG, on_bad: OnBad::Skip }, &|_| true).unwrap_err().to_string();
    assert!(none.contains("none of the 6 images could be decoded"), "{none}");
}

#[test]
fn two_runs_do_not_write_one_pack() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("set"), folder.path().join("out"));
    set(&root);
    let held = fs::File::create(&partial(&out)[0]).unwrap();
    held.lock().unwrap();
    let why = pack(&root, &out, RAW).unwrap_err().to_string();
    assert!(why.contains("another process is packing"), "{why}");
    drop(held);
    pack(&root, &out, RAW).unwrap();
    let nowhere = pack(&root, &folder.path().join("no/out"), RAW).unwrap_err().to_string();
    assert!(nowhere.contains("the folder does not exist"), "{nowhere}");
}

#[test]
fn an_orientation_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    set(&root);
    // EXIF: big-endian, one entry, tag 274 of type 3 with value 6.
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let file = fs::read(root.join("train/cat/1.jpg")).unwrap();
    exif.splice(0..0, file[..2].iter().copied());
    fs::write(root.join("train/cat/1.jpg"), [&exif, &file[2..]].concat()).unwrap();
    for form in [JPEG, RAW] {
        let out = folder.path().join(format!("{form:?}"));
        pack(&root, &out, form).unwrap();
        let upright = open(&out, Split::Train).source.image(0).unwrap();
        assert_eq!((upright.width, upright.height), (27, 20));
    }
}

/// The bytes of a pack of two images a split.
fn bytes() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        set(&folder.path().join("set"));
        pack(&folder.path().join("set"), &folder.path().join("out"), RAW).unwrap();
        fs::read(folder.path().join("out")).unwrap()
    })
}

/// Opens bytes as a pack and reads all images: their number, or the first error.
fn read(bytes: &[u8]) -> Result<usize> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pack");
    fs::write(&path, bytes).unwrap();
    let opened = Source::new(&path).open_any()?;
    (0..opened.source.len()).try_for_each(|i| opened.source.image(i).map(drop))?;
    Ok(opened.source.len())
}

#[test]
fn truncated_packs_are_reported() {
    assert_eq!(read(bytes()).unwrap(), 6);
    for length in (super::format::MAGIC.len()..bytes().len()).step_by(97) {
        let why = read(&bytes()[..length]).unwrap_err().to_string();
        assert!(why.contains("not a whole pack") && why.contains("copy it again"), "{length}: {why}");
    }
    let more = read(&[bytes(), b"x"].concat()).unwrap_err().to_string();
    assert!(more.contains("its end is missing"), "{more}");
    let mut newer = bytes().to_vec();
    newer[12] = 2;
    assert!(read(&newer).unwrap_err().to_string().contains("version 2"));
}

#[test]
fn other_files_in_the_way_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("set"), folder.path().join("out"));
    set(&root);
    let why = || pack(&root, &out, RAW).unwrap_err().to_string();
    let [data, journal] = partial(&out);
    fs::write(&data, "notes of mine").unwrap();
    assert!(why().contains("out.partial: in the way: not an unfinished pack; move it elsewhere"), "{}", why());
    assert_eq!(fs::read(&data).unwrap(), b"notes of mine");
    fs::remove_file(&data).unwrap();
    #[cfg(unix)]
    for link in [&data, &journal] {
        let victim = folder.path().join("victim");
        fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, link).unwrap();
        assert!(why().contains("in the way: a symbolic link; remove it"), "{}", why());
        assert_eq!(fs::read(&victim).unwrap(), b"");
        fs::remove_file(link).unwrap();
    }
    fs::write(&journal, "").unwrap();
    fs::write(&data, &super::format::MAGIC[..5]).unwrap();
    pack(&root, &out, RAW).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_flipped_bit_is_detected(at in 0..bytes().len(), bit in 0..8) {
        let mut changed = bytes().to_vec();
        changed[at] ^= 1u8 << bit;
        prop_assert!(read(&changed).is_err());
    }

    #[test]
    fn random_bytes_give_errors(random in proptest::collection::vec(any::<u8>(), 0..600), at in 0..2000usize) {
        let head = super::format::MAGIC.as_slice();
        prop_assert!(read(&[head, &random].concat()).is_err());
        let mut changed = bytes().to_vec();
        let at = at.min(changed.len() - random.len());
        changed[at..at + random.len()].copy_from_slice(&random);
        let _ = read(&changed);
    }

    /// Valid checksums do not make an index right.
    #[test]
    fn indexes_of_random_entries_never_panic(numbers in proptest::collection::vec((0..4u8, 0..3u8, 0..4u32, 0..2000u32), 1..8)) {
        use super::format::{Entry, Footer, Kind};
        let (file, mut index) = (bytes(), Vec::new());
        let start = file.len() - 40;
        let start = u64::from_le_bytes(file[start..start + 8].try_into().unwrap());
        for (kind, split, label, bytes) in &numbers {
            let kind = [Kind::Kept, Kind::Encoded, Kind::Pixels, Kind::Skipped][usize::from(*kind)];
            let entry = Entry { kind, split: *split, label: *label, bytes: *bytes, sum: 0, name: "x", reason: "" };
            entry.write(&mut index).unwrap();
        }
        let (length, entries, sum) = (index.len() as u64, numbers.len() as u64, crc32fast::hash(&index));
        let footer = Footer { start, length, entries, sum }.to_bytes();
        let _ = read(&[&file[..start as usize], &index, &footer].concat());
    }
}
