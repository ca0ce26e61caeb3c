use super::*;
use crate::draw::encode;
use crate::image::augment::{ColorJitter, Policy, RandomAffine, Steps};
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

/// Every augmentation at once.
fn everything() -> Augment {
    let crop = Crop::RandomResized { scale: (0.3, 1.0), ratio: (0.75, 1.3), short_side: Some(80) };
    let steps = Steps {
        affine: RandomAffine { degrees: 15.0, translate: 0.1, zoom: (0.8, 1.2), shear: 4.0 },
        policy: Some(Policy::Trivial),
        jitter: ColorJitter { brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.1 },
        grayscale: 0.2,
        blur: 0.3,
        ..Steps::default()
    };
    let mix = Mix { mixup: 0.5, cutmix: 1.0, probability: 0.8, epochs: 6 };
    Augment { crop, vertical_flip: 0.3, steps, erasing: 0.4, mix, ..Augment::random_resized_crop() }
}

/// A data set of which image 2 cannot be read.
struct Broken(Arc<dyn Dataset>);

impl Dataset for Broken {
    fn classes(&self) -> &[String] {
        self.0.classes()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn label(&self, i: usize) -> u32 {
        self.0.label(i)
    }
    fn name(&self, i: usize) -> &str {
        self.0.name(i)
    }
    fn image(&self, i: usize) -> Result<Image> {
        if i == 2 { Err("cut off".into()) } else { self.0.image(i) }
    }
}

/// What a batch says, apart from its memory.
#[derive(Debug, Clone, Default, PartialEq)]
struct Contents {
    images: Vec<f32>,
    labels: Vec<u32>,
    mixed: Vec<(u32, f32)>,
    indices: Vec<u32>,
    broken: Vec<(u32, String)>,
}

fn contents(batch: &Batch) -> Contents {
    Contents {
        images: batch.images.clone(),
        labels: batch.labels.clone(),
        mixed: batch.mixed.iter().map(|second| (second.label, second.share)).collect(),
        indices: batch.indices.clone(),
        broken: batch.broken.clone(),
    }
}

#[test]
fn augmented_and_mixed_batches_do_not_depend_on_threads_cache_start_or_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let source: Arc<dyn Dataset> = Arc::new(Broken(images(folder.path())));
    let loader = |threads, memory| {
        let options = Options { batch: 3, threads, memory: Some(memory), drop_last: false, ..Options::default() };
        Loader::new(source.clone(), preprocess(JpegDecoding::Exact), everything(), options).unwrap()
    };
    let whole = loader(3, 1 << 30);
    let (mut mixed, mut unmixed) = (0, 0);
    for epoch in 0..8 {
        let expected: Vec<_> = whole.epoch(epoch, 0).map(|batch| contents(&batch)).collect();
        assert_eq!(expected.len(), 2);
        for Contents { images, labels, mixed: seconds, indices, broken } in &expected {
            assert!(images.iter().all(|value| value.is_finite()));
            assert_eq!((images.len(), labels.len()), (indices.len() * 3 * 32 * 32, indices.len()));
            assert!(seconds.is_empty() || seconds.len() == indices.len());
            assert!(broken.iter().all(|(i, _)| *i == 2) && !indices.contains(&2));
            // An image without a partner keeps its label.
            assert!(seconds.iter().zip(labels).all(|((second, share), label)| *share > 0.0 || second == label));
            mixed += seconds.iter().filter(|(_, share)| *share > 0.0).count();
            unmixed += usize::from(seconds.is_empty());
        }
        let once = loader(1, 0);
        assert!(once.epoch(epoch, 0).map(|batch| contents(&batch)).eq(expected.iter().cloned()), "epoch {epoch}, one thread");
        assert!(once.epoch(epoch, 1).map(|batch| contents(&batch)).eq(expected[1..].iter().cloned()), "epoch {epoch}, batch 1");
        for (size, blocks) in [(2, None), (3, None), (2, Some(4))] {
            let parts: Vec<Vec<_>> = (0..size)
                .map(|rank| {
                    let loader = loader(2, 1 << 20).with_cut(Partition::new(rank, size, blocks).unwrap());
                    loader.epoch(epoch, 0).map(|batch| contents(&batch)).collect()
                })
                .collect();
            for (number, expected) in expected.iter().enumerate() {
                let mut joined = Contents::default();
                for part in &parts {
                    let part = part[number].clone();
                    joined.images.extend(part.images);
                    joined.labels.extend(part.labels);
                    joined.mixed.extend(part.mixed);
                    joined.indices.extend(part.indices);
                    joined.broken.extend(part.broken);
                }
                assert!(joined == *expected, "epoch {epoch}, batch {number}, {size} ranks");
            }
        }
    }
    // Two epochs of eight are not mixed, and one batch in five of the others.
    assert!(mixed >= 10 && (4..10).contains(&unmixed), "{mixed} images mixed, {unmixed} batches not");
    assert!(whole.mixes() && whole.views().is_none());
}

#[test]
fn large_originals_are_reduced_for_the_cache_alone() {
    let folder = tempfile::tempdir().unwrap();
    let source = images(folder.path());
    let crop = |short_side| Augment {
        crop: Crop::RandomResized { scale: (0.9, 1.0), ratio: (0.9, 1.1), short_side },
        ..Augment::random_resized_crop()
    };
    for jpeg in [JpegDecoding::Exact, JpegDecoding::Scaled] {
        let originals = loaded(&source, JpegDecoding::Exact, crop(None), 0);
        // Nothing is as large.
        assert!(loaded(&source, JpegDecoding::Exact, crop(Some(5000)), 0) == originals);
        let reduced = loaded(&source, jpeg, crop(Some(100)), 0);
        assert!(reduced != originals && loaded(&source, jpeg, crop(Some(100)), 1 << 30) == reduced);
        // Areas of the same shape, rounded to other pixels.
        let distance: f64 = originals.iter().zip(&reduced).map(|(a, b)| f64::from((a - b).abs())).sum();
        assert!(distance / (originals.len() as f64) < 12.0, "{jpeg}: {}", distance / originals.len() as f64);
    }
}
