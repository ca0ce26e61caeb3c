//! PyTorch's legacy container, after its magic number.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let magic = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, b'.'];
    alexnet_fuzz::model_after(&magic, bytes, "legacy.pth");
});
