//! Selection and order of an epoch's images.
//!
//! Balanced sampling draws the same number of images of each class, up to one, in an epoch of the usual length: of a large class
//! a part without repetition, and those of a small class again and again. The draws are a function of seed and epoch.

use super::Dataset;
use alexnet_kernels::random::Key;
use serde::{Deserialize, Serialize};

/// Selection of an epoch's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Every image once.
    #[default]
    Uniform,
    /// The same number of images of each class.
    Balanced,
}

impl Sampling {
    /// Whether it is the default.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_default(&self) -> bool {
        *self == Sampling::default()
    }
}

/// Purposes of the random numbers of a balanced epoch.
const EXTRA: u64 = 1;
const CLASS: u64 = 2;
const MIX: u64 = 3;

/// Images of each class that has any.
pub(super) struct Balanced(Vec<Vec<u32>>);

impl Balanced {
    pub(super) fn new(source: &dyn Dataset) -> Balanced {
        let mut classes = vec![Vec::new(); source.classes().len()];
        (0..source.len()).for_each(|i| classes[source.label(i) as usize].push(i as u32));
        classes.retain(|images| !images.is_empty());
        Balanced(classes)
    }

    /// Draws `n` images in random order.
    pub(super) fn order(&self, key: Key, n: usize) -> Vec<u32> {
        let (each, rest) = (n / self.0.len(), n % self.0.len());
        let mut drawn = Vec::with_capacity(n);
        // Random classes share what cannot be divided.
        for (place, class) in key.with(EXTRA).permutation(self.0.len()).into_iter().enumerate() {
            let images = &self.0[class as usize];
            let key = key.with(CLASS).with(class.into());
            let passes = (0u64..).flat_map(|pass| key.with(pass).permutation(images.len()));
            drawn.extend(passes.take(each + usize::from(place < rest)).map(|i| images[i as usize]));
        }
        key.with(MIX).permutation(n).into_iter().map(|i| drawn[i as usize]).collect()
    }
}

/// The view of each image of an epoch with this `view`: its repetitions within the epoch are augmented in other ways.
pub(super) fn views(order: &[u32], view: u64, images: usize) -> Vec<u64> {
    let mut seen = vec![0u64; images];
    let repetition = |&image: &u32| {
        let seen = &mut seen[image as usize];
        *seen += 1;
        *seen - 1
    };
    // Epochs are far fewer than 2^32.
    order.iter().map(repetition).map(|repetition| view + (repetition << 32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_equally_frequent_and_large_ones_do_not_repeat() {
        // 20, 3 and 1 images.
        let classes = Balanced(vec![(0..20).collect(), (20..23).collect(), vec![23]]);
        let mut firsts = Vec::new();
        for epoch in 0..50 {
            let key = Key(7).with(epoch);
            let order = classes.order(key, 25);
            assert_eq!(order, classes.order(key, 25));
            let count = |range: std::ops::Range<u32>| order.iter().filter(|image| range.contains(image)).count();
            let counts = [count(0..20), count(20..23), count(23..24)];
            assert!(counts.iter().sum::<usize>() == 25 && counts.iter().all(|count| [8, 9].contains(count)), "{counts:?}");
            let mut large: Vec<u32> = order.iter().copied().filter(|image| *image < 20).collect();
            large.sort_unstable();
            large.dedup();
            assert_eq!(large.len(), counts[0]);
            assert!((20..23).all(|image| (2..=3).contains(&order.iter().filter(|drawn| **drawn == image).count())));
            firsts.push(order[0]);
        }
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() > 10, "{firsts:?}");
    }

    #[test]
    fn repetitions_have_views_of_their_own() {
        assert_eq!(views(&[2, 0, 2, 2], 5, 3), [5, 5, 5 + (1 << 32), 5 + (2 << 32)]);
    }
}
