//! The decoder in Rust beside libjpeg: `cargo test -p alexnet-image --features jpeg-rust`.

use super::*;

/// The largest difference in levels, as `pure_rust` and the documentation of the feature state it.
const LEVELS: u8 = 5;

/// The JPEG files among the fixtures, with their names.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read =
        |path: std::path::PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "jpg")).map(read).collect()
}

#[test]
fn the_decoder_in_rust_is_near_libjpeg_or_refuses() {
    let limits = DecodeLimits::default();
    let (mut near, mut refused) = (0, Vec::new());
    for (name, bytes) in fixtures() {
        let Ok(outline) = Outline::of(&bytes) else { continue };
        if outline.check_features().is_err() {
            continue;
        }
        let exact = libjpeg::decode(&bytes, &outline, Scale::Full, &limits);
        match (exact, pure_rust::decode(&bytes, &outline, Scale::Full, &limits)) {
            (Ok(exact), Ok(image)) => {
                assert_eq!((image.width, image.height), (exact.width, exact.height), "{name}");
                let off = image.rgb.iter().zip(&exact.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(off <= LEVELS, "{name}: {off} levels");
                near += 1;
            }
            // What libjpeg refuses, nothing else may show as a picture.
            (Err(message), Ok(_)) => panic!("{name}: libjpeg says {message}"),
            (Ok(_), Err(message)) => refused.push(format!("{name}: {message}")),
            (Err(_), Err(_)) => {}
        }
    }
    assert!(near > 30, "{near}");
    let is_known =
        |line: &String| line.contains("arithmetic JPEG coding") || line == "no_end_marker.jpg: the file ends too early";
    assert!(refused.iter().all(is_known), "{refused:#?}");
}

#[test]
fn a_reduced_image_is_near_libjpegs() {
    let (limits, (_, bytes)) =
        (DecodeLimits::default(), fixtures().into_iter().find(|(name, _)| name == "progressive.jpg").unwrap());
    let outline = Outline::of(&bytes).unwrap();
    for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
        let [exact, image] = [libjpeg::decode, pure_rust::decode].map(|decode| decode(&bytes, &outline, scale, &limits).unwrap());
        assert_eq!((image.width, image.height), (exact.width, exact.height));
        // The last column and row stand for fewer pixels, which libjpeg's transform takes as repeated.
        let mean = |image: &Image| image.rgb.iter().map(|&value| f64::from(value)).sum::<f64>() / image.rgb.len() as f64;
        assert!((mean(&exact) - mean(&image)).abs() < 4.0, "{scale:?}: {} and {}", mean(&exact), mean(&image));
    }
}
