use super::*;
use crate::draw::encode;
use crate::image::{Channels, JpegDecoding, Mean, Resize};
use std::path::Path;

/// Two classes of images of several sizes, one of them a PNG.
fn images(folder: &Path) -> Arc<dyn Dataset> {
    for (i, (height, width)) in [(90, 130), (400, 300), (161, 640), (700, 800), (64, 64)].into_iter().enumerate() {
        let value = |p: usize| ((p % (3 * width) / 3) * 5 + (p / 3 / width) * 3 + i * 40 + p % 3 * 50) as u8;
        let image = Image { width, height, rgb: (0..3 * width * height).map(value).collect() };
        let folder = folder.join(if i % 2 == 0 { "even" } else { "odd" });
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{i}.jpg")), encode::jpeg(&image)).unwrap();
        if i == 3 {
            std::fs::write(folder.join("3.png"), encode::png(&image)).unwrap();
        }
    }
    crate::data::open(folder).unwrap()
}

fn preprocess(jpeg: JpegDecoding) -> Preprocess {
    Preprocess {
        resize: Resize::ShortSide(40),
        crop: 32,
        channels: Channels::Rgb,
        scale: 1.0,
        mean: Mean::Channel([0.0; 3]),
        std: [1.0; 3],
        jpeg,
    }
}

fn loaded(source: &Arc<dyn Dataset>, jpeg: JpegDecoding, augment: Augment, memory: u64) -> Vec<f32> {
    let options = Options { batch: 4, threads: 2, memory: Some(memory), drop_last: false, ..Options::default() };
    let loader = Loader::new(source.clone(), preprocess(jpeg), augment, options).unwrap();
    let batches = (0..3).flat_map(|epoch| loader.epoch(epoch, 0).collect::<Vec<_>>());
    batches.flat_map(|batch| batch.images.clone()).collect()
}

#[test]
fn scaled_images_do_not_depend_on_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let source = images(folder.path());
    for augment in [Augment::none(), Augment::crop_mirror(), Augment::random_resized_crop()] {
        let scaled = loaded(&source, JpegDecoding::Scaled, augment.clone(), 0);
        // A cache for one or two of the images, and for all.
        for memory in [200_000, 1 << 30] {
            assert!(loaded(&source, JpegDecoding::Scaled, augment.clone(), memory) == scaled, "{augment:?}, {memory}");
        }
        let exact = loaded(&source, JpegDecoding::Exact, augment.clone(), 0);
        assert!(exact != scaled && exact.len() == scaled.len(), "{augment:?}");
        // The same crops of nearly the same pixels.
        let distance: f64 = exact.iter().zip(&scaled).map(|(a, b)| f64::from((a - b).abs())).sum();
        assert!(distance / (exact.len() as f64) < 6.0, "{augment:?}: {}", distance / exact.len() as f64);
    }
}

#[test]
fn an_evaluation_sees_what_a_prediction_sees() {
    let folder = tempfile::tempdir().unwrap();
    let source = images(folder.path());
    for jpeg in [JpegDecoding::Exact, JpegDecoding::Scaled] {
        let preprocess = preprocess(jpeg);
        let loader = Loader::sequential(source.clone(), preprocess.clone(), Crops::Centre, Options::default()).unwrap();
        let batch = loader.load(0, &(0..source.len() as u32).collect::<Vec<_>>());
        for (i, loaded) in batch.images.chunks_exact(3 * 32 * 32).enumerate() {
            let image = decode::open_resized(&source.path(i).unwrap(), &preprocess).unwrap();
            let mut predicted = Vec::new();
            crate::predict::crop_tensors(&image, &preprocess, Crops::Centre, &mut predicted);
            assert!(loaded == predicted, "{}, {jpeg}", source.name(i));
        }
    }
}
