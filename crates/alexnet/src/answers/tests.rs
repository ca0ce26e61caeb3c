use super::*;
use serde_json::json;

fn columns() -> Vec<Column> {
    vec![
        Column::new("path", Kind::Text),
        Column::new("probability", Kind::Number),
        Column::new("rank", Kind::Integer),
        Column::new("correct", Kind::Flag),
        Column::new("error", Kind::Text),
    ]
}

fn rows() -> [Row; 2] {
    let text = |text: &str| Cell::Text(text.into());
    let good = vec![text("a, \"b\"\nc é.jpg"), Cell::Number(0.1), Cell::Integer(3), Cell::Flag(true), Cell::Empty];
    let bad = vec![text("broken.jpg"), Cell::Empty, Cell::Empty, Cell::Empty, text("empty file")];
    [Row { cells: good, json: json!({"path": "a"}) }, Row { cells: bad, json: json!({"error": "empty file"}) }]
}

fn written(format: Format) -> Vec<u8> {
    let mut writer = Writer::new(format, columns(), Vec::new()).unwrap();
    rows().into_iter().for_each(|row| writer.push(row).unwrap());
    writer.flush().unwrap();
    writer.finish().unwrap()
}

#[test]
fn csv_is_quoted_where_necessary() {
    let expected = "path,probability,rank,correct,error\n\"a, \"\"b\"\"\nc é.jpg\",0.1,3,true,\nbroken.jpg,,,,empty file\n";
    assert_eq!(String::from_utf8(written(Format::Csv)).unwrap(), expected);
}

#[test]
fn json_lines_are_the_rows_objects() {
    assert_eq!(String::from_utf8(written(Format::JsonLines)).unwrap(), "{\"path\":\"a\"}\n{\"error\":\"empty file\"}\n");
}

#[test]
fn the_extension_selects_the_format() {
    let format = |name: &str| Format::of_extension(Path::new(name));
    assert_eq!(
        ["a.csv", "a.JSONL", "a.ndjson", "a.parquet", "a.txt", "csv"].map(format),
        [Some(Format::Csv), Some(Format::JsonLines), Some(Format::JsonLines), Some(Format::Parquet), None, None]
    );
}

/// A disk that is full at once.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_systems_error_keeps_its_kind() {
    for format in [Format::Csv, Format::JsonLines] {
        let fill = || {
            let mut writer = Writer::new(format, columns(), Full)?;
            rows().into_iter().try_for_each(|row| writer.push(row))?;
            writer.finish().map(|_| ())
        };
        assert_eq!(fill().unwrap_err().kind(), io::ErrorKind::StorageFull, "{format:?}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    assert!(Writer::new(Format::Parquet, columns(), Vec::new()).err().unwrap().to_string().contains("--features parquet"));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_a_nullable_column_each() {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, written(Format::Parquet)).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].contains("rank: 3") && rows[0].contains("correct: true") && rows[0].contains("error: null"), "{rows:?}");
    assert!(rows[1].contains("probability: null") && rows[1].contains("empty file"), "{rows:?}");
}
