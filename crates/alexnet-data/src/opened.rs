//! Opening of data sets, with notes for the user.

use crate::escape::{first_names, printable};
use crate::{Dataset, PassedOver, Splits, escape};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened data set, with notes for the user.
pub struct Opened {
    /// Its images.
    pub source: Arc<dyn Dataset>,
    /// The folder or file that holds the splits, or the images if there are none.
    pub root: PathBuf,
    /// The folder or file that holds the images.
    pub at: PathBuf,
    /// The splits within it, if any.
    pub splits: Option<Splits>,
    /// Name of the selected split; `None` if there are no splits or all are used.
    pub taken: Option<String>,
    /// Whether the images lie in class folders, with which their names begin.
    pub in_class_folders: bool,
    /// Class folders without images.
    pub empty: Vec<String>,
    /// Unused entries.
    pub passed_over: PassedOver,
    /// Other notes, such as how many files of a list are not used, one per line.
    pub notes: Vec<String>,
    /// Options of the [`Source`](crate::Source) that the layout has no use for, with the reason.
    pub unused: Vec<Unused>,
}

/// Maximum number of classes named in [`Opened::lines`].
const NAMED: usize = 6;

/// An option of a [`Source`](crate::Source) that its layout has no use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// Name of the option, such as `--root`.
    pub option: &'static str,
    /// What it applies to, and what this is.
    pub why: String,
}

impl Opened {
    /// All images of the set at `path`, without splits and notes.
    pub(crate) fn whole(path: &Path, source: Arc<dyn Dataset>) -> Opened {
        Opened {
            source,
            root: path.to_path_buf(),
            at: path.to_path_buf(),
            splits: None,
            taken: None,
            in_class_folders: false,
            empty: Vec::new(),
            passed_over: PassedOver::default(),
            notes: Vec::new(),
            unused: Vec::new(),
        }
    }

    /// Name of the images for messages: their path, and the split if it is not a folder of its own.
    pub fn title(&self) -> String {
        let path = escape::path(&self.at);
        match &self.taken {
            Some(split) if self.at == self.root => format!("{path} ({})", printable(split)),
            _ => path,
        }
    }

    /// Notes for the user: the selected split, the classes with their image counts, and skipped files.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let path = self.title();
        if let Some(splits) = &self.splits {
            let names: Vec<_> = splits.names.iter().map(|name| printable(name)).collect();
            let taken = self.taken.as_ref().map_or("all".into(), |taken| printable(taken));
            lines.push(format!("{} has the splits {}; using {taken}", escape::path(&self.root), names.join(", ")));
        }
        let (classes, all) = (self.source.classes(), counted(self.source.len(), "image", "images"));
        lines.push(if classes.is_empty() {
            format!("{path}: {all} without classes")
        } else {
            let mut counts = vec![0usize; classes.len()];
            (0..self.source.len()).for_each(|i| counts[self.source.label(i) as usize] += 1);
            let named: Vec<_> = classes.iter().zip(&counts).map(|(class, n)| format!("{class} {n}")).collect();
            format!("{path}: {all} in {}: {}", counted(classes.len(), "class", "classes"), first_names(&named, NAMED))
        });
        lines.extend(self.deep().map(|(class, inner)| {
            let [class, inner] = [class, inner].map(printable);
            format!(
                "{path}: all images are in subfolders of class folders, such as {class}/{inner}; if {inner} is the class, use {path}/{class}"
            )
        }));
        if !self.empty.is_empty() {
            lines.push(format!("{path}: class folders without images: {}", first_names(&self.empty, NAMED)));
        }
        lines.extend(self.notes.iter().map(|note| format!("{}: {note}", escape::path(&self.root))));
        if !self.passed_over.is_empty() {
            lines.push(format!("{}: skipped: {}", escape::path(&self.root), self.passed_over.words()));
        }
        lines
    }

    /// A class and a subfolder of it, if all images are that deep: the classes may be splits of unknown names, or wrappers.
    fn deep(&self) -> Option<(&str, &str)> {
        let (classes, mixed) = (self.source.classes(), self.splits.is_some() && self.taken.is_none());
        if !self.in_class_folders || classes.is_empty() || self.source.is_empty() || mixed {
            return None;
        }
        let inner = |name: &'_ str| name.split('/').count() > 2;
        // Shards and the like have folders of other meanings.
        let class = self.source.classes().get(self.source.label(0) as usize)?;
        if self.source.name(0).split('/').next() != Some(class.as_str()) {
            return None;
        }
        let mut parts = self.source.name(0).split('/');
        (0..self.source.len()).all(|i| inner(self.source.name(i))).then(|| Some((parts.next()?, parts.next()?)))?
    }
}

fn counted(n: usize, one: &str, several: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {several}") }
}
