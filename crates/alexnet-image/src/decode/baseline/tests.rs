use super::*;
use crate::decode::jpeg;
use alexnet_kernels::random::Key;
use mozjpeg::{ColorSpace, Compress};

const SCALES: [Scale; 4] = [Scale::Full, Scale::Half, Scale::Quarter, Scale::Eighth];

/// How a test image is stored.
#[derive(Debug, Clone, Copy)]
struct Form {
    width: usize,
    height: usize,
    /// Pixels for a sample of chroma; none: grey.
    chroma: Option<(u8, u8)>,
    quality: f32,
    is_optimized: bool,
}

/// A JPEG of waves, edges and noise.
fn jpeg(form: Form, key: Key) -> Vec<u8> {
    let Form { width, height, chroma, quality, is_optimized } = form;
    let channels = if chroma.is_some() { 3 } else { 1 };
    let noise = key.below(0, 3) * 60;
    let value = |i: usize| {
        let (x, y, c) = (i / channels % width, i / channels / width, i % channels);
        let wave = 128.0 + 100.0 * ((x * (2 + c)) as f64 * 0.3).sin() * ((y + c) as f64 * 0.2).cos();
        let edge = if (x / 5 + y / 7 + c) % 3 == 0 { 60 } else { 0 };
        (wave as u64 + edge + key.below(1 + i as u64, noise + 1)).min(255) as u8
    };
    let pixels: Vec<u8> = (0..width * height * channels).map(value).collect();
    let mut compress = Compress::new(if channels == 3 { ColorSpace::JCS_RGB } else { ColorSpace::JCS_GRAYSCALE });
    compress.set_size(width, height);
    compress.set_fastest_defaults();
    compress.set_quality(quality);
    compress.set_optimize_coding(is_optimized);
    if let Some(size) = chroma {
        compress.set_chroma_sampling_pixel_sizes(size, size);
    }
    let mut started = compress.start_compress(Vec::new()).unwrap();
    started.write_scanlines(&pixels).unwrap();
    started.finish().unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn fast(isa: Isa, bytes: &[u8], scale: Scale) -> Option<Image> {
    decode_on(isa, bytes, scale, &DecodeLimits::default()).unwrap()
}

fn reference(bytes: &[u8], scale: Scale) -> Image {
    jpeg::decode(bytes, scale, &DecodeLimits::default(), false).unwrap()
}

#[test]
fn every_shape_and_sampling_has_the_bits_of_libjpeg() {
    for chroma in [None, Some((1, 1)), Some((2, 1)), Some((1, 2)), Some((2, 2))] {
        for width in 1..=40 {
            let key = Key(5).with(width as u64).with(u64::from(chroma.map_or(0, |(across, down)| 2 * across + down)));
            let height = 1 + key.below(0, 40) as usize;
            let quality = [5.0, 30.0, 75.0, 92.0, 100.0][key.below(1, 5) as usize];
            let form = Form { width, height, chroma, quality, is_optimized: key.below(2, 2) == 1 };
            let bytes = jpeg(form, key.with(1));
            for scale in SCALES {
                let expected = reference(&bytes, scale);
                assert_eq!((expected.width, expected.height), (scale.of(width), scale.of(height)));
                for isa in Isa::all_supported() {
                    assert!(fast(isa, &bytes, scale).as_ref() == Some(&expected), "{form:?}, {scale:?}, {isa}");
                }
            }
        }
    }
}

#[test]
fn a_large_image_passes_all_borders_between_groups() {
    for (width, chroma) in [(531, (2, 2)), (257, (2, 1)), (1030, (1, 1))] {
        let form = Form { width, height: 70, chroma: Some(chroma), quality: 80.0, is_optimized: false };
        let bytes = jpeg(form, Key(8));
        for scale in SCALES {
            assert!(fast(Isa::detect(), &bytes, scale) == Some(reference(&bytes, scale)), "{form:?}, {scale:?}");
        }
    }
}

#[test]
fn ordinary_files_take_the_fast_path_and_others_do_not() {
    for name in
        ["sampling0.jpg", "sampling1.jpg", "sampling2.jpg", "restarts.jpg", "grey.jpg", "comment.jpg", "behind.jpg", "exif6.jpg"]
    {
        let bytes = fixture(name);
        for scale in SCALES {
            assert_eq!(decoded(&bytes, scale, true), decoded(&bytes, scale, false), "{name}, {scale:?}");
        }
        assert!(fast(Isa::detect(), &bytes, Scale::Full).is_some(), "{name}");
    }
    for name in ["progressive.jpg", "arithmetic.jpg", "inks.jpg", "rgb.jpg", "cut.jpg", "no_end_marker.jpg", "scans.jpg"] {
        let bytes = fixture(name);
        assert!(fast(Isa::detect(), &bytes, Scale::Full).is_none(), "{name}");
    }
}

/// The pixels or the error, by the fast path or by libjpeg alone.
fn decoded(bytes: &[u8], scale: Scale, fast: bool) -> Result<Image, String> {
    let limits = DecodeLimits { max_pixels: 1 << 20, deadline: None };
    jpeg::decode(bytes, scale, &limits, fast)
}

/// A file that the fast path must not judge gives libjpeg's pixels, or its error: changed bytes anywhere, in tables as in scans.
#[test]
fn damaged_files_are_left_to_libjpeg() {
    let mut files: Vec<_> = ["sampling2.jpg", "restarts.jpg"].map(fixture).into();
    let form = Form { width: 45, height: 33, chroma: Some((2, 2)), quality: 90.0, is_optimized: true };
    files.extend([jpeg(form, Key(1)), jpeg(Form { chroma: None, ..form }, Key(2))]);
    let mut accepted = 0;
    for (i, bytes) in files.iter().enumerate() {
        for trial in 0..400 {
            let key = Key(23).with(i as u64).with(trial);
            let mut changed = bytes.clone();
            for flip in 0..1 + key.below(0, 4) {
                let place = key.below(1 + flip, bytes.len() as u64) as usize;
                changed[place] = key.bits(100 + flip) as u8;
            }
            if key.below(50, 8) == 0 {
                changed.truncate(key.below(51, bytes.len() as u64) as usize);
            }
            let scale = SCALES[key.below(52, 4) as usize];
            let expected = decoded(&changed, scale, false);
            assert!(decoded(&changed, scale, true) == expected, "file {i}, trial {trial}, {scale:?}");
            accepted += usize::from(fast(Isa::detect(), &changed, scale).is_some());
        }
    }
    // The comparison is worth something only where the fast path does accept.
    assert!(accepted > 100, "{accepted}");
}

/// Values that no encoder writes: quantisers so large that libjpeg's sums wrap around.
#[test]
fn values_out_of_range_are_left_to_libjpeg() {
    for (chroma, factor) in [(None, 255), (Some((1, 1)), 90), (Some((2, 2)), 255), (Some((2, 2)), 20)] {
        let form = Form { width: 40, height: 24, chroma, quality: 100.0, is_optimized: false };
        let mut bytes = jpeg(form, Key(3));
        let mut at = 2;
        while bytes[at + 1] != 0xDA {
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            if bytes[at + 1] == 0xDB {
                bytes[at + 5..at + 2 + length.min(67)].fill(factor);
            }
            at += 2 + length;
        }
        for scale in SCALES {
            assert!(decoded(&bytes, scale, true) == decoded(&bytes, scale, false), "{form:?}, {factor}, {scale:?}");
        }
    }
}

#[test]
fn the_deadline_ends_it() {
    let bytes = fixture("sampling2.jpg");
    let limits = DecodeLimits { deadline: Some(std::time::Instant::now()), ..DecodeLimits::default() };
    assert!(decode(&bytes, Scale::Full, &limits).is_err());
}
