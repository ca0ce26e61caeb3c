//! Splits of a data set, such as `train` and `val`, recognised by their names.

use crate::escape::printable;

/// Split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Training images.
    Train,
    /// Validation images, for choosing settings.
    Validation,
    /// Test images, for a final evaluation.
    Test,
}

/// Names of split folders in lower case, in order of preference.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 5] = ["val", "validation", "valid", "dev", "eval"];
const TEST: [&str; 2] = ["test", "testing"];
/// Permitted suffixes of these names: `training_set`, `test images`.
const ENDS: [&str; 3] = ["set", "data", "images"];

/// Splits of a data set, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// All splits, sorted.
    pub names: Vec<String>,
    /// The training split.
    pub train: String,
    /// The validation split.
    pub validation: Option<String>,
    /// The test split.
    pub test: Option<String>,
}

impl Splits {
    /// Recognises splits from the names of a root's folders. All must be split names, including one for training and another, and
    /// contain folders: otherwise `train` and `test` are ordinary classes. `has_folders` returns whether a folder contains
    /// folders.
    ///
    /// # Errors
    /// Some folders are such splits and others are not, so that neither interpretation is safe.
    pub(crate) fn of(folders: &[String], has_folders: &dyn Fn(&str) -> bool) -> Result<Option<Splits>, String> {
        let find = |kind: &[&str], among: &[String]| {
            kind.iter().find_map(|wanted| among.iter().find(|name| stem(name) == *wanted).cloned())
        };
        let known =
            |name: &&String| [TRAIN.as_slice(), &VALIDATION, &TEST].iter().any(|kind| find(kind, &[(*name).clone()]).is_some());
        let (named, others): (Vec<&String>, Vec<&String>) = folders.iter().partition(known);
        let (mut names, flat): (Vec<String>, Vec<String>) = named.into_iter().cloned().partition(|name| has_folders(name));
        names.sort();
        let [train, validation, test] = [TRAIN.as_slice(), &VALIDATION, &TEST].map(|kind| find(kind, &names));
        let problem = |other: &str, what: &str| {
            Err(format!("its folders are named like splits, but {} {what}; use the folder of one split", printable(other)))
        };
        let doubles = |a: &str, b: &str| stem(a) == stem(b) || [a, b].iter().all(|name| TRAIN.contains(&stem(name).as_str()));
        let double = names.iter().enumerate().find_map(|(i, a)| Some((a, names[..i].iter().find(|b| doubles(a, b))?)));
        if let (Some(_), None, Some((a, b))) = (&train, others.first(), double) {
            return problem(b, &format!("and {} are the same split", printable(a)));
        }
        match (train, others.first()) {
            (Some(_), Some(other)) if names.len() > 1 => problem(other, "is not a split"),
            (_, Some(_)) => Ok(None),
            // A split without class folders next to regular ones contains images without labels, as many test sets do.
            (Some(train), None) if names.len() > 1 => Ok(Some(Splits { names, train, validation, test })),
            _ if !names.is_empty() && !flat.is_empty() && find(&TRAIN, folders).is_some() => {
                problem(&flat[0], "has no class folders")
            }
            _ => Ok(None),
        }
    }

    /// Splits of these names, whatever else they are called; `None` without one for training and another.
    pub(crate) fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Splits> {
        let mut names: Vec<String> = names.into_iter().map(String::from).collect();
        names.sort();
        names.dedup();
        let [train, validation, test] = [TRAIN.as_slice(), &VALIDATION, &TEST]
            .map(|kind| kind.iter().find_map(|wanted| names.iter().find(|name| stem(name) == *wanted).cloned()));
        train.filter(|_| names.len() > 1).map(|train| Splits { names, train, validation, test })
    }

    /// Whether there is a split for exactly this purpose.
    pub fn has(&self, split: Split) -> bool {
        match split {
            Split::Train => true,
            Split::Validation => self.validation.is_some(),
            Split::Test => self.test.is_some(),
        }
    }

    /// The name of the split for a purpose: for validation the test split if there is no other.
    pub(crate) fn name_of(&self, split: Split) -> &str {
        let (validation, test) = (self.validation.as_deref(), self.test.as_deref());
        match split {
            Split::Train => None,
            Split::Validation => validation.or(test),
            Split::Test => test.or(validation),
        }
        .unwrap_or(&self.train)
    }
}

/// Whether this is the name of a split.
pub(crate) fn is_split(name: &str) -> bool {
    let stem = stem(name);
    [TRAIN.as_slice(), &VALIDATION, &TEST].iter().any(|kind| kind.contains(&stem.as_str()))
}

/// Normalised folder name: lower case, without the suffix.
fn stem(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let stem = ENDS.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    stem.trim_end_matches(['_', '-', ' ']).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folders: &[&str], with_folders: &[&str]) -> Result<Option<Splits>, String> {
        let folders: Vec<String> = folders.iter().map(|name| (*name).to_string()).collect();
        Splits::of(&folders, &|name| with_folders.contains(&name))
    }

    #[test]
    fn splits_are_recognised_by_name_and_by_containing_folders() {
        let all = ["Train", "valid", "test"];
        let splits = of(&all, &all).unwrap().unwrap();
        let taken = [Split::Train, Split::Validation, Split::Test].map(|split| splits.name_of(split).to_string());
        assert_eq!(taken, ["Train", "valid", "test"]);
        let splits = of(&["test", "train"], &["test", "train"]).unwrap().unwrap();
        assert_eq!((splits.name_of(Split::Validation), splits.validation.as_deref()), ("test", None));
        // A test set without labels does not turn train and val into classes.
        let splits = of(&["train", "val", "test"], &["train", "val"]).unwrap().unwrap();
        assert_eq!((splits.names.as_slice(), splits.test), (["train", "val"].map(String::from).as_slice(), None));
        let splits = of(&["test_set", "training_set"], &["test_set", "training_set"]).unwrap().unwrap();
        assert_eq!((splits.train.as_str(), splits.name_of(Split::Validation)), ("training_set", "test_set"));
        for two in [["Train", "train", "val"], ["train", "training", "val"], ["train", "val", "val set"]] {
            assert!(of(&two, &two).unwrap_err().contains("are the same split"), "{two:?}");
        }
        // Ordinary classes.
        for (folders, with_folders) in [
            (["train", "test"], [].as_slice()),
            (["train", "bus"], &["train", "bus"]),
            (["test", "bus"], &["test", "bus"]),
            (["val", "test"], &["val", "test"]),
        ] {
            assert_eq!(of(&folders, with_folders), Ok(None), "{folders:?}");
        }
        assert_eq!((of(&[], &[]), of(&["train"], &["train"])), (Ok(None), Ok(None)));
        assert!(of(&["train", "val", "extra"], &["train", "val", "extra"]).unwrap_err().contains("extra is not a split"));
        assert!(of(&["train", "val"], &["train"]).unwrap_err().contains("val has no class folders"));
    }
}
