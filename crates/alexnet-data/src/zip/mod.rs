//! Data set in a .zip file of class folders, read in place.

mod member;
mod names;
mod scan;
#[cfg(test)]
mod tests;

use crate::archive;
use crate::layouts::{Layout, Request};
use crate::location::Location;
use crate::sniff::Content;
use crate::{Opened, Result};

/// `class/.../file.jpg` members of a zip file, stored or deflated. The directory at its end says where they are; each image is
/// then read from its position, and its checksum compared.
pub(crate) struct Zip;

impl Layout for Zip {
    fn name(&self) -> &'static str {
        "a .zip file"
    }

    fn recognises(&self, at: &Location) -> bool {
        match at.content() {
            Some(Content::Zip) => true,
            Some(Content::Other) => !at.is_empty() && at.lower_name().ends_with(".zip"),
            _ => false,
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        let (file, images) = scan::scan(path)?;
        archive::class_folders(path, images, member::Members { file }, request.split, request.demand)
    }
}
