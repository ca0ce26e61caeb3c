//! Feature tables as Parquet, read back by the `parquet` crate. Compatibility with pyarrow was checked once by hand.
#![cfg(feature = "parquet")]

use alexnet::features::{Pool, Provenance, Table, Writer};
use alexnet::image::Preprocess;
use alexnet::net::presets;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{ListAccessor, RowAccessor};

#[test]
fn a_parquet_file_has_its_columns() {
    let net = presets::by_name("torchvision").expect("a preset");
    let about = Provenance {
        model: "ab".repeat(32),
        net: net.name.clone(),
        layer: "conv3".into(),
        before_relu: false,
        pool: Pool::None,
        shape: vec![2, 3],
        precision: "f32".into(),
        preprocess: Preprocess::for_net(&net),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.parquet");
    let mut writer = Writer::create(&path, about.clone()).expect("a table");
    let values: Vec<f32> = (0..18).map(|i| i as f32 / 7.0 - 1.0).collect();
    let names = [("a/1.jpg", Some("a")), ("b/\"2\" Ærø.jpg", Some("b")), ("3.jpg", None)];
    for ((name, label), row) in names.into_iter().zip(values.chunks(6)) {
        writer.push(name, label, row).expect("a row");
    }
    assert_eq!(writer.finish().expect("a table"), 3);

    let file = SerializedFileReader::new(std::fs::File::open(&path).expect("a file")).expect("a Parquet file");
    let rows: Vec<_> = file.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 3);
    for ((row, (name, label)), expected) in rows.iter().zip(names).zip(values.chunks(6)) {
        assert_eq!(row.get_string(0).expect("a name"), name);
        match label {
            Some(label) => assert_eq!(row.get_string(1).expect("a label"), label),
            None => assert!(row.is_null(1).expect("a column")),
        }
        let features = row.get_list(2).expect("features");
        let features: Vec<f32> = (0..features.len()).map(|i| features.get_float(i).expect("a float")).collect();
        assert_eq!(features, expected);
    }
    let metadata = file.metadata().file_metadata().key_value_metadata().expect("metadata");
    let saved = metadata.iter().find(|pair| pair.key == "features").and_then(|pair| pair.value.as_ref()).expect("provenance");
    assert_eq!(serde_json::from_str::<Provenance>(saved).expect("provenance"), about);
    assert!(Table::read(&path).expect_err("not read").to_string().contains(".npy or .safetensors"));
}
