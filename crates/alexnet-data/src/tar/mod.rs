//! Data set in a .tar file of class folders, read in place.

mod member;
mod peek;
mod scan;

pub(crate) use member::{Members, Place};
pub(crate) use peek::first_files;
pub(crate) use scan::{Scan, no_end_mark};

use crate::archive::{self, Images};
use crate::layouts::{Layout, Request};
use crate::location::Location;
use crate::sniff::Content;
use crate::{Demand, Opened, Result, Split};
use std::path::Path;

/// `class/.../file.jpg` entries of a tar file (ustar, GNU or pax names, with or without a leading `./`). The file is scanned once
/// for the positions of its images; each image is then read from its position.
pub(crate) struct Tar;

impl Layout for Tar {
    fn name(&self) -> &'static str {
        "a .tar file"
    }

    fn recognises(&self, at: &Location) -> bool {
        match at.content() {
            Some(Content::Tar) => true,
            Some(Content::Other | Content::Unread(_)) => !at.is_empty() && at.lower_name().ends_with(".tar"),
            _ => false,
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        of_scan(path, Scan::of(path)?, request.split, request.demand)
    }
}

/// A data set of class folders in a scanned tar.
pub(crate) fn of_scan(path: &Path, scan: Scan, split: Option<Split>, demand: Demand) -> Result<Opened> {
    let Scan { file, images, folders, passed } = scan;
    archive::class_folders(path, Images { images, folders, passed }, Members { file }, split, demand)
}
