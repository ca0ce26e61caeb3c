//! Form of a list, from its first line.

use crate::stored::is_image;

/// How the rows of a list are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `path label`, with a blank or tab between.
    Lines,
    /// Columns with this delimiter.
    Table {
        delimiter: u8,
        /// Whether the first row names the columns; otherwise they are the path and the label.
        header: bool,
    },
}

/// Delimiters of tables.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// Names of columns in lower case, with `_` for a blank or `-`. The first of each is preferred, if there are several.
pub(super) const PATH: [&str; 15] = [
    "path",
    "filepath",
    "file_path",
    "filepaths",
    "image_path",
    "img_path",
    "filename",
    "file_name",
    "image_name",
    "file",
    "image",
    "img",
    "filenames",
    "images",
    "paths",
];
pub(super) const LABEL: [&str; 9] =
    ["label", "class", "category", "target", "labels", "class_name", "label_name", "classname", "categories"];
pub(super) const SPLIT: [&str; 6] = ["split", "subset", "set", "data_set", "dataset", "partition"];

/// The form of a `.csv` or `.tsv` file. Without a familiar column or a path of an image it is a table with a header that the
/// reader rejects.
pub(super) fn of_table(start: &str, tabs: bool) -> Form {
    let first = first_line(start);
    let preferred = if tabs { b'\t' } else { b',' };
    let delimiters = || std::iter::once(preferred).chain(DELIMITERS.into_iter().filter(move |&other| other != preferred));
    delimiters().find_map(|delimiter| table(first, delimiter)).unwrap_or_else(|| {
        // A path alone, or unfamiliar columns.
        let delimiter = delimiters().find(|&delimiter| first.contains(char::from(delimiter))).unwrap_or(preferred);
        Form::Table { delimiter, header: true }
    })
}

/// Whether a `.csv` or `.tsv` file has paths and labels.
pub(super) fn is_labelled_table(start: &str) -> bool {
    DELIMITERS.into_iter().any(|delimiter| table(first_line(start), delimiter).is_some())
}

/// The form of a `.txt` file if it has labels: the first line ends with a number after a blank, or follows the path of an image
/// with a label, or is the header of a table.
pub(super) fn of_text(start: &str) -> Option<Form> {
    let first = first_line(start);
    if let Some(table) = DELIMITERS.into_iter().find_map(|delimiter| table(first, delimiter)) {
        // `path<TAB>label` has the same meaning as a line and as a table; as a line, paths may contain quotes.
        let line = Form::Table { delimiter: b'\t', header: false };
        return Some(if table == line { Form::Lines } else { table });
    }
    let (path, label) = split_line(first)?;
    let integer = label.parse::<i64>().is_ok();
    (!is_image(file_name(label)) && (integer || is_image(file_name(path)))).then_some(Form::Lines)
}

/// A table with this delimiter, if the first line is a header with a path and a label, or a row with the path of an image and a
/// label.
fn table(first: &str, delimiter: u8) -> Option<Form> {
    let fields: Vec<&str> = first.split(char::from(delimiter)).map(|field| field.trim().trim_matches('"')).collect();
    let names: Vec<String> = fields.iter().map(|field| column_name(field)).collect();
    let has = |kind: &[&str]| names.iter().any(|name| kind.contains(&name.as_str()));
    let row = || matches!(fields.as_slice(), [path, label] if is_image(file_name(path)) && !label.is_empty() && !is_image(label));
    if has(&PATH) && has(&LABEL) {
        Some(Form::Table { delimiter, header: true })
    } else if row() {
        Some(Form::Table { delimiter, header: false })
    } else {
        None
    }
}

/// The name of a column in the form in which names are compared.
pub(super) fn column_name(field: &str) -> String {
    field.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Path and label of a line: the label follows the last tab if there is one, otherwise the last blank.
pub(super) fn split_line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (path, label) = line.rsplit_once('\t').or_else(|| line.rsplit_once(' '))?;
    let (path, label) = (path.trim_end(), label.trim_start());
    (!path.is_empty() && !label.is_empty()).then_some((path, label))
}

/// The first line that is not blank.
fn first_line(start: &str) -> &str {
    start.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_from_the_first_line() {
        let table = |delimiter, header| Some(Form::Table { delimiter, header });
        for (first, form) in [
            ("n01440764/1.JPEG 0", Some(Form::Lines)),
            ("\n  my cat/1 2.jpg\t3 ", Some(Form::Lines)),
            ("image_without_extension 5", Some(Form::Lines)),
            ("cat/1.jpg cat", Some(Form::Lines)),
            ("./cat/1.jpg cat", Some(Form::Lines)),
            ("../cat/1.jpg cat", Some(Form::Lines)),
            ("./a.jpg ./b.jpg", None),
            ("cat/1.jpg\tgreat white shark", Some(Form::Lines)),
            ("cat/1.jpg,0", table(b',', false)),
            ("a,b.jpg 0", Some(Form::Lines)),
            ("Path;Label\n", table(b';', true)),
            ("id\tfilename\tclass name\tset", table(b'\t', true)),
            ("cat/1.jpg", None),
            ("my cat 1.jpg", None),
            ("a.jpg b.jpg", None),
            ("", None),
            ("a.jpg ", None),
        ] {
            assert_eq!(of_text(first), form, "{first}");
        }
        for (first, tabs, form) in [
            ("path,label", false, table(b',', true)),
            ("\"path\";\"label\"", false, table(b';', true)),
            ("path\tlabel", true, table(b'\t', true)),
            ("path,label", true, table(b',', true)),
            ("id,breed", false, table(b',', true)),
            ("path", true, table(b'\t', true)),
            ("1.jpg,cat", false, table(b',', false)),
        ] {
            assert_eq!(Some(of_table(first, tabs)), form, "{first}");
        }
        assert_eq!(split_line("a  b.jpg   7\r"), Some(("a  b.jpg", "7")));
        assert_eq!(split_line("a.jpg\t great white shark"), Some(("a.jpg", "great white shark")));
    }
}
