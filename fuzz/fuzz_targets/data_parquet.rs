//! Data sets in Parquet tables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::data_set(&alexnet_fuzz::file(bytes, "set.parquet"));
});
