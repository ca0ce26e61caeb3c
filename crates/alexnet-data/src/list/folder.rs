//! A folder with a list for each split, such as `train_list.txt` and `val_list.txt` of PaddleClas.

use super::rows::Rows;
use super::{form, form_of_text, is_table, is_text, of_rows, read};
use crate::layouts::{Layout, Request};
use crate::location::{self, Location};
use crate::{Opened, Result, Splits, files, image_folder};

/// A folder with a labelled list for training, and others for the other splits. The paths in them are relative to the folder.
pub(crate) struct ListFolder;

/// Names of lists without `_list` and their extension.
const NAMES: [&str; 4] = ["train", "val", "validation", "test"];
/// Forms of these names, in order of preference.
const ENDINGS: [&str; 6] = [".csv", ".tsv", "_list.txt", "_list.csv", "_list.tsv", ".txt"];

impl Layout for ListFolder {
    fn name(&self) -> &'static str {
        "a folder of lists"
    }

    fn recognises(&self, at: &Location) -> bool {
        // Folders of classes in each split leave nothing open: lists beside them, which may be meant for other tools, are not needed.
        at.is_folder() && list(at, "train").is_some() && !image_folder::has_splits(&at.path)
    }

    fn takes_root(&self) -> bool {
        true
    }

    fn takes_classes(&self) -> bool {
        true
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let folder = &request.at.path;
        let lists: Vec<(&str, Location)> = NAMES.iter().filter_map(|name| Some((*name, list(request.at, name)?))).collect();
        let splits = Splits::of_names(lists.iter().map(|(name, _)| *name));
        let taken = splits.as_ref().zip(request.split).map(|(splits, split)| splits.name_of(split).to_string());
        let mut rows = Rows::default();
        let wanted = |name: &str| taken.as_ref().is_none_or(|taken| taken == name);
        for (_, at) in lists.iter().filter(|(name, _)| wanted(name)) {
            read(at, &mut rows)?;
            // Their files are the splits.
            if splits.is_some() {
                rows.splits = None;
            }
        }
        let path = match (&taken, lists.as_slice()) {
            (Some(taken), _) => lists.iter().find(|(name, _)| name == taken).map(|(_, at)| at.path.as_path()),
            (None, [(_, only)]) => Some(only.path.as_path()),
            _ => None,
        };
        let opened = of_rows(rows, None, path.unwrap_or(folder), request.root.or(Some(folder)), request)?;
        Ok(Opened { splits, taken, root: folder.clone(), ..opened })
    }
}

/// The labelled list of this name in a folder.
fn list(folder: &Location, name: &str) -> Option<Location> {
    let file = ENDINGS.iter().find_map(|ending| {
        let wanted = format!("{name}{ending}");
        folder.names().iter().find(|name| name.to_ascii_lowercase() == wanted)
    })?;
    let at = Location::of(&folder.path.join(file)).ok()?;
    let location::Found::File(_, start) = &at.found else { return None };
    let start = files::start_of_text(start);
    let labelled = if is_table(&at) { form::is_labelled_table(&start) } else { form_of_text(&at).is_some() };
    (labelled && is_text(&at)).then_some(at)
}
