//! Exit statuses beyond success, failure and bad usage.

use std::fmt;

/// Status of a command that has finished although some of its images could not be read.
pub(crate) const SOME_FAILED: u8 = 3;

/// The error behind [`SOME_FAILED`]: the results are complete except for these images.
#[derive(Debug)]
pub(crate) struct SomeFailed {
    pub(crate) failed: usize,
    pub(crate) images: usize,
}

impl fmt::Display for SomeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} images could not be read", self.failed, self.images)
    }
}

impl std::error::Error for SomeFailed {}
