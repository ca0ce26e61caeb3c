use super::*;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with these files, each an empty one unless it begins as an image.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    folder
}

/// The images of arguments within a folder, relative to it, and the note about skipped entries.
fn found(folder: &Path, arguments: &[&str]) -> (Vec<String>, Option<String>) {
    let absolute = |argument: &&str| match argument.strip_prefix('@') {
        Some(list) => PathBuf::from(format!("@{}", folder.join(list).display())),
        None => folder.join(argument),
    };
    let arguments: Vec<PathBuf> = arguments.iter().map(absolute).collect();
    let search = Search::default();
    let prefix = format!("{}/", folder.display());
    let shown = |source: ImageSource| {
        let why = if let ImageSource::Unreadable(_, why) = &source { format!(": {why}") } else { String::new() };
        source.name().replace(&prefix, "") + &why
    };
    let names = of_arguments(&arguments, &[], &search).map(shown).collect();
    (names, search.skipped.note().map(|note| note.replace(&prefix, "")))
}

fn names(folder: &Path, arguments: &[&str]) -> Vec<String> {
    found(folder, arguments).0
}

#[test]
fn folders_are_searched_in_the_order_of_whole_paths() {
    let folder = folder(&["b.jpg", "a/2.png", "a/10.png", "a-b/x.jpg", "a.jpg", "a/deep/er/y.gif", "notes.md", ".hidden/z.jpg"]);
    std::fs::write(folder.path().join("a/photo"), b"\x89PNG\r\n\x1A\n").unwrap();
    let (images, note) = found(folder.path(), &[""]);
    let mut sorted = images.clone();
    sorted.sort();
    assert_eq!(images, sorted);
    assert_eq!(images, ["a-b/x.jpg", "a.jpg", "a/10.png", "a/2.png", "a/deep/er/y.gif", "a/photo", "b.jpg"]);
    assert_eq!(note.unwrap(), "skipped: 1 file that is not an image (notes.md), 1 hidden entry (.hidden)");
    assert_eq!(expand(&[folder.path().join("a"), "x".into()]).unwrap().len(), 5);
}

#[test]
fn patterns_match_as_in_a_shell() {
    let folder =
        folder(&["a/1.jpg", "a/1.png", "a/b/2.jpg", "c/3.jpg", "4.jpg", "a/.x.jpg", "a/n.txt", "odd[1].jpg", "c/d/e/5.jpg"]);
    let matches = |pattern| names(folder.path(), &[pattern]);
    assert_eq!(matches("*.jpg"), ["4.jpg", "odd[1].jpg"]);
    assert_eq!(matches("*/*.jpg"), ["a/1.jpg", "c/3.jpg"]);
    assert_eq!(matches("**/*.jpg"), ["4.jpg", "a/1.jpg", "a/b/2.jpg", "c/3.jpg", "c/d/e/5.jpg", "odd[1].jpg"]);
    assert_eq!(matches("a/?.[jp]*g"), ["a/1.jpg", "a/1.png"]);
    assert_eq!(matches("c/**/[0-9].jpg"), ["c/3.jpg", "c/d/e/5.jpg"]);
    // A folder that matches is searched; an existing file of this very name is meant.
    assert_eq!(matches("[c]"), ["c/3.jpg", "c/d/e/5.jpg"]);
    assert_eq!(matches("odd[1].jpg"), ["odd[1].jpg"]);
    let (images, note) = found(folder.path(), &["a/*"]);
    assert_eq!(images, ["a/1.jpg", "a/1.png", "a/b/2.jpg"]);
    assert!(note.unwrap().contains("1 file that is not an image (a/n.txt)"));
    assert_eq!(matches("*.webp"), ["*.webp: no image matches this pattern"]);
    assert!(matches("a/[.jpg")[0].contains("not a pattern"));
}

#[test]
fn lists_are_relative_to_their_folder_and_may_name_folders() {
    let folder = folder(&["x/1.jpg", "x/y/2.jpg", "x/y/3.jpg"]);
    let list = folder.path().join("x/list.txt");
    std::fs::write(&list, "\u{feff}1.jpg\r\n\r\n  spaced.jpg\r\ny\r\ngone.png").unwrap();
    let expected = ["x/1.jpg", "x/  spaced.jpg", "x/y/2.jpg", "x/y/3.jpg", "x/gone.png"];
    assert_eq!(names(folder.path(), &["@x/list.txt"]), expected);
    let rooted = Search { root: Some(folder.path().join("x/y")), ..Default::default() };
    let first = of_arguments(&[], std::slice::from_ref(&list), &rooted).next().unwrap();
    assert_eq!(first.name(), text(&folder.path().join("x/y/1.jpg")));
    assert!(names(folder.path(), &["@none.txt"])[0].starts_with("none.txt: "));
    std::fs::write(&list, b"1.jpg\n\xFF\xD8\xFF\xE0\0\x10JFIF\n2.jpg\n").unwrap();
    assert_eq!(names(folder.path(), &["@x/list.txt"])[1], "x/list.txt: line 2 is not text; expected one path per line, in UTF-8");
    std::fs::write(&list, "x".repeat(1 << 17)).unwrap();
    assert!(names(folder.path(), &["@x/list.txt"])[0].contains("line 1 has more than 65536 bytes"));
}

#[test]
fn images_of_an_archive_are_named_within_it() {
    let folder = folder(&["b.jpg"]);
    let mut header = b"a/1.png".to_vec();
    header.resize(512, 0);
    for (at, field) in [(100, "0000644\0"), (124, "00000000010\0"), (257, "ustar\0"), (263, "00")] {
        header[at..at + field.len()].copy_from_slice(field.as_bytes());
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = [&header[..], b"\x89PNG\r\n\x1A\n"].concat();
    tar.resize(2048, 0);
    std::fs::write(folder.path().join("set.tar"), tar).unwrap();
    for arguments in ["set.tar", "*.tar"] {
        assert_eq!(names(folder.path(), &[arguments]), ["set.tar/a/1.png"]);
    }
    // A list given as a data set is named by its files.
    std::fs::write(folder.path().join("list.txt"), "b.jpg\n").unwrap();
    assert_eq!(names(folder.path(), &["list.txt", "b.jpg"]), ["b.jpg", "b.jpg"]);
}

#[test]
fn what_is_no_image_is_named_with_the_reason() {
    let folder = folder(&["empty/.keep", "notes.pdf"]);
    assert_eq!(names(folder.path(), &["empty"]), ["empty: contains no images"]);
    assert!(names(folder.path(), &["notes.pdf"])[0].contains("nor an image"));
    // Missing files fail when they are decoded.
    let missing = of_arguments(&["gone".into()], &[], &Search::default()).next().unwrap();
    let preprocess = Preprocess::for_net(&alexnet::net::presets::by_name("slim").unwrap());
    let why = missing.resized(&preprocess).unwrap_err().to_string();
    assert!(matches!(&missing, ImageSource::File(_)) && why.contains("No such file"), "{why}");
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_end_and_odd_names_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(&["a/1.jpg", "a/b/2.jpg"]);
    std::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("a/b/loop")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("a/b"), folder.path().join("linked")).unwrap();
    let images = names(folder.path(), &[""]);
    let circle = "a link to a folder that contains it";
    assert_eq!(images[..3], ["a/1.jpg", "a/b/2.jpg", &format!("a/b/loop: {circle}")]);
    assert!(images.iter().any(|image| image == "linked/2.jpg") && images.len() < 12, "{images:?}");
    let odd = std::ffi::OsStr::from_bytes(b"a/\xFF.jpg");
    std::fs::write(folder.path().join(odd), "").unwrap();
    for arguments in ["a", "a/*.jpg"] {
        assert!(names(folder.path(), &[arguments]).contains(&"a/\u{fffd}.jpg".into()), "{arguments}");
    }
}
