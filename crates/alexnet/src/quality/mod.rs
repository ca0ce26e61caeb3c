//! Is a data set fit to learn from? Broken images, duplicates, likely wrong labels, balance of classes, sizes.
//!
//! [`scan`] looks at every image once and keeps a small print of each; [`duplicates`] compares prints; [`labels`] asks a
//! model which labels it cannot believe. Each returns numbers; the order of threads changes none of them.

pub mod duplicates;
mod fingerprint;
pub mod label_issues;
mod scan;

pub use fingerprint::Fingerprint;
pub use scan::{Facts, Scan, Sizes, scan};
