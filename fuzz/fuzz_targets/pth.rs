//! PyTorch's zip container, whatever else a file begins as.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::model(bytes, "m.pth");
});
