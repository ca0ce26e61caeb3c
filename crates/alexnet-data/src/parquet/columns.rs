//! The columns of a table that hold images and labels.

use ::parquet::basic::{LogicalType, Type};
use ::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use std::collections::BTreeMap;

/// Names of columns with images and labels, in order of preference.
const IMAGES: [&str; 5] = ["image", "img", "images", "jpg", "picture"];
const LABELS: [&str; 7] = ["label", "labels", "fine_label", "fine_labels", "class", "target", "category"];

/// Columns of images and labels, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) images: usize,
    pub(super) labels: Option<Labels>,
    /// Which columns they are, for a note.
    pub(super) note: String,
}

/// Column of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Type of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int32,
    Int64,
    Text,
}

/// Finds the columns. `classes`: the class names of columns for which the metadata has them.
///
/// # Errors
/// There is no column of images, or several to choose from.
pub(super) fn find(schema: &SchemaDescriptor, classes: &BTreeMap<String, Vec<String>>) -> Result<Columns, String> {
    let columns: Vec<(usize, &ColumnDescriptor)> = schema
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| (i, column.as_ref()))
        .filter(|(_, c)| c.max_rep_level() == 0)
        .collect();
    let of_images: Vec<(usize, &str)> = columns.iter().filter_map(|(i, column)| Some((*i, images(column)?))).collect();
    let (images, image) = choose(&of_images, &IMAGES).ok_or_else(|| match of_images.as_slice() {
        [] => {
            let names: Vec<&str> = schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
            let names = names.join(", ");
            format!("no column of images: expected a struct of bytes and path, found {}", crate::escape::printable(&names))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
            format!("several columns of images: {}; name one of them image", crate::escape::printable(&names.join(", ")))
        }
    })?;
    let of_labels: Vec<(usize, &str)> = columns.iter().filter_map(|(i, column)| Some((*i, labels(column)?.0))).collect();
    let named: Vec<(usize, &str)> = of_labels.iter().copied().filter(|(_, name)| classes.contains_key(*name)).collect();
    let chosen = LABELS.iter().find_map(|wanted| of_labels.iter().copied().find(|(_, name)| name == wanted));
    let chosen = chosen.or(if let [only] = named.as_slice() { Some(*only) } else { None });
    let mut note = format!("images from the column {image}");
    let labels = chosen.and_then(|(index, name)| {
        let kind = labels(schema.columns().get(index)?)?.1;
        note = format!("{note}, labels from {name}");
        let others: Vec<&str> = named.iter().map(|(_, other)| *other).filter(|other| *other != name).collect();
        if !others.is_empty() {
            note = format!("{note} (not {})", others.join(", "));
        }
        Some(Labels { index, name: name.into(), kind })
    });
    Ok(Columns { images, labels, note: crate::escape::printable(&note).to_string() })
}

/// The preferred one of some columns, or the only one.
fn choose<'a>(among: &[(usize, &'a str)], preferred: &[&str]) -> Option<(usize, &'a str)> {
    let preferred = preferred.iter().find_map(|wanted| among.iter().copied().find(|(_, name)| name == wanted));
    preferred.or(if let [only] = among { Some(*only) } else { None })
}

/// Name of a column of images: the `bytes` of a struct, or bytes with an image's name.
fn images(column: &ColumnDescriptor) -> Option<&str> {
    let text = matches!(column.logical_type_ref(), Some(LogicalType::String));
    if column.physical_type() != Type::BYTE_ARRAY || text {
        return None;
    }
    match column.path().parts() {
        [name, bytes] if bytes == "bytes" => Some(name),
        [name] if IMAGES.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}

/// Name and type of a column that can hold labels.
fn labels(column: &ColumnDescriptor) -> Option<(&str, Kind)> {
    let [name] = column.path().parts() else { return None };
    let kind = match column.physical_type() {
        Type::INT32 => Kind::Int32,
        Type::INT64 => Kind::Int64,
        Type::BYTE_ARRAY => Kind::Text,
        _ => return None,
    };
    Some((name, kind))
}
