//! Classes of a list: its labels sorted, or the names of a file.

use crate::Result;
use crate::escape::printable;
use crate::{Error, files};
use alexnet_net::imagenet::{Order, read_labels, wnid};
use std::collections::HashMap;
use std::path::Path;

/// Classes, and how labels map to them.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    /// The class of each label; meaningless for a label that is not used.
    pub(super) of_label: Vec<u32>,
    /// Whether they are numbers that nobody has named.
    pub(super) numbered: bool,
}

impl Classes {
    /// Whether each class has images.
    fn filled(&self, used: &[bool]) -> Vec<bool> {
        let mut filled = vec![false; self.names.len()];
        self.of_label.iter().zip(used).filter(|(_, used)| **used).for_each(|(&class, _)| filled[class as usize] = true);
        filled
    }

    /// Names of the classes to which no used label maps.
    pub(super) fn without_images(&self, used: &[bool]) -> Vec<String> {
        self.names.iter().zip(self.filled(used)).filter(|(_, filled)| !filled).map(|(name, _)| name.clone()).collect()
    }

    /// Removes those classes.
    pub(super) fn retain_used(&mut self, used: &[bool]) {
        let filled = self.filled(used);
        let places: Vec<u32> = filled
            .iter()
            .scan(0, |next, &filled| {
                *next += u32::from(filled);
                Some(*next - u32::from(filled))
            })
            .collect();
        self.of_label.iter_mut().zip(used).filter(|(_, used)| **used).for_each(|(class, _)| *class = places[*class as usize]);
        let mut keep = filled.into_iter();
        self.names.retain(|_| keep.next().unwrap_or_default());
    }
}

/// A label that has no class: its index, and why.
pub(super) type Unknown = (usize, String);

/// Reads class names in label order. As for `--labels`, `imagenet` and `devkit` are built in, unless there are files of these names.
///
/// # Errors
/// The file cannot be read, is empty, or names a class twice.
pub(crate) fn read_names(path: &Path) -> Result<Vec<String>> {
    match path.to_str().filter(|_| !path.exists()) {
        Some("imagenet") => return Ok(Order::Sorted.names()),
        Some("devkit") => return Ok(Order::Devkit.names()),
        _ => {}
    }
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    let names = read_labels(&text).map_err(|error| Error::file(path, error.to_string()))?;
    let mut seen = HashMap::new();
    for (i, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, i) {
            return Err(Error::file(path, format!("classes {first} and {i} are both named {}", printable(name))));
        }
    }
    if names.is_empty() { Err(Error::file(path, "names no classes")) } else { Ok(names) }
}

/// Classes from the labels alone: names sorted as text, numbers by value. `used` are the labels of the images to be opened.
pub(super) fn from_labels(labels: &[String], used: &[bool]) -> Result<Classes, Unknown> {
    let mut order: Vec<usize> = (0..labels.len()).filter(|&i| used[i]).collect();
    let numbered = !order.is_empty() && order.iter().all(|&i| is_integer(&labels[i]));
    if numbered {
        if let Some(&i) = order.iter().find(|&&i| labels[i].starts_with('-')) {
            return Err((i, format!("has the negative label {}", labels[i])));
        }
        // Of any length, so that no number is too large.
        let value = |i: usize| labels[i].trim_start_matches('0');
        order.sort_by_key(|&i| (value(i).len(), value(i), i));
        if let Some(pair) = order.windows(2).find(|pair| value(pair[0]) == value(pair[1])) {
            let [a, b] = [&labels[pair[0]], &labels[pair[1]]];
            return Err((pair[1], format!("has the label {b}, which is also written {a}; write a number in one way")));
        }
    } else {
        order.sort_by_key(|&i| &labels[i]);
    }
    let mut of_label = vec![0; labels.len()];
    order.iter().zip(0..).for_each(|(&i, class)| of_label[i] = class);
    Ok(Classes { names: order.into_iter().map(|i| labels[i].clone()).collect(), of_label, numbered })
}

/// Classes with the given names. The labels are all names, or all numbers of names, counted from 0.
pub(super) fn from_names(labels: &[String], used: &[bool], names: Vec<String>) -> Result<Classes, Unknown> {
    let mut known: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    // The names of ImageNet's classes replace their identifiers, which may be the labels.
    let imagenet = Order::of(&names).map(Order::classes).unwrap_or_default();
    for ((id, _), i) in imagenet.iter().zip(0..) {
        known.entry(id).or_insert(i);
    }
    for (name, i) in names.iter().zip(0..) {
        wnid(name).map(|id| known.entry(id).or_insert(i));
    }
    let labels_used = || labels.iter().enumerate().filter(|&(i, _)| used[i]);
    let by_name = labels_used().all(|(_, label)| known.contains_key(label.as_str()));
    let by_number = !by_name && labels_used().all(|(_, label)| is_integer(label));
    let mut of_label = vec![0; labels.len()];
    for (i, label) in labels_used() {
        let class = if by_number {
            label.parse::<u32>().ok().filter(|&class| (class as usize) < names.len())
        } else {
            known.get(label.as_str()).copied()
        };
        of_label[i] = class.ok_or_else(|| {
            let why = if by_number {
                format!("has the label {label}, which is not among the {} classes (0 to {})", names.len(), names.len() - 1)
            } else {
                format!("has the label {}, which is not among the {} classes", printable(label), names.len())
            };
            (i, why)
        })?;
    }
    Ok(Classes { names, of_label, numbered: false })
}

/// Whether a label is an integer.
fn is_integer(label: &str) -> bool {
    let digits = label.strip_prefix('-').unwrap_or(label);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_string()).collect()
    }

    #[test]
    fn names_are_sorted_as_text_and_numbers_by_value() {
        let of = |labels: &[&str]| from_labels(&strings(labels), &vec![true; labels.len()]);
        let classes = of(&["dog", "10", "cat"]).unwrap();
        assert_eq!((classes.names, classes.of_label, classes.numbered), (strings(&["10", "cat", "dog"]), vec![2, 0, 1], false));
        let classes = of(&["10", "2", "0", "99999999999999999999999"]).unwrap();
        assert_eq!(classes.names, ["0", "2", "10", "99999999999999999999999"]);
        assert_eq!((classes.of_label, classes.numbered), (vec![2, 1, 0, 3], true));
        assert_eq!(of(&["07", "10"]).unwrap().names, ["07", "10"]);
        assert_eq!(of(&["1", "-1"]).unwrap_err(), (1, "has the negative label -1".into()));
        assert!(of(&["7", "07"]).unwrap_err().1.contains("07, which is also written 7"));
        // Unused labels do not matter.
        let classes = from_labels(&strings(&["cat", "3", "20"]), &[false, true, true]).unwrap();
        assert_eq!((classes.names, classes.numbered), (strings(&["3", "20"]), true));
        assert!(from_labels(&[], &[]).unwrap().names.is_empty());
    }

    #[test]
    fn labels_are_names_or_numbers_of_names() {
        let of = |labels: &[&str], names: &[&str]| from_names(&strings(labels), &vec![true; labels.len()], strings(names));
        assert_eq!(of(&["dog", "cat"], &["dog", "eel", "cat"]).unwrap().of_label, [0, 2]);
        assert_eq!(of(&["2", "00"], &["dog", "eel", "cat"]).unwrap().of_label, [2, 0]);
        // Names that are numbers.
        assert_eq!(of(&["2", "1"], &["1", "2"]).unwrap().of_label, [1, 0]);
        for (labels, part) in [
            (["0", "3"], "the label 3, which is not among the 3 classes (0 to 2)"),
            (["0", "-1"], "the label -1, which"),
            (["dog", "1"], "1, which is not among the 3 classes"),
            (["dog", "do\ng"], "do\\ng, which"),
        ] {
            let (i, why) = of(&labels, &["dog", "eel", "cat"]).unwrap_err();
            assert!(i == 1 && why.contains(part), "{why}");
        }
        assert_eq!(of(&["n01440764", "n02119789"], &["n02119789 kit fox", "n01440764 tench"]).unwrap().of_label, [1, 0]);
        for (order, places) in [(Order::Sorted, [0, 278]), (Order::Devkit, [448, 0])] {
            let used = [true, true];
            assert_eq!(from_names(&strings(&["n01440764", "n02119789"]), &used, order.names()).unwrap().of_label, places);
        }
    }
}
