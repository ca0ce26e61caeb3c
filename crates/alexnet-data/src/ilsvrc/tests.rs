//! ILSVRC 2012 in all its forms, of small files.

use crate::{Dataset, Demand, Opened, Reason, Result, Source, Split};
use alexnet_net::imagenet::{self, Order};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0";

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn ids() -> Vec<String> {
    imagenet::classes().map(|(id, _)| id.to_string()).collect()
}

/// A tar of a tar per class, in reverse order, each with images in reverse order; every image has its name as content.
fn train_tar(classes: &[String]) -> Vec<u8> {
    let inner = |class: &String| {
        let of = |n: usize| (format!("{class}_{n}.JPEG"), format!("{class}_{n}").into_bytes());
        (format!("{class}.tar"), tar_of(&[of(9), of(10)]))
    };
    tar_of(&classes.iter().rev().map(inner).collect::<Vec<_>>())
}

fn val_name(number: usize) -> String {
    format!("ILSVRC2012_val_{number:08}.JPEG")
}

/// The classes of validation images 1 to 4, by ILSVRC2012_ID: as in reality.
const TRUTH: [usize; 4] = [490, 361, 171, 822];

fn val_files() -> Vec<(String, Vec<u8>)> {
    (1..=4).rev().map(|n| (val_name(n), format!("val {n}").into_bytes())).collect()
}

fn truth_text() -> String {
    TRUTH.iter().map(|id| format!("{id}\n")).collect()
}

fn devkit(truth: &str) -> Vec<u8> {
    let file = |name: &str, text: &str| (format!("ILSVRC2012_devkit_t12/{name}"), text.as_bytes().to_vec());
    let tar = tar_of(&[file("readme.txt", "read me"), file("data/ILSVRC2012_validation_ground_truth.txt", truth)]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    gz.finish().unwrap()
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn open(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    Source::new(path).open(split, demand)
}

fn why(result: Result<Opened>) -> String {
    result.err().expect("an error").to_string()
}

/// Name, class and content of each image.
fn images(set: &dyn Dataset) -> Vec<(String, String, String)> {
    let content = |i| String::from_utf8(set.file(i).unwrap().unwrap()).unwrap();
    (0..set.len()).map(|i| (set.name(i).into(), set.classes()[set.label(i) as usize].clone(), content(i))).collect()
}

/// What every form of the four validation images must be: by class, then by name.
fn expected_val() -> Vec<(String, String, String)> {
    let devkit = Order::Devkit.classes();
    let mut all: Vec<_> = TRUTH
        .iter()
        .zip(1..)
        .map(|(&id, n)| {
            let class = devkit[id - 1].0.to_string();
            (format!("{class}/{}", val_name(n)), class, format!("val {n}"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn downloads_are_read_in_place_in_the_order_of_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("ILSVRC2012_img_train.tar"), train_tar(&ids()));
    write(&at("ILSVRC2012_img_val.tar"), tar_of(&val_files()));
    write(&at("ILSVRC2012_devkit_t12.tar.gz"), devkit(&truth_text()));
    let train = open(folder.path(), Split::Train, Demand::Trainable).unwrap();
    assert_eq!((train.source.classes(), train.taken.as_deref()), (ids().as_slice(), Some("train")));
    assert_eq!((train.source.len(), train.at.clone()), (2000, at("ILSVRC2012_img_train.tar")));
    let first = &images(&*train.source)[..3];
    let image = |name: &str| (format!("n01440764/{name}.JPEG"), "n01440764".to_string(), name.to_string());
    assert_eq!(first[..2], [image("n01440764_10"), image("n01440764_9")]);
    assert_eq!(first[2].0, "n01443537/n01443537_10.JPEG");
    let val = open(folder.path(), Split::Validation, Demand::WithImages).unwrap();
    assert_eq!((val.source.classes(), images(&*val.source)), (ids().as_slice(), expected_val()));
    assert!(val.lines().iter().any(|line| line.contains("validation labels from ") && line.ends_with("t12.tar.gz")));
    // Files by themselves, under any name.
    fs::rename(at("ILSVRC2012_img_train.tar"), at("renamed.tar")).unwrap();
    assert_eq!(images(&*open(&at("renamed.tar"), Split::Train, Demand::Trainable).unwrap().source)[..3], *first);
    let alone = open(&at("ILSVRC2012_img_val.tar"), Split::Validation, Demand::WithImages).unwrap();
    assert_eq!(images(&*alone.source), expected_val());
    // Both splits, where labels are not needed.
    fs::rename(at("renamed.tar"), at("ILSVRC2012_img_train.tar")).unwrap();
    let all = Source::new(folder.path()).open_any().unwrap().source;
    let last = format!("val/{}", expected_val()[3].0);
    assert_eq!((all.len(), all.name(0), all.name(2003)), (2004, "train/n01440764/n01440764_10.JPEG", last.as_str()));
    assert_eq!((all.file(2003).unwrap().unwrap(), all.label(1999)), (expected_val()[3].2.clone().into_bytes(), 999));
}

#[test]
fn labels_come_from_the_devkit_kaggle_or_caffe() {
    let folder = tempfile::tempdir().unwrap();
    let devkit_order = Order::Devkit.classes();
    let class = |n: usize| devkit_order[TRUTH[n - 1] - 1].0;
    let rank = |n: usize| ids().iter().position(|id| id == class(n)).unwrap();
    let kaggle: String =
        [3, 1, 4, 2].iter().map(|&n| format!("ILSVRC2012_val_{n:08},{} 1 2 3 4 {0} 5 6 7 8 \r\n", class(n))).collect();
    let caffe: String = (1..=4).map(|n| format!("{} {}\n", val_name(n), rank(n))).collect();
    let forms: [(&str, PathBuf, Vec<u8>); 6] = [
        ("a", "flat/ILSVRC2012_devkit_t12.tar.gz".into(), devkit(&truth_text())),
        ("b", "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt".into(), truth_text().into_bytes()),
        ("c", "flat/ILSVRC2012_validation_ground_truth.txt".into(), truth_text().into_bytes()),
        ("d", "LOC_val_solution.csv".into(), format!("ImageId,PredictionString\r\n{kaggle}").into_bytes()),
        ("e", "flat/val.txt".into(), caffe.clone().into_bytes()),
        ("f", "val.txt".into(), caffe.into_bytes()),
    ];
    for (form, name, content) in forms {
        let root = folder.path().join(form);
        for (name, content) in val_files() {
            write(&root.join("flat").join(name), content);
        }
        let missing = why(open(&root.join("flat"), Split::Validation, Demand::WithImages));
        assert!(missing.contains("no labels for these validation images; put ILSVRC2012_devkit_t12.tar.gz"), "{missing}");
        let unlabelled = Source::new(root.join("flat")).open_any().unwrap().source;
        assert_eq!((unlabelled.len(), unlabelled.name(0), unlabelled.classes().len()), (4, val_name(1).as_str(), 0));
        assert_eq!(unlabelled.file(1).unwrap().unwrap(), b"val 2");
        write(&root.join(&name), content);
        let val = open(&root.join("flat"), Split::Validation, Demand::WithImages).unwrap();
        assert_eq!((images(&*val.source), val.source.classes().len()), (expected_val(), 1000), "{}", name.display());
    }
}

#[test]
fn the_folders_of_kaggle_have_all_classes() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("ILSVRC/Data/CLS-LOC");
    write(&base.join("train/n01440764/n01440764_10.JPEG"), "10");
    write(&base.join("train/n01440764/n01440764_9.JPEG"), "9");
    write(&base.join("train/n15075141/n15075141_1.JPEG"), "1");
    write(&base.join("test/ILSVRC2012_test_00000001.JPEG"), "test");
    for (name, content) in val_files() {
        write(&base.join("val").join(name), content);
    }
    write(&folder.path().join("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"), truth_text());
    for at in ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"].map(|at| folder.path().join(at)) {
        let train = open(&at, Split::Train, Demand::Trainable).unwrap();
        let found: Vec<_> = images(&*train.source).into_iter().map(|(_, _, content)| content).collect();
        assert_eq!(
            (found, train.source.classes().len(), train.source.label(2)),
            (["10", "9", "1"].map(String::from).to_vec(), 1000, 999)
        );
        assert!(
            train.lines().iter().any(|line| line.contains("998 of the 1,000 classes have no images: n01443537")),
            "{:?}",
            train.lines()
        );
        let val = open(&at, Split::Validation, Demand::WithImages).unwrap();
        assert_eq!((images(&*val.source), val.at.clone()), (expected_val(), base.join("val")));
        let all = Source::new(&at).open_any().unwrap().source;
        assert_eq!((all.name(0), all.file(0).unwrap().unwrap()), ("train/n01440764/n01440764_10.JPEG", b"10".to_vec()));
        assert_eq!(
            (all.name(6), all.file(6).unwrap().unwrap()),
            (format!("val/{}", expected_val()[3].0).as_str(), expected_val()[3].2.clone().into_bytes())
        );
    }
    write(&base.join("train/other/1.JPEG"), "1");
    assert!(why(open(folder.path(), Split::Train, Demand::Trainable)).contains("other is not one of the 1,000 classes"));
    // What PyTorch unpacks are class folders, which stay as they are.
    let unpacked = folder.path().join("unpacked");
    for name in ["train/n01440764/1.JPEG", "train/n01443537/1.JPEG", "val/n01440764/2.JPEG", "val/n01443537/2.JPEG"] {
        write(&unpacked.join(name), JPEG);
    }
    assert_eq!(open(&unpacked, Split::Train, Demand::Trainable).unwrap().source.classes(), ["n01440764", "n01443537"]);
}

#[test]
fn a_folder_of_class_tars_and_other_classes_of_imagenet_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let tars = folder.path().join("train");
    for class in ids() {
        write(&tars.join(format!("{class}.tar")), tar_of(&[(format!("{class}_1.JPEG"), class.clone().into_bytes())]));
    }
    for at in [&tars, folder.path()] {
        let train = open(at, Split::Train, Demand::Trainable).unwrap().source;
        assert_eq!((train.len(), train.classes()), (1000, ids().as_slice()));
        // More than are kept open.
        assert!(
            (0..1000).all(|i| train.file(i).unwrap().unwrap() == train.classes()[i].as_bytes() && train.label(i) == i as u32)
        );
    }
    let other = folder.path().join("winter21.tar");
    fs::write(&other, train_tar(&["n00004475".to_string(), "n01440764".to_string()])).unwrap();
    assert_eq!(open(&other, Split::Train, Demand::Trainable).unwrap().source.classes(), ["n00004475", "n01440764"]);
}

#[test]
fn incomplete_downloads_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ILSVRC2012_img_train.tar");
    let whole = train_tar(&ids());
    let train = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        why(open(&path, Split::Train, Demand::Trainable))
    };
    let cut = train(&whole[..whole.len() / 2]);
    assert!(
        cut.contains("truncated within n")
            && cut.contains("after 500 whole classes; continue")
            && cut.contains("147,897,477,120"),
        "{cut}"
    );
    assert!(train(b"").contains("holds no tars of classes"));
    assert!(train(b"<html>log in</html>").contains("continue or repeat the download"));
    let most: Vec<String> = ids().into_iter().filter(|id| id != "n02119789").collect();
    let missing = train(&train_tar(&most));
    assert!(missing.contains("1 of 1000 classes have no images in it: n02119789;"), "{missing}");
    assert_eq!(open(&path, Split::Train, Demand::WithImages).unwrap().source.len(), 1998);
    // Classes of another set among them.
    fs::write(&path, train_tar(&[ids(), vec!["n99999999".into()]].concat())).unwrap();
    for at in [path.clone(), folder.path().join("renamed.tar")] {
        fs::rename(&path, &at).unwrap();
        let more = open(&at, Split::Train, Demand::Trainable).unwrap();
        assert_eq!((more.source.classes(), more.source.len()), (ids().as_slice(), 2000));
        assert!(more.notes.iter().any(|note| note.ends_with("not among the 1,000, not used: n99999999")), "{:?}", more.notes);
        fs::rename(&at, &path).unwrap();
    }
    let few = train(&train_tar(&["n01440764".to_string(), "n99999999".to_string()]));
    assert!(few.contains("999 of 1000 classes have no images in it"), "{few}");
    // A damaged tar within.
    let mut damaged = whole.clone();
    damaged[512 + 3..512 + 60].fill(0xFF);
    assert!(train(&damaged).contains("n15075141.tar: "), "{}", train(&damaged));
    let twice = [ids(), vec!["n15075141".into()]].concat();
    assert!(train(&train_tar(&twice)).contains("contains n15075141.tar twice"));

    let path = folder.path().join("ILSVRC2012_img_val.tar");
    let whole = tar_of(&val_files());
    let val = |bytes: &[u8], truth: &[u8]| {
        fs::write(&path, bytes).unwrap();
        fs::write(folder.path().join("ILSVRC2012_devkit_t12.tar.gz"), truth).unwrap();
        why(open(&path, Split::Validation, Demand::WithImages))
    };
    let kit = devkit(&truth_text());
    assert!(val(&whole[..1300], &kit).contains("6,744,924,160"));
    let fewer = val(&tar_of(&val_files()[1..]), &kit);
    assert!(fewer.contains("holds only 3 of 4 validation images that have labels in"), "{fewer}");
    let short = val(&whole, &devkit("490\n361\n171\n"));
    assert!(short.contains("ILSVRC2012_val_00000004.JPEG has no label in") && short.contains("which has 3"), "{short}");
    assert!(val(&whole, &kit[..kit.len() / 2]).contains("damaged or truncated; download it again"));
    assert!(val(&whole, &devkit("490\n1001\n")).contains("line 2 of ILSVRC2012_validation_ground_truth.txt: 1001 is not"));
    assert!(val(&whole, &devkit("")).contains("lists no labels"));
    let twice = [val_files(), val_files()[..1].to_vec()].concat();
    assert!(val(&tar_of(&twice), &kit).contains("contains ILSVRC2012_val_00000004.JPEG twice"));
    let other = [val_files(), vec![("notes.JPEG".to_string(), b"x".to_vec())]].concat();
    fs::write(&path, tar_of(&other)).unwrap();
    fs::write(folder.path().join("ILSVRC2012_devkit_t12.tar.gz"), &kit).unwrap();
    let opened = open(&path, Split::Validation, Demand::WithImages).unwrap();
    assert_eq!((opened.source.len(), opened.passed_over.count(Reason::Unlabelled)), (4, 1));
    fs::remove_file(folder.path().join("ILSVRC2012_devkit_t12.tar.gz")).unwrap();
    for (name, text, expected) in [
        ("LOC_val_solution.csv", "ImageId,PredictionString\nILSVRC2012_val_00000001,n00000000 1 2 3 4\n", "line 2: expected"),
        ("val.txt", "ILSVRC2012_val_00000001.JPEG 1000\n", "line 1: expected"),
        ("val.txt", "ILSVRC2012_val_00000001.JPEG 1\nILSVRC2012_val_00000001.JPEG 2\n", "line 2: image 1 has another label"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let why = why(open(&path, Split::Validation, Demand::WithImages));
        assert!(why.contains(expected) && why.contains(name), "{why}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}
