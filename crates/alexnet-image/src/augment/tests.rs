use super::*;
use crate::crop::Area;
use crate::decode;
use crate::image::Image;
use alexnet_kernels::isa::Isa;
use alexnet_kernels::random::Key;

/// Size of the images of `tools/make_augment_goldens.py`.
const SIZE: (usize, usize) = (24, 17);

/// The original, and each result of torchvision with the words of its line.
fn golden() -> (Image, Vec<(String, Image)>) {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let table = std::fs::read_to_string(fixtures.join("augment.tsv")).unwrap();
    let stack = decode::decode(&std::fs::read(fixtures.join("augment.png")).unwrap()).unwrap();
    let (width, height) = SIZE;
    assert_eq!((stack.width, stack.height), (width, height * (1 + table.lines().count())));
    let mut images = stack.rgb.chunks_exact(3 * width * height).map(|rgb| Image { width, height, rgb: rgb.to_vec() });
    (images.next().unwrap(), table.lines().map(str::to_string).zip(images).collect())
}

fn interpolation(word: &str) -> Interpolation {
    if word == "nearest" { Interpolation::Nearest } else { Interpolation::Bilinear }
}

/// Applies the operation that a line names.
fn apply(canvas: &mut Canvas, line: &str) {
    let words: Vec<&str> = line.split('\t').collect();
    let number = |i: usize| words[i].parse::<f64>().unwrap();
    match words[0] {
        "brightness" => canvas.brightness(number(1) as f32),
        "contrast" => canvas.contrast(number(1) as f32),
        "saturation" => canvas.saturation(number(1) as f32),
        "sharpness" => canvas.sharpness(number(1) as f32),
        "hue" => canvas.hue(number(1) as f32),
        "grayscale" => canvas.grayscale(),
        "invert" => canvas.invert(),
        "autocontrast" => canvas.autocontrast(),
        "equalize" => canvas.equalize(),
        "posterize" => canvas.posterize(number(1) as u32),
        "solarize" => canvas.solarize(number(1) as f32),
        "gaussian_blur" => canvas.gaussian_blur(number(1) as usize, number(2) as f32),
        "rotate" => canvas.warp(&Affine::rotation(number(2)), interpolation(words[1])),
        "affine" => {
            let (translate, shear) = ((number(3), number(4)), (number(6), number(7)));
            let map = Affine { angle: number(2), translate, zoom: number(5), shear, centre: Centre::Middle };
            canvas.warp(&map, interpolation(words[1]));
        }
        "operation" => {
            let space = [("wide", Space::Wide), ("rand", Space::Rand), ("augmix", Space::AugMix)];
            let space = space.iter().find(|(name, _)| *name == words[1]).unwrap().1;
            let operation = *space.operations().iter().find(|operation| format!("{operation:?}") == words[2]).unwrap();
            let magnitude = space.magnitude(operation, number(3) as usize, SIZE.0, SIZE.1);
            assert_eq!(magnitude, number(6), "{line}");
            assert_eq!(number(4) < 0.0, number(4) < 0.0 && operation.is_signed());
            operation.apply(canvas, number(4) * magnitude, interpolation(words[5]));
        }
        other => panic!("unknown operation {other}"),
    }
}

#[test]
fn every_operation_is_within_a_level_of_torchvisions() {
    let (original, results) = golden();
    let mut failures = Vec::new();
    for (line, expected) in results {
        for isa in Isa::all_supported() {
            let mut canvas = Canvas { isa, ..Canvas::of(&original) };
            apply(&mut canvas, &line);
            let result = canvas.to_image();
            let most = result.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            let wrong = result.rgb.iter().zip(&expected.rgb).filter(|(a, b)| a.abs_diff(**b) > 1).count();
            if most > 1 {
                failures.push(format!("{line}, {isa}: {most} levels, {wrong} values"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let (original, results) = golden();
    for (line, _) in results {
        let outcomes = Isa::all_supported().map(|isa| {
            let mut canvas = Canvas { isa, ..Canvas::of(&original) };
            apply(&mut canvas, &line);
            canvas.pixels
        });
        let outcomes: Vec<Vec<u32>> = outcomes.collect();
        assert!(outcomes.iter().all(|pixels| *pixels == outcomes[0]), "{line}");
    }
}

#[test]
fn areas_are_cropped_and_mirrored() {
    let (original, _) = golden();
    let area = Area { top: 2, left: 5, height: 7, width: 9 };
    let plain = original.crop(area);
    assert_eq!(Canvas::of_area(&original, area, false, false).to_image(), plain);
    let at = |image: &Image, y: usize, x: usize| image.rgb[(y * image.width + x) * 3..][..3].to_vec();
    for (mirror, flip) in [(true, false), (false, true), (true, true)] {
        let turned = Canvas::of_area(&original, area, mirror, flip).to_image();
        for (y, x) in [(0, 0), (3, 5), (6, 8)] {
            let (from_y, from_x) = (if flip { 6 - y } else { y }, if mirror { 8 - x } else { x });
            assert_eq!(at(&turned, y, x), at(&plain, from_y, from_x), "mirror {mirror}, flip {flip}");
        }
    }
}

/// Images of one column, one row or one pixel, on which neighbours are missing.
#[test]
fn tiny_images_survive_every_operation() {
    let (_, results) = golden();
    for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)] {
        let image = Image { width, height, rgb: (0..3 * width * height).map(|i| (i * 37 % 256) as u8).collect() };
        for (line, _) in results.iter().filter(|(line, _)| !line.starts_with("operation")) {
            let mut canvas = Canvas::of(&image);
            apply(&mut canvas, line);
            assert_eq!(canvas.to_image().rgb.len(), image.rgb.len(), "{line}");
        }
    }
}

#[test]
fn random_steps_depend_on_the_key_alone() {
    let (original, _) = golden();
    let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    let affine = RandomAffine { degrees: 20.0, translate: 0.1, zoom: (0.8, 1.2), shear: 5.0 };
    let rand = Policy::Rand { operations: 2, magnitude: 9 };
    let all = [
        Steps { jitter, ..Steps::default() },
        Steps { affine, ..Steps::default() },
        Steps { grayscale: 0.5, ..Steps::default() },
        Steps { blur: 0.5, ..Steps::default() },
        Steps { policy: Some(Policy::Trivial), ..Steps::default() },
        Steps { policy: Some(rand), ..Steps::default() },
        Steps { policy: Some(Policy::AugMix), ..Steps::default() },
    ];
    let view = |steps: &Steps, key: u64| {
        let mut canvas = Canvas::of(&original);
        steps.apply(&mut canvas, Key(key));
        canvas.pixels
    };
    for steps in all {
        assert!(!steps.is_empty());
        let views: Vec<Vec<u32>> = (0..40).map(|key| view(&steps, key)).collect();
        assert!((0..40).all(|key| view(&steps, key) == views[key as usize]), "{steps:?}");
        let distinct: std::collections::BTreeSet<&Vec<u32>> = views.iter().collect();
        let changed = views.iter().filter(|view| **view != Canvas::of(&original).pixels).count();
        assert!(distinct.len() >= 2 && (10..=40).contains(&changed), "{steps:?}: {} views, {changed} changed", distinct.len());
    }
    assert!(Steps::default().is_empty());
}

#[test]
fn erased_rectangles_have_the_wanted_sizes() {
    let (height, width) = (64, 48);
    let mut sum = 0.0;
    let drawn: Vec<Rectangle> = (0..2000).filter_map(|i| random_rectangle(Key(i), height, width)).collect();
    assert!(drawn.len() > 1990);
    for r in &drawn {
        assert!(r.top + r.height <= height && r.left + r.width <= width && r.height < height && r.width < width, "{r:?}");
        let (share, aspect) = ((r.height * r.width) as f64 / (height * width) as f64, r.height as f64 / r.width as f64);
        assert!((0.015..0.35).contains(&share) && (0.25..4.0).contains(&aspect), "{r:?}");
        sum += share;
    }
    // The mean of 0.02 to 0.33, of which some large ones do not fit.
    assert!((sum / drawn.len() as f64 - 0.17).abs() < 0.01, "{}", sum / drawn.len() as f64);
    let mut tensor = vec![1.0f32; 2 * 4 * 5];
    Rectangle { top: 1, left: 2, height: 2, width: 3 }.erase(&mut tensor, 4, 5);
    assert_eq!(tensor.iter().filter(|value| **value == 0.0).count(), 2 * 6);
    assert_eq!((tensor[5 + 2], tensor[2 * 5 + 4], tensor[3 * 5 + 2], tensor[5 + 1]), (0.0, 0.0, 1.0, 1.0));
}
