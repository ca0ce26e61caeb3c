//! A single image file, for commands that need no labels.

use crate::layouts::{LAYOUT, Layout, Request};
use crate::location::Location;
use crate::sniff::Content;
use crate::stored::{is_image, of_files};
use crate::{Demand, Error, Opened, Result};

/// An image file, recognised by content, or by name if it is damaged.
pub(crate) struct SingleImage;

impl Layout for SingleImage {
    fn name(&self) -> &'static str {
        "a single image"
    }

    fn recognises(&self, at: &Location) -> bool {
        match at.content() {
            Some(Content::Image) => true,
            Some(Content::Other) => is_image(&at.lower_name()),
            _ => false,
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        if request.demand != Demand::LabelsOptional {
            return Err(Error::file(path, format!("a single image; {LAYOUT}")));
        }
        Ok(Opened::whole(path, of_files(std::slice::from_ref(path))))
    }
}
