//! Shared test helpers of the readers: files from bytes, and systematic corruption.

use super::detect::parse;
use std::path::Path;

/// Calls `look` with a file of these bytes.
pub(crate) fn with<T>(bytes: &[u8], look: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("a file");
    look(&path)
}

/// The error from loading these bytes.
pub(crate) fn complaint(bytes: &[u8]) -> String {
    with(bytes, |path| {
        let message = super::load(path, None).expect_err("a broken file").to_string();
        assert!(message.contains("model.bin"), "the message lacks the file name: {message}");
        message
    })
}

/// Truncates the file at every length and corrupts every byte. Reading must not panic, and no tensor may hold more than the file.
pub(crate) fn broken(bytes: &[u8]) {
    let look = |bytes: &[u8]| {
        with(bytes, |path| {
            let Ok(parsed) = parse(path) else { return };
            let _ = super::inspect(path, None);
            for tensor in &parsed.tensors {
                // Fill values that a graph generates are only produced for a net that uses them.
                if let Ok(values) = tensor.values_in_file(&parsed.reader) {
                    assert!(values.len() * 2 <= bytes.len(), "{} values of {} bytes", values.len(), bytes.len());
                }
            }
        });
    };
    let step = (bytes.len() / 150).max(1);
    for length in (0..bytes.len()).step_by(step) {
        look(&bytes[..length]);
    }
    for at in (0..bytes.len()).step_by(step) {
        for value in [0, 0xFF, bytes[at] ^ 1, bytes[at] ^ 0x80] {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            look(&changed);
        }
    }
}
