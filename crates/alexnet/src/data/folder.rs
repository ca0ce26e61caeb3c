//! A folder with one folder per class.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Listing, Source, is_picture};
use crate::image::{Picture, decode};
use crate::{Error, Result};

/// Deeper folders within a class are an error: symbolic links may go in circles.
const MAX_DEPTH: usize = 32;

/// Picture files. As [`open`](Self::open) takes them, `PATH/class/.../file.jpg`: class folders at the top, pictures at any depth below them. Links are followed; hidden
/// files and files without a picture's ending are passed over.
#[derive(Debug)]
pub(super) struct Folder {
    listing: Listing<PathBuf>,
}

impl Folder {
    /// Lists the pictures, sorted by class and name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (mut classes, mut found, mut loose) = (Vec::new(), Vec::new(), None);
        for entry in entries(path)? {
            match entry {
                Entry { name, at, is_folder: true } => {
                    walk(&at, &name, 1, &mut found)?;
                    classes.push(name);
                }
                Entry { name, .. } if is_picture(&name) => loose = Some(name),
                Entry { .. } => {}
            }
        }
        Ok(Folder { listing: Listing::new(path, classes, found, loose)? })
    }

    /// Lists the pictures at any depth, in classes or not.
    pub(super) fn open_loose(path: &Path) -> Result<Self> {
        let mut found = Vec::new();
        walk(path, "", 0, &mut found)?;
        Ok(Folder { listing: Listing::loose(path, found)? })
    }

    /// The pictures that a text file names, a line each; empty lines are passed over.
    pub(super) fn of_list(path: &Path) -> Result<Self> {
        let text = crate::files::read_text(path).map_err(|error| Error::io(path, error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let pictures: Vec<_> = lines.map(|line| (line.to_string(), 0, folder.join(line))).collect();
        if pictures.is_empty() {
            return Err(Error::file(path, "lists no pictures; it should name one a line"));
        }
        Ok(Folder { listing: Listing { classes: Vec::new(), pictures } })
    }

    /// These files, in this order.
    pub(super) fn of_files(paths: &[PathBuf]) -> Self {
        let pictures = paths.iter().map(|path| (path.to_string_lossy().into_owned(), 0, path.clone())).collect();
        Folder { listing: Listing { classes: Vec::new(), pictures } }
    }
}

struct Entry {
    name: String,
    at: PathBuf,
    is_folder: bool,
}

/// What is visible in a folder.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        let at = entry.map_err(|error| Error::io(folder, error))?.path();
        let name = match at.file_name().map(|name| name.to_str()) {
            Some(Some(name)) => name.to_string(),
            _ => return Err(Error::file(&at, "its name is not UTF-8; rename it")),
        };
        if name.starts_with('.') {
            continue;
        }
        // Follows links. A link to nothing matters only if it should have been a picture; reading it will tell.
        let is_folder = fs::metadata(&at).is_ok_and(|kind| kind.is_dir());
        entries.push(Entry { name, at, is_folder });
    }
    Ok(entries)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::file(folder, format!("folders more than {MAX_DEPTH} deep; does a link lead in a circle?")));
    }
    for Entry { name, at, is_folder } in entries(folder)? {
        let inner = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if is_folder {
            walk(&at, &inner, depth + 1, found)?;
        } else if is_picture(&name) {
            found.push((inner, at));
        }
    }
    Ok(())
}

impl Source for Folder {
    fn classes(&self) -> &[String] {
        &self.listing.classes
    }

    fn len(&self) -> usize {
        self.listing.pictures.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.listing.pictures[i].1
    }

    fn name(&self, i: usize) -> &str {
        &self.listing.pictures[i].0
    }

    fn picture(&self, i: usize) -> Result<Picture, String> {
        decode::decode(&decode::read(&self.listing.pictures[i].2)?)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>, String> {
        decode::read(&self.listing.pictures[i].2).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Source, of_files, open, open_loose};
    use std::fs;

    fn names(source: &dyn Source) -> Vec<(String, Option<String>)> {
        let label = |i| source.classes().get(source.label(i) as usize).cloned();
        (0..source.len()).map(|i| (source.name(i).to_string(), label(i))).collect()
    }

    #[test]
    fn pictures_in_classes_or_not_are_found_wherever_labels_are_not_needed() {
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
        // One class alone, or none: too little to learn from, enough to look at.
        assert_eq!(names(&*open_loose(&at("set/b")).unwrap()), [pair("2.png", None), pair("deep/1.jpg", None)]);
        assert!(open(&at("set/b")).err().unwrap().to_string().contains("lies in no class"));

        let mut tar = ::tar::Builder::new(fs::File::create(at("set.tar")).unwrap());
        tar.append_dir_all(".", at("set")).unwrap();
        tar.finish().unwrap();
        assert_eq!(names(&*open_loose(&at("set.tar")).unwrap()), classed);
        let mut tar = ::tar::Builder::new(fs::File::create(at("flat.tar")).unwrap());
        tar.append_path_with_name(at("set/b/2.png"), "2.png").unwrap();
        tar.finish().unwrap();
        let flat = open_loose(&at("flat.tar")).unwrap();
        assert_eq!((names(&*flat), flat.file(0).unwrap().unwrap()), (vec![pair("2.png", None)], b"set/b/2.png".to_vec()));
        assert!(open(&at("flat.tar")).err().unwrap().to_string().contains("2.png lies in no class"));

        fs::write(at("list.txt"), "set/b/2.png\n\n set/a/x.webp \n").unwrap();
        let list = open_loose(&at("list.txt")).unwrap();
        assert_eq!(names(&*list), [pair("set/b/2.png", None), pair("set/a/x.webp", None)]);
        assert_eq!(list.file(1).unwrap().unwrap(), b"set/a/x.webp");
        assert_eq!(of_files(&[at("set/a/x.webp")]).file(0).unwrap().unwrap(), b"set/a/x.webp");
        assert_eq!(open_loose(&at("set/b/2.png")).unwrap().len(), 1);
        fs::write(at("empty.txt"), "\n").unwrap();
        fs::create_dir(at("nothing")).unwrap();
        fs::write(at("model.bin"), "").unwrap();
        for (name, part) in [
            ("empty.txt", "lists no pictures"),
            ("nothing", "no pictures here"),
            ("gone", "No such file"),
            ("model.bin", "neither"),
        ] {
            let why = open_loose(&at(name)).err().unwrap().to_string();
            assert!(why.contains(name) && why.contains(part), "{why}");
        }
    }
}
