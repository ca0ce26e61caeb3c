//! Similarity search.

use std::path::Path;

use alexnet::data::{self, loader};
use alexnet::engine::cpu::Cpu;
use alexnet::features::{Pool, Provenance, Taken, Writer, extract};
use alexnet::formats;
use alexnet::image::decode;
use alexnet_serve::IndexFile;
use serde_json::json;

use crate::client::{Running, png, write_model};

/// Writes 12 images into two classes, and a feature table as `alexnet features` does.
fn write_index(folder: &Path, model: &Path) -> IndexFile {
    let images = folder.join("pictures");
    for i in 0..12 {
        let class = images.join(["even", "odd"][i % 2]);
        std::fs::create_dir_all(&class).unwrap();
        std::fs::write(class.join(format!("{i:02}.png")), png(30 + 5 * i, 300 - 20 * i, i)).unwrap();
    }
    let file = formats::load(model, None).unwrap();
    let taken = Taken::new(&file.net, "conv2", false, Pool::Average).unwrap();
    let about = Provenance {
        model: formats::sha256(model).unwrap(),
        net: file.net.name.clone(),
        layer: "conv2".into(),
        before_relu: false,
        pool: Pool::Average,
        shape: taken.shape().to_vec(),
        precision: "f32".into(),
        preprocess: file.preprocess.clone(),
    };
    let mut engine = Cpu::new(&file.net, 4, 1).unwrap();
    alexnet::engine::load_model(&file, &mut engine).unwrap();
    let table = folder.join("index.safetensors");
    let mut writer = Writer::create(&table, about).unwrap();
    let source = data::open_loose(&images).unwrap();
    let options = loader::Options { batch: 4, threads: 1, memory: Some(0), ..Default::default() };
    let loader =
        loader::Loader::sequential(source.clone(), file.preprocess, alexnet::image::crop::Crops::Centre, options).unwrap();
    let mut write = |i: usize, row: &[f32]| {
        let class = source.classes().get(source.label(i) as usize);
        writer.push(source.name(i), class.map(String::as_str), row)
    };
    assert!(extract(&mut engine, &loader, &taken, &mut write).unwrap().is_empty());
    writer.finish().unwrap();
    IndexFile { table, images: Some(images) }
}

#[test]
fn an_indexed_image_is_its_own_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(|settings| {
        let model = settings.models[0].path.clone();
        settings.models[0].index = Some(write_index(folder.path(), &model));
    });
    assert_eq!(running.get("/models").json()["models"][0]["similar"], json!("pictures"));
    for i in [0, 7] {
        let found = running.post("/similar?top=3", &png(30 + 5 * i, 300 - 20 * i, i)).json();
        let near = found["nearest"].as_array().unwrap();
        let class = ["even", "odd"][i % 2];
        assert_eq!((&found["layer"], &near[0]["name"]), (&json!("conv2"), &json!(format!("{class}/{i:02}.png"))), "{found}");
        assert_eq!(near[0]["label"], json!(class));
        let distances: Vec<f64> = near.iter().map(|near| near["distance"].as_f64().unwrap()).collect();
        assert!(distances[0] < 1e-5 && distances[1] > 1e-3 && distances[1] <= distances[2], "{found}");
        // The image itself, at most 160 pixels long.
        let small = running.get(&format!("/indexed?row={}", near[0]["row"]));
        assert_eq!((small.status, small.header("content-type")), (200, Some("image/png")));
        let small = decode::decode(&small.body).unwrap();
        let (width, height) = (30 + 5 * i, 300 - 20 * i);
        assert_eq!(small.height.max(small.width), 160);
        assert_eq!((small.width, small.height), ((width * 160).div_ceil(width.max(height)), 160));
    }
    for (path, status, part) in [
        ("/similar?top=0", 400, "1 to 64"),
        ("/similar?top=65", 400, "1 to 64"),
        ("/similar?model=other", 404, "no model"),
        ("/similar?row=1", 400, "row"),
    ] {
        let answer = running.post(path, &png(20, 20, 1));
        assert!(answer.status == status && answer.text().contains(part), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(running.post("/similar", b"no image").status, 422);
    assert_eq!(running.get("/indexed?row=12").status, 404);
    assert_eq!(running.get("/indexed?row=-1").status, 400);

    // Other weights: the index no longer belongs to them.
    write_model(&running.model, 2);
    running.control.reload();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while running.get("/models").json()["models"][0]["similar"] != json!(null) {
        assert!(std::time::Instant::now() < until, "the old index stays");
    }
    assert_eq!(running.post("/similar", &png(20, 20, 1)).status, 404);
    assert_eq!(running.post("/predict", &png(20, 20, 1)).status, 200);
}

#[test]
fn a_missing_index_or_missing_images_are_reported() {
    let running = Running::start(|_| {});
    assert_eq!(running.get("/models").json()["models"][0]["similar"], json!(null));
    assert!(running.post("/similar", &png(20, 20, 1)).text().contains("--index"));
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(|settings| {
        let index = write_index(folder.path(), &settings.models[0].path);
        settings.models[0].index = Some(IndexFile { images: None, ..index });
    });
    assert_eq!(running.get("/models").json()["models"][0]["similar"], json!("names"));
    assert_eq!(running.post("/similar?top=12", &png(20, 20, 1)).json()["nearest"].as_array().unwrap().len(), 12);
    assert!(running.get("/indexed?row=1").text().contains("no images, only names"));
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_indexed_images_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let running =
        Running::start(|settings| settings.models[0].index = Some(write_index(folder.path(), &settings.models[0].path)));
    let found = running.post("/similar?top=1", &png(30, 300, 0)).json();
    let (row, name) = (found["nearest"][0]["row"].as_u64().unwrap(), found["nearest"][0]["name"].as_str().unwrap());
    let file = folder.path().join("pictures").join(name);
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    // As many as there are decoders, plus one.
    for _ in 0..3 {
        let mut stream = running.open();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        std::io::Write::write_all(&mut stream, &crate::client::head("GET", &format!("/indexed?row={row}"), &[], 0)).unwrap();
        let answer = crate::client::answer(stream);
        assert!(
            answer.status == 404 && answer.text().contains("a named pipe, not a file"),
            "{} {}",
            answer.status,
            answer.text()
        );
    }
    assert_eq!(running.post("/predict", &png(20, 20, 1)).status, 200);
}

#[cfg(unix)]
#[test]
fn pipes_in_place_of_an_index_or_a_model_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("index.npy");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let running = Running::start(|_| {});
    let start = |change: &dyn Fn(&mut alexnet_serve::ModelFile)| {
        let mut settings = crate::client::settings(&running.model);
        change(&mut settings.models[0]);
        alexnet_serve::Server::start(settings).map(|_| ()).unwrap_err().to_string()
    };
    let message = start(&|model| model.index = Some(IndexFile { table: pipe.clone(), images: None }));
    assert!(message.contains("index.npy") && message.contains("not a regular file"), "{message}");
    for path in [pipe.clone(), folder.path().to_path_buf()] {
        let message = start(&|model| model.path = path.clone());
        assert!(message.contains("not a file"), "{message}");
    }
}
