//! Published files, recognised by checksum whatever their file name.

use super::parsed::ParsedFile;
use crate::{Error, Result};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A published file.
#[derive(Debug)]
pub(crate) struct PublishedFile {
    /// Its published name.
    pub(crate) file: &'static str,
    /// The framework whose format it uses.
    framework: &'static str,
    checksum: Checksum,
    /// Its preset.
    pub(crate) net: &'static str,
}

#[derive(Debug)]
enum Checksum {
    Sha256(&'static str),
    /// torchvision's convention: the file name carries the first eight digits.
    Sha256Begins(&'static str),
    Sha1(&'static str),
    Md5(&'static str),
}

/// torchvision: its model pages and `models/alexnet.py`. Caffe: the readme.md of each model. Paddle: PaddlePaddle/Paddle,
/// vision/models/alexnet.py.
const ALL: &[PublishedFile] = &[
    PublishedFile {
        file: "alexnet-owt-7be5be79.pth of torchvision",
        framework: "PyTorch",
        checksum: Checksum::Sha256("7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
        net: "torchvision",
    },
    PublishedFile {
        file: "alexnet-owt-4df8aa71.pth of torchvision",
        framework: "PyTorch",
        checksum: Checksum::Sha256Begins("4df8aa71"),
        net: "torchvision",
    },
    PublishedFile {
        file: "bvlc_alexnet.caffemodel",
        framework: "Caffe",
        checksum: Checksum::Sha1("9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        net: "bvlc",
    },
    PublishedFile {
        file: "bvlc_reference_caffenet.caffemodel",
        framework: "Caffe",
        checksum: Checksum::Sha1("4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        net: "caffenet",
    },
    PublishedFile {
        file: "AlexNet_pretrained.pdparams of Paddle",
        framework: "Paddle",
        checksum: Checksum::Md5("7f0f9f737132e02732d75a1459d98a43"),
        net: "paddle",
    },
];

/// Returns the matching published file, if any. Only files with 1,000 classes are hashed.
pub(super) fn find(parsed: &ParsedFile, classes: usize) -> Result<Option<&'static PublishedFile>> {
    if classes != 1000 {
        return Ok(None);
    }
    for known in ALL.iter().filter(|known| known.framework == parsed.format.framework()) {
        let (digest, matches): (String, fn(&str, &str) -> bool) = match known.checksum {
            Checksum::Sha256(_) => (digest::<Sha256>(parsed)?, |a, b| a == b),
            Checksum::Sha256Begins(_) => (digest::<Sha256>(parsed)?, |a, b| a.starts_with(b)),
            Checksum::Sha1(_) => (digest::<Sha1>(parsed)?, |a, b| a == b),
            Checksum::Md5(_) => (digest::<md5::Md5>(parsed)?, |a, b| a == b),
        };
        let (Checksum::Sha256(expected) | Checksum::Sha256Begins(expected) | Checksum::Sha1(expected) | Checksum::Md5(expected)) =
            known.checksum;
        if matches(&digest, expected) {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The SHA-256 of a file, as shown by `inspect`.
pub(super) fn sha256(parsed: &ParsedFile) -> Result<String> {
    digest::<Sha256>(parsed)
}

fn digest<D: Digest>(parsed: &ParsedFile) -> Result<String> {
    let reader = &parsed.reader;
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < reader.length() {
        let part = (reader.length() - at).min(buffer.len() as u64) as usize;
        reader.fill(at, &mut buffer[..part]).map_err(|e| Error::io(reader.path(), e))?;
        hash.update(&buffer[..part]);
        at += part as u64;
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::reader::Reader;
    use crate::registry::FORMATS;

    #[test]
    fn checksums_match_the_standards() {
        golden::with(b"abc", |path| {
            let reader = Reader::open(path).unwrap();
            let parsed = ParsedFile::new(reader, &crate::caffe::Caffe, Default::default());
            let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(digest::<Sha256>(&parsed).unwrap(), sha256);
            assert_eq!(digest::<Sha1>(&parsed).unwrap(), "a9993e364706816aba3e25717850c26c9cd0d89d");
            assert_eq!(digest::<md5::Md5>(&parsed).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
            assert!(find(&parsed, 1000).unwrap().is_none());
        });
    }

    #[test]
    fn every_known_file_names_a_preset_and_has_a_valid_checksum() {
        for known in ALL {
            assert!(FORMATS.iter().any(|format| format.framework() == known.framework), "{}", known.framework);
            assert!(alexnet_net::presets::by_name(known.net).is_ok(), "{}", known.net);
            let (digits, length) = match known.checksum {
                Checksum::Sha256(digits) => (digits, 64),
                Checksum::Sha256Begins(digits) => (digits, 8),
                Checksum::Sha1(digits) => (digits, 40),
                Checksum::Md5(digits) => (digits, 32),
            };
            assert!(digits.len() == length && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{}", known.file);
        }
    }
}
