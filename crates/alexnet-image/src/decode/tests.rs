use super::*;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// [`super::decode`], with the message of an error.
fn decode(bytes: &[u8]) -> Result<Image, String> {
    super::decode(bytes).map_err(|error| error.to_string())
}

/// [`super::decode_with`], with the message of an error.
fn decode_with(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    super::decode_with(bytes, limits).map_err(|error| error.to_string())
}

/// A file of `golden`, made by tools/make_image_goldens.py.
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Name, size or "refused", and hash or words.
fn expected() -> impl Iterator<Item = [&'static str; 3]> {
    include_str!("../../tests/fixtures/expected.tsv").lines().map(|line| line.split('\t').collect::<Vec<_>>().try_into().unwrap())
}

#[test]
fn every_feature_gives_pillows_pixels_or_is_named() {
    let mut wrong = Vec::new();
    for [name, size, words] in expected() {
        let found = match decode(&golden(name)) {
            Ok(image) => {
                let hash: String = Sha256::digest(&image.rgb).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("{}x{}\t{hash}", image.width, image.height)
            }
            Err(message) if size == "refused" && message.contains(words) => format!("{size}\t{words}"),
            Err(message) => message,
        };
        if found != format!("{size}\t{words}") {
            wrong.push(format!("{name}: {found}, not {size} {words}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every cut of a sound file is decoded or refused, and most say that they end too early.
#[test]
fn a_cut_file_says_so() {
    let mut wrong = Vec::new();
    for name in
        ["progressive.jpg", "sampling2.jpg", "kind2_8.png", "kind3_4_interlaced.png", "plain.gif", "lossless.webp", "bits8.bmp"]
    {
        let bytes = golden(name);
        let whole = decode(&bytes).unwrap();
        for length in 26..bytes.len() {
            match decode(&bytes[..length]) {
                Ok(image) if image == whole => {}
                Err(message) if message.contains("ends too early") => {}
                result => wrong.push(format!("{name} cut to {length} bytes: {:?}", result.map(|_| "other pixels"))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Changed bytes never panic, and what comes out is an image.
#[test]
fn corruption_never_panics() {
    let limits = DecodeLimits { max_pixels: 1 << 20, deadline: None };
    for [name, ..] in expected() {
        let bytes = golden(name);
        for trial in 0..40u64 {
            let key = alexnet_kernels::random::Key(17).with(trial);
            let mut changed = bytes.clone();
            for flip in 0..1 + key.below(0, 6) {
                changed[key.below(1 + flip, bytes.len() as u64) as usize] = key.bits(100 + flip) as u8;
            }
            match decode_with(&changed, &limits) {
                Ok(image) => assert_eq!(image.rgb.len(), image.width * image.height * 3, "{name}"),
                Err(message) => assert!(!message.contains("the decoder gave up"), "{name}, trial {trial}"),
            }
        }
    }
}

/// A grey progressive JPEG of `side` x `side` flat pixels, whose last scan is repeated.
fn scans(side: u16, repeated: usize) -> Vec<u8> {
    let bytes = golden("scans.jpg");
    let last = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let (front, scan) = (&bytes[..last], &bytes[last..bytes.len() - 2]);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    let mut file = [front, &scan.repeat(repeated), &bytes[bytes.len() - 2..]].concat();
    file[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    file
}

#[test]
fn scans_and_pixels_are_bounded_together() {
    // As the encoder wrote it: six scans.
    assert!(decode(&scans(1024, 1)).is_ok());
    let start = Instant::now();
    for (side, repeated) in [(1024, 470), (2048, 480), (1024, 100)] {
        let message = decode(&scans(side, repeated)).unwrap_err();
        assert!(message.contains("scans over"), "{message}");
    }
    // The scans are counted, not decoded.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // Scans of a small image cost nothing, nor do those that bring data of their own.
    assert!(decode(&scans(128, 60)).is_ok());
}

/// Bytes that look like the start of a scan, in a segment that is passed over, are none.
#[test]
fn only_real_scans_count() {
    let bytes = golden("sampling0.jpg");
    let comment = [&[0xFF, 0xFE, 0xFF, 0xFF][..], &[0xFF, 0xDA].repeat(0xFFFD / 2), &[0]].concat();
    let commented = [&bytes[..2], &comment, &bytes[2..]].concat();
    assert_eq!(decode(&commented), decode(&bytes));
}

#[test]
fn a_deadline_ends_decoding() {
    let passed = DecodeLimits { deadline: Some(Instant::now()), ..DecodeLimits::default() };
    for name in ["progressive.jpg", "kind2_8.png", "plain.gif", "lossless.webp", "bits8.bmp"] {
        assert!(decode_with(&golden(name), &passed).unwrap_err().contains("time limit"), "{name}");
    }
    // Within the work of one file, too: 4096 x 4096 pixels in eleven scans take a few hundred milliseconds.
    let bytes = [scans(4096, 6), vec![0; 20_000]].concat();
    let soon = DecodeLimits { deadline: Some(Instant::now() + Duration::from_millis(20)), ..DecodeLimits::default() };
    let message = decode_with(&bytes, &soon).unwrap_err();
    assert!(message.contains("time limit"), "{message}");
    assert!(decode(&bytes).is_ok());
}

#[test]
fn other_limits_hold_in_every_format() {
    let small = DecodeLimits { max_pixels: 18 * 13 - 1, deadline: None };
    for name in ["progressive.jpg", "kind2_8.png", "plain.gif", "lossless.webp", "animated.webp", "bits8.bmp", "runs8.bmp"] {
        let message = decode_with(&golden(name), &small).unwrap_err();
        assert!(message.contains("more than 233 are refused"), "{name}: {message}");
    }
}

#[test]
fn other_formats_are_named() {
    for (bytes, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC images are not read"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 images are not read"),
        (b"\xff\x0a\0\0", "JPEG XL images are not read"),
        (b"II*\0\x08\0\0\0", "TIFF images are not read"),
        (b"<html>", "not a JPEG, PNG, WebP, BMP or GIF"),
        (b"\xff\xd8\xff\xd9", "there is no image in it"),
        (b"\xff\xd8", "ends too early"),
    ] {
        let message = decode(bytes).unwrap_err();
        assert!(message.contains(name), "{name}: {message}");
    }
}

/// A row has a cost of its own.
#[test]
fn a_side_is_bounded_too() {
    let mut bytes = golden("kind2_8.png");
    bytes[16..24].copy_from_slice(&[0, 0, 0, 1, 0x0A, 0, 0, 0]);
    let sum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    assert!(decode(&bytes).unwrap_err().contains("on a side"));
    let mut bytes = golden("bits8.bmp");
    bytes[22..26].copy_from_slice(&0x0A00_0000u32.to_le_bytes());
    bytes[18..22].copy_from_slice(&1u32.to_le_bytes());
    assert!(decode(&bytes).unwrap_err().contains("on a side"));
}

/// A text chunk of 100 MB of zeros in 100 kB is not expanded, and the image behind it is read.
#[test]
fn a_bomb_in_a_text_is_passed_over() {
    let bytes = golden("kind2_8.png");
    let zeros = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b'0'; 100_000_000], 6);
    let text = [&b"zTXtRaw profile type exif\0\0"[..], &zeros].concat();
    let chunk = [&(text.len() as u32 - 4).to_be_bytes()[..], &text, &crc32fast::hash(&text).to_be_bytes()].concat();
    let bomb = [&bytes[..33], &chunk, &bytes[33..]].concat();
    assert_eq!(decode(&bomb), decode(&bytes));
}
