//! One look at every image of a set.

use super::Fingerprint;
use crate::data::Dataset;
use crate::image::Image;
use rayon::prelude::*;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is known of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether it has no colours.
    pub grey: bool,
    /// By which it is compared.
    pub print: Fingerprint,
}

/// What is known of all images of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// One an image, in the source's order: what is known of it, or why it cannot be read.
    pub pictures: Vec<Result<Facts, String>>,
}

/// How large images are: smallest, median and largest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sizes {
    /// Columns.
    pub width: [usize; 3],
    /// Rows.
    pub height: [usize; 3],
    /// Images whose short side is below the side asked for: they are enlarged before the network sees them.
    pub small: usize,
    /// Images more than three times as long as wide, or the other way round: most of them is cut off or squeezed.
    pub long: usize,
    /// Images without colours.
    pub grey: usize,
}

/// Decodes and prints every image on rayon's threads. `progress` hears how many are done, from any of them.
pub fn scan(source: &dyn Dataset, progress: &(dyn Fn(usize) + Sync)) -> Scan {
    let done = AtomicUsize::new(0);
    let one = |i: usize| {
        // An image that makes our own code fail is broken too, and must not end the check of all others.
        let facts = catch_unwind(AssertUnwindSafe(|| source.picture(i).map(|picture| Facts::of(&picture))))
            .unwrap_or_else(|_| Err("the program failed on it; please report this image".into()))
            .map_err(|error| error.to_string());
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        facts
    };
    Scan { pictures: (0..source.len()).into_par_iter().with_max_len(8).map(one).collect() }
}

impl Facts {
    fn of(picture: &Image) -> Facts {
        let grey = picture.rgb.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        Facts { width: picture.width, height: picture.height, grey, print: Fingerprint::of(picture) }
    }
}

impl Scan {
    /// Images that can be read, with their numbers.
    pub fn readable(&self) -> impl Iterator<Item = (usize, &Facts)> {
        self.pictures.iter().enumerate().filter_map(|(i, facts)| Some((i, facts.as_ref().ok()?)))
    }

    /// Numbers of images that cannot be read, and why.
    pub fn broken(&self) -> impl Iterator<Item = (usize, &str)> {
        self.pictures.iter().enumerate().filter_map(|(i, facts)| Some((i, facts.as_ref().err()?.as_str())))
    }

    /// The sizes of the readable images, or none without such. `side`: what the short side should have.
    pub fn sizes(&self, side: usize) -> Option<Sizes> {
        let mut widths: Vec<usize> = self.readable().map(|(_, f)| f.width).collect();
        let mut heights: Vec<usize> = self.readable().map(|(_, f)| f.height).collect();
        widths.sort_unstable();
        heights.sort_unstable();
        let spread = |sorted: &[usize]| Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?]);
        let count = |test: &dyn Fn(&Facts) -> bool| self.readable().filter(|(_, facts)| test(facts)).count();
        Some(Sizes {
            width: spread(&widths)?,
            height: spread(&heights)?,
            small: count(&|f| f.width.min(f.height) < side),
            long: count(&|f| f.width.max(f.height) > 3 * f.width.min(f.height)),
            grey: count(&|f| f.grey),
        })
    }
}
