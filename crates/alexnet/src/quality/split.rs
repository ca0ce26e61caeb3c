//! Stratified splits of a data set, with near duplicates kept together.

use crate::data::Split;
use alexnet_kernels::random::Key;
use std::cmp::Reverse;

/// The splits, in the order of their columns below.
pub const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Fractions of the images for validation and for testing; the others are for training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// For validation.
    pub validation: f64,
    /// For testing.
    pub test: f64,
}

/// Assigns images to splits: of each class the given shares, and every group of duplicates to one split. `labels` are those of all
/// images, `None` for one to be left out, which no group contains.
///
/// The largest groups come first, then single images in random order. Each goes to a split at random, in proportion to the images
/// that the split still lacks of its classes, or to training if it fits nowhere. Shares are rounded; of a class with an image for
/// every split each gets one, and training always does.
pub fn stratified(labels: &[Option<u32>], groups: &[Vec<usize>], shares: Shares, seed: u64) -> Vec<Option<Split>> {
    let classes = labels.iter().flatten().max().map_or(0, |&label| label as usize + 1);
    let mut counts = vec![0usize; classes];
    labels.iter().flatten().for_each(|&label| counts[label as usize] += 1);
    // Images that each split lacks, by class.
    let mut lacking: Vec<[i64; 3]> = counts.iter().map(|&count| targets(count, shares).map(|n| n as i64)).collect();
    let mut grouped = vec![false; labels.len()];
    groups.iter().flatten().for_each(|&i| grouped[i] = true);
    let single = (0..labels.len()).filter(|&i| labels[i].is_some() && !grouped[i]).map(|i| vec![i]);
    let mut units: Vec<Vec<usize>> = groups.iter().filter(|group| !group.is_empty()).cloned().chain(single).collect();
    let key = Key(seed);
    units.sort_by_key(|unit| (Reverse(unit.len()), key.with(0).bits(unit[0] as u64), unit[0]));
    let mut splits = vec![None; labels.len()];
    for unit in units {
        let mut of_class: Vec<(usize, i64)> = Vec::new();
        for class in unit.iter().filter_map(|&i| labels[i]) {
            match of_class.iter_mut().find(|(known, _)| *known == class as usize) {
                Some((_, count)) => *count += 1,
                None => of_class.push((class as usize, 1)),
            }
        }
        let room = [0, 1, 2].map(|split| {
            let fits = of_class.iter().all(|&(class, count)| lacking[class][split] >= count);
            if fits { of_class.iter().map(|&(class, _)| lacking[class][split]).min().unwrap_or(0) as u64 } else { 0 }
        });
        let mut drawn = key.with(1).below(unit[0] as u64, room.iter().sum::<u64>().max(1));
        let mut split = 0;
        while split < 2 && drawn >= room[split] {
            drawn -= room[split];
            split += 1;
        }
        // Nowhere is room.
        let split = if room[split] == 0 { 0 } else { split };
        of_class.iter().for_each(|&(class, count)| lacking[class][split] -= count);
        unit.iter().for_each(|&i| splits[i] = Some(SPLITS[split]));
    }
    splits
}

/// Images of a class for each split.
fn targets(count: usize, shares: Shares) -> [usize; 3] {
    let shares = [shares.validation, shares.test];
    let enough = count > shares.iter().filter(|&&share| share > 0.0).count();
    let [mut validation, mut test] = shares.map(|share| {
        let rounded = (count as f64 * share).round() as usize;
        if share > 0.0 && enough { rounded.max(1) } else { rounded }
    });
    while validation + test > count.saturating_sub(1) {
        if validation >= test && validation > 0 {
            validation -= 1;
        } else if test > 0 {
            test -= 1;
        } else {
            break;
        }
    }
    [count - validation - test, validation, test]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTHS: Shares = Shares { validation: 0.1, test: 0.1 };

    fn counts(labels: &[Option<u32>], splits: &[Option<Split>], class: u32) -> [usize; 3] {
        SPLITS.map(|split| labels.iter().zip(splits).filter(|(l, s)| **l == Some(class) && **s == Some(split)).count())
    }

    #[test]
    fn every_class_has_its_shares_and_groups_stay_together() {
        let sizes = [200, 35, 10, 4, 3, 2, 1];
        let mut labels: Vec<Option<u32>> = Vec::new();
        for (class, size) in (0..).zip(sizes) {
            labels.extend(std::iter::repeat_n(Some(class), size));
        }
        labels[7] = None;
        // Pairs, a large group, and one of two classes.
        let mut groups: Vec<Vec<usize>> = (0..20).map(|i| vec![20 + 2 * i, 21 + 2 * i]).collect();
        groups.push((100..130).collect());
        groups.push(vec![5, 205]);
        for seed in 0..20 {
            let splits = stratified(&labels, &groups, TENTHS, seed);
            assert_eq!(splits, stratified(&labels, &groups, TENTHS, seed));
            assert!(labels.iter().zip(&splits).all(|(label, split)| label.is_some() == split.is_some()));
            for group in &groups {
                assert!(group.iter().all(|&i| splits[i] == splits[group[0]]));
            }
            let expected = [[159, 20, 20], [27, 4, 4], [8, 1, 1], [2, 1, 1], [1, 1, 1], [2, 0, 0], [1, 0, 0]];
            for (class, expected) in (0..).zip(expected) {
                assert_eq!(counts(&labels, &splits, class), expected, "class {class}, seed {seed}");
            }
        }
        assert_ne!(stratified(&labels, &groups, TENTHS, 0), stratified(&labels, &groups, TENTHS, 1));
        // Groups are spread over the splits in proportion.
        let pairs: Vec<Vec<usize>> = (0..500).map(|i| vec![2 * i, 2 * i + 1]).collect();
        let splits = stratified(&[Some(0); 2000], &pairs, TENTHS, 3);
        let grouped = pairs.iter().filter(|pair| splits[pair[0]] == Some(Split::Validation)).count();
        assert!((30..80).contains(&grouped), "{grouped} of 500");
    }

    #[test]
    fn classes_of_few_images_or_groups_are_trained_on() {
        let all =
            |labels: &[Option<u32>], groups: &[Vec<usize>], shares| counts(labels, &stratified(labels, groups, shares, 0), 0);
        assert_eq!(all(&[Some(0); 6], &[(0..6).collect()], TENTHS), [6, 0, 0]);
        // The group of five fits only into training, which it overfills.
        assert_eq!(all(&[Some(0); 6], &[(0..5).collect()], TENTHS)[0], 5);
        assert_eq!(all(&[Some(0); 2], &[], Shares { validation: 0.5, test: 0.0 }), [1, 1, 0]);
        assert_eq!(all(&[Some(0); 10], &[], Shares { validation: 0.0, test: 0.0 }), [10, 0, 0]);
        assert_eq!(all(&[Some(0); 4], &[], Shares { validation: 0.49, test: 0.49 }), [1, 1, 2]);
        assert!(stratified(&[], &[], TENTHS, 0).is_empty());
    }
}
