//! Scan of all images of a data set.

use super::Fingerprint;
use crate::data::Dataset;
use crate::image::Image;
use rayon::prelude::*;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Properties of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// Whether the image is grayscale.
    pub grey: bool,
    /// Fingerprint for comparison.
    pub print: Fingerprint,
}

/// Scan results of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// One result per image in the source's order: its properties, or the reason why it cannot be read.
    pub images: Vec<Result<Facts, String>>,
}

/// Image sizes: smallest, median and largest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sizes {
    /// Widths.
    pub width: [usize; 3],
    /// Heights.
    pub height: [usize; 3],
    /// Number of images whose short side is below the requested one, which are upscaled for the network.
    pub small: usize,
    /// Number of images with an aspect ratio above 3:1, most of which is cropped or squeezed.
    pub long: usize,
    /// Number of grayscale images.
    pub grey: usize,
}

/// Decodes and fingerprints every image on rayon's threads. `progress` receives the number done, from any thread.
pub fn scan(source: &dyn Dataset, progress: &(dyn Fn(usize) + Sync)) -> Scan {
    let done = AtomicUsize::new(0);
    let one = |i: usize| {
        // An image that makes the decoder panic is broken too, and must not end the scan.
        let facts = catch_unwind(AssertUnwindSafe(|| source.image(i).map(|image| Facts::of(&image))))
            .unwrap_or_else(|_| Err("the program panicked on it; please report this image".into()))
            .map_err(|error| error.to_string());
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        facts
    };
    Scan { images: (0..source.len()).into_par_iter().with_max_len(8).map(one).collect() }
}

impl Facts {
    fn of(image: &Image) -> Facts {
        let grey = image.rgb.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        Facts { width: image.width, height: image.height, grey, print: Fingerprint::of(image) }
    }
}

impl Scan {
    /// Readable images with their indices.
    pub fn readable(&self) -> impl Iterator<Item = (usize, &Facts)> {
        self.images.iter().enumerate().filter_map(|(i, facts)| Some((i, facts.as_ref().ok()?)))
    }

    /// Indices of unreadable images, with reasons.
    pub fn broken(&self) -> impl Iterator<Item = (usize, &str)> {
        self.images.iter().enumerate().filter_map(|(i, facts)| Some((i, facts.as_ref().err()?.as_str())))
    }

    /// Sizes of the readable images, or `None` without any. `side`: the required short side.
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
