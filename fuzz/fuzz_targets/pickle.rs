//! The pickle VM, through Paddle files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::model_after(&[0x80, 2], bytes, "m.pdparams");
});
