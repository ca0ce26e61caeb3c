//! Time of each augmentation on one core, in microseconds an image: `cargo run --release -p alexnet-image --example augment [SIZE]`.

use alexnet_image::augment::{Affine, Canvas, ColorJitter, Interpolation, Policy, RandomAffine, Steps};
use alexnet_image::crop::{Area, Window};
use alexnet_image::{Channels, Image, JpegDecoding, Mean, Preprocess, Resize};
use alexnet_kernels::random::Key;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Time of `work` for one image: the least of many tries, since the machine may be busy.
fn time(name: &str, mut work: impl FnMut(u64)) {
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    for count in (0..).step_by(20).take_while(|_| start.elapsed() < Duration::from_millis(300)) {
        let begin = Instant::now();
        (0..20).for_each(|i| work(count + i));
        least = least.min(begin.elapsed().as_secs_f64() / 20.0);
    }
    println!("{:8.1}  {name}", 1e6 * least);
}

fn main() {
    let size = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(128);
    let (width, height) = (size * 3 / 2, size * 5 / 4);
    let value = |i: usize| ((i % (3 * width) / 3) * 3 + (i / 3 / width) * 2 + i * i % 31 + i % 3 * 50) as u8;
    let image = Image { width, height, rgb: (0..3 * width * height).map(value).collect() };
    let area = Area { top: height / 10, left: width / 10, height: size, width: size };
    let canvas = Canvas::of_area(&image, area, false, false);
    let one = |name: &str, work: &dyn Fn(&mut Canvas, Key)| {
        let mut changed = canvas.clone();
        time(name, |i| {
            changed.clone_from(&canvas);
            work(&mut changed, Key(i));
            black_box(&changed);
        });
    };
    println!("microseconds an image of {size} x {size} pixels, each with a copy");
    one("copy", &|_, _| ());
    one("brightness", &|canvas, _| canvas.brightness(1.1));
    one("contrast", &|canvas, _| canvas.contrast(1.1));
    one("saturation", &|canvas, _| canvas.saturation(1.1));
    one("hue", &|canvas, _| canvas.hue(0.1));
    one("grayscale", &|canvas, _| canvas.grayscale());
    one("invert", &|canvas, _| canvas.invert());
    one("posterize", &|canvas, _| canvas.posterize(4));
    one("solarize", &|canvas, _| canvas.solarize(128.0));
    one("autocontrast", &|canvas, _| canvas.autocontrast());
    one("equalize", &|canvas, _| canvas.equalize());
    one("sharpness", &|canvas, _| canvas.sharpness(1.5));
    one("Gaussian blur, radius 4", &|canvas, _| canvas.gaussian_blur(4, 1.5));
    one("rotation, nearest", &|canvas, _| canvas.warp(&Affine::rotation(12.0), Interpolation::Nearest));
    one("rotation, bilinear", &|canvas, _| canvas.warp(&Affine::rotation(12.0), Interpolation::Bilinear));
    let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    let affine = RandomAffine { degrees: 10.0, translate: 0.1, zoom: (0.9, 1.1), shear: 5.0 };
    let rand = Policy::Rand { operations: 2, magnitude: 9 };
    let none = Steps::default();
    one("colour jitter", &|canvas, key| Steps { jitter, ..none }.apply(canvas, key));
    one("affine", &|canvas, key| Steps { affine, ..none }.apply(canvas, key));
    one("TrivialAugmentWide", &|canvas, key| Steps { policy: Some(Policy::Trivial), ..none }.apply(canvas, key));
    one("RandAugment", &|canvas, key| Steps { policy: Some(rand), ..none }.apply(canvas, key));
    one("AugMix", &|canvas, key| Steps { policy: Some(Policy::AugMix), ..none }.apply(canvas, key));

    let preprocess = Preprocess {
        resize: Resize::ShortSide(height),
        crop: size,
        channels: Channels::Rgb,
        scale: 1.0 / 255.0,
        mean: Mean::Channel([0.485, 0.456, 0.406]),
        std: [0.229, 0.224, 0.225],
        jpeg: JpegDecoding::Exact,
    };
    let mut tensor = vec![0.0; 3 * size * size];
    println!("other parts of an image's way");
    time("crop to canvas", |_| drop(black_box(Canvas::of_area(&image, area, true, false))));
    time("canvas to image", |_| drop(black_box(canvas.to_image())));
    let window = Window { top: area.top, left: area.left, mirror: true };
    time("image to tensor", |_| image.tensor(&preprocess, window, None, black_box(&mut tensor)));
    let large = image.resized(534, 400);
    let area = Area { top: 40, left: 30, height: 300, width: 310 };
    time("whole of 400 x 534 pixels, resized to 256 x 342", |_| drop(black_box(large.resized(342, 256))));
    time("whole of 400 x 534 pixels, resized to 128 x 128", |_| drop(black_box(large.resized(128, 128))));
    time("area cropped", |_| drop(black_box(large.crop(area))));
    time("area of 300 x 310 pixels, resized", |_| drop(black_box(large.resized_area(area, size))));
}
