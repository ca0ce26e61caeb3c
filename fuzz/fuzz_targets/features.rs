//! Feature tables: a JSON sidecar, a zero byte, an .npy.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (sidecar, numbers) = bytes.split_at(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
    let npy = alexnet_fuzz::file(numbers.get(1..).unwrap_or_default(), "t.npy");
    alexnet_fuzz::file(sidecar, "t.json");
    let _ = alexnet::features::Table::read(&npy);
    let _ = alexnet::lpips::Heads::read(&npy);
});
