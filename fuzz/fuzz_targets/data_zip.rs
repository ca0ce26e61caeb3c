//! Data sets in zip files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::data_set(&alexnet_fuzz::file(bytes, "set.zip"));
});
