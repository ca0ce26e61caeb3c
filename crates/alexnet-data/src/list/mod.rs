//! Lists of image files with labels: `path label` lines, CSV and TSV, one file or one for each split in a folder.

mod folder;
mod form;
mod labels;
mod lines;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use folder::ListFolder;
pub(crate) use labels::read_names;
pub use write::{Entry, check_name, prepare, relative, write};

use crate::escape::{first_names, printable};
use crate::layouts::{Layout, Request};
use crate::listing::{Found, Listing};
use crate::location::{self, Location};
use crate::sniff::Content;
use crate::stored::{Folder, Stored};
use crate::{Dataset, Demand, Error, Opened, Result, Splits, escape, files};
use form::Form;
use labels::Classes;
use rows::Rows;
use std::path::Path;
use std::sync::Arc;

/// A labelled list in one file: `.csv`, `.tsv`, or a `.txt` file whose first line has a label.
pub(crate) struct List;

impl Layout for List {
    fn name(&self) -> &'static str {
        "a list of images"
    }

    fn recognises(&self, at: &Location) -> bool {
        is_text(at) && (is_table(at) || form_of_text(at).is_some())
    }

    fn takes_root(&self) -> bool {
        true
    }

    fn takes_classes(&self) -> bool {
        true
    }

    fn open(&self, request: &Request<'_>) -> Result<Opened> {
        let at = request.at;
        let mut rows = Rows::default();
        read(at, &mut rows)?;
        let splits = rows.splits.as_ref().filter(|column| column.values.len() > 1).map(|column| {
            Splits::of_names(column.values.iter().map(String::as_str)).ok_or_else(|| {
                let names: Vec<_> = column.values.iter().take(NAMED).map(|name| printable(name)).collect();
                Error::file(&at.path, format!("its splits are {}, none of which is named train", names.join(", ")))
            })
        });
        let splits = splits.transpose()?;
        let taken = splits.as_ref().zip(request.split).map(|(splits, split)| splits.name_of(split).to_string());
        let selected = rows.splits.as_ref().zip(taken.as_ref()).map(|(column, taken)| {
            let wanted = column.values.iter().position(|value| value == taken).unwrap_or_default() as u32;
            (0..).zip(&column.of_row).filter(|&(_, &value)| value == wanted).map(|(row, _)| row).collect()
        });
        let opened = of_rows(rows, selected, &at.path, request.root.or(at.path.parent()), request)?;
        Ok(Opened { splits, taken, ..opened })
    }
}

/// Whether a file may be text.
fn is_text(at: &Location) -> bool {
    !matches!(at.content(), None | Some(Content::Image | Content::Packed(..) | Content::Tar))
}

/// Whether a file has the name of a table.
fn is_table(at: &Location) -> bool {
    [".csv", ".tsv"].iter().any(|ending| at.lower_name().ends_with(ending))
}

/// The form of a labelled `.txt` file.
fn form_of_text(at: &Location) -> Option<Form> {
    match &at.found {
        location::Found::File(_, start) if at.lower_name().ends_with(".txt") => form::of_text(&files::start_of_text(start)),
        _ => None,
    }
}

/// Reads the rows of a list.
fn read(at: &Location, rows: &mut Rows) -> Result<()> {
    let path = &at.path;
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    let form = if is_table(at) {
        form::of_table(&text, at.lower_name().ends_with(".tsv"))
    } else {
        form_of_text(at).unwrap_or(Form::Lines)
    };
    rows.begin(path);
    match form {
        Form::Lines => lines::read(&text, rows),
        Form::Table { delimiter, header } => table::read(&text, delimiter, header, rows),
    }
    .map_err(|message| Error::file(path, message))
}

/// A data set of the selected rows, or of all, in their order. `path` names them in messages; their paths are relative to `root`.
fn of_rows(
    mut rows: Rows,
    selected: Option<Vec<u32>>,
    path: &Path,
    root: Option<&Path>,
    request: &Request<'_>,
) -> Result<Opened> {
    let root = root.unwrap_or(Path::new("")).to_path_buf();
    rows.convert_backslashes(&root);
    rows.check_distinct()?;
    let selected = selected.unwrap_or_else(|| (0..rows.images.len() as u32).collect());
    if selected.is_empty() {
        return Err(Error::file(path, "lists no images"));
    }
    check_some_exist(&rows, &selected, &root, request.root.is_some())?;
    let mut notes = Vec::new();
    if !rows.unused.is_empty() {
        let names: Vec<_> = rows.unused.iter().map(|name| printable(name)).collect();
        notes.push(format!("columns not used: {}", names.join(", ")));
    }
    let mut listing = if rows.labels.is_some() {
        labelled(&rows, &selected, path, request, &mut notes)?
    } else if request.demand == Demand::LabelsOptional {
        let labels = vec![0; selected.len()];
        Listing { classes: Vec::new(), images: Found::default(), labels, empty: Vec::new() }
    } else {
        return Err(Error::file(path, "has no column of labels; expected path,label or path,label,split"));
    };
    let whole = selected.len() == rows.images.len();
    listing.images = if whole { rows.images } else { rows.images.ordered(&selected) };
    let source: Arc<dyn Dataset> = Stored::new(listing, Folder { root });
    Ok(Opened { notes, ..Opened::whole(path, source) })
}

/// Classes and labels of the selected rows; the images are added by the caller.
fn labelled(rows: &Rows, selected: &[u32], path: &Path, request: &Request<'_>, notes: &mut Vec<String>) -> Result<Listing<()>> {
    let Some(column) = &rows.labels else { return Err(Error::file(path, "has no labels")) };
    let mut used = vec![false; column.values.len()];
    selected.iter().for_each(|&row| used[column.of_row[row as usize] as usize] = true);
    let names = request.classes.map(labels::read_names).transpose()?;
    let classes = match names {
        Some(names) => labels::from_names(&column.values, &used, names),
        None => labels::from_labels(&column.values, &used),
    };
    let mut classes = classes.map_err(|(label, what)| {
        let row = selected.iter().find(|&&row| column.of_row[row as usize] as usize == label);
        let error = rows.error(row.map_or(0, |&row| row as usize), &what);
        match request.classes {
            Some(names) => Error::Invalid(format!("{error} of {}", escape::path(names))),
            None => error,
        }
    })?;
    if classes.numbered
        && let [first, .., last] = classes.names.as_slice()
    {
        notes.push(format!("its labels are numbers, so the classes are named {first} to {last}; --classes FILE names them"));
    }
    let empty = classes.without_images(&used);
    if request.demand == Demand::Trainable && classes.names.len() < empty.len() + 2 {
        let only = classes.names.iter().find(|class| !empty.contains(class)).map(|class| printable(class)).unwrap_or_default();
        return Err(Error::file(path, format!("all images are of one class, {only}; at least two are needed")));
    }
    if request.demand == Demand::WithImages {
        // As class folders without images.
        classes.retain_used(&used);
    } else if !empty.is_empty() {
        notes.push(format!("classes without images: {}", first_names(&empty, NAMED)));
    }
    let Classes { names: classes, of_label, .. } = classes;
    let labels = selected.iter().map(|&row| of_label[column.of_row[row as usize] as usize]).collect();
    Ok(Listing { classes, images: Found::default(), labels, empty: Vec::new() })
}

/// Requires that one of the first images exists: otherwise all paths are probably relative to another folder. The other files are
/// not looked for, so that a list of a million images opens at once; a missing one is an image that cannot be read.
fn check_some_exist(rows: &Rows, selected: &[u32], root: &Path, given: bool) -> Result<()> {
    const LOOKED_FOR: usize = 5;
    let first = &selected[..selected.len().min(LOOKED_FOR)];
    let missing = |&row: &u32| {
        let found = std::fs::metadata(root.join(rows.images.name(row as usize)));
        found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    if !first.iter().all(missing) {
        return Ok(());
    }
    let row = first[0] as usize;
    let file = escape::path(&root.join(rows.images.name(row)));
    let others = if first.len() > 1 { format!(", nor are the next {}", first.len() - 1) } else { String::new() };
    let advice = if given { "check --root" } else { "add --root DIR with the folder to which the paths are relative" };
    Err(rows.error(row, &format!("names {file}, which is not there{others}; {advice}")))
}

/// Maximum number of classes or splits named in a message.
const NAMED: usize = 6;
