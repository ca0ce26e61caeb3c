//! Where a file is downloaded from, and which content is accepted.

use alexnet_files::{Error, Result};
use alexnet_formats::published::{Digests, PublishedFile};

/// Environment variable with the base address of a mirror.
pub(crate) const MIRROR: &str = "ALEXNET_MIRROR";
/// Environment variable that accepts files other than the published ones.
pub(crate) const NO_VERIFY: &str = "ALEXNET_NO_VERIFY";

/// Address of a file, and the content accepted from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// An `http://` or `https://` address.
    pub url: String,
    /// Which content is accepted.
    pub accept: Accept,
}

/// Content accepted under a published name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// The published file alone.
    Published,
    /// A file with this SHA-256, in lower case.
    Sha256(String),
    /// Any file.
    Any,
}

impl Source {
    /// The published address of a file, or that of a mirror: its base address followed by the file's name.
    ///
    /// # Errors
    /// The mirror is not an address.
    pub fn of(file: &PublishedFile, mirror: Option<&str>, accept: Accept) -> Result<Source> {
        let Some(mirror) = mirror else { return Ok(Source { url: file.url.into(), accept }) };
        check_address(mirror).map_err(|error| error.context(MIRROR))?;
        Ok(Source { url: format!("{}/{}", mirror.trim_end_matches('/'), file.file), accept })
    }

    /// An address given by the user.
    ///
    /// # Errors
    /// It is not an address.
    pub fn at(url: &str, accept: Accept) -> Result<Source> {
        check_address(url)?;
        Ok(Source { url: url.into(), accept })
    }
}

/// An address without user name, password and query, which may be secret: for messages and records.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn check_address(url: &str) -> Result<()> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let start = url.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
    });
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !url.contains(char::is_whitespace) => Ok(()),
        _ => Err(Error::Invalid(format!("{url:?} is not an address such as https://example.org/weights"))),
    }
}

impl Accept {
    /// Parses the SHA-256 of an accepted file.
    ///
    /// # Errors
    /// The text is not 64 hexadecimal digits.
    pub fn sha256(text: &str) -> Result<Accept> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Accept::Sha256(text.to_ascii_lowercase()));
        }
        Err(Error::Invalid(format!("{text:?} is not a SHA-256: expected 64 hexadecimal digits")))
    }

    /// Returns whether a file with these digests is accepted for `file`.
    pub(crate) fn accepts(&self, file: &PublishedFile, digests: &Digests) -> bool {
        match self {
            Accept::Published => file.checksum.matches(digests),
            Accept::Sha256(digits) => digests.sha256 == *digits,
            Accept::Any => true,
        }
    }

    /// Returns whether a file in the cache folder is accepted.
    #[cfg(feature = "download")]
    pub(crate) fn is_met_by(&self, found: &crate::CachedFile) -> bool {
        match self {
            Accept::Published => found.published,
            Accept::Sha256(digits) => found.sha256 == *digits,
            Accept::Any => true,
        }
    }

    /// Size of an accepted file, if known.
    #[cfg(feature = "download")]
    pub(crate) fn bytes(&self, file: &PublishedFile) -> Option<u64> {
        file.bytes.filter(|_| *self == Accept::Published)
    }

    /// Whether only one content is accepted, so that a download from one address may be continued from another.
    #[cfg(feature = "download")]
    pub(crate) fn is_exact(&self) -> bool {
        *self != Accept::Any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::published;

    #[test]
    fn a_mirror_replaces_all_of_the_address_but_the_file_name() {
        let file = published("torchvision").unwrap();
        let url = |mirror| Source::of(file, mirror, Accept::Published).unwrap().url;
        assert_eq!(url(None), file.url);
        for mirror in ["http://127.0.0.1:8000", "http://127.0.0.1:8000/"] {
            assert_eq!(url(Some(mirror)), "http://127.0.0.1:8000/alexnet-owt-7be5be79.pth");
        }
        for wrong in ["/mnt/weights", "ftp://example.org", "https://", "http:///x", "http://a b/"] {
            let error = Source::of(file, Some(wrong), Accept::Published).unwrap_err().to_string();
            assert!(error.contains("ALEXNET_MIRROR") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        assert_eq!(without_secrets("https://ada:s3cret@example.org:81/a/b@c?token=x#d"), "https://example.org:81/a/b@c");
        assert_eq!(without_secrets("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
    }

    #[test]
    fn a_sha256_is_64_digits() {
        assert_eq!(Accept::sha256(&"AB".repeat(32)).unwrap(), Accept::Sha256("ab".repeat(32)));
        assert!(Accept::sha256("7be5be79").is_err() && Accept::sha256(&"xy".repeat(32)).is_err());
    }
}
