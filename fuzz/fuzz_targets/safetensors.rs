//! safetensors: a header of the correct length; the bytes after a zero byte are values.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (header, numbers) = bytes.split_at(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
    let length = (header.len() as u64).to_le_bytes();
    alexnet_fuzz::model(&[&length[..], header, numbers.get(1..).unwrap_or_default()].concat(), "m.safetensors");
    alexnet_fuzz::model(bytes, "n.safetensors");
});
