//! Packs: the bytes as they are, and an index with correct checksums behind an intact header.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read(&alexnet_fuzz::file(bytes, "a.pack"));
    read(&alexnet_fuzz::file(&resealed(bytes), "b.pack"));
});

/// Opens a pack in every way, and reads its images.
fn read(path: &Path) {
    use alexnet::data::{Demand, Source, Split};
    let source = Source::new(path);
    for demand in [Demand::All, Demand::WithImages, Demand::Trainable] {
        let _ = source.open(Split::Validation, demand);
    }
    if let Ok(opened) = source.open_any() {
        for i in 0..opened.source.len().min(16) {
            let _ = opened.source.image(i);
        }
    }
}

/// A JSON object, a zero byte, the data up to another, and bodies of entries, each after its length: with all checksums.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let part = |bytes: &[u8]| bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (json, rest) = bytes.split_at(part(bytes));
    let (data, mut rest) = rest.get(1..).unwrap_or_default().split_at(part(rest.get(1..).unwrap_or_default()));
    let mut pack = b"\x89ALEXPACK\r\n\x1a\x01\0\0\0".to_vec();
    pack.extend((json.len() as u32).to_le_bytes());
    pack.extend(crc32fast::hash(json).to_le_bytes());
    pack.extend(json);
    pack.extend(data);
    let (start, mut index, mut entries) = (pack.len() as u64, Vec::new(), 0u64);
    while let Some((&length, after)) = rest.get(1..).unwrap_or_default().split_first() {
        let (body, next) = after.split_at(usize::from(length).min(after.len()));
        index.extend((body.len() as u32).to_le_bytes());
        index.extend(crc32fast::hash(body).to_le_bytes());
        index.extend(body);
        entries += 1;
        rest = next;
    }
    pack.extend(&index);
    let mut footer: Vec<u8> = [start, index.len() as u64, entries].into_iter().flat_map(u64::to_le_bytes).collect();
    footer.extend(crc32fast::hash(&index).to_le_bytes());
    footer.extend(crc32fast::hash(&footer).to_le_bytes());
    pack.extend(footer);
    pack.extend(b"ALEXPEND");
    pack
}
