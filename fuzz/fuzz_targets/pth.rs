//! PyTorch's zip container; the input starts with arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::model(bytes, "m.pth");
});
