//! Data set quality: broken images, duplicates, likely wrong labels, class balance, sizes.
//!
//! [`scan`] decodes every image once and keeps a small fingerprint of each; [`duplicates`] compares fingerprints; [`label_issues`]
//! finds suspicious labels with a model; [`split`] keeps duplicates on one side. The results do not depend on the order of threads.

pub mod duplicates;
mod fingerprint;
pub mod label_issues;
mod scan;
pub mod split;

pub use fingerprint::Fingerprint;
pub use scan::{Facts, Scan, Sizes, scan};
