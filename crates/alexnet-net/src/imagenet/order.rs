//! The order of ImageNet's classes in a model, and their names and identifiers.

use crate::{Error, Result};
use serde::Serialize;
use std::borrow::Cow;

/// An order of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By WordNet identifier.
    Sorted,
    /// ILSVRC2012_ID - 1.
    Devkit,
}

impl Order {
    /// Human-readable description.
    pub fn describe(self) -> &'static str {
        match self {
            Order::Sorted => "ImageNet's 1,000 sorted by WordNet identifier",
            Order::Devkit => "ImageNet's 1,000 in the order of the devkit (ILSVRC2012_ID)",
        }
    }

    /// Identifier and name of each class.
    pub fn classes(self) -> Vec<(&'static str, &'static str)> {
        let sorted: Vec<_> = include_str!("classes.tsv").lines().filter_map(|line| line.split_once('\t')).collect();
        match self {
            Order::Sorted => sorted,
            Order::Devkit => {
                let ranks = include_str!("devkit.txt").split_whitespace().filter_map(|rank| rank.parse::<usize>().ok());
                ranks.filter_map(|rank| sorted.get(rank).copied()).collect()
            }
        }
    }

    /// The class names.
    pub fn names(self) -> Vec<String> {
        self.classes().into_iter().map(|(_, name)| name.to_string()).collect()
    }

    /// Detects the order of a model's class names or identifiers, if they are ImageNet's. Lists differ in a few words ("maillot",
    /// "crane bird") and more in case and synonyms, but the two orders agree at only a handful of positions.
    pub fn of(classes: &[String]) -> Option<Order> {
        const ENOUGH: usize = 950;
        [Order::Sorted, Order::Devkit].into_iter().find(|order| {
            let all = order.classes();
            all.len() == classes.len() && all.iter().zip(classes).filter(|(class, known)| same(class, known)).count() >= ENOUGH
        })
    }
}

/// Whether a name belongs to a class, by its leading identifier or its first word.
fn same(class: &(&str, &str), name: &str) -> bool {
    match wnid(name) {
        Some(id) => id == class.0,
        None => name.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case(class.1)),
    }
}

/// The WordNet identifier that a name equals or starts with: `n01440764`, `n01440764 tench, Tinca tinca`.
pub fn wnid(name: &str) -> Option<&str> {
    let first = name.split([' ', '\t', ',', ':']).next()?;
    let digits = first.strip_prefix('n')?;
    (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(first)
}

/// Display name of a class: an ImageNet identifier is followed by its word, and other names are unchanged.
pub fn with_word(name: &str) -> Cow<'_, str> {
    let word = wnid(name).filter(|id| id.len() == name.len()).and_then(|id| classes().find(|class| class.0 == id));
    word.map_or(Cow::Borrowed(name), |(id, word)| Cow::Owned(format!("{id} {word}")))
}

/// Identifier and name of each class, sorted by identifier.
pub fn classes() -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    Order::Sorted.classes().into_iter()
}

/// The class names, sorted by identifier.
pub fn names() -> Vec<String> {
    Order::Sorted.names()
}

/// Checks that new class names do not contradict a model's current ones. Both orders hold the same names, and which one is right
/// depends on the weights, which do not record it.
///
/// # Errors
/// The model uses one order, and the names use the other.
pub fn check_names(have: &[String], new: &[String]) -> Result<()> {
    match (Order::of(have), Order::of(new)) {
        (Some(have), Some(new)) if have != new => Err(Error::Invalid(format!(
            "its classes are {}; names in another order ({}) would mislabel them",
            have.describe(),
            new.describe()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_thousand_classes_are_sorted_and_unique() {
        let all: Vec<_> = classes().collect();
        assert_eq!(all.len(), 1000);
        assert!(all.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(all.iter().map(|class| class.1).collect::<HashSet<_>>().len(), 1000);
        // Matches Caffe's synset_words.txt and torchvision's categories.
        for (i, wnid, name) in [
            (0, "n01440764", "tench"),
            (281, "n02123045", "tabby"),
            (282, "n02123159", "tiger cat"),
            (277, "n02119022", "red fox"),
            (278, "n02119789", "kit fox"),
            (999, "n15075141", "toilet tissue"),
        ] {
            assert_eq!(all[i], (wnid, name), "{i}");
        }
    }

    #[test]
    fn the_devkit_order_has_the_same_classes_at_its_own_indices() {
        let (devkit, sorted) = (Order::Devkit.classes(), Order::Sorted.classes());
        assert_eq!(devkit.iter().collect::<HashSet<_>>(), sorted.iter().collect::<HashSet<_>>());
        assert_eq!(devkit.len(), 1000);
        for (id, wnid) in [
            (1, "n02119789"),
            (10, "n02123394"),
            (219, "n04086273"), // revolver, the first class that is not a mammal
            (333, "n03854065"),
            (500, "n01644373"),
            (782, "n03710637"),
            (1000, "n03255030"),
            // The classes of the first four images of the validation set, whose ground truth is 490, 361, 171 and 822.
            (490, "n01751748"),
            (361, "n09193705"),
            (171, "n02105855"),
            (822, "n04263257"),
        ] {
            assert_eq!(devkit[id - 1].0, wnid, "{id}");
        }
    }

    #[test]
    fn an_identifier_is_shown_with_its_word() {
        assert_eq!(with_word("n01582220"), "n01582220 magpie");
        assert_eq!(
            ["n00000001", "n01582220 Elster", "magpie", "n1"].map(with_word).concat(),
            "n00000001n01582220 Elstermagpien1"
        );
        assert_eq!([wnid("n01440764\ttench"), wnid("n0144076"), wnid("nightstand")], [Some("n01440764"), None, None]);
    }

    #[test]
    fn names_in_the_other_order_are_refused() {
        let [sorted, devkit] = [Order::Sorted, Order::Devkit].map(Order::names);
        let numbers: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        assert_eq!(
            (Order::of(&sorted), Order::of(&devkit), Order::of(&numbers)),
            (Some(Order::Sorted), Some(Order::Devkit), None)
        );
        let identifiers: Vec<String> = Order::Devkit.classes().iter().map(|class| class.0.to_string()).collect();
        assert_eq!(Order::of(&identifiers), Some(Order::Devkit));
        assert!(check_names(&numbers, &devkit).is_ok() && check_names(&devkit, &identifiers).is_ok());
        assert!(check_names(&sorted, &numbers).is_ok());
        // Different case, more synonyms, identifiers before the words.
        let shouted: Vec<String> = devkit.iter().map(|name| name.to_uppercase()).collect();
        let words: Vec<String> = Order::Devkit.classes().iter().map(|(id, name)| format!("{id} {name}, others")).collect();
        let synonyms: Vec<String> = devkit.iter().map(|name| format!("{name}, others")).collect();
        for other in [shouted, words, synonyms] {
            assert_eq!(Order::of(&other), Some(Order::Devkit), "{}", other[0]);
            assert!(check_names(&sorted, &other).is_err() && check_names(&devkit, &other).is_ok());
        }
        let why = check_names(&sorted, &devkit).unwrap_err().to_string();
        assert!(why.contains("sorted by WordNet") && why.contains("ILSVRC2012_ID"), "{why}");
    }
}
