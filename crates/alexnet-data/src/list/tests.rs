//! Lists in all their forms, and what is wrong with them.

use super::{Entry, relative, write};
use crate::{Demand, Opened, Result, Source, Split};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with a few images, whose bytes are their names, and lists.
struct Set(tempfile::TempDir);

impl Set {
    fn new(images: &[&str]) -> Set {
        let set = Set(tempfile::tempdir().unwrap());
        images.iter().for_each(|name| set.write(name, name));
        set
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    /// Opens a list with this content for training.
    fn open(&self, name: &str, content: impl AsRef<[u8]>) -> Result<Opened> {
        self.write(name, content);
        self.split(name, Split::Train)
    }

    fn split(&self, name: &str, split: Split) -> Result<Opened> {
        Source::new(self.at(name)).open(split, if split == Split::Train { Demand::Trainable } else { Demand::WithImages })
    }

    fn why(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.open(name, content).err().unwrap().to_string()
    }
}

fn named(opened: &Opened) -> Vec<(String, String)> {
    let source = &opened.source;
    (0..source.len())
        .map(|i| {
            let name = source.name(i).to_string();
            assert!(source.file(i).is_ok_and(|bytes| bytes.is_some()), "{name}");
            (name, source.classes()[source.label(i) as usize].clone())
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, class)| ((*name).to_string(), (*class).to_string())).collect()
}

const IMAGES: [&str; 4] = ["a/2.jpg", "b/1.jpg", "my cats/1 2.jpg", "a/1.jpg"];

#[test]
fn every_form_gives_the_same_images_in_the_lists_order() {
    let set = Set::new(&IMAGES);
    let expected = pairs(&[("b/1.jpg", "7"), ("my cats/1 2.jpg", "10"), ("a/1.jpg", "7"), ("a/2.jpg", "0")]);
    let text = "b/1.jpg 7\nmy cats/1 2.jpg 10\n\na/1.jpg 7\na/2.jpg 0\n";
    let utf16 = |text: &str| "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let table = "path,label\nb/1.jpg,7\nmy cats/1 2.jpg,10\n\n\"a/1.jpg\",7\na/2.jpg,\"0\"\n";
    let lists: Vec<(&str, Vec<u8>)> = vec![
        ("l.txt", text.into()),
        ("l.txt", text.replace('\n', "\r\n").trim_end().into()),
        ("l.txt", format!("\u{FEFF}{text}").into()),
        ("l.txt", utf16(text)),
        ("l.txt", text.replace(" 7", "\t7").replace(" 10", "\t10").into()),
        ("l.txt", text.replace(" 7", ",7").replace(" 10", ",10").replace(" 0\n", ",0\n").into()),
        ("l.txt", table.into()),
        ("l.csv", table.into()),
        ("l.csv", table.replace('\n', "\r\n").trim_end().into()),
        ("l.csv", format!("\u{FEFF}{table}").into()),
        ("l.csv", utf16(table)),
        ("l.csv", table.replace(',', ";").into()),
        ("l.csv", table.replace("path,label\n", "").into()),
        ("l.csv", table.replace("path,label", "Image Path,CLASS").into()),
        ("l.tsv", table.replace(',', "\t").into()),
        ("l.tsv", table.into()),
        ("l.csv", table.replace("b/1", "./b//1").replace("my cats/", "my cats\\").into()),
        ("l.csv", table.replace("b/1.jpg", set.at("b/1.jpg").to_str().unwrap()).into()),
    ];
    for (name, bytes) in lists {
        let opened = set.open(name, &bytes).unwrap();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let mut found = named(&opened);
        found[0].0 = found[0].0.trim_start_matches(set.at("").to_str().unwrap()).into();
        assert_eq!(found, expected, "{name}: {shown}");
        assert_eq!(opened.source.classes(), ["0", "7", "10"], "{shown}");
        assert_eq!(opened.source.path(1).unwrap(), set.at("my cats/1 2.jpg"));
        assert!(opened.lines()[1].contains("labels are numbers, so the classes are named 0 to 10"), "{:?}", opened.lines());
    }
}

#[test]
fn labels_are_names_or_numbers_and_classes_files_name_them() {
    let set = Set::new(&IMAGES);
    let opened = set.open("l.csv", "width,File Name,target\n3,b/1.jpg, dog\n4,a/1.jpg,\"cat, \"\"big\"\"\nones\"\n").unwrap();
    assert_eq!(named(&opened), pairs(&[("b/1.jpg", "dog"), ("a/1.jpg", "cat, \"big\"\nones")]));
    assert!(opened.lines()[1].ends_with("columns not used: width"), "{:?}", opened.lines());
    set.write("names.txt", "eel\ndog\ncat\n");
    let classes = |list: &str, demand| {
        set.write("l.txt", list);
        Source { classes: Some(set.at("names.txt")), ..Source::new(set.at("l.txt")) }.open(Split::Train, demand)
    };
    for list in ["b/1.jpg 2\na/1.jpg 1\n", "b/1.jpg cat\na/1.jpg dog\n"] {
        let opened = classes(list, Demand::Trainable).unwrap();
        assert_eq!(named(&opened), pairs(&[("b/1.jpg", "cat"), ("a/1.jpg", "dog")]));
        // The order is that of the file, and a class without images keeps its place.
        assert_eq!(opened.source.classes(), ["eel", "dog", "cat"]);
        assert!(opened.lines()[1].ends_with("classes without images: eel"), "{:?}", opened.lines());
        let opened = classes(list, Demand::WithImages).unwrap();
        assert_eq!((opened.source.classes(), opened.source.label(0)), (["dog", "cat"].map(String::from).as_slice(), 1));
    }
    for (list, parts) in [
        ("b/1.jpg 2\na/1.jpg 3\n", ["l.txt: line 2 has the label 3, which is not among the 3 classes (0 to 2) of ", "names.txt"]),
        ("b/1.jpg 2\n\na/1.jpg -1\n", ["l.txt: line 3 has the label -1, which is", "names.txt"]),
        ("b/1.jpg cat\na/1.jpg cow\n", ["line 2 has the label cow, which is not among the 3 classes of", "names.txt"]),
        ("b/1.jpg cat\na/1.jpg cat\n", ["all images are of one class, cat", "at least two"]),
    ] {
        let why = classes(list, Demand::Trainable).err().unwrap().to_string();
        assert!(parts.iter().all(|part| why.contains(part)) && !why.contains('\n'), "{why}");
    }
    for (names, part) in
        [("cat\ndog\ncat\n", "classes 0 and 2 are both named cat"), ("", "names no classes"), ("a\n\nb", "line 2")]
    {
        set.write("names.txt", names);
        let why = classes("b/1.jpg 0\na/1.jpg 1\n", Demand::Trainable).err().unwrap().to_string();
        assert!(why.contains("names.txt: ") && why.contains(part), "{why}");
    }
    // Only lists take these options.
    let folder = Source { classes: Some(set.at("names.txt")), ..Source::new(set.at("a")) };
    assert!(folder.open(Split::Train, Demand::All).err().unwrap().to_string().contains("--classes applies to"));
}

#[test]
fn a_column_of_splits_is_used_as_folders_of_splits_are() {
    let set = Set::new(&IMAGES);
    let list = "path,label,split\nb/1.jpg,b,train\na/1.jpg,a,Train\na/2.jpg,a,valid\nmy cats/1 2.jpg,b,test\n";
    set.write("l.csv", list.replace("Train", "train"));
    let train = set.split("l.csv", Split::Train).unwrap();
    assert_eq!(named(&train), pairs(&[("b/1.jpg", "b"), ("a/1.jpg", "a")]));
    assert!(train.lines()[0].ends_with("l.csv has the splits test, train, valid; using train"), "{:?}", train.lines());
    assert!(train.lines()[1].ends_with("l.csv (train): 2 images in 2 classes: a 1, b 1"), "{:?}", train.lines());
    assert_eq!(named(&set.split("l.csv", Split::Validation).unwrap()), pairs(&[("a/2.jpg", "a")]));
    assert_eq!(named(&set.split("l.csv", Split::Test).unwrap()), pairs(&[("my cats/1 2.jpg", "b")]));
    let all = Source::new(set.at("l.csv")).open_any().unwrap();
    assert_eq!((all.source.len(), all.source.classes().len(), all.taken), (4, 2, None));
    // One value is no split; several without one for training are not guessed at.
    let whole = set.open("l.csv", "path,label,split\nb/1.jpg,b,val\na/1.jpg,a,val\n").unwrap();
    assert_eq!((whole.source.len(), whole.splits), (2, None));
    let why = set.why("l.csv", "path,label,split\nb/1.jpg,b,fold1\na/1.jpg,a,fold2\n");
    assert!(why.ends_with("its splits are fold1, fold2, none of which is named train"), "{why}");
    // An image in two splits is a leak.
    let why = set.why("l.csv", format!("{list}b/1.jpg,b,valid\n"));
    assert!(why.ends_with("l.csv: line 6 names b/1.jpg again, after line 2"), "{why}");
}

#[test]
fn a_folder_of_lists_has_their_splits() {
    let set = Set::new(&["set/train/a/1.jpg", "set/train/b/1.jpg", "set/val/1.jpg"]);
    for ending in ["_list.txt", ".txt"] {
        set.write(&format!("set/train{ending}"), "train/a/1.jpg 0\ntrain/b/1.jpg 1\n");
        set.write(&format!("set/val{ending}"), "val/1.jpg 1\n");
        let train = set.split("set", Split::Train).unwrap();
        assert_eq!(named(&train), pairs(&[("train/a/1.jpg", "0"), ("train/b/1.jpg", "1")]));
        assert!(train.lines()[0].ends_with("set has the splits train, val; using train"), "{:?}", train.lines());
        assert!(train.at.ends_with(format!("set/train{ending}")));
        assert_eq!(named(&set.split("set", Split::Validation).unwrap()), pairs(&[("val/1.jpg", "1")]));
        let all = Source::new(set.at("set")).open_any().unwrap();
        assert_eq!((all.source.len(), all.source.label(2)), (3, 1));
        // Each file on its own.
        assert_eq!(named(&set.split(&format!("set/val{ending}"), Split::Validation).unwrap()), pairs(&[("val/1.jpg", "1")]));
        // A list without labels is not a split.
        set.write(&format!("set/val{ending}"), "val/1.jpg\n");
        let train = set.split("set", Split::Train).unwrap();
        assert_eq!((train.source.len(), train.splits), (2, None));
        fs::remove_file(set.at("set").join(format!("train{ending}"))).unwrap();
        fs::remove_file(set.at("set").join(format!("val{ending}"))).unwrap();
    }
    set.write("set/train.csv", "filename,label\ntrain/a/1.jpg,x\ntrain/b/1.jpg,y\n");
    set.write("set/test.csv", "filename,label\nval/1.jpg,y\n");
    let val = set.split("set", Split::Validation).unwrap();
    assert_eq!((named(&val), val.taken.as_deref()), (pairs(&[("val/1.jpg", "y")]), Some("test")));
    set.write("set/test.csv", "filename,label\ntrain/a/1.jpg,y\n");
    let why = Source::new(set.at("set")).open_any().err().unwrap().to_string();
    assert!(why.contains("test.csv: line 2 names train/a/1.jpg again, after line 2 of ") && why.ends_with("train.csv"), "{why}");
    // A table that is no list of labelled images leaves the folder's classes alone.
    fs::remove_file(set.at("set/test.csv")).unwrap();
    set.write("set/train.csv", "id,breed\n1,pug\n");
    fs::create_dir_all(set.at("set/val/b")).unwrap();
    fs::rename(set.at("set/val/1.jpg"), set.at("set/val/b/1.jpg")).unwrap();
    assert_eq!(set.split("set", Split::Train).unwrap().source.classes(), ["a", "b"]);
    // Nor does a list beside splits with class folders replace them.
    set.write("set/train.csv", "filename,label\n1.jpg,x\n");
    assert_eq!(set.split("set", Split::Train).unwrap().source.classes(), ["a", "b"]);
}

#[test]
fn bad_rows_are_reported_with_their_line() {
    let set = Set::new(&IMAGES);
    for (name, list, part) in [
        ("l.txt", "b/1.jpg 0\na/1.jpg\n", "line 2 has no label after the path: a/1.jpg"),
        ("l.txt", "b/1.jpg 0\r\n\r\na/1.jpg 1\r\nb/1.jpg 1", "line 4 names b/1.jpg again, after line 1"),
        ("l.txt", "b/1.jpg 0\na/1.jpg 1\n./b/1.jpg 0\n", "line 3 names b/1.jpg again, after line 1"),
        ("l.txt", "a/1.jpg 0\nb/1.jpg 1\na/../a/1.jpg 0\n", "line 3 names a/../a/1.jpg again, after line 1"),
        ("l.txt", "b/1.jpg 0\na/1.jpg -1\n", "line 2 has the negative label -1"),
        ("l.txt", "b/1.jpg 0\na/1.jpg 0\n", "all images are of one class, 0"),
        ("l.txt", "b/1.jpg\na/1.jpg 0\n", "a list without labels; expected a label after each path"),
        ("l.csv", "path,label\r\n\r\n\r\nb/1.jpg,0,9\r\n", "line 4 has 3 columns instead of 2"),
        ("l.csv", "path,label,split\nb/1.jpg,\"0\n1\",train\na/1.jpg\n", "line 4 has 1 column instead of 3"),
        ("l.csv", "path,label\nb/1.jpg,0\na/1.jpg, \n", "line 3 has no label"),
        ("l.csv", "path,label\nb/1.jpg,0\n./,1\n", "line 3 has no path"),
        ("l.csv", "path,label,split\nb/1.jpg,0,\n", "line 2 has no split"),
        ("l.csv", "path,label\nb/1.jpg,0\n\"a/1.jpg,1\na/2.jpg,1\n", "line 3 opens a quotation mark that is never closed"),
        ("l.csv", "path,label\nb/1.jpg,0\na/1.jpg,\"1", "line 3 opens a quotation mark that is never closed"),
        ("l.csv", "id,breed\n1,pug\n", "line 1 names no column of paths, only id, breed; expected path,label"),
        ("l.csv", "path,size\nb/1.jpg,3\n", "has no column of labels"),
        ("l.csv", "filename,image,label\nb/1.jpg,b/1.jpg,3\n", "the columns filename and image; name the one to use path"),
        ("l.csv", "path,label\n", "lists no images"),
        ("l.csv", "", "lists no images"),
    ] {
        let why = set.why(name, list);
        assert!(why.starts_with(&set.at(name).display().to_string()) && why.contains(part) && !why.contains('\n'), "{why}");
    }
    assert!(set.why("l.csv", b"path,label\nk\xE4se.jpg,1\n").contains("save it as UTF-8"));
    // The preferred name decides between several columns.
    assert_eq!(set.open("l.csv", "filename,path,label\nx,b/1.jpg,3\nx,a/1.jpg,4\n").unwrap().source.name(0), "b/1.jpg");
    // A hash is no comment.
    set.write("#1.jpg", "x");
    assert_eq!(set.open("l.txt", "#1.jpg 3\nb/1.jpg 4\n").unwrap().source.name(0), "#1.jpg");
}

#[test]
fn missing_files_are_found_at_once_only_if_all_of_the_first_are_missing() {
    let set = Set::new(&["images/a/1.jpg", "images/b/1.jpg"]);
    let list = "a/1.jpg 0\nb/1.jpg 1\na/9.jpg 0\n";
    let why = set.why("l.txt", list);
    let (file, advice) = (set.at("a/1.jpg").display().to_string(), "which is not there, nor are the next 2; add --root DIR");
    assert!(why.contains(&format!("line 1 names {file}, {advice}")), "{why}");
    let rooted = |root: &str| Source { root: Some(set.at(root)), ..Source::new(set.at("l.txt")) };
    let opened = rooted("images").open(Split::Train, Demand::Trainable).unwrap();
    assert_eq!(opened.source.file(1).unwrap().unwrap(), b"images/b/1.jpg");
    assert!(opened.source.image(2).is_err() && opened.source.file_size(2).is_none());
    assert!(rooted("a").open(Split::Train, Demand::Trainable).err().unwrap().to_string().ends_with("; check --root"));
    // A name with a backslash, where that is possible.
    #[cfg(unix)]
    {
        set.write("c\\1.jpg", "x");
        assert_eq!(set.open("l.txt", "c\\1.jpg 0\nimages/b/1.jpg 1\n").unwrap().source.name(0), "c\\1.jpg");
    }
}

#[test]
fn without_labels_a_table_lists_images() {
    let set = Set::new(&IMAGES);
    set.write("l.csv", "image,note\nb/1.jpg,first\na/1.jpg,\n");
    let opened = Source::new(set.at("l.csv")).open_any().unwrap();
    assert_eq!((opened.source.name(1), opened.source.classes().len()), ("a/1.jpg", 0));
}

#[test]
fn paths_below_a_list_are_relative() {
    let set = Set::new(&["set/a/1.jpg"]);
    let path = relative(&set.at("set")).unwrap();
    assert_eq!(path(&set.at("set/a/1.jpg")).unwrap(), "a/1.jpg");
    assert_eq!(Path::new(&path(&set.at("other/1.jpg")).unwrap()), std::path::absolute(set.at("other/1.jpg")).unwrap());
    let path = relative(Path::new("")).unwrap();
    assert_eq!(path(Path::new("a/1.jpg")).unwrap(), "a/1.jpg");
}

#[test]
fn names_that_would_change_are_not_written() {
    let set = Set::new(&[]);
    for (path, label, what) in [("a/1.jpg", " lead", "class ' lead'"), ("a/1.jpg ", "lead", "path 'a/1.jpg '")] {
        let why = write(&set.at("l.csv"), [Entry { path, label, split: None }]).unwrap_err().to_string();
        assert!(why.contains(&format!("l.csv: the {what} begins or ends with a blank")) && why.contains("; rename"), "{why}");
        assert!(!set.at("l.csv").exists());
    }
}

#[test]
fn paths_may_begin_with_dots() {
    let set = Set::new(&["lists/a/1.jpg", "b/1.jpg"]);
    for list in ["./a/1.jpg cat\n../b/1.jpg dog\n", "../b/1.jpg dog\na/1.jpg cat\n"] {
        let opened = set.open("lists/l.txt", list).unwrap();
        let mut found = named(&opened);
        found.sort();
        assert_eq!(found, pairs(&[("../b/1.jpg", "dog"), ("a/1.jpg", "cat")]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_opens_or_is_one_line_of_error(text in "([a-c\",;\t\\\\ \r\n/.#0-9-]|path|label|split|train|\\.jpg| 1\n){0,60}", ending in 0..3usize) {
        let set = Set::new(&["a.jpg"]);
        let name = ["l.txt", "l.csv", "l.tsv"][ending];
        set.write(name, text);
        for split in [Split::Train, Split::Test] {
            if let Err(error) = set.split(name, split) {
                prop_assert!(!error.to_string().contains(['\n', '\r']), "{error:?}");
            }
        }
        let _ = Source::new(set.at(name)).open_any();
    }

    #[test]
    fn written_lists_are_read_back(
        rows in prop::collection::vec(("[^/\\\\\0]{0,12}", "[a-zäöü猫\",;#]([ -~\n\r]{0,8}[a-z\"])?", 0..3usize), 1..8),
        with_splits in any::<bool>(),
    ) {
        let set = Set::new(&[]);
        let splits = ["train", "val", "test"];
        let names: Vec<String> = rows.iter().enumerate().map(|(i, row)| format!("{i}{}x.jpg", row.0)).collect();
        names.iter().for_each(|name| set.write(name, "x"));
        let entries: Vec<Entry<'_>> = names.iter().zip(&rows).map(|(path, row)| {
            Entry { path, label: &row.1, split: with_splits.then_some(splits[row.2]) }
        }).collect();
        write(&set.at("l.csv"), entries.iter().copied()).unwrap();
        match Source::new(set.at("l.csv")).open_any() {
            Ok(opened) => {
                let expected: Vec<_> = entries.iter().map(|entry| (entry.path.to_string(), entry.label.to_string())).collect();
                prop_assert_eq!(named(&opened), expected);
            }
            Err(error) => prop_assert!(error.to_string().contains("none of which is named train"), "{}", error),
        }
    }
}
