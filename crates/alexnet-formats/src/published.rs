//! Published weights: where they come from, and how to recognise them whatever their file name.

use super::parsed::ParsedFile;
use crate::{Error, Result};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};

/// A published weight file.
#[derive(Debug)]
pub struct PublishedFile {
    /// Short name for `alexnet pull` and `--model`; `None` for a file that a newer one replaces.
    pub name: Option<&'static str>,
    /// File name.
    pub file: &'static str,
    /// Address.
    pub url: &'static str,
    /// Size in bytes, if its publisher states it.
    pub bytes: Option<u64>,
    /// Checksum stated by its publisher.
    pub checksum: Checksum,
    /// Preset of the net; `None` for weights that are not a classifier.
    pub net: Option<&'static str>,
    /// Framework whose format it uses.
    framework: &'static str,
    /// Licence stated by its publisher.
    pub licence: &'static str,
    /// Description in a few words.
    pub about: &'static str,
}

/// Checksum of a published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256 in hexadecimal.
    Sha256(&'static str),
    /// Start of the SHA-256: torchvision's file names carry the first eight digits.
    Sha256Begins(&'static str),
    /// SHA-1 in hexadecimal.
    Sha1(&'static str),
    /// MD5 in hexadecimal.
    Md5(&'static str),
}

/// Published weights, a row each.
///
/// Sources: torchvision's model pages and `models/alexnet.py`; the readme.md of Caffe's models; the Git LFS entry in onnx/models;
/// PaddlePaddle/Paddle, `vision/models/alexnet.py`; the Python package `lpips`.
pub const PUBLISHED: &[PublishedFile] = &[
    PublishedFile {
        name: Some("torchvision"),
        file: "alexnet-owt-7be5be79.pth",
        url: "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        bytes: Some(244_408_911),
        checksum: Checksum::Sha256("7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
        net: Some("torchvision"),
        framework: "PyTorch",
        licence: "BSD-3-Clause",
        about: "torchvision, ImageNet",
    },
    PublishedFile {
        name: None,
        file: "alexnet-owt-4df8aa71.pth",
        url: "https://download.pytorch.org/models/alexnet-owt-4df8aa71.pth",
        bytes: None,
        checksum: Checksum::Sha256Begins("4df8aa71"),
        net: Some("torchvision"),
        framework: "PyTorch",
        licence: "BSD-3-Clause",
        about: "torchvision before 0.10, ImageNet",
    },
    PublishedFile {
        name: Some("bvlc"),
        file: "bvlc_alexnet.caffemodel",
        url: "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
        bytes: None,
        checksum: Checksum::Sha1("9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        net: Some("bvlc"),
        framework: "Caffe",
        licence: "unrestricted",
        about: "Caffe's AlexNet, ImageNet",
    },
    PublishedFile {
        name: Some("caffenet"),
        file: "bvlc_reference_caffenet.caffemodel",
        url: "http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
        bytes: None,
        checksum: Checksum::Sha1("4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        net: Some("caffenet"),
        framework: "Caffe",
        licence: "unrestricted",
        about: "Caffe's CaffeNet, ImageNet",
    },
    PublishedFile {
        name: Some("onnx-bvlc"),
        file: "bvlcalexnet-12.onnx",
        url: "https://github.com/onnx/models/raw/main/validated/vision/classification/alexnet/model/bvlcalexnet-12.onnx",
        bytes: Some(243_863_787),
        checksum: Checksum::Sha256("6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945"),
        net: Some("onnx-bvlc"),
        framework: "ONNX",
        licence: "BSD-3-Clause",
        about: "ONNX Model Zoo, ImageNet",
    },
    PublishedFile {
        name: Some("paddle"),
        file: "AlexNet_pretrained.pdparams",
        url: "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/AlexNet_pretrained.pdparams",
        bytes: None,
        checksum: Checksum::Md5("7f0f9f737132e02732d75a1459d98a43"),
        net: Some("paddle"),
        framework: "Paddle",
        licence: "Apache-2.0",
        about: "PaddlePaddle, ImageNet",
    },
    PublishedFile {
        name: Some("lpips"),
        file: "alex.pth",
        url: "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
        bytes: Some(6_009),
        checksum: Checksum::Sha256("df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        net: None,
        framework: "PyTorch",
        licence: "BSD-2-Clause",
        about: "linear heads of LPIPS 0.1, for `lpips --linear`",
    },
];

impl Checksum {
    /// Name of the algorithm: `sha256`, `sha1` or `md5`.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Checksum::Sha256(_) | Checksum::Sha256Begins(_) => "sha256",
            Checksum::Sha1(_) => "sha1",
            Checksum::Md5(_) => "md5",
        }
    }

    /// The digits, in lower case.
    pub fn digits(&self) -> &'static str {
        let (Checksum::Sha256(digits) | Checksum::Sha256Begins(digits) | Checksum::Sha1(digits) | Checksum::Md5(digits)) = self;
        digits
    }

    /// Returns whether a file with these digests is the published one.
    pub fn matches(&self, digests: &Digests) -> bool {
        match self {
            Checksum::Sha256(digits) => digests.sha256 == *digits,
            Checksum::Sha256Begins(digits) => digests.sha256.starts_with(digits),
            Checksum::Sha1(digits) => digests.sha1.as_deref() == Some(digits),
            Checksum::Md5(digits) => digests.md5.as_deref() == Some(digits),
        }
    }
}

/// `sha256 7be5be79...`, the form used in messages.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if matches!(self, Checksum::Sha256Begins(_)) { "..." } else { "" };
        write!(f, "{} {}{more}", self.algorithm(), self.digits())
    }
}

/// Digests of a file in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Digests {
    /// SHA-256.
    pub sha256: String,
    /// SHA-1, where the published checksum is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// MD5, where the published checksum is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

impl Digests {
    /// The digest by the algorithm of a checksum, in the form used in messages.
    pub fn like(&self, checksum: &Checksum) -> String {
        let digits = match checksum {
            Checksum::Sha256(_) | Checksum::Sha256Begins(_) => Some(&self.sha256),
            Checksum::Sha1(_) => self.sha1.as_ref(),
            Checksum::Md5(_) => self.md5.as_ref(),
        };
        format!("{} {}", checksum.algorithm(), digits.map_or("unknown", String::as_str))
    }
}

/// Running digests of a file: always SHA-256, and the algorithm of a published checksum.
#[derive(Debug, Clone)]
pub struct RunningDigests {
    sha256: Sha256,
    sha1: Option<Sha1>,
    md5: Option<md5::Md5>,
}

impl RunningDigests {
    /// Digests to be compared with `checksum`.
    pub fn new(checksum: &Checksum) -> RunningDigests {
        RunningDigests {
            sha256: Sha256::new(),
            sha1: matches!(checksum, Checksum::Sha1(_)).then(Sha1::new),
            md5: matches!(checksum, Checksum::Md5(_)).then(md5::Md5::new),
        }
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The digests of all bytes added.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: hexadecimal(&self.sha256.finalize()),
            sha1: self.sha1.map(|sha1| hexadecimal(&sha1.finalize())),
            md5: self.md5.map(|md5| hexadecimal(&md5.finalize())),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the matching published file, if any. Only files with 1,000 classes are hashed.
pub(super) fn find(parsed: &ParsedFile, classes: usize) -> Result<Option<&'static PublishedFile>> {
    if classes != 1000 {
        return Ok(None);
    }
    let length = parsed.reader.length();
    for known in PUBLISHED {
        let possible = known.framework == parsed.format.framework() && known.bytes.is_none_or(|bytes| bytes == length);
        if possible && known.net.is_some() && known.checksum.matches(&digests(parsed, &known.checksum)?) {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The SHA-256 of a file, as shown by `inspect`.
pub(super) fn sha256(parsed: &ParsedFile) -> Result<String> {
    Ok(digests(parsed, &Checksum::Sha256(""))?.sha256)
}

fn digests(parsed: &ParsedFile, checksum: &Checksum) -> Result<Digests> {
    let reader = &parsed.reader;
    let mut running = RunningDigests::new(checksum);
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < reader.length() {
        let part = (reader.length() - at).min(buffer.len() as u64) as usize;
        reader.fill(at, &mut buffer[..part]).map_err(|e| Error::io(reader.path(), e))?;
        running.update(&buffer[..part]);
        at += part as u64;
    }
    Ok(running.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::reader::Reader;
    use crate::registry::FORMATS;

    #[test]
    fn checksums_match_the_standards() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let (sha1, md5) = ("a9993e364706816aba3e25717850c26c9cd0d89d", "900150983cd24fb0d6963f7d28e17f72");
        golden::with(b"abc", |path| {
            let reader = Reader::open(path).unwrap();
            let parsed = ParsedFile::new(reader, &crate::caffe::Caffe, Default::default());
            assert_eq!(super::sha256(&parsed).unwrap(), sha256);
            for checksum in
                [Checksum::Sha256(sha256), Checksum::Sha256Begins("ba7816bf"), Checksum::Sha1(sha1), Checksum::Md5(md5)]
            {
                let digests = digests(&parsed, &checksum).unwrap();
                assert!(checksum.matches(&digests), "{checksum}");
                assert!(digests.like(&checksum).starts_with(&checksum.to_string().replace("...", "")), "{checksum}");
            }
            let digests = digests(&parsed, &Checksum::Sha256(sha256)).unwrap();
            let others = [Checksum::Sha256(sha1), Checksum::Sha256Begins("ba7816be"), Checksum::Sha1(sha1), Checksum::Md5(md5)];
            assert!(others.iter().all(|other| !other.matches(&digests)), "a digest that was not computed matches nothing");
            assert!(find(&parsed, 1000).unwrap().is_none());
        });
    }

    #[test]
    fn every_published_file_has_a_valid_checksum_and_names_of_its_own() {
        for known in PUBLISHED {
            assert!(FORMATS.iter().any(|format| format.framework() == known.framework), "{}", known.framework);
            assert!(known.net.is_none_or(|net| alexnet_net::presets::by_name(net).is_ok()), "{:?}", known.net);
            let length = match known.checksum {
                Checksum::Sha256(_) => 64,
                Checksum::Sha256Begins(_) => 8,
                Checksum::Sha1(_) => 40,
                Checksum::Md5(_) => 32,
            };
            let digits = known.checksum.digits();
            assert!(digits.len() == length && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{}", known.file);
            assert!(known.url.starts_with("http") && known.url.ends_with(&format!("/{}", known.file)), "{}", known.url);
            assert!(!known.licence.is_empty() && !known.about.is_empty(), "{}", known.file);
            // Names double as model arguments, so they must not look like paths.
            let plain = |name: &str| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            assert!(known.name.is_none_or(plain), "{:?}", known.name);
            let same = |other: &&PublishedFile| other.file == known.file || (other.name.is_some() && other.name == known.name);
            assert_eq!(PUBLISHED.iter().filter(same).count(), 1, "{}", known.file);
        }
    }

    #[test]
    fn torchvision_file_names_carry_the_start_of_their_checksum() {
        for known in PUBLISHED.iter().filter(|known| known.file.starts_with("alexnet-owt-")) {
            let digits = known.file.strip_prefix("alexnet-owt-").and_then(|rest| rest.strip_suffix(".pth")).unwrap();
            assert!(known.checksum.digits().starts_with(digits), "{}", known.file);
        }
    }
}
