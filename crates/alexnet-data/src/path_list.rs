//! Text file with one image path per line, without labels.

use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::Location;
use crate::sniff::Content;
use crate::stored::{Folder, Stored};
use crate::{Demand, Error, Opened, Result, files};
use std::path::Path;

/// Advice about labels.
const LABELS: &str = "expected a label after each path, as in `cat/1.jpg 0`, or a .csv with the columns path and label";

/// A `.txt` file of paths.
pub(crate) struct PathList;

impl Layout for PathList {
    fn name(&self) -> &'static str {
        "a list of images"
    }

    fn recognises(&self, at: &Location) -> bool {
        !matches!(at.content(), None | Some(Content::Image | Content::Packed(..) | Content::Tar))
            && at.lower_name().ends_with(".txt")
    }

    fn takes_root(&self) -> bool {
        true
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let path = &request.at.path;
        if request.demand != Demand::LabelsOptional {
            return Err(Error::file(path, format!("a list without labels; {LABELS}")));
        }
        let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
        let mut images = Found::default();
        text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| images.push(line, ()));
        if images.is_empty() {
            return Err(Error::file(path, "lists no images; expected one path per line"));
        }
        let root = request.root.or(path.parent()).unwrap_or(Path::new("")).to_path_buf();
        Ok(Opened::whole(path, Stored::new(Listing::unlabelled(images), Folder { root })))
    }
}
