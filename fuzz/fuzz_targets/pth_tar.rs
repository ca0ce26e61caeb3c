//! PyTorch's tar container: the members, each after its length.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::tar(bytes);
});
