//! Built-in synthetic data set: drawn images of ten shapes, so that training works without any files.
//!
//! Only the shape identifies the class. Colours carry no information, and position, size and rotation vary, so a linear
//! classifier on pixels does little better than chance.

mod draw;
mod shape;

use std::sync::Arc;

use alexnet_kernels::random::Key;

use self::shape::Shape;
use crate::image::Image;
use crate::{Dataset, Result, Split};

/// Images per class.
fn per_class(split: Split) -> usize {
    match split {
        Split::Train => 400,
        Split::Validation | Split::Test => 50,
    }
}

/// Rows and columns of each image.
pub const SIDE: usize = 96;

struct BuiltIn {
    classes: Vec<String>,
    names: Vec<String>,
    key: Key,
    per_class: usize,
}

/// Opens the built-in set: 4,000 training images, 500 each for validation and test. An image depends on `split`, `seed` and its index alone, with the same bits on every machine.
pub fn synthetic(split: Split, seed: u64) -> Arc<dyn Dataset> {
    let per_class = per_class(split);
    let classes: Vec<String> = Shape::ALL.iter().map(|shape| shape.name().to_string()).collect();
    let names = classes.iter().flat_map(|class| (0..per_class).map(move |i| format!("{class}/{i:04}.png"))).collect();
    Arc::new(BuiltIn { classes, names, key: Key(seed).with(split as u64), per_class })
}

impl Dataset for BuiltIn {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn label(&self, i: usize) -> u32 {
        (i / self.per_class) as u32
    }

    fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    fn image(&self, i: usize) -> Result<Image> {
        Ok(draw::image(self.key.with(i as u64), Shape::ALL[i / self.per_class]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_depends_on_split_seed_and_index() {
        let image = |set: &Arc<dyn Dataset>, i: usize| set.image(i).unwrap();
        let [a, same] = [0, 0].map(|seed| synthetic(Split::Validation, seed));
        assert_eq!(image(&a, 7), image(&same, 7));
        let others = [synthetic(Split::Validation, 1), synthetic(Split::Test, 0), synthetic(Split::Train, 0)];
        assert!(others.iter().all(|other| image(other, 7) != image(&a, 7)));
        assert_ne!(image(&a, 8), image(&a, 7));
    }

    #[test]
    fn classes_are_sorted_and_equally_large() {
        let set = synthetic(Split::Train, 0);
        assert_eq!(set.len(), 4000);
        assert!(set.classes().is_sorted() && set.classes().len() == 10);
        for label in 0..10 {
            assert_eq!((0..set.len()).filter(|&i| set.label(i) == label).count(), 400);
        }
        assert!((0..set.len()).all(|i| set.name(i).split('/').next() == Some(&set.classes()[set.label(i) as usize])));
    }

    #[test]
    fn the_bits_are_platform_independent() {
        // A change here changes all published results on the built-in set.
        let set = synthetic(Split::Test, 0);
        let sum = (0..set.len()).step_by(25).fold(0u64, |sum, i| {
            let image = set.image(i).expect("a drawn image");
            image.rgb.iter().fold(sum, |sum, &v| sum.wrapping_mul(0x0100_0000_01B3) ^ u64::from(v))
        });
        assert_eq!(sum, EXPECTED);
    }

    const EXPECTED: u64 = 12_927_429_808_842_793_907;
}
