//! WebDataset shards of small files.

use crate::{Dataset, Demand, Opened, Reason, Result, Source, Split};
use std::fs;
use std::path::Path;

/// Writes a tar of files in this order.
fn shard(path: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut tar = ::tar::Builder::new(fs::File::create(path).unwrap());
    for (name, content) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.finish().unwrap();
}

fn open(path: &Path, split: Split, demand: Demand) -> Result<Opened> {
    Source::new(path).open(split, demand)
}

fn train(path: &Path) -> Opened {
    open(path, Split::Train, Demand::Trainable).unwrap()
}

/// Name, class and content of each image.
fn images(set: &dyn Dataset) -> Vec<[String; 3]> {
    let content = |i| String::from_utf8(set.file(i).unwrap().unwrap()).unwrap();
    (0..set.len()).map(|i| [set.name(i).into(), set.classes()[set.label(i) as usize].clone(), content(i)]).collect()
}

fn is(set: &dyn Dataset, expected: &[[&str; 3]]) {
    assert_eq!(images(set), expected.iter().map(|image| image.map(String::from)).collect::<Vec<_>>());
}

#[test]
fn samples_keep_their_order_and_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    shard(&at("set-0.tar"), &[("b.jpg", "b"), ("b.cls", "2\n"), ("a.cls", "0"), ("a.JPG", "a"), ("a.depth.png", "d")]);
    shard(&at("set-1.tar"), &[("__meta__/x.json", "{}"), ("./a.jpg", "c"), ("./a.cls", "1")]);
    let expected = [["set-0/b.jpg", "2", "b"], ["set-0/a.JPG", "0", "a"], ["set-1/a.jpg", "1", "c"]];
    for path in [folder.path().to_path_buf(), at("set-{0..1}.tar"), at("set-*.tar")] {
        is(&*train(&path).source, &expected);
        is(&*Source::new(&path).open_any().unwrap().source, &expected);
    }
    is(&*train(&at("set-{1,0}.tar")).source, &[expected[2], expected[0], expected[1]]);
    let one = open(&at("set-0.tar"), Split::Validation, Demand::WithImages).unwrap();
    assert_eq!(one.source.classes(), ["0", "1", "2"]);
    is(&*one.source, &expected[..2]);
    let imagenet = Source { classes: Some("imagenet".into()), ..Source::new(at("set-*.tar")) };
    assert_eq!(imagenet.open(Split::Train, Demand::Trainable).unwrap().source.classes()[2], "great white shark");
    // Names of the numbers: given, or in a file next to the shards.
    fs::write(at("names"), "ant\nbee\ncat\ndog\n").unwrap();
    let named = Source { classes: Some(at("names")), ..Source::new(folder.path()) };
    let opened = named.open(Split::Train, Demand::Trainable).unwrap();
    assert_eq!((opened.source.classes(), opened.source.label(0)), (["ant", "bee", "cat", "dog"].map(String::from).as_slice(), 2));
    assert!(opened.lines().iter().any(|line| line.ends_with("classes without images: dog")), "{:?}", opened.lines());
    let description =
        r#"{"features": {"image": {"_type": "Image"}, "label": {"names": ["x", "y", "z"], "_type": "ClassLabel"}}}"#;
    fs::write(at("dataset_info.json"), description).unwrap();
    assert_eq!(train(&at("set-?.tar")).source.classes(), ["x", "y", "z"]);
    fs::write(at("classes.txt"), "ant\nbee\ncat\n").unwrap();
    assert_eq!(train(folder.path()).source.classes(), ["ant", "bee", "cat"]);
    fs::write(at("classes.txt"), "ant\nbee\n").unwrap();
    let why = open(folder.path(), Split::Train, Demand::Trainable).err().unwrap().to_string();
    assert!(why.contains("set-0/b.jpg: label 2, but") && why.ends_with("classes.txt has 2 classes, 0 to 1"), "{why}");
}

#[test]
fn labels_in_json_and_text_are_names_or_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar");
    shard(
        &path,
        &[
            ("x/1.jpg", "1"),
            ("x/1.json", r#"{"label": "dog", "class": 7}"#),
            ("x/2.json", r#"{"class": "cat"}"#),
            ("x/2.webp", "2"),
        ],
    );
    is(&*train(&path).source, &[["set/x/1.jpg", "dog", "1"], ["set/x/2.webp", "cat", "2"]]);
    shard(
        &path,
        &[("1.jpg", "1"), ("1.json", r#"{"cls": 10}"#), ("2.jpg", "2"), ("2.json", "2"), ("2.txt", "a caption\nof two lines")],
    );
    let opened = train(&path);
    assert_eq!((opened.source.classes().len(), opened.source.label(0), opened.source.label(1)), (11, 10, 2));
    shard(&path, &[("1.jpg", "1"), ("1.txt", " kit fox\n"), ("2.jpg", "2"), ("2.txt", "3")]);
    is(&*train(&path).source, &[["set/1.jpg", "kit fox", "1"], ["set/2.jpg", "3", "2"]]);
    // Class folders with texts next to the images are class folders.
    shard(&path, &[("a/1.jpg", "1"), ("a/1.txt", "about"), ("b/2.jpg", "2")]);
    assert_eq!(train(&path).source.classes(), ["a", "b"]);
}

#[test]
fn splits_are_recognised_by_the_names_of_shards_or_folders() {
    let folder = tempfile::tempdir().unwrap();
    let samples = |key: &str, content: &str| {
        vec![
            (format!("{key}0.jpg"), format!("{content}0")),
            (format!("{key}0.cls"), "0".to_string()),
            (format!("{key}1.jpg"), format!("{content}1")),
            (format!("{key}1.cls"), "1".to_string()),
        ]
    };
    let write = |name: &str| {
        let files = samples("k", name);
        shard(
            &folder.path().join(name),
            &files.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect::<Vec<_>>(),
        );
    };
    for name in [
        "words/in-train-0.tar",
        "words/in-train-1.tar",
        "words/in-validation-0.tar",
        "words/extra.tar",
        "folders/train/0.tar",
        "folders/train/1.tar",
        "folders/test/0.tar",
    ] {
        write(name);
    }
    fs::write(folder.path().join("folders/classnames.txt"), "ant\nbee\n").unwrap();
    for (root, train_name, val, val_at) in [
        ("words", "in-train-1/k0.jpg", "validation", "words"),
        ("folders", "1/k0.jpg", "test", "folders/test"),
        ("folders/{train,test}/*.tar", "1/k0.jpg", "test", "folders/{train,test}/*.tar"),
    ] {
        let root = folder.path().join(root);
        let opened = train(&root);
        assert_eq!((opened.source.len(), opened.source.name(2), opened.taken.as_deref()), (4, train_name, Some("train")));
        let found = open(&root, Split::Validation, Demand::WithImages).unwrap();
        assert_eq!((found.source.len(), found.taken.as_deref(), found.at.clone()), (2, Some(val), folder.path().join(val_at)));
        assert_eq!(found.lines()[0].rsplit("; ").next().unwrap(), format!("using {val}"));
    }
    let lines = train(&folder.path().join("words")).lines();
    assert!(
        lines.iter().any(|line| line.contains("shards of no split, not used: 1, such as") && line.ends_with("extra.tar")),
        "{lines:?}"
    );
    assert_eq!(train(&folder.path().join("folders")).source.classes(), ["ant", "bee"]);
    let all = Source::new(folder.path().join("folders")).open_any().unwrap().source;
    assert_eq!((all.len(), all.name(0)), (6, "test/0/k0.jpg"));
}

#[test]
fn problems_are_named_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar");
    let good = [("a.jpg", "a"), ("a.cls", "0"), ("b.jpg", "b"), ("b.cls", "1")];
    let why = |more: &[(&str, &str)]| {
        shard(&path, &[&good, more].concat());
        open(&path, Split::Train, Demand::Trainable).err().map_or(String::new(), |error| error.to_string())
    };
    assert!(why(&[("c.jpg", "c"), ("c.png", "c"), ("c.cls", "1")]).contains("two images for one key, c.jpg and c.png"));
    assert!(why(&[("c.jpg", "c"), ("c.jpg", "c"), ("c.cls", "1")]).contains("contains c.jpg twice"));
    assert!(why(&[("c.jpg", "c"), ("a.txt", "0")]).contains("files of a are not next to each other"));
    assert!(why(&[("c.jpg", "c"), ("c.cls", "-1")]).contains("set/c.jpg: label -1; expected 0 or more"));
    assert!(why(&[("c.jpg", "c"), ("c.cls", "99999999999")]).contains("set/c.jpg: label 99999999999 is too large"));
    assert!(why(&[("c.jpg", "c"), ("c.cls", "1\n2")]).contains("c.cls: several lines"));
    assert_eq!(why(&[("c.jpg", "c"), ("d.jpg", "d"), ("d.cls", ""), ("e.cls", "1"), ("README", "x")]), "");
    let opened = train(&path);
    let passed = &opened.passed_over;
    assert_eq!(
        (opened.source.len(), passed.count(Reason::Unlabelled), passed.count(Reason::NotImage)),
        (2, 2, 2),
        "{}",
        passed.words()
    );
    let loose = Source::new(&path).open_any().unwrap();
    assert_eq!((loose.source.len(), loose.source.classes().len()), (4, 0));
    // Labels that are not in the list of classes.
    shard(&path, &[("a.jpg", "a"), ("a.cls", "ant"), ("b.jpg", "b"), ("b.cls", "bee")]);
    fs::write(folder.path().join("names.txt"), "ant\ncat\n").unwrap();
    let given = Source { classes: Some(folder.path().join("names.txt")), ..Source::new(&path) };
    let text = given.open(Split::Train, Demand::Trainable).err().unwrap().to_string();
    assert!(text.contains("set/b.jpg: label bee, which is not among the classes in"), "{text}");
    shard(&path, &[("a.jpg", "a"), ("a.json", "{"), ("b.jpg", "b"), ("b.cls", "1")]);
    assert!(open(&path, Split::Train, Demand::Trainable).err().unwrap().to_string().contains("a.json: invalid JSON"));
    shard(&path, &[("a.jpg", "a"), ("a.json", r#"{"label": 0.5}"#), ("b.jpg", "b"), ("b.cls", "1")]);
    assert!(
        open(&path, Split::Train, Demand::Trainable).err().unwrap().to_string().contains("neither a name nor a whole number")
    );
    shard(&path, &good[..2]);
    assert!(open(&path, Split::Train, Demand::Trainable).err().unwrap().to_string().contains("only one class, 0"));
    // Unlabelled shards of a pattern, missing ones, truncated ones.
    shard(&path, &[("a.jpg", "a"), ("b.jpg", "b")]);
    let pattern = folder.path().join("s*.tar");
    assert!(open(&pattern, Split::Train, Demand::Trainable).err().unwrap().to_string().contains("no labels in these shards"));
    assert_eq!(Source::new(&pattern).open_any().unwrap().source.len(), 2);
    let text = open(&folder.path().join("se{t,d}.tar"), Split::Train, Demand::Trainable).err().unwrap().to_string();
    assert!(text.contains("sed.tar is missing"), "{text}");
    shard(&path, &good);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..2 * 1024 + 512]).unwrap();
    assert!(open(&path, Split::Train, Demand::Trainable).err().unwrap().to_string().contains("truncated within b.jpg"));
    fs::write(&path, &whole[..4 * 1024]).unwrap();
    let cut = open(&path, Split::Train, Demand::Trainable).err().unwrap().to_string();
    assert!(
        cut.ends_with("set.tar: truncated: it has no end mark, so that files may be missing; copy or download it again"),
        "{cut}"
    );
}

#[test]
fn incomplete_folders_of_shards_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["s-000000.tar", "s-000002.tar"] {
        shard(&at(name), &[("a.jpg", "a"), ("a.cls", "0"), ("b.jpg", "b"), ("b.cls", "1")]);
    }
    for path in [folder.path().to_path_buf(), at("s-*.tar")] {
        let lines = train(&path).lines();
        assert!(lines.iter().any(|line| line.ends_with("by their numbers: 1 (s-000001.tar)")), "{lines:?}");
    }
    for name in ["s-000001.tar", "s-000000.tar"] {
        fs::write(at(name), "").unwrap();
        let why = open(folder.path(), Split::Train, Demand::Trainable).err().unwrap().to_string();
        assert!(why.ends_with(&format!("{name}: empty file; copy or download it again")), "{why}");
    }
}
