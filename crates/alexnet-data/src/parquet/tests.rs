//! Parquet tables, intact and damaged, of the forms that `datasets`, pandas and others write.

use crate::{Demand, Opened, Result, Source, Split};
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const SCHEMA: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional int64 label;
}";
const TEXT: &str = "message schema { required binary jpg; required binary label (UTF8); required binary other (UTF8); }";
const NAMES: &str =
    r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;

fn content(i: usize) -> Vec<u8> {
    (0..50 + i * 3).map(|j| (j * (i + 3)) as u8).collect()
}

struct Form {
    compression: Compression,
    version: WriterVersion,
    dictionary: bool,
    page: usize,
    names: Option<&'static str>,
}

const PLAIN: Form = Form {
    compression: Compression::SNAPPY,
    version: WriterVersion::PARQUET_1_0,
    dictionary: true,
    page: 200,
    names: Some(NAMES),
};

/// A table of row groups with these labels; image `i` of the table has `content(from + i)`, and none if it is in `without`.
fn table(form: &Form, groups: &[&[Option<i64>]], without: &[usize]) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(form.compression)
        .set_writer_version(form.version)
        .set_dictionary_enabled(form.dictionary)
        .set_data_page_size_limit(form.page)
        .set_dictionary_page_size_limit(form.page)
        .set_write_batch_size(1)
        .set_key_value_metadata(form.names.map(|names| vec![KeyValue::new("huggingface".into(), names.to_string())]));
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties.build())).unwrap();
    let mut row = 0;
    for labels in groups {
        let mut group = file.next_row_group().unwrap();
        let rows = row..row + labels.len();
        row += labels.len();
        let bytes: Vec<ByteArray> = rows.clone().filter(|i| !without.contains(i)).map(|i| content(i).into()).collect();
        let levels: Vec<i16> = rows.clone().map(|i| if without.contains(&i) { 1 } else { 2 }).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
        column.close().unwrap();
        let paths: Vec<ByteArray> = rows.map(|i| format!("{i}.jpg").as_str().into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&paths, Some(&vec![2; labels.len()]), None).unwrap();
        column.close().unwrap();
        let levels: Vec<i16> = labels.iter().map(|label| i16::from(label.is_some())).collect();
        let labels: Vec<i64> = labels.iter().flatten().copied().collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    out
}

const LABELS: [&[Option<i64>]; 2] = [&[Some(1), Some(0), Some(0)], &[Some(1), Some(1), Some(0), Some(1)]];

fn open(path: &Path, split: Split) -> Result<Opened> {
    Source::new(path).open(split, Demand::Trainable)
}

#[test]
fn all_forms_of_a_table_give_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let (v1, v2) = (WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0);
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default()), Compression::LZ4_RAW]
    {
        for (version, dictionary, page) in [(v1, true, 200), (v2, false, 200), (v1, false, 1 << 20), (v2, true, 1 << 20)] {
            let form = Form { compression, version, dictionary, page, ..PLAIN };
            fs::write(&path, table(&form, &LABELS, &[4])).unwrap();
            let opened = open(&path, Split::Train).unwrap();
            assert_eq!(opened.source.classes(), ["cat", "dog"]);
            let labels: Vec<u32> = (0..7).map(|i| opened.source.label(i)).collect();
            assert_eq!(labels, [1, 0, 0, 1, 1, 0, 1]);
            // Any order.
            for i in [6, 0, 3, 2, 5, 1, 4] {
                match opened.source.file(i) {
                    Ok(bytes) => assert_eq!(bytes, Some(content(i))),
                    Err(error) => assert!(i == 4 && error.to_string().contains("no bytes for it, only a path"), "{i}: {error}"),
                }
            }
            assert_eq!(
                (opened.source.name(3), opened.notes.as_slice()),
                ("train/000003", ["images from the column image, labels from label".to_string()].as_slice())
            );
        }
    }
}

#[test]
fn shards_are_splits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = table(&PLAIN, &LABELS, &[]);
    for root in ["set", "set-of-data/data"] {
        fs::create_dir_all(at(root)).unwrap();
        for name in ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"] {
            fs::write(at(root).join(format!("{name}.parquet")), &whole).unwrap();
        }
    }
    for split in ["train", "test"] {
        fs::create_dir_all(at("folders").join(split)).unwrap();
        fs::write(at("folders").join(split).join("0000.parquet"), &whole).unwrap();
    }
    for (root, train) in [("set", 14), ("set-of-data", 14), ("folders", 7)] {
        let (train_set, test) = (open(&at(root), Split::Train).unwrap(), open(&at(root), Split::Validation).unwrap());
        assert_eq!((train_set.source.len(), test.source.len(), test.taken.as_deref()), (train, 7, Some("test")));
        assert_eq!(Source::new(at(root)).open_any().unwrap().source.len(), train + 7);
        assert_eq!(test.source.file(5).unwrap(), Some(content(5)));
    }
    fs::remove_file(at("set/train-00000-of-00002.parquet")).unwrap();
    let why = open(&at("set"), Split::Train).err().unwrap().to_string();
    assert!(why.ends_with("set: train-00000-of-00002.parquet is missing; copy it here"), "{why}");
    let other = Form { names: Some(r#"{"info": {"features": {"label": {"names": ["dog", "cat"]}}}}"#), ..PLAIN };
    fs::write(at("set/train-00000-of-00002.parquet"), table(&other, &LABELS, &[])).unwrap();
    assert!(open(&at("set"), Split::Train).err().unwrap().to_string().contains("class names differ from those of"));
}

#[test]
fn labels_may_be_text_or_numbers_without_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.parquet");
    let schema = Arc::new(parse_message_type(TEXT).unwrap());
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for values in [["a", "b", "c"], ["dog", "cat", "dog"], ["x", "y", "z"]] {
        let values: Vec<ByteArray> = values.into_iter().map(Into::into).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
    fs::write(&path, out).unwrap();
    let opened = open(&path, Split::Train).unwrap();
    assert_eq!(opened.source.classes(), ["cat", "dog"]);
    assert_eq!(
        ((0..3).map(|i| opened.source.label(i)).collect::<Vec<_>>(), opened.source.file(1).unwrap()),
        (vec![1, 0, 1], Some(b"b".to_vec()))
    );
    // Numbers: those that occur, or names from a file.
    let bare = Form { names: None, ..PLAIN };
    fs::write(&path, table(&bare, &[&[Some(3), Some(0), Some(3)]], &[])).unwrap();
    let opened = open(&path, Split::Train).unwrap();
    assert_eq!((opened.source.classes(), opened.source.label(0)), (["0", "3"].map(String::from).as_slice(), 1));
    fs::write(folder.path().join("names.txt"), "a\nb\nc\nd\n").unwrap();
    let source = Source { classes: Some(folder.path().join("names.txt")), ..Source::new(&path) };
    assert_eq!(source.open(Split::Train, Demand::All).unwrap().source.classes(), ["a", "b", "c", "d"]);
}

#[test]
fn damaged_tables_give_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let why = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        open(&path, Split::Train).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let whole = table(&PLAIN, &LABELS, &[]);
    for length in (4..whole.len()).step_by(61).chain([whole.len() - 1]) {
        let why = why(&whole[..length]);
        assert!(why.contains("damaged or truncated") && !why.contains('\n'), "{length}: {why}");
    }
    assert!(
        why(&table(&PLAIN, &[&[Some(0), Some(2), Some(1)]], &[]))
            .ends_with("train/000001 has label 2, but there are 2 class names")
    );
    assert!(why(&table(&PLAIN, &[&[Some(0), None, Some(1)]], &[])).ends_with("train/000001 has no label"));
    assert!(
        why(&table(&PLAIN, &[&[Some(-1), Some(-1)]], &[]))
            .ends_with("all its labels are missing (null or -1), as in many test sets")
    );
    assert!(
        why(&table(&Form { names: None, ..PLAIN }, &[&[Some(0), Some(1 << 40)]], &[])).contains("cannot be the index of a class")
    );
    assert!(why(&table(&PLAIN, &LABELS, &[0, 1, 2])).contains("holds the paths of its images, but not their bytes"));
    assert!(why(&table(&PLAIN, &[], &[])).ends_with("its tables have no rows"));
    assert_eq!(Source::new(&path).open_any().err().map(|error| error.to_string().contains("no rows")), Some(true));
    fs::write(&path, table(&PLAIN, &[&[Some(-1), Some(-1)]], &[])).unwrap();
    assert_eq!(Source::new(&path).open_any().unwrap().source.len(), 2);
    assert!(why(b"").ends_with("train.parquet: empty file; copy or download it again"));
    // Brotli in the metadata, where Thrift has the codec after the column's path.
    let mark = b"\x05image\x05bytes\x15";
    let at = whole.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    let brotli = [&whole[..at], &[4 << 1], &whole[at + 1..]].concat();
    assert!(why(&brotli).contains("train.parquet: compressed with Brotli, which is not supported; write it again with Snappy"));
    // Damage within the pages: an error for the image, or for the file.
    for at in (4..whole.len() - 8).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x2A;
        fs::write(&path, bytes).unwrap();
        if let Ok(opened) = open(&path, Split::Train) {
            (0..opened.source.len()).for_each(|i| drop(opened.source.file(i)));
        }
    }
}
