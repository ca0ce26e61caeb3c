//! Data set quality: broken images, duplicates, likely wrong labels, class balance, sizes.
//!
//! [`scan`] decodes every image once and keeps a small fingerprint of each; [`duplicates`] compares fingerprints; [`label_issues`]
//! finds suspicious labels with a model. The results do not depend on the order of threads.

pub mod duplicates;
mod fingerprint;
pub mod label_issues;
mod scan;

pub use fingerprint::Fingerprint;
pub use scan::{Facts, Scan, Sizes, scan};
