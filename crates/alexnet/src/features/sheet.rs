//! Contact sheet of queries with their nearest images, names and distances.

use super::{Near, Table};
use crate::draw::contact_sheet::{Cell, ContactSheet, Group};
use crate::draw::{BLUE, GREY, INK};
use crate::image::Image;

/// Maximum side of an image on the sheet, and number of images in a row.
const SIDE: usize = 128;
const COLUMNS: usize = 9;

/// A query image and its results.
#[derive(Debug, Clone, PartialEq)]
pub struct SheetRow {
    /// The query image.
    pub query: Image,
    /// Its path.
    pub name: String,
    /// The nearest images of the table, the nearest first.
    pub nearest: Vec<(Image, Near)>,
}

/// Creates the sheet of results from `table`, one group per query.
pub fn sheet(table: &Table, rows: Vec<SheetRow>) -> ContactSheet {
    let title = match rows.as_slice() {
        [one] => format!("The {} images nearest to {}", one.nearest.len(), file(&one.name)),
        rows => format!("The images nearest to {} queries", rows.len()),
    };
    let columns = 1 + rows.iter().map(|row| row.nearest.len()).max().unwrap_or(0).min(COLUMNS - 1);
    let groups = rows.into_iter().map(|row| {
        let query = Cell::photograph(row.query).framed(BLUE).line("query", INK).line(file(&row.name), GREY);
        let near = row.nearest.into_iter().map(|(image, near)| {
            let name = &table.names[near.row];
            let cell = Cell::photograph(image).line(table.labels[near.row].as_deref().unwrap_or(file(name)), INK);
            let cell = if table.labels[near.row].is_some() { cell.line(file(name), GREY) } else { cell };
            cell.line(format!("distance {:.4}", near.distance), GREY)
        });
        Group { heading: String::new(), cells: std::iter::once(query).chain(near).collect() }
    });
    let groups = groups.collect();
    let note = format!("by Euclidean distance of {} in {}; the query is framed", table.about.layer, table.about.net);
    ContactSheet { note, groups, ..ContactSheet::of(title, columns, SIDE, Vec::new()) }
}

/// The last part of a path.
fn file(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}
