//! Lists of labelled images: the first byte selects the form, the rest is the file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::list(bytes);
});
