//! Hold-out split of a data set for validation.

use std::path::PathBuf;
use std::sync::Arc;

use alexnet_kernels::random::Key;

use crate::image::Image;
use crate::{Dataset, Result};

/// A subset of another data set.
struct Part {
    whole: Arc<dyn Dataset>,
    images: Vec<u32>,
}

/// Splits `source` into training and validation images: of each class the fraction `share` (0 to 1, rounded) whose names have the
/// lowest hash values. The split is therefore the same in every run, on every machine, and for a folder and its tar; adding or
/// removing an image moves at most one other image of its class. Every class keeps a training image.
pub fn hold_out(source: Arc<dyn Dataset>, share: f64) -> (Arc<dyn Dataset>, Arc<dyn Dataset>) {
    let mut by_class: Vec<Vec<(u64, u32)>> = vec![Vec::new(); source.classes().len()];
    for i in 0..source.len() {
        by_class[source.label(i) as usize].push((hash(source.name(i)), i as u32));
    }
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for mut class in by_class {
        class.sort_unstable();
        // A class always keeps a training image.
        let held = ((class.len() as f64 * share).round() as usize).min(class.len().saturating_sub(1));
        validation.extend(class[..held].iter().map(|&(_, i)| i));
        train.extend(class[held..].iter().map(|&(_, i)| i));
    }
    let part = |mut images: Vec<u32>| -> Arc<dyn Dataset> {
        images.sort_unstable();
        Arc::new(Part { whole: source.clone(), images })
    };
    (part(train), part(validation))
}

/// FNV-1a of the bytes, then mixed so that all 64 bits are well distributed.
fn hash(name: &str) -> u64 {
    let fnv = name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    Key(fnv).bits(0)
}

impl Dataset for Part {
    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.whole.label(self.images[i] as usize)
    }

    fn name(&self, i: usize) -> &str {
        self.whole.name(self.images[i] as usize)
    }

    fn image(&self, i: usize) -> Result<Image> {
        self.whole.image(self.images[i] as usize)
    }

    fn file_size(&self, i: usize) -> Option<u64> {
        self.whole.file_size(self.images[i] as usize)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>> {
        self.whole.file(self.images[i] as usize)
    }

    fn path(&self, i: usize) -> Option<PathBuf> {
        self.whole.path(self.images[i] as usize)
    }
}
