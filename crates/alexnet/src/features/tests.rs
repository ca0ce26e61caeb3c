//! Round trips of tables, layer selection, and distances.

use super::*;
use crate::image::Preprocess;
use crate::net::presets;
use std::path::Path;

fn about(shape: &[usize]) -> Provenance {
    let net = presets::by_name("torchvision").unwrap();
    Provenance {
        model: "ab".repeat(32),
        net: net.name.clone(),
        layer: "conv3".into(),
        before_relu: false,
        pool: Pool::None,
        shape: shape.to_vec(),
        precision: "f32".into(),
        preprocess: Preprocess::for_net(&net),
    }
}

/// Three images, one without a class.
fn written(path: &Path) -> Table {
    let about = about(&[2, 3]);
    let mut writer = Writer::create(path, about.clone()).unwrap();
    let rows: Vec<f32> = (0..18).map(|i| i as f32 / 7.0 - 1.0).collect();
    let (names, labels) = (["a/1.jpg", "b/\"2\" Ærø.jpg", "3.jpg"], [Some("a"), Some("b"), None]);
    for ((name, label), row) in names.iter().zip(labels).zip(rows.chunks(6)) {
        writer.push(name, label, row).unwrap();
    }
    assert!(writer.push("4.jpg", None, &[1.0]).unwrap_err().to_string().contains("1 features instead of 6"));
    assert_eq!(writer.finish().unwrap(), 3);
    let (names, labels) = (names.map(String::from).to_vec(), labels.map(|label| label.map(String::from)).to_vec());
    Table { about, names, labels, rows: rows.into() }
}

#[test]
fn tables_come_back_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    for (name, files) in [("t.npy", 2), ("t.safetensors", 3)] {
        let path = folder.path().join(name);
        for _ in 0..2 {
            let table = written(&path);
            assert_eq!(Table::read(&path).unwrap(), table);
            assert_eq!(table.row(1), &table.rows[6..12]);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), files);
        }
    }
    // As numpy.lib.format writes [3, 2, 3].
    let bytes = std::fs::read(folder.path().join("t.npy")).unwrap();
    let text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 3,), }";
    assert_eq!((&bytes[..10], &bytes[10..10 + text.len()]), (&b"\x93NUMPY\x01\x00\x76\0"[..], &text[..]));
    assert_eq!((bytes[127], bytes.len()), (b'\n', 128 + 18 * 4));
}

#[test]
fn broken_tables_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (npy, tensors) = (folder.path().join("t.npy"), folder.path().join("t.safetensors"));
    written(&npy);
    written(&tensors);
    let complaint = |path: &Path| Table::read(path).unwrap_err().to_string();
    for path in [&npy, &tensors] {
        let bytes = std::fs::read(path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(path, &bytes[..length]).unwrap();
            assert!(complaint(path).contains("/t."));
        }
    }
    written(&npy);
    let sidecar = folder.path().join("t.json");
    let text = std::fs::read_to_string(&sidecar).unwrap();
    for (from, to, part) in [
        ("\"names\":[", "\"names\":[\"0\",", "4 images"),
        ("\"labels\":[", "\"labels\":[null,", "differ in number"),
        ("\"shape\":[2,3]", "\"shape\":[18446744073709551615,18446744073709551615]", "header"),
        ("\"shape\":[2,3]", "\"shape\":[3,2]", "header"),
        ("\"features\"", "\"feature\"", "t.json"),
    ] {
        assert!(text.contains(from));
        std::fs::write(&sidecar, text.replacen(from, to, 1)).unwrap();
        let why = complaint(&npy);
        assert!(why.contains(part), "{from}: {why}");
    }
    std::fs::remove_file(&sidecar).unwrap();
    assert!(complaint(&npy).contains("t.json: missing; `alexnet features` writes it next to t.npy"));
    assert!(complaint(&folder.path().join("t.csv")).contains(".npy"));
    assert!(Writer::create(&folder.path().join("t.csv"), about(&[1])).unwrap_err().to_string().contains("extension"));
    assert!(
        Writer::create(&folder.path().join("no/t.npy"), about(&[1])).unwrap_err().to_string().contains("folder does not exist")
    );
    let empty = Writer::create(&folder.path().join("empty.npy"), about(&[1])).unwrap();
    assert!(empty.finish().unwrap_err().to_string().contains("none of the images"));
    assert!(!folder.path().join("empty.npy").exists());
}

#[test]
fn a_failed_write_keeps_the_old_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.npy");
    let table = written(&path);
    // A folder blocks either of its two files.
    for name in ["t.npy", "t.json"] {
        let mut writer = Writer::create(&path, about(&[2, 3])).unwrap();
        writer.push("other.jpg", None, &[0.0; 6]).unwrap();
        let (there, aside) = (folder.path().join(name), folder.path().join("aside"));
        std::fs::rename(&there, &aside).unwrap();
        std::fs::create_dir(&there).unwrap();
        assert!(writer.finish().is_err());
        std::fs::remove_dir(&there).unwrap();
        std::fs::rename(&aside, &there).unwrap();
        assert_eq!(Table::read(&path).unwrap(), table, "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn an_unrelated_json_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.npy");
    for text in ["{\"lr\": 0.01}", "mine"] {
        std::fs::write(folder.path().join("run.json"), text).unwrap();
        let message = Writer::create(&path, about(&[1])).unwrap_err().to_string();
        assert!(message.contains("run.json") && message.contains("--out"), "{message}");
    }
    std::fs::remove_file(folder.path().join("run.json")).unwrap();
    written(&path);
    written(&path);
}

#[test]
fn features_of_different_models_layers_or_preprocessing_are_not_compared() {
    let first = about(&[4]);
    assert_eq!(first.difference(&first.clone()), None);
    let other = |change: &dyn Fn(&mut Provenance)| {
        let mut other = first.clone();
        change(&mut other);
        first.difference(&other).unwrap()
    };
    assert!(other(&|about| about.model = "cd".repeat(32)).contains("another model: torchvision of sha256 abababababab"));
    assert!(other(&|about| about.layer = "fc6".into()).contains("conv3, pool none, [4], not of fc6"));
    assert!(other(&|about| about.before_relu = true).contains("not of conv3 before its activation"));
    assert!(other(&|about| about.pool = Pool::Max).contains("pool max"));
    assert!(other(&|about| about.precision = "bf16".into()).contains("made in f32, not in bf16; give --precision f32"));
    assert!(other(&|about| about.preprocess.scale = 1.0).contains("preprocessing"));
}

#[test]
fn a_layer_is_taken_after_its_relu_by_default() {
    let taken = |net: &str, layer: &str, before, pool| {
        Taken::new(&presets::by_name(net).unwrap(), layer, before, pool).map(|t| (t.layer().to_string(), t.shape().to_vec()))
    };
    for (net, layer, before, pool, seen, shape) in [
        ("torchvision", "fc7", false, Pool::None, "relu7", vec![4096]),
        ("torchvision", "fc7", true, Pool::None, "fc7", vec![4096]),
        ("torchvision", "fc8", false, Pool::None, "fc8", vec![1000]),
        ("torchvision", "conv3", false, Pool::None, "relu3", vec![384, 13, 13]),
        ("torchvision", "conv3", true, Pool::Average, "conv3", vec![384]),
        ("torchvision", "relu3", false, Pool::Max, "relu3", vec![384]),
        ("torchvision", "relu6", false, Pool::None, "relu6", vec![4096]),
        ("torchvision", "drop7", false, Pool::None, "drop7", vec![4096]),
        // Not fc6's activation.
        ("torchvision", "pool5", false, Pool::None, "pool5", vec![256, 6, 6]),
        ("paper", "norm1", false, Pool::None, "norm1", vec![96, 55, 55]),
        // Normalised before its ReLU.
        ("owt", "conv1", false, Pool::None, "relu1", vec![64, 55, 55]),
    ] {
        assert_eq!(taken(net, layer, before, pool).unwrap(), (seen.to_string(), shape), "{net} {layer}");
    }
    assert!(taken("torchvision", "relu3", true, Pool::None).unwrap_err().to_string().contains("itself an activation"));
    assert!(taken("torchvision", "conv9", false, Pool::None).unwrap_err().to_string().contains("no layer conv9; it has conv1, "));
}

#[test]
fn maps_are_pooled_whole() {
    let maps = [1.0, 2.0, 3.0, -4.0, -1.0, -2.0, -3.0, -4.0];
    let pooled = |pool: Pool| {
        let mut row = Vec::new();
        pool.append(&maps, 4, &mut row);
        row
    };
    assert_eq!(pooled(Pool::Average), [0.5, -2.5]);
    assert_eq!(pooled(Pool::Max), [3.0, -1.0]);
    assert_eq!(pooled(Pool::None), maps);
}

#[test]
fn nearest_rows_come_first_with_ties_in_order() {
    // Wide enough for whole blocks and a remainder.
    let width = 2 * 1024 + 21;
    let row = |at: f32| (0..width).map(move |i| at + (i % 3) as f32);
    let places = [5.0, 1.0, -1.0, 9.0, 1.0];
    let table = Table {
        about: about(&[width]),
        names: (0..5).map(|i| i.to_string()).collect(),
        labels: vec![None; 5],
        rows: places.into_iter().flat_map(row).collect(),
    };
    let query: Vec<f32> = row(0.0).collect();
    let found = nearest(&table, &query, 4).unwrap();
    assert_eq!(found.iter().map(|near| near.row).collect::<Vec<_>>(), [1, 2, 4, 0]);
    assert!((found[3].distance - 5.0 * (width as f64).sqrt()).abs() < 1e-6);
    assert_eq!(nearest(&table, &query, 99).unwrap().len(), 5);
    assert!(nearest(&table, &query[1..], 1).is_err());
}

#[test]
fn a_sheet_shows_each_image_with_its_name_and_distance() {
    use crate::draw::{BLUE, Item};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.png");
    let table = written(&folder.path().join("t.npy"));
    let plain = |value: u8| crate::image::Image { width: 200, height: 130, rgb: vec![value; 200 * 130 * 3] };
    let near = |value, row, distance| (plain(value), Near { row, distance });
    let rows = vec![
        SheetRow { query: plain(10), name: "asked/q.jpg".into(), nearest: vec![near(20, 0, 0.0), near(40, 2, 1.25)] },
        SheetRow { query: plain(30), name: "r.jpg".into(), nearest: vec![near(50, 1, 0.5)] },
    ];
    let scene = sheet(&table, rows.clone()).scene();
    let words: Vec<&str> =
        scene.items.iter().filter_map(|i| if let Item::Text { text, .. } = i { Some(&**text) } else { None }).collect();
    for expected in [
        "The images nearest to 2 queries",
        "query",
        "q.jpg",
        "a",
        "1.jpg",
        "distance 0.0000",
        "3.jpg",
        "distance 1.2500",
        "r.jpg",
        "b",
    ] {
        assert!(words.contains(&expected), "{expected}: {words:?}");
    }
    assert!(words[1].contains("conv3") && words[1].contains("torchvision"), "{words:?}");
    let places: Vec<[usize; 2]> =
        scene.items.iter().filter_map(|i| if let Item::Image { x, y, .. } = i { Some([*x, *y]) } else { None }).collect();
    // One row each, the query first and framed.
    let [q, a, c, r, b] = places.as_slice() else { panic!("{places:?}") };
    assert!(q[1] == a[1] && a[1] == c[1] && r[1] == b[1] && r[1] > q[1] + 128 && q[0] == r[0] && a[0] == b[0] && c[0] > a[0]);
    assert_eq!(scene.items.iter().filter(|i| matches!(i, Item::Rectangle { colour, .. } if *colour == BLUE)).count(), 2);
    scene.write(&path).unwrap();
    let shown = crate::image::decode::decode(&std::fs::read(&path).unwrap()).unwrap();
    let at = |[x, y]: [usize; 2]| shown.rgb[((y + 5) * shown.width + x + 5) * 3];
    assert_eq!([q, a, c, r, b].map(|place| at(*place)), [10, 20, 40, 30, 50]);
    assert!(sheet(&table, rows[..1].to_vec()).title.contains("2 images nearest to q.jpg"));
}
