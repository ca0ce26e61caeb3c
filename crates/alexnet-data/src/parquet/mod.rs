//! Data set in Parquet tables, as Hugging Face's `datasets` writes and publishes them.

mod shards;

#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod labels;
#[cfg(feature = "parquet")]
mod names;
#[cfg(feature = "parquet")]
mod rows;
#[cfg(feature = "parquet")]
mod table;
#[cfg(test)]
#[cfg(feature = "parquet")]
mod tests;

use crate::layouts::{Layout, Request};
use crate::location::Location;
use crate::sniff::Content;
use crate::{Opened, Result};

/// A table with a column of encoded images and one of labels, or a folder of such tables.
pub(crate) struct Parquet;

impl Layout for Parquet {
    fn name(&self) -> &'static str {
        "a Parquet table"
    }

    fn recognises(&self, at: &Location) -> bool {
        at.content() == Some(Content::Parquet) || (at.is_folder() && shards::are_in(at))
    }

    fn takes_classes(&self) -> bool {
        true
    }

    #[cfg(feature = "parquet")]
    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        table::open(request)
    }

    #[cfg(not(feature = "parquet"))]
    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        Err(crate::Error::file(&request.at.path, "this build does not read Parquet; build it with --features parquet"))
    }
}
