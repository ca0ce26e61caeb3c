//! What the readers' tests share: files from bytes, and every way to break them.

use super::detect::parse;
use std::path::Path;

/// Calls `look` with a file of these bytes.
pub(crate) fn with<T>(bytes: &[u8], look: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("a file");
    look(&path)
}

/// The error that opening these bytes gives.
pub(crate) fn complaint(bytes: &[u8]) -> String {
    with(bytes, |path| {
        let message = super::load(path, None).expect_err("a broken file").to_string();
        assert!(message.contains("model.bin"), "names no file: {message}");
        message
    })
}

/// Cuts the file at every length, and sets every byte to some others: whatever it says, it must not panic, and no tensor may
/// hold more than the file.
pub(crate) fn broken(bytes: &[u8]) {
    let look = |bytes: &[u8]| {
        with(bytes, |path| {
            let Ok(parsed) = parse(path) else { return };
            let _ = super::inspect(path, None);
            for tensor in &parsed.tensors {
                // What a graph makes out of nothing is only read for a net that wants it.
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
