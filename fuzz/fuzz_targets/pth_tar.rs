//! PyTorch's tar container: the members with their lengths.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::tar(bytes);
});
